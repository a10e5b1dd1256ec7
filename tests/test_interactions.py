"""Interactions contain the columns that they are created from, and reject invalid rows."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids, illegal_ids

from item2vec import adapters, evaluation
from item2vec.durations import DAY, EPOCH, SECOND
from item2vec.errors import InputError, InputTypeError, InvalidIdError
from item2vec.interactions import Interactions, microseconds, read_only
from item2vec.types import Vocabulary

rows = st.lists(
    st.tuples(
        ids,
        ids,
        st.integers(-(2**62), 2**62),
        st.floats(0, 1e6, width=32),
        st.sampled_from(["click", "buy"]),
        ids,
    ),
    max_size=12,
)
COLUMNS = ("user", "item", "timestamp", "weight", "event", "session")


def interactions_of(table):
    columns = zip(*table, strict=True) if table else [[] for _ in COLUMNS]
    named = dict(zip(COLUMNS, columns, strict=True))
    # datetime64 values, because small integers could be rejected as seconds since 1970
    return Interactions.of(**{**named, "timestamp": np.array(named["timestamp"], dtype="datetime64[us]")})


def at(microseconds):
    return EPOCH + timedelta(microseconds=microseconds)


def table_of(interactions):
    return list(
        zip(
            interactions.users.decode(interactions.user),
            interactions.items.decode(interactions.item),
            interactions.timestamp.tolist(),
            interactions.weight.tolist(),
            interactions.events.decode(interactions.event),
            interactions.sessions.decode(interactions.session),
            strict=True,
        )
    )


SHOP = Interactions.of(
    user=["ann", "bob", "ann", "bob"],
    item=["a", "a", "b", "c"],
    timestamp=[3, 1, 2, 3],
    weight=[1, 2, 3, 0.5],
    event=["click", "buy", "view", "buy"],
)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (lambda log: log.take(np.array([True, False, True, False])), [("ann", "a", 1), ("ann", "b", 3)]),
        (lambda log: log.take(np.array([3, 0])), [("bob", "c", 0.5), ("ann", "a", 1)]),
        (lambda log: log.take(slice(1, 2)), [("bob", "a", 2)]),
        (lambda log: log.between(at(2), at(3)), [("ann", "b", 3)]),
        (lambda log: log.between(at(3)), [("ann", "a", 1), ("bob", "c", 0.5)]),
        (lambda log: log.between(end=at(2)), [("bob", "a", 2)]),
        (lambda log: log.of_events(["view", "click"]), [("ann", "a", 1), ("ann", "b", 3)]),
        (
            lambda log: log.with_event_weights({"buy": 5, "click": 0.25}),
            [("ann", "a", 0.25), ("bob", "a", 10), ("bob", "c", 2.5)],
        ),
    ],
)
def test_examples_of_selections(selection, expected):
    rows = selection(SHOP)
    users, items = rows.users.decode(rows.user), rows.items.decode(rows.item)
    assert list(zip(users, items, rows.weight.tolist(), strict=True)) == expected


@pytest.mark.parametrize(
    ("timestamp", "expected"),
    [
        (datetime(1970, 1, 2), DAY),
        (datetime(1970, 1, 1, 1, tzinfo=UTC), 3600 * SECOND),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))), -3600 * SECOND),
        (np.datetime64("1970-01-02"), DAY),
        (np.datetime64(1_999, "ns"), 1),
        (7, 7),
        (-1, -1),
    ],
)
def test_examples_of_timestamps_in_microseconds(timestamp, expected):
    assert microseconds([timestamp]).tolist() == [expected]


@pytest.mark.parametrize(("unit", "name"), [("s", "seconds"), ("ms", "milliseconds"), ("ns", "nanoseconds")])
@pytest.mark.parametrize("dates", [["1990-01-01"], ["2024-02-29", "1999-12-31"], ["2099-12-31T23:59:59"]])
@pytest.mark.parametrize("form", [list, np.asarray])
def test_whole_numbers_in_another_unit_are_errors_that_suggest_a_conversion(unit, name, dates, form):
    times = np.array(dates, dtype=f"datetime64[{unit}]")
    numbers = [*times.astype(np.int64).tolist(), 0, -1]
    with pytest.raises(
        InputError, match=rf"appear to be {name} since 1970 \(the largest is {max(numbers)}\)"
    ) as caught:
        microseconds(form(numbers))
    with pytest.raises(InputError, match="expected microseconds"):
        Interactions.of(user=["u"] * len(numbers), item=["i"] * len(numbers), timestamp=form(numbers))
    remedy = str(caught.value).split("pass ")[1]
    converted = eval(remedy, {"np": np, "timestamps": numbers})
    assert (
        microseconds(converted)[: len(dates)].tolist() == times.astype("datetime64[us]").astype(int).tolist()
    )


@pytest.mark.parametrize("odd", [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000_000])
def test_one_number_in_another_unit_than_most_is_an_error(odd):
    with pytest.raises(InputError, match="1 of 4 timestamps appear to be in another unit; expected micro"):
        microseconds([1_700_000_000_000_000, odd, 1_700_000_000_000_001, 0])


@pytest.mark.parametrize("number", [1_700_000_000, 1_700_000_000_000, 1_700_000_000_000_000_000])
def test_a_number_in_another_unit_beside_datetimes_is_an_error(number):
    with pytest.raises(InputError, match=r"timestamps appear to be \w+ since 1970 .*expected microseconds"):
        microseconds([datetime(2024, 1, 1), number])
    assert microseconds([datetime(1970, 1, 1, 0, 0, 1), 7]).tolist() == [SECOND, 7]


@pytest.mark.parametrize(
    "numbers",
    [
        [],
        [3, 1, 2],
        [3_000_000, 0],
        [10**8],
        [day * DAY for day in range(60)],
        [1_700_000_000_000_000],
        [2**62],
        [-(10**9)],
        [1_700_000_000_000_000, 1_700_000_000],
        [1_700_000_000_000_000, 1_700_000_000_000_000_000],
    ],
)
def test_other_whole_numbers_are_microseconds(numbers):
    assert microseconds(numbers).tolist() == numbers
    dates = np.array(numbers, dtype="datetime64[us]")
    assert microseconds(dates).tolist() == numbers


@examples(50)
@given(rows)
def test_columns_equal_their_input(table):
    interactions = interactions_of(table)
    assert table_of(interactions) == table
    assert len(interactions) == len(table)
    assert interactions.users.ids == tuple(dict.fromkeys(row[0] for row in table))
    assert repr(interactions).startswith(f"Interactions({len(table)} rows, ")


@examples(50)
@given(rows, st.data())
def test_take_by_mask_position_and_slice(table, data):
    interactions = interactions_of(table)
    mask = data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table)))
    kept = [row for row, keep in zip(table, mask, strict=True) if keep]
    assert table_of(interactions.take(np.array(mask, dtype=bool))) == kept
    positions = data.draw(st.permutations(range(len(table))))
    assert table_of(interactions.take(np.array(positions, dtype=int))) == [table[row] for row in positions]
    cut = data.draw(st.slices(len(table)))
    assert table_of(interactions.take(cut)) == table[cut]
    assert interactions.take(cut).items is interactions.items


@examples(50)
@given(
    st.lists(st.integers(-5, 5)),
    st.integers(-6, 6) | st.none(),
    st.integers(-6, 6) | st.none(),
    st.sampled_from([0, 5, -8]),
)
def test_a_time_range_includes_its_start_and_excludes_its_end(days, start, end, hours):
    zone = timezone(timedelta(hours=hours))
    log = Interactions.of(
        user=["u"] * len(days), item=["i"] * len(days), timestamp=[day * DAY for day in days]
    )
    limits = [
        None if day is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).astimezone(zone)
        for day in (start, end)
    ]
    within = [day * DAY for day in days if (start is None or day >= start) and (end is None or day < end)]
    assert log.between(*limits).timestamp.tolist() == within


def test_a_naive_datetime_is_utc():
    log = Interactions.of(user=["u"] * 2, item=["i"] * 2, timestamp=[0, 1])
    assert len(log.between(datetime(1970, 1, 1))) == 2
    assert len(log.between(end=datetime(1970, 1, 1))) == 0


def test_iterators_are_read_once():
    log = Interactions.of(user=iter(["u", "v"]), item=(id_ for id_ in "ab"), event=iter(["x", "x"]))
    assert len(log) == len(log.event) == 2


def test_event_weights_are_checked():
    with pytest.raises(InputError, match=r"unknown event 'purchase'; expected .*: 'click', 'buy', 'view'"):
        SHOP.with_event_weights({"purchase": 5})
    for bad in (np.nan, np.inf, -1):
        for log in (SHOP, SHOP.take(slice(0))):  # without rows, the events are still known
            with pytest.raises(InputError, match=r"weight of event 'buy' is .*expected a finite number >= 0"):
                log.with_event_weights({"click": 1, "buy": bad})
    with pytest.raises(InputError, match=r"expected .*: none$"):
        Interactions.of(user=[], item=[], event=[]).of_events(["buy"])
    with pytest.raises(InputError, match="event="):
        Interactions.of(user=["u"], item=["a"]).with_event_weights({"buy": 5})


def test_a_time_range_needs_timestamps():
    with pytest.raises(InputError, match="timestamp="):
        Interactions.of(user=["u"], item=["a"]).between()


@pytest.mark.parametrize(
    "select",
    [
        lambda log: log.between(),
        lambda log: log.of_events(["buy"]),
        adapters.sessions,
        lambda log: adapters.sessions(log, gap=None),
        lambda log: evaluation.temporal_split(log, at=datetime(2024, 1, 1)),
    ],
)
def test_advice_for_a_missing_column_applies_to_a_command_without_its_flag(select):
    with pytest.raises(InputError, match=r"pass .*= when the interactions are read") as caught:
        select(Interactions.of(user=["u"], item=["a"]))
    advice = [remedy.otherwise for remedy in caught.value.remedies if remedy.argument != "gap"]
    assert advice
    assert all("item2vec ingest FILE --" in text for text in advice)


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf, -0.5, 1e39])
def test_invalid_weights_are_errors(weight):
    with pytest.raises(InputError, match="weight in row 1 is"):
        Interactions.of(user=["u"] * 3, item=["a"] * 3, weight=[1, weight, 2])


@examples(30)
@given(illegal_ids, st.sampled_from(["user", "item", "event", "session"]))
def test_illegal_ids_are_errors(illegal, column):
    columns = {name: ["a", "b"] for name in ("user", "item", "event", "session")}
    with pytest.raises(InvalidIdError):
        Interactions.of(**{**columns, column: ["a", illegal]})


def test_inconsistent_columns_are_errors():
    two = Vocabulary(("a", "b"))
    with pytest.raises(InputError, match=r"column 'user' has shape \(1,\); expected \(2,\)"):
        Interactions.of(user=["u"], item=["a", "b"])
    with pytest.raises(InputError, match=r"column 'timestamp' has shape \(3,\); expected \(1,\)"):
        Interactions.of(user=["u"], item=["a"], timestamp=[1, 2, 3])
    for codes in ([0, 2], [-1, 0]):
        with pytest.raises(InputError, match="column 'item' holds a code outside 0 … 1"):
            Interactions(two, two, np.array([0, 1]), np.array(codes))
    with pytest.raises(InputError, match="column 'event' was passed without its vocabulary; pass events as"):
        Interactions(two, two, np.array([0]), np.array([0]), event=np.array([0]))
    with pytest.raises(InputError, match="vocabulary sessions was passed without column 'session'"):
        Interactions(two, two, np.array([0]), np.array([0]), sessions=two)


def test_columns_are_read_only():
    log = interactions_of([("u", "i", 1, 1.0, "click", "s")])
    for name in COLUMNS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(log, name)[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        log.user = None


datetimes = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))


@examples(100)
@given(st.lists(datetimes), st.integers(-14 * 60, 14 * 60))
def test_every_form_of_a_timestamp_is_the_same_microsecond(naive, minutes):
    expected = [(time - datetime(1970, 1, 1)) // timedelta(microseconds=1) for time in naive]
    zone = timezone(timedelta(minutes=minutes))
    elsewhere = [time.replace(tzinfo=UTC) + timedelta(minutes=minutes) for time in naive]
    elsewhere = (
        [time.replace(tzinfo=None).replace(tzinfo=zone) for time in elsewhere] if abs(minutes) < 1440 else []
    )
    for form in (
        naive,
        elsewhere,
        expected,
        np.array(naive, dtype="datetime64[us]"),
        np.array(expected, dtype=np.int64),
    ):
        column = microseconds(form)
        assert column.dtype == np.int64
        assert column.tolist() == expected


def test_columns_of_pandas_are_columns():
    """Series are accepted, whatever their dtype, and so are arrays of objects."""
    times = ["2024-01-01 00:00", "2024-06-01 12:00"]
    expected = np.array(times, dtype="datetime64[us]").astype(np.int64).tolist()
    dates = pd.Series(times, index=[7, 3]).astype("datetime64[ns]")
    zoned = dates.dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo")
    forms = [dates, zoned, zoned.to_numpy(), pd.Series(expected, dtype="Int64"), pd.Index(dates), iter(dates)]
    for form in forms:
        assert microseconds(form).tolist() == expected
    for weights in (pd.Series([1.0, 2.0]), pd.Series([1, 2], dtype="Int64"), [1, 2], iter([1, 2])):
        log = Interactions.of(
            user=pd.Series(["u", "v"]), item=pd.Series(["i", "j"]), timestamp=zoned, weight=weights
        )
        assert (log.timestamp.tolist(), log.weight.tolist()) == (expected, [1, 2])
    for missing in (pd.Series([dates[7], pd.NaT]), pd.Series([expected[0], pd.NA], dtype="Int64")):
        with pytest.raises(InputTypeError, match="expected datetime"):
            microseconds(missing)
    with pytest.raises(InputTypeError, match="expected numbers"):
        Interactions.of(user=["u", "v"], item=["i", "j"], weight=pd.Series([1, pd.NA], dtype="Int64"))


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([2**63], f"the largest timestamp is {2**63}; expected at most"),
        ([2**64], f"the largest timestamp is {2**64}; expected at most"),
        ([2**63, -1], f"the largest timestamp is {2**63}; expected at most"),
        ([1, 2**64, datetime(1970, 1, 1)], f"the largest timestamp is {2**64}; expected at most"),
        (np.array([2**63], np.uint64), f"the largest timestamp is {2**63}; expected at most"),
        (np.array([2**70], object), f"the largest timestamp is {2**70}; expected at most"),
        ([-(2**63) - 1], f"the smallest timestamp is {-(2**63) - 1}; expected at least"),
    ],
)
def test_an_integer_beyond_int64_is_named(times, message):
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        microseconds(times)
    assert type(caught.value) is InputError


@pytest.mark.parametrize(
    "wrong", [[1.5], ["2020-01-01"], [None], [True], [np.datetime64("NaT")], [float("nan")]]
)
def test_timestamps_of_other_types_are_errors(wrong):
    with pytest.raises(InputTypeError, match="expected datetime"):
        microseconds(wrong)
    with pytest.raises(InputTypeError, match="expected datetime"):
        Interactions.of(user=["u"], item=["i"], timestamp=wrong)


def test_dates_are_not_checked_for_another_unit():
    early = [datetime(1970, 1, 1, 0, 28), datetime(1970, 1, 20)]
    assert microseconds(early).tolist() == [28 * 60 * 1_000_000, 19 * DAY]
    assert microseconds(np.array(early, dtype="datetime64[us]")).tolist() == microseconds(early).tolist()


def test_read_only_does_not_copy_without_need():
    column = np.arange(3, dtype=np.int32)
    assert np.shares_memory(read_only(column, np.int32), column)
    assert column.flags.writeable
    assert read_only(np.asfortranarray(np.ones((2, 3))), np.float32).flags.c_contiguous
