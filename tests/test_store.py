"""Interactions and users in the store, on SQLite and PostgreSQL."""

import itertools
import sqlite3
from collections import Counter
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
import sqlalchemy as sa
from databases import listens
from examples import examples
from hypothesis import HealthCheck, given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import DBAPIError
from strategies import ODD_IDS, ids, illegal_ids

from item2vec import Interactions, Items
from item2vec.errors import ConfigError, InputError, InvalidIdError
from item2vec.store import Ahead, Ingested, Store, event_key, queries

DAY = 86_400_000_000
ON_EACH = examples(25, suppress_health_check=[HealthCheck.function_scoped_fixture])


def rows_of(interactions):
    columns = [
        interactions.users.decode(interactions.user),
        interactions.items.decode(interactions.item),
        interactions.timestamp.tolist(),
    ]
    return list(zip(*columns, strict=True))


def in_order(*calls):
    """Return the (user, item, timestamp) rows of several calls of ``ingest``, in the order of the store.

    This is the slow reference: an event has the lowest of its ranks among the rows of a call with its user
    and timestamp, and events of equal rank are ordered by key.
    """
    position = {}
    for call in calls:
        n_rows = Counter()
        for row in call:
            moment = row[0], row[2]
            position[row] = min(position.get(row, np.inf), n_rows[moment])
            n_rows[moment] += 1
    return sorted(
        position, key=lambda row: (row[0], row[2], position[row], event_key(row[0], row[1], "none", row[2]))
    )


# Ids


def test_every_legal_id_comes_back_byte_for_byte(store):
    rows = [(user, item, DAY) for user in ODD_IDS for item in (user, "x")]
    store.ingest(listens(*rows, event=ODD_IDS[:1] * len(rows), session=[row[0] for row in rows]))
    found = store.interactions()
    assert sorted(rows_of(found)) == sorted({*rows})
    assert found.sessions.decode(found.session) == [row[0] for row in rows_of(found)]
    for user in ODD_IDS:
        assert sorted(store.history(user).items) == sorted({user, "x"})
    assert set(store.items().vocabulary) == {*ODD_IDS, "x"}
    assert store.deactivate_items(ODD_IDS) == len(ODD_IDS)
    assert store.inactive_items() == sorted(ODD_IDS)


@given(legal_ids=st.sets(ids))
@ON_EACH
def test_any_text_is_an_id(store, legal_ids):
    store.ingest(listens(*((id_, id_, 1) for id_ in legal_ids)))
    for id_ in legal_ids:
        assert store.history(id_).items == [id_]


@given(illegal=illegal_ids)
@ON_EACH
def test_illegal_ids_are_refused_by_every_method(store, illegal):
    for call in (
        lambda: store.history(illegal),
        lambda: store.forget_user(illegal),
        lambda: store.deactivate_items([illegal]),
        lambda: store.interactions(events=[illegal]),
        lambda: store.ingest(listens(), source=illegal),
    ):
        with pytest.raises(InvalidIdError):
            call()


def key_columns(name):
    """Return a statement that inserts a key into the column of this name."""
    interaction = (
        "INSERT INTO interaction (user_id, occurred_at, event_key, source, item_id, event, weight, session, "
        "ingested_at, batch_id) SELECT 1, occurred_at, {event_key}, {source}, 1, {event}, 1, {session}, "
        "ingested_at, 1 FROM interaction"
    )
    good = {"event_key": "'k'", "source": "'s'", "event": "'e'", "session": "'t'"}
    return {
        "user": "INSERT INTO user_account (external_id) VALUES (:key)",
        "item": "INSERT INTO item (external_id) VALUES (:key)",
        **{column: interaction.format(**{**good, column: ":key"}) for column in good},
    }[name]


@pytest.mark.parametrize("column", ["user", "item", "event_key", "source", "event", "session"])
def test_the_database_also_refuses_illegal_keys(store, sql, column):
    store.ingest(listens(("ann", "x", 1)))
    for illegal in ("", "a\0b", "x" * 513, "ü" * 257):
        with pytest.raises(DBAPIError):
            sql(key_columns(column), key=illegal)
    assert sql(key_columns(column), key="ü" * 256) == 1


