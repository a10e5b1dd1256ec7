"""Order of events with equal timestamps or without timestamps, repeats, and warnings, on both databases."""

import itertools
import logging
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from databases import listens
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Interactions, readers
from item2vec.adapters import histories
from item2vec.errors import ConfigError, InputError
from item2vec.store import Ingested, Store, event_key
from item2vec.store.ingest import Events
from item2vec.store.moments import Moments, Repeats
from item2vec.store.tables import BatchFacts

INPUTS = Path(__file__).parent / "inputs"
DAY = 86_400_000_000
NOW = datetime(2024, 6, 1, tzinfo=UTC)
BATCHES = itertools.count(1)


@pytest.fixture
def warnings_of(store, caplog):
    """Return a function that ingests interactions, and returns the warnings."""

    def ingest(interactions, **options):
        caplog.clear()
        with caplog.at_level(logging.WARNING, logger="item2vec.store"):
            store.ingest(interactions, now=NOW, **options)
        return [record.getMessage() for record in caplog.records]

    return ingest


def undated(*rows, **columns):
    """Return interactions of (user, item) rows without timestamps."""
    users, items = zip(*rows, strict=True) if rows else ((), ())
    return Interactions.of(user=users, item=items, **columns)


def sentences_by_user(interactions):
    users = [interactions.users.ids[code] for code in np.unique(interactions.user)]
    return dict(zip(users, histories(interactions), strict=True))


def keys_and_positions(sql):
    return dict(sql("SELECT event_key, position FROM interaction"))


# Order


@pytest.mark.parametrize("batch_size", [7, 100, 50_000])
def test_a_day_keeps_the_order_of_its_file(store, batch_size):
    read = readers.read_interactions(INPUTS / "same_day.csv", timestamp="date")
    for _ in range(2):
        store.ingest(read, batch_size=batch_size)
        stored = store.interactions()
        assert sentences_by_user(stored) == sentences_by_user(read)
        for user, items in sentences_by_user(read).items():
            assert store.history(user).items == items
            assert store.history(user, limit=3).items == items[-3:]


@given(
    rows=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.none() | st.integers(0, 2)), max_size=40
    ),
    is_dated=st.booleans(),
)
@examples(200)
def test_positions_and_repeats_agree_with_a_slow_reference(rows, is_dated):
    rows = [(user, item, time or 0) for user, item, time in rows]
    plays = listens(*rows) if is_dated else undated(*(row[:2] for row in rows))
    earlier = [rows[:n] if is_dated else [(*row[:2], 0) for row in rows[:n]] for n in range(len(rows))]
    rows = rows if is_dated else [(*row[:2], 0) for row in rows]
    moments = Moments.of(plays)
    repeats = Repeats.of(plays, moments)
    assert moments.positions().tolist() == [
        sum(row[::2] == other[::2] for other in before) for row, before in zip(rows, earlier, strict=True)
    ]
    assert repeats.occurrence.tolist() == [
        before.count(row) for row, before in zip(rows, earlier, strict=True)
    ]
    assert repeats.origin.tolist() == [rows.index(row) for row in rows]
    kept = Events.of(plays, moments, "keep")
    merged = Events.of(plays, moments, "merge")
    assert (len(kept), len(merged)) == (len(rows), len({*rows}))
    if len(merged):
        weights = np.ones(len(merged)) if merged.rows.weight is None else merged.rows.weight
        assert weights.tolist() == [rows.count(row) for row in dict.fromkeys(rows)]


def test_the_lower_position_of_two_files_counts(store, sql):
    first = listens(("u", "a", 1), ("u", "b", 1), ("u", "c", 1))
    second = listens(("u", "c", 1), ("u", "d", 1))
    store.ingest(first)
    store.ingest(second)
    together = store.history("u").items
    assert together == sorted("ac", key=lambda item: event_key("u", item, "none", 1)) + sorted(
        "bd", key=lambda item: event_key("u", item, "none", 1)
    )
    store.forget_user("u")
    store.ingest(second)
    store.ingest(first)
    assert store.history("u").items == together
    before = keys_and_positions(sql)
    store.ingest(first)
    assert keys_and_positions(sql) == before


def test_positions_count_only_rows_with_the_same_user_and_timestamp(store, sql):
    store.ingest(listens(("u", "a", 2), ("v", "a", 1), ("u", "b", 1), ("u", "a", 1), ("u", "c", 2)))
    expected = {("u", "a", 2): 0, ("v", "a", 1): 0, ("u", "b", 1): 0, ("u", "a", 1): 1, ("u", "c", 2): 1}
    assert keys_and_positions(sql) == {
        event_key(user, item, "none", time): position for (user, item, time), position in expected.items()
    }


