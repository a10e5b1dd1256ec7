"""Interactions are what was put in, column by column; rows that cannot be true are refused."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ids, illegal_ids

from item2vec.errors import InputError, InputTypeError, InvalidIdError
from item2vec.interactions import Interactions, microseconds, read_only
from item2vec.types import Vocabulary

DAY = 86_400_000_000
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


def made_of(table):
    columns = zip(*table, strict=True) if table else [[] for _ in COLUMNS]
    named = dict(zip(COLUMNS, columns, strict=True))
    # As dates, so that no whole number looks like seconds since 1970.
    return Interactions.of(**{**named, "timestamp": np.array(named["timestamp"], dtype="datetime64[us]")})


def table_of(interactions):
    some = interactions
    return list(
        zip(
            some.users.decode(some.user),
            some.items.decode(some.item),
            some.timestamp.tolist(),
            some.weight.tolist(),
            some.events.decode(some.event),
            some.sessions.decode(some.session),
            strict=True,
        )
    )


@settings(deadline=None, max_examples=50)
@given(rows)
def test_rows_come_out_as_they_went_in(table):
    interactions = made_of(table)
    assert table_of(interactions) == table
    assert len(interactions) == len(table)
    assert interactions.users.ids == tuple(dict.fromkeys(row[0] for row in table))
    assert repr(interactions).startswith(f"Interactions({len(table)} rows, ")


@settings(deadline=None, max_examples=50)
@given(rows, st.data())
def test_rows_are_taken_by_mask_position_and_slice(table, data):
    interactions = made_of(table)
    mask = data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table)))
    kept = [row for row, keep in zip(table, mask, strict=True) if keep]
    assert table_of(interactions.take(np.array(mask, dtype=bool))) == kept
    positions = data.draw(st.permutations(range(len(table))))
    assert table_of(interactions.take(np.array(positions, dtype=int))) == [table[row] for row in positions]
    cut = data.draw(st.slices(len(table)))
    assert table_of(interactions.take(cut)) == table[cut]
    assert interactions.take(cut).items is interactions.items


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(-5, 5)),
    st.integers(-6, 6) | st.none(),
    st.integers(-6, 6) | st.none(),
    st.sampled_from([0, 5, -8]),
)
def test_a_time_range_has_its_start_and_not_its_end(days, start, end, hours):
    zone = timezone(timedelta(hours=hours))
    log = Interactions.of(
        user=["u"] * len(days), item=["i"] * len(days), timestamp=[day * DAY for day in days]
    )
    moments = [
        None if day is None else (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=day)).astimezone(zone)
        for day in (start, end)
    ]
    within = [day * DAY for day in days if (start is None or day >= start) and (end is None or day < end)]
    assert log.between(*moments).timestamp.tolist() == within


def test_a_naive_moment_is_utc():
    log = Interactions.of(user=["u"] * 2, item=["i"] * 2, timestamp=[0, 1])
    assert len(log.between(datetime(1970, 1, 1))) == 2
    assert len(log.between(end=datetime(1970, 1, 1))) == 0


def test_iterators_are_read_once():
    log = Interactions.of(user=iter(["u", "v"]), item=(id_ for id_ in "ab"), event=iter(["x", "x"]))
    assert len(log) == len(log.event) == 2


def test_event_weights_multiply():
    shop = Interactions.of(
        user=["u"] * 4,
        item=["a", "b", "c", "d"],
        event=["click", "buy", "view", "buy"],
        weight=[1, 2, 3, 0.5],
    )
    counted = shop.with_event_weights({"buy": 5, "click": 0.25})
    assert counted.items.decode(counted.item) == ["a", "b", "d"]
    assert counted.weight.tolist() == [0.25, 10.0, 2.5]
    with pytest.raises(InputError, match="no event 'purchase' in the data; found click, buy, view"):
        shop.with_event_weights({"purchase": 5})
    for bad in (np.nan, np.inf, -1):
        with pytest.raises(InputError, match="expected a finite number >= 0"):
            shop.with_event_weights({"buy": bad})
    with pytest.raises(InputError, match="event="):
        Interactions.of(user=["u"], item=["a"]).with_event_weights({"buy": 5})


def test_a_time_range_needs_timestamps():
    with pytest.raises(InputError, match="timestamp="):
        Interactions.of(user=["u"], item=["a"]).between()


@pytest.mark.parametrize("weight", [np.nan, np.inf, -np.inf, -0.5, 1e39])
def test_weights_that_cannot_be_are_refused(weight):
    with pytest.raises(InputError, match="weight in row 1 is"):
        Interactions.of(user=["u"] * 3, item=["a"] * 3, weight=[1, weight, 2])


@settings(deadline=None, max_examples=30)
@given(illegal_ids, st.sampled_from(["user", "item", "event", "session"]))
def test_illegal_ids_are_refused(illegal, column):
    columns = {name: ["a", "b"] for name in ("user", "item", "event", "session")}
    with pytest.raises(InvalidIdError):
        Interactions.of(**{**columns, column: ["a", illegal]})


def test_columns_that_do_not_fit_are_refused():
    two = Vocabulary(("a", "b"))
    with pytest.raises(InputError, match="column 'user' has 1 rows; expected 2"):
        Interactions.of(user=["u"], item=["a", "b"])
    with pytest.raises(InputError, match="column 'timestamp' has 3 rows; expected 1"):
        Interactions.of(user=["u"], item=["a"], timestamp=[1, 2, 3])
    for codes in ([0, 2], [-1, 0]):
        with pytest.raises(InputError, match="column 'item' holds a code outside 0 … 1"):
            Interactions(two, two, np.array([0, 1]), np.array(codes))
    with pytest.raises(InputError, match="column 'event' and its vocabulary come together"):
        Interactions(two, two, np.array([0]), np.array([0]), event=np.array([0]))
    with pytest.raises(InputError, match="column 'session' and its vocabulary come together"):
        Interactions(two, two, np.array([0]), np.array([0]), sessions=two)


def test_columns_cannot_be_changed():
    log = made_of([("u", "i", 1, 1.0, "click", "s")])
    for name in COLUMNS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(log, name)[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        log.user = None


moments = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30))


@settings(deadline=None, max_examples=100)
@given(st.lists(moments), st.integers(-14 * 60, 14 * 60))
def test_moments_become_whole_microseconds(naive, minutes):
    expected = [(moment - datetime(1970, 1, 1)) // timedelta(microseconds=1) for moment in naive]
    zone = timezone(timedelta(minutes=minutes))
    elsewhere = [moment.replace(tzinfo=UTC) + timedelta(minutes=minutes) for moment in naive]
    elsewhere = (
        [moment.replace(tzinfo=None).replace(tzinfo=zone) for moment in elsewhere]
        if abs(minutes) < 1440
        else []
    )
    for form in (
        naive,
        elsewhere,
        expected,
        np.array(naive, dtype="datetime64[us]"),
        np.array(expected, dtype=np.int64),
    ):
        found = microseconds(form)
        assert found.dtype == np.int64
        assert found.tolist() == expected


def test_moments_in_other_units():
    assert microseconds(np.array(["1970-01-02"], dtype="datetime64[D]")).tolist() == [DAY]
    assert microseconds(np.array([1_999], dtype="datetime64[ns]")).tolist() == [1]
    assert microseconds([]).tolist() == []


@pytest.mark.parametrize(
    "wrong", [[1.5], ["2020-01-01"], [None], [True], [np.datetime64("NaT")], [float("nan")]]
)
def test_what_is_no_moment_is_refused(wrong):
    with pytest.raises(InputTypeError, match="expected datetime"):
        microseconds(wrong)
    with pytest.raises(InputTypeError, match="expected datetime"):
        Interactions.of(user=["u"], item=["i"], timestamp=wrong)


@pytest.mark.parametrize(("unit", "name"), [("s", "seconds"), ("ms", "milliseconds"), ("ns", "nanoseconds")])
@pytest.mark.parametrize("dates", [["1990-01-01"], ["2024-02-29", "1999-12-31"], ["2099-12-31T23:59:59"]])
@pytest.mark.parametrize("form", [list, np.asarray])
def test_whole_numbers_of_another_unit_are_refused_with_the_remedy(unit, name, dates, form):
    moments = np.array(dates, dtype=f"datetime64[{unit}]")
    counted = [*moments.astype(np.int64).tolist(), 0, -1]
    with pytest.raises(
        InputError, match=rf"look like epoch {name} \(the newest is {max(counted)}\)"
    ) as caught:
        microseconds(form(counted))
    with pytest.raises(InputError, match="expected microseconds"):
        Interactions.of(user=["u"] * len(counted), item=["i"] * len(counted), timestamp=form(counted))
    remedy = str(caught.value).split("pass ")[1]
    found = eval(remedy, {"np": np, "timestamps": counted})
    assert microseconds(found)[: len(dates)].tolist() == moments.astype("datetime64[us]").astype(int).tolist()


@pytest.mark.parametrize(
    "counted",
    [
        [3, 1, 2],
        [3_000_000, 0],
        [10**8],
        [day * DAY for day in range(60)],
        [1_700_000_000_000_000],
        [2**62],
        [-(10**9)],
    ],
)
def test_whole_numbers_that_can_be_microseconds_are_microseconds(counted):
    assert microseconds(counted).tolist() == counted
    dates = np.array(counted, dtype="datetime64[us]")
    assert microseconds(dates).tolist() == counted


def test_dates_are_never_taken_for_another_unit():
    early = [datetime(1970, 1, 1, 0, 28), datetime(1970, 1, 20)]
    assert microseconds(early).tolist() == [28 * 60 * 1_000_000, 19 * DAY]
    assert microseconds(np.array(early, dtype="datetime64[us]")).tolist() == microseconds(early).tolist()


def test_a_read_only_view_copies_nothing_it_need_not():
    column = np.arange(3, dtype=np.int32)
    assert np.shares_memory(read_only(column, np.int32), column)
    assert column.flags.writeable
    assert read_only(np.asfortranarray(np.ones((2, 3))), np.float32).flags.c_contiguous