@pytest.mark.parametrize("weight", ["-1", "9e999", "CAST('NaN' AS REAL)", "NULL", "'much'"])
def test_the_database_refuses_invalid_weights(store, sql, weight):
    store.ingest(listens(("ann", "x", 1)))
    if "NaN" in weight and "sqlite" in repr(store):
        weight = "9e999 - 9e999"
    with pytest.raises(DBAPIError):
        sql(f"UPDATE interaction SET weight = {weight}")


def test_the_database_refuses_orphans(store, sql):
    store.ingest(listens(("ann", "x", 1)))
    with pytest.raises(DBAPIError):
        sql("UPDATE interaction SET item_id = 77")


# Ingest


def test_the_same_event_is_stored_once(store):
    rows = [("ann", "x", 1), ("ann", "y", 1), ("ann", "x", 1), ("bob", "x", 1), ("ann", "x", 2)]
    assert store.ingest(listens(*rows)) == Ingested(n_rows=5, n_new=4, n_duplicate=0, n_repeats=1)
    assert store.ingest(listens(*reversed(rows))) == Ingested(n_rows=5, n_new=0, n_duplicate=4, n_repeats=1)
    assert rows_of(store.interactions()) == in_order(rows, rows[::-1])


def test_the_event_key_is_stable(store, sql):
    """With another key, events that an older version of item2vec has stored would be stored twice."""
    timestamps = [-62_135_596_800_000_000, -1, 0, 1, 253_402_300_799_999_999]
    rows = [(user, "x", timestamp) for user in ODD_IDS for timestamp in timestamps]
    store.ingest(listens(*rows, event=ODD_IDS * len(timestamps)))
    expected = {
        event_key(*row[:2], event, row[2]) for row, event in zip(rows, ODD_IDS * len(timestamps), strict=True)
    }
    assert {key for (key,) in sql("SELECT event_key FROM interaction")} == expected


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_equal_rows_are_one_event_with_the_sum_of_their_weights(store, batch_size):
    rows = [("bob", "y", 1), ("ann", "x", 1), ("ann", "x", 1), ("ann", "x", 2), ("ann", "x", 1)]
    columns = {"weight": [9, 3, 1, 4, 2], "session": ["r", "s", "t", "s", "u"]}
    assert store.ingest(listens(*rows, **columns), batch_size=batch_size).n_new == 3
    found = store.interactions()
    assert found.weight.tolist() == [6, 4, 9]
    assert found.sessions.decode(found.session) == ["s", "s", "r"]


def test_event_name_and_source_distinguish_events(store):
    click = listens(("ann", "x", 1), event=["click"])
    assert store.ingest(click).n_new == 1
    assert store.ingest(listens(("ann", "x", 1), event=["purchase"])).n_new == 1
    assert store.ingest(listens(("ann", "x", 1))).n_new == 1
    assert store.ingest(click, source="shop").n_new == 1
    assert store.summary()["n_interactions"] == 4


@given(
    calls=st.lists(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.integers(-3, 3)), max_size=12),
        min_size=1,
        max_size=3,
    ),
    size=st.integers(1, 7),
    data=st.data(),
)
@ON_EACH
def test_interactions_do_not_depend_on_the_order_of_files_batches_or_duplicates(store, calls, size, data):
    shuffled = data.draw(st.permutations(calls + calls[:1]))
    found = []
    for order, batch_size in ((calls, 50_000), (shuffled, size)):
        for user in "ab":
            store.forget_user(user)
        ingested = [store.ingest(listens(*call), batch_size=batch_size) for call in order]
        assert [one.n_rows for one in ingested] == [len(call) for call in order]
        assert [one.n_repeats for one in ingested] == [len(call) - len({*call}) for call in order]
        assert sum(one.n_new for one in ingested) == len({row for call in calls for row in call})
        assert all(one.n_rows == one.n_new + one.n_duplicate + one.n_repeats for one in ingested)
        found.append(store.interactions())
    assert rows_of(found[0]) == rows_of(found[1]) == in_order(*calls)
    assert found[0].users == found[1].users
    assert found[0].items == found[1].items