# Repeats


def repeats_of_one_day(**columns):
    return readers.read_interactions(INPUTS / "repeats_of_one_day.csv", **columns)


@pytest.mark.parametrize(
    ("policy", "weight", "expected"),
    [
        ("keep", None, [("milk", 1), ("milk", 1), ("bread", 1), ("milk", 1)]),
        ("keep", "quantity", [("milk", 1), ("milk", 3), ("bread", 1), ("milk", 2)]),
        ("merge", None, [("milk", 2), ("bread", 1), ("milk", 1)]),
        ("merge", "quantity", [("milk", 4), ("bread", 1), ("milk", 2)]),
        (None, "quantity", [("milk", 4), ("bread", 1), ("milk", 2)]),
    ],
)
@pytest.mark.parametrize("batch_size", [1, 50_000])
def test_repeats_of_one_day_are_kept_or_merged(store, policy, weight, expected, batch_size):
    purchases = repeats_of_one_day(weight=weight)
    n = len(expected)
    assert store.ingest(purchases, repeats=policy, batch_size=batch_size) == Ingested(4, n, 0, 1)
    for _ in range(2):
        history = store.history("u1")
        assert list(zip(history.items, history.weights.tolist(), strict=True)) == expected
        assert store.ingest(purchases, repeats=policy, batch_size=batch_size) == Ingested(4, 0, n, 1)


def test_overlapping_files_do_not_double_kept_repeats(store):
    store.ingest(listens(("u", "a", 1), ("u", "a", 1)), repeats="keep")
    assert store.ingest(listens(("u", "a", 1)), repeats="keep") == Ingested(1, 0, 1, 0)
    assert store.ingest(listens(*[("u", "a", 1)] * 3), repeats="keep") == Ingested(3, 1, 2, 2)
    assert store.history("u").items == ["a"] * 3


def test_the_key_of_a_kept_repeat_contains_its_occurrence(store, sql):
    store.ingest(listens(*[("u", "a", 1)] * 3), repeats="keep")
    keys = [event_key("u", "a", "none", 1, occurrence) for occurrence in range(3)]
    assert keys_and_positions(sql) == dict(zip(keys, range(3), strict=True))


def test_an_unknown_policy_is_refused(store):
    with pytest.raises(ConfigError, match="repeats is 'drop'; expected 'keep' or 'merge'"):
        store.ingest(listens(("u", "a", 1)), repeats="drop")


# No timestamps


def test_interactions_without_timestamps_stay_in_the_order_of_their_file(store):
    rows = [("u", "b"), ("v", "a"), ("u", "a"), ("u", "b"), ("v", "c")]
    for n_new in (5, 0):
        assert store.ingest(undated(*rows), batch_size=2) == Ingested(5, n_new, 5 - n_new, 1)
        stored = store.interactions()
        assert stored.timestamp is None
        assert sentences_by_user(stored) == {"u": ["b", "a", "b"], "v": ["a", "c"]}
        assert store.history("u").items == ["b", "a", "b"]
        assert store.history("u").timestamps is None
        assert store.history("u", limit=2).items == ["a", "b"]
    store.forget_user("u")
    assert store.ingest(undated(*rows), repeats="merge").n_repeats == 1
    assert store.history("u").weights.tolist() == [2, 1]


def test_a_file_without_timestamps_is_stored_whole(store):
    read = readers.read_interactions(INPUTS / "no_moments.csv", timestamp=None)
    assert store.ingest(read) == Ingested(200, 200, 0, 0)
    assert sentences_by_user(store.interactions()) == sentences_by_user(read)


def test_a_store_without_timestamps_has_no_first_and_last_time(store):
    store.ingest(undated(("u", "a")))
    summary = store.summary()
    assert (summary["n_interactions"], summary["first"], summary["last"]) == (1, None, None)
    assert store.ahead(datetime(1960, 1, 1, tzinfo=UTC)) is None
    assert store.snapshot(end=datetime(1960, 1, 1, tzinfo=UTC))[0].timestamp is None


@pytest.mark.parametrize(
    "read",
    [
        lambda store: store.interactions(start=NOW),
        lambda store: store.interactions(end=NOW),
        lambda store: store.snapshot(days=3),
    ],
)
def test_a_selection_by_time_requires_timestamps(store, read):
    store.ingest(undated(("u", "a")))
    with pytest.raises(InputError, match="the interactions in the store have no timestamps; a selection by"):
        read(store)