def test_ids_with_equal_concatenations_are_distinct_events(store):
    rows = [("ab", "c", 1), ("a", "bc", 1), ("abc", "none", 1), ("abcn", "one", 1)]
    assert store.ingest(listens(*rows)).n_new == 4


def test_weights_events_and_sessions_are_stored(store):
    given_ = listens(
        ("ann", "x", 5 * DAY),
        ("ann", "y", -DAY),
        weight=[0.1, 3e38],
        event=["click", "purchase"],
        session=["s2", "s1"],
    )
    store.ingest(given_)
    found = store.interactions()
    assert rows_of(found) == [("ann", "y", -DAY), ("ann", "x", 5 * DAY)]
    assert found.weight.tolist() == np.float32([3e38, 0.1]).tolist()
    assert found.events.decode(found.event) == ["purchase", "click"]
    assert found.sessions.decode(found.session) == ["s1", "s2"]
    assert store.history("ann").weights.tolist() == found.weight.tolist()


def test_columns_without_values_are_none(store):
    store.ingest(listens(("ann", "x", 1)))
    found = store.interactions()
    assert (found.event, found.session, found.weight) == (None, None, None)


def test_rows_without_an_event_or_session_beside_rows_with_one(store):
    store.ingest(listens(("ann", "x", 1)))
    store.ingest(listens(("ann", "y", 2), event=["click"], session=["s"], weight=[2.0]))
    found = store.interactions()
    assert found.events.decode(found.event) == ["none", "click"]
    assert found.sessions.decode(found.session) == ["none", "s"]
    assert found.weight.tolist() == [1, 2]
    assert rows_of(store.interactions(events=["none"])) == [("ann", "x", 1)]


def test_timestamps_are_exact_to_the_microsecond_in_the_years_1_to_9999(store):
    edges = [-62_135_596_800_000_000, -1, 0, 1, 1_700_000_000_123_457, 253_402_300_799_999_999]
    store.ingest(listens(*(("ann", "x", timestamp) for timestamp in edges)))
    assert store.interactions().timestamp.tolist() == edges
    assert store.history("ann").timestamps.tolist() == edges
    assert store.summary()["first"] == "0001-01-01T00:00:00+00:00"
    assert store.summary()["last"] == "9999-12-31T23:59:59.999999+00:00"


@pytest.mark.parametrize("timestamp", [-62_135_596_800_000_001, 253_402_300_800_000_000, 2**63 - 1, -(2**63)])
def test_a_timestamp_out_of_range_is_refused_with_its_row(store, timestamp):
    with pytest.raises(InputError, match=f"timestamp in row 1 is {timestamp}"):
        store.ingest(listens(("ann", "x", 1), ("ann", "x", timestamp)))
    assert store.summary()["n_interactions"] == 0


@pytest.mark.parametrize("size", [0, -1])
def test_a_batch_has_at_least_one_row(store, size):
    with pytest.raises(ConfigError, match="batch_size"):
        store.ingest(listens(("ann", "x", 1)), batch_size=size)


def test_empty_input_changes_nothing(store):
    assert store.ingest(listens()) == Ingested(0, 0, 0)
    assert store.ingest_items(Items.of({})) == Ingested(0, 0, 0)
    assert len(store.interactions()) == len(store.items()) == len(store.history("ann")) == 0
    assert store.inactive_items() == store.items_where({}) == []
    assert store.forget_user("ann") == store.deactivate_items([]) == 0
    assert store.summary()["first"] is None


# Reading


def test_a_time_range_is_half_open_and_naive_times_are_utc(store):
    store.ingest(listens(*(("ann", "x", day * DAY) for day in range(5))))
    second, fourth = datetime(1970, 1, 2), datetime(1970, 1, 4, 5, tzinfo=timezone(timedelta(hours=5)))
    assert store.interactions(start=second, end=fourth).timestamp.tolist() == [DAY, 2 * DAY]
    assert store.interactions(start=second).timestamp.tolist() == [DAY, 2 * DAY, 3 * DAY, 4 * DAY]
    assert len(store.interactions(start=fourth, end=second)) == 0


def test_a_filter_leaves_no_ids_that_do_not_occur(store):
    store.ingest(listens(("ann", "x", 1), ("bob", "y", 2 * DAY), event=["click", "view"]))
    late = store.interactions(start=datetime(1970, 1, 2))
    assert (late.users.ids, late.items.ids, late.events.ids) == (("bob",), ("y",), ("view",))
    assert rows_of(store.interactions(events=["click"])) == [("ann", "x", 1)]
    assert len(store.interactions(events=[])) == len(store.interactions(events=["unheard of"])) == 0


@pytest.mark.slow
def test_more_rows_than_one_fetch_or_batch_holds(store):
    n = 21_001
    rng = np.random.default_rng(7)
    rows = list(
        zip(
            (f"u{i}" for i in rng.integers(0, 3000, n)),
            (f"i{i}" for i in rng.integers(0, 500, n)),
            rng.integers(0, 10**9, n).tolist(),
            strict=True,
        )
    )
    store.ingest(listens(*rows), batch_size=8_000)
    assert rows_of(store.interactions()) == in_order(rows)


def test_a_history_is_oldest_first_and_limit_keeps_its_newest_part(store):
    rows = [("ann", f"i{n}", n // 2) for n in range(9)]
    store.ingest(listens(*reversed(rows), ("bob", "x", 99)))
    whole = store.history("ann")
    expected = in_order(rows[::-1])
    assert whole.items == [row[1] for row in expected]
    assert whole.timestamps.tolist() == [row[2] for row in expected]
    for limit in (1, 4, 9, 100):
        newest = store.history("ann", limit=limit)
        assert newest.items == whole.items[-limit:]
        assert newest.weights.tolist() == [1.0] * len(newest)
    with pytest.raises(InputError, match="k is 0"):
        store.history("ann", limit=0)


def test_histories_since_a_time_contain_this_time(store):
    store.ingest(listens(*[("ann", f"i{n}", n) for n in range(9)], ("bob", "x", 99)))
    since = datetime(1970, 1, 1, 0, 0, 0, 4, tzinfo=UTC)
    for time in (since, since.replace(tzinfo=None), since.astimezone(timezone(timedelta(hours=5)))):
        ann, bob, nobody = store.histories(["ann", "bob", "nobody"], since=time)
        assert (ann.items, ann.timestamps.tolist()) == (["i4", "i5", "i6", "i7", "i8"], [4, 5, 6, 7, 8])
        assert (bob.items, nobody.items) == (["x"], [])


def test_histories_without_timestamps_are_complete_since_any_time(store):
    store.ingest(Interactions.of(user=["ann", "ann"], item=["a", "b"]))
    (history,) = store.histories(["ann"], since=datetime.max)
    assert (history.items, history.timestamps) == (["a", "b"], None)


def test_a_history_is_one_search_per_index(memory):
    # SQLite only, because its query plans do not depend on the content of the tables.
    with Store(f"sqlite:///{memory}/store.db") as store, sqlite3.connect(memory / "store.db") as connection:
        store.upgrade()
        for made, values in ((queries._history, ("ann", 9, 0)), (queries._history_since, ("ann", 0, 9, 0))):
            statement = str(made("sqlite").compile(dialect=sqlite.dialect()))
            plan = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", values)]
            assert len(plan) == 3
            assert all(step.startswith("SEARCH") for step in plan)
    connection.close()
    assert any("occurred_at>?" in step for step in plan), "events before a time are not read"


def test_a_reader_sees_one_snapshot_while_a_writer_writes(store, url):
    """Another connection commits a new user with a new item after each statement of the reader."""
    numbers = itertools.count(1)
    store.ingest(listens(("ann", "x", 0)))
    with Store(url) as other:

        def write(connection, cursor, statement, *_):
            if statement.startswith("SELECT"):
                number = next(numbers)
                other.ingest(listens((f"user {number}", f"item {number}", number)))

        sa.event.listen(store._engine, "after_cursor_execute", write)
        found = store.interactions()
        sa.event.remove(store._engine, "after_cursor_execute", write)
        assert len(rows_of(other.interactions())) == next(numbers) > 2, "the writer wrote between statements"
    assert rows_of(found) == [("ann", "x", 0)]


# Users


def test_forget_user_deletes_all_rows_of_the_user(store, sql):
    store.ingest(listens(("ann", "x", 1), ("ann", "y", 2), ("bob", "x", 3)))
    sql(
        "INSERT INTO recommendation (version, user_id, rank, item_id, score) "
        "SELECT 'g1', user_account.id, 1, item.id, 0.5 FROM user_account, item WHERE item.external_id = 'x'"
    )
    assert store.forget_user("ann") == 2
    assert store.forget_user("ann") == 0
    assert len(store.history("ann")) == 0
    assert rows_of(store.interactions()) == [("bob", "x", 3)]
    assert sql("SELECT external_id FROM user_account") == [("bob",)]
    assert sql("SELECT count(*) FROM recommendation") == [(1,)]
    assert store.ingest(listens(("ann", "x", 1))).n_new == 1


def test_row_numbers_are_never_reused(store, sql):
    store.ingest(listens(("ann", "x", 1)))
    (first,) = sql("SELECT id FROM user_account")
    store.forget_user("ann")
    store.ingest(listens(("bob", "x", 1)))
    (second,) = sql("SELECT id FROM user_account")
    assert second > first


def test_existing_ids_consume_no_row_numbers(store, sql):
    for n in range(5):
        store.ingest(listens(("ann", "x", n)))
    store.ingest(listens(("bob", "y", 1)))
    assert sql("SELECT max(id) FROM item") == [(2,)]


def test_summary_counts_rows_and_bounds_timestamps(store):
    store.ingest(listens(("ann", "x", 0), ("bob", "x", DAY)))
    store.ingest_items(Items.of({"y": {}}))
    store.deactivate_items(["y"])
    assert store.summary() == {
        "n_interactions": 2,
        "n_users": 2,
        "n_items": 2,
        "n_inactive": 1,
        "first": "1970-01-01T00:00:00+00:00",
        "last": "1970-01-02T00:00:00+00:00",
    }


def test_now_is_stored_as_the_time_of_ingestion(store, sql):
    now = datetime(2024, 1, 1, 5, tzinfo=timezone(timedelta(hours=5)))
    store.ingest(listens(("ann", "x", 1)), now=now)
    (ingested_at,) = sql("SELECT ingested_at FROM interaction")[0]
    expected = datetime(2024, 1, 1, tzinfo=UTC)
    assert ingested_at in {expected, expected.timestamp() * 1e6}
    with pytest.raises(InputError, match="no time zone"):
        store.ingest(listens(("ann", "x", 2)), now=datetime(2024, 1, 1))


def test_a_snapshot_has_the_newest_days_and_all_items(store):
    store.ingest(listens(("ann", "x", 0), ("bob", "y", 99 * DAY), ("ann", "z", 100 * DAY)))
    everything, items = store.snapshot()
    assert rows_of(everything) == rows_of(store.interactions())
    assert list(items.vocabulary) == ["x", "y", "z"]
    newest, items = store.snapshot(days=1)
    assert newest.timestamp.tolist() == [100 * DAY, 99 * DAY]
    assert list(items.vocabulary) == ["x", "y", "z"]
    assert len(store.snapshot(days=10**9)[0]) == 3
    assert len(store.snapshot(days=0.5)[0]) == 1


def test_a_snapshot_counts_days_from_the_last_interaction_before_end(store):
    end = datetime(1970, 1, 1, 0, 0, 0, 1, tzinfo=UTC) + timedelta(days=9_001)
    assert store.ahead(end) is None
    store.ingest(listens(("ann", "x", 0), ("bob", "y", 9_000 * DAY), ("ann", "z", 9_001 * DAY)))
    assert store.ahead(end) is None
    expected = [rows_of(store.snapshot(days=days)[0]) for days in (None, 1, 0.5)]
    store.ingest(listens(("eve", "z", 47_000 * DAY), ("bob", "x", 9_001 * DAY + 1)))
    assert [rows_of(store.snapshot(days=days, end=end)[0]) for days in (None, 1, 0.5)] == expected
    assert store.ahead(end) == Ahead(2, "bob", "x", end)
    assert store.ahead(end.replace(tzinfo=None)).n == 2
    assert len(store.snapshot(days=1)[0]) == 1