@pytest.mark.parametrize("is_dated", [False, True])
def test_a_store_refuses_a_mixture_of_both_kinds(store, is_dated):
    first, second = listens(("u", "a", 0)), undated(("v", "b"))
    if not is_dated:
        first, second = second, first
    store.ingest(first)
    before = store.summary()
    with pytest.raises(InputError, match=r"have (no )?timestamps, and the interactions in the store"):
        store.ingest(second)
    assert store.summary() == before
    store.forget_user("u" if is_dated else "v")
    assert store.ingest(second).n_new == 1


def test_concurrent_first_writers_of_both_kinds_do_not_mix(store, url, engine):
    (batch,) = Events.of(undated(("u", "a")), Moments.of(undated(("u", "a"))), None).batches(9)
    with ThreadPoolExecutor(1) as thread, Store(url) as other:
        with engine.begin() as connection:
            batch.insert(connection, BatchFacts("test", NOW, next(BATCHES)))
            late = thread.submit(partial(other.ingest, listens(("v", "b", 1))))
        with pytest.raises(InputError, match="have no timestamps"):
            late.result()
    assert store.summary()["n_interactions"] == 1


# Warnings


def test_plausible_interactions_cause_no_warning(warnings_of):
    rows = [(f"u{n % 7}", f"i{n}", DAY * n) for n in range(200)]
    assert warnings_of(listens(*rows)) == []
    assert warnings_of(listens(*rows, *rows), repeats="merge") == []
    assert warnings_of(listens()) == []


def test_future_dates_are_counted_and_the_first_is_named(warnings_of):
    end = round(NOW.timestamp() * 1e6) + DAY
    assert warnings_of(listens(("u", "a", end - 1))) == []
    (warning,) = warnings_of(listens(("u", "a", 5), ("v", "b", end), ("w", "c", end + DAY)))
    assert warning.startswith("2 of 3 events are dated in the future, from 2024-06-02T00:00:00+00:00 on")
    assert warning.endswith("user 'v', item 'b', 2024-06-02T00:00:00")


@pytest.mark.parametrize(
    ("n_tied", "expected"), [(3, []), (4, ["67 % of the pairs of consecutive events of the same user"])]
)
def test_a_majority_of_equal_neighbouring_timestamps_is_a_warning(warnings_of, n_tied, expected):
    rows = [("u", f"i{n}", DAY * max(n, n_tied)) for n in range(7)]  # the first n_tied + 1 are equal
    rows += [("v", "a", 5 * DAY)]  # no neighbour
    assert [text.partition(" have")[0] for text in warnings_of(listens(*rows))] == expected


@pytest.mark.parametrize(
    ("user", "n_events", "n_others", "warned"),
    [
        ("NULL", 149, 1, "user 'NULL' has 149 of 150 events (99 %); this id often stands for a missing user"),
        ("nan", 11, 89, "user 'nan' has 11 of 100 events (11 %); this id often stands for a missing user"),
        ("None", 10, 90, None),
        ("u7", 51, 49, "user 'u7' has 51 of 100 events (51 %); check the column of user ids"),
        ("u7", 50, 50, None),
        ("u7", 60, 39, None),
    ],
)
def test_a_user_with_most_events_is_named(warnings_of, user, n_events, n_others, warned):
    rows = [(user, "a", n) for n in range(n_events)] + [(f"v{n}", "a", n) for n in range(n_others)]
    found = warnings_of(listens(*rows))
    assert [text[: len(warned or "")] for text in found] == ([] if warned is None else [warned])


@pytest.mark.parametrize(
    ("n_events", "named"), [(45, ["'NULL' has 25"]), (60, ["'u7' has 60", "'NULL' has 25"])]
)
def test_a_placeholder_is_named_also_if_a_user_has_more_events(warnings_of, n_events, named):
    rows = [("u7", "a", n) for n in range(n_events)] + [("NULL", "a", n) for n in range(25)]
    rows += [(f"v{n}", "a", n) for n in range(75 - n_events)]
    found = warnings_of(listens(*rows))
    assert [text.partition(" of 100 events")[0] for text in found] == [f"user {user}" for user in named]


def test_repeats_that_are_merged_by_default_are_reported(warnings_of):
    rows = listens(("u", "a", 1), ("u", "a", 1), ("u", "b", DAY), ("u", "b", 2 * DAY))
    (warning,) = warnings_of(rows)
    assert warning.startswith("1 of 4 rows repeat the user, item, event name and timestamp of an earlier row")
    assert warnings_of(rows, repeats="merge") == warnings_of(rows, repeats="keep") == []
