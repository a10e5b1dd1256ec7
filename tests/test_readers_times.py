"""Timestamps are read as the moments that they mean, or they are reported; none is misread silently."""

from __future__ import annotations

import json
import logging
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from examples import examples
from hypothesis import example, given
from hypothesis import strategies as st

from item2vec import readers
from item2vec.durations import EPOCH, TICKS, microseconds_of
from item2vec.errors import InputError
from item2vec.readers import dates

INPUTS = Path(__file__).parent / "inputs"
PER_TICK = {unit: Fraction(10**6, ticks) for unit, ticks in TICKS.items()}
NOVEMBER = [1_700_000_000 + 86_400 * day for day in range(10)]
thorough = examples(60)


def table(values, kind=None):
    values = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return pa.table({"user_id": ["u"] * len(values), "item_id": ["i"] * len(values), "timestamp": values})


def times(source, **options):
    return readers.read_interactions(source, **options).timestamp.tolist()


def skipping(source, **options):
    """Return the timestamps and the row numbers of the rows that are not skipped, and the faults."""
    faults = []
    try:
        read = readers.read_interactions(source, on_error="skip", max_bad=1, on_skip=faults.append, **options)
    except InputError:
        if not faults:
            raise
        return [], [], faults  # all rows are bad
    bad = {fault.number for fault in faults}
    n_rows = len(read) + len(bad)
    return read.timestamp.tolist(), [row for row in range(n_rows) if row not in bad], faults


def days(micros):
    return [(EPOCH + timedelta(microseconds=micro)).date() for micro in micros]


# The inputs that people have


def test_one_number_in_milliseconds_is_a_bad_row():
    path = INPUTS / "one_in_milliseconds.csv"
    with pytest.raises(InputError, match=r"line 12: timestamp '1700000005000'; .*seconds .*milliseconds\)"):
        readers.read_interactions(path)
    micros, _, faults = skipping(path)
    assert micros == [second * 10**6 for second in NOVEMBER]
    assert [fault.number for fault in faults] == [12]


def test_numbers_that_are_days():
    path = INPUTS / "yyyymmdd.csv"
    july = [date(2020, 7, day) for day in range(1, 21)]
    assert days(times(path, timestamp="date")) == july
    assert days(times(path, timestamp="date", time_format="%Y%m%d")) == july


def test_another_format_is_refused_with_the_option_that_reads_it():
    path = INPUTS / "day_first.csv"
    with pytest.raises(InputError, match=r"line 2: when '01.08.2017 14:17'.*time_format='%d.%m.%Y %H:%M'"):
        readers.read_interactions(path, timestamp="when")
    read = times(path, timestamp="when", time_format="%d.%m.%Y %H:%M")
    assert read == [microseconds_of(datetime(2017, 8, day, 14, 17)) for day in range(1, 21)]


def test_an_unsigned_number_beyond_int64_is_a_bad_row():
    path = INPUTS / "uint64_timestamps.parquet"
    with pytest.raises(InputError, match=r"uint64_timestamps.parquet row 1: timestamp 9223372036854775813"):
        readers.read_interactions(path)
    assert skipping(path)[0] == [1_700_000_000_000_000]


def test_an_event_of_2099_is_read():
    assert days(times(INPUTS / "future.csv"))[-1] == date(2099, 1, 1)


# The unit of numbers


@pytest.mark.parametrize("odd", list(TICKS))
@pytest.mark.parametrize("unit", list(TICKS))
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.string(), pa.float64()])
def test_the_majority_determines_the_unit(unit, odd, kind):
    numbers = [second * TICKS[unit] for second in NOVEMBER]
    numbers.insert(4, 1_700_000_005 * TICKS[odd])
    micros, _, faults = skipping(table(pa.array(numbers).cast(kind, safe=False)))
    expected = [*NOVEMBER[:4], *([1_700_000_005] if odd == unit else []), *NOVEMBER[4:]]
    assert micros == [second * 10**6 for second in expected]
    assert [fault.number for fault in faults] == ([] if odd == unit else [4])


@pytest.mark.parametrize("n_odd", [2, 5, 10])
def test_without_a_clear_majority_the_units_and_their_numbers_are_reported(n_odd):
    numbers = [*NOVEMBER, *[second * 1000 for second in NOVEMBER[:n_odd]]]
    for on_error in ("raise", "skip"):
        with pytest.raises(InputError, match=rf"10 in seconds, {n_odd} in milliseconds; .*time_unit='s'"):
            readers.read_interactions(table(numbers), on_error=on_error)
    with pytest.raises(InputError, match="2 in seconds, 20 in no unit"):
        readers.read_interactions(table([*NOVEMBER[:2], *range(10**6, 10**6 + 20)]))


def test_counters_are_seconds_and_a_warning(caplog):
    with caplog.at_level(logging.WARNING, logger="item2vec.readers"):
        assert times(table([0, 1, 2, 45_000])) == [0, 10**6, 2 * 10**6, 45_000 * 10**6]
        assert times(table([0, 1, 2]), time_unit="s") == [0, 10**6, 2 * 10**6]
    (record,) = caplog.records
    assert "4 numbers were read as seconds" in record.message
    with pytest.raises(InputError, match=r"row 1: timestamp 470000000000; .*pass time_unit="):
        readers.read_interactions(table([0, 470_000_000_000]))  # 1984 in milliseconds


def test_a_given_unit_is_not_voted_on():
    assert times(table([5, 1_700_000_000]), time_unit="ms") == [5_000, 1_700_000_000_000]
    assert times(table(["470000000000", "1700000000000"]), time_unit="ms") == [4.7e14, 1.7e15]
    micros, rows, _ = skipping(table(["2024-01-01", "1700000000", "253402300800"]), time_unit="s")
    assert (micros, rows) == ([1_700_000_000_000_000], [1])


@pytest.mark.parametrize(
    ("first", "later", "message"),
    [
        ([1, 2, 3], NOVEMBER, "first 3 numbers .* later numbers are in seconds"),
        ([1, 2, 3], [20240101] * 9, "first 3 numbers .* later numbers are dates of the format '%Y%m%d'"),
        (NOVEMBER, [1_700_000_000_000], "row 10: timestamp 1700000000000"),
        (NOVEMBER, [1], "row 10: timestamp 1;"),
        (["1970-01-01"] * 2, ["2024-01-01"] * 9, "begins with 2 dates such as 1970-01-01"),
        (["1970-01-01"], [str(second) for second in NOVEMBER], "row 1: timestamp '1700000000'"),
    ],
)
def test_a_batch_that_contradicts_an_earlier_one(first, later, message):
    with pytest.raises(InputError, match=message):
        readers.read_interactions(pa.concat_tables([table(first), table(later)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_unit": "m"}, "time_unit is 'm'; expected 's', 'ms', 'us' or 'ns'"),
        ({"time_format": "%H:%M"}, "time_format is '%H:%M'; expected a format .* with a year"),
        ({"time_format": "date"}, "time_format is 'date'; expected"),
        ({"time_format": "%Q %Y"}, "bad directive"),
        ({"time_format": 7}, "time_format is 7; expected"),
        ({"time_format": "%d.%m.%Y %Z"}, "use %z"),
        ({"time_unit": "s", "time_format": "%Y%m%d"}, "expected only one of them"),
    ],
)
def test_invalid_options_are_errors_before_reading(options, message):
    with pytest.raises(InputError, match=message):
        readers.read_interactions("nowhere.csv", **options)


def test_a_unit_or_format_for_typed_timestamps_is_an_error():
    for options in ({"time_unit": "s"}, {"time_format": "%Y"}):
        with pytest.raises(InputError, match=r"is of type timestamp\[us\]"):
            readers.read_interactions(table([datetime(2024, 1, 1)]), **options)


# Numbers that are dates: 20240131


@pytest.mark.parametrize("layout", ["%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"])
@pytest.mark.parametrize("kind", [pa.int64(), pa.uint64(), pa.float64(), pa.string()])
@pytest.mark.parametrize("given", [True, False])
def test_numbers_in_the_layout_of_a_date(tmp_path, layout, kind, given):
    moments = [datetime(1995, 2, 28, 23, 59, 7) + timedelta(hours=31 * n) for n in range(12)]
    texts = [moment.strftime(layout) for moment in moments]
    expected = [microseconds_of(datetime.strptime(text, layout)) for text in texts]
    numbers = pa.array(map(int, texts)).cast(kind)
    if kind == pa.float64():
        numbers = pa.concat_arrays([numbers, pa.nulls(1, kind)])
    source = table(numbers)
    pq.write_table(source, tmp_path / "a.parquet")
    source.to_pandas().to_csv(tmp_path / "a.csv", index=False)
    for path in (source, source.to_pandas(), tmp_path / "a.parquet", tmp_path / "a.csv"):
        options = {"time_format": layout} if given else {}
        assert skipping(path, **options)[0] == expected
    if not given:
        impossible = int(datetime(2024, 2, 28).strftime(layout).replace("0228", "0231"))
        with pytest.raises(InputError, match=f"row 12: timestamp {impossible}; .*format '{layout}'"):
            readers.read_interactions(table([*map(int, texts), impossible]))


@pytest.mark.parametrize("missing", [0, -1, 10101, 19700101, 99991231, 99999999])
@pytest.mark.parametrize("n_missing", [1, 3, 12, 40])
@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_placeholders_do_not_hide_the_layout_of_a_date(missing, n_missing, kind):
    dates = [datetime(2024, 2, 20) + timedelta(days=n) for n in range(12)]
    numbers = [missing] * n_missing + [int(date.strftime("%Y%m%d")) for date in dates]
    found, rows, _ = skipping(table(pa.array(numbers).cast(kind)))
    assert found == [microseconds_of(date) for date in dates]
    assert rows == list(range(n_missing, len(numbers)))


# Text of a given format

FORMATS = ["%Y%m%d", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S.%f", "%d %b %Y", "%H%M%S%d%m%Y"]
FORMATS += ["%m/%d/%y %I:%M %p", "%a %b %d %H:%M:%S %z %Y", "%Y-%j", "(%Y) %m.%d+%H", "%Y%%%m%d"]


@thorough
@given(data=st.data(), form=st.sampled_from(FORMATS))
def test_a_given_format_agrees_with_strptime(data, form):
    moment = st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)).map(lambda time: time.strftime(form))
    near = moment.flatmap(lambda text: st.sampled_from([text.replace("0", "", 1), text + "0", text[:-1]]))
    odd = st.sampled_from(["", " ", "now", "2024-01-01", "31.02.2024 10:00", "20240230", "x"])
    texts = data.draw(st.lists(moment | near | odd | moment.map(" {}\t".format), min_size=1, max_size=9))

    def reference(text):
        try:
            return microseconds_of(datetime.strptime(text.strip(" \t"), form))
        except ValueError:
            return None

    micros, bad = dates.dates_of_format(pa.array(texts, pa.large_string()), form)
    read = [None if is_bad else micro for micro, is_bad in zip(micros.tolist(), bad, strict=True)]
    assert read == [reference(text) for text in texts]


@pytest.mark.parametrize(
    ("texts", "form"),
    [
        (["13/02/2024"], "%d/%m/%Y"),
        (["01/02/2024", "13/02/2024"], "%d/%m/%Y"),
        (["2/13/2024 1:05:00 PM"], "%m/%d/%Y %I:%M:%S %p"),
        (["Tue Mar 05 10:11:12 +0000 2024"], "%a %b %d %H:%M:%S %z %Y"),
        (["05/Mar/2024:10:11:12 +0000"], "%d/%b/%Y:%H:%M:%S %z"),
        (["Mar 5, 2024"], "%b %d, %Y"),
    ],
)
def test_an_error_suggests_a_format_that_fits_all_values(texts, form):
    with pytest.raises(InputError) as raised:
        readers.read_interactions(table(texts))
    assert f"time_format={form!r}" in str(raised.value)
    assert times(table(texts), time_format=form)


# Values that are no dates of events


@pytest.mark.parametrize(
    ("values", "placeholder"),
    [
        (NOVEMBER, 0),
        (NOVEMBER, -1),
        ([second * 1000 for second in NOVEMBER], 0),
        (NOVEMBER, 253_402_214_400),
        (NOVEMBER, -2_208_988_800),
        (["2024-05-01"] * 10, "1970-01-01"),
        (["2024-05-01"] * 10, "1969-12-31T16:00:00-08:00"),
        (["2024-05-01"] * 10, "1900-01-01 00:00:00"),
        (["2024-05-01"] * 10, "9999-12-31"),
        (["2024-05-01"] * 10, "0001-01-01T00:00:00Z"),
        ([datetime(2024, 5, 1)] * 10, datetime(1970, 1, 1)),
        ([date(2024, 5, 1)] * 10, date(9999, 12, 31)),
        ([20240501] * 10, 99991231),
        ([20240501] * 10, 19700101),
    ],
)
@pytest.mark.parametrize("n_missing", [1, 30])
def test_placeholders_of_missing_dates_are_bad_rows(values, placeholder, n_missing):
    source = table([*values, *[placeholder] * n_missing])
    with pytest.raises(InputError, match=rf"row {len(values)}: .*usually stands for a missing date"):
        readers.read_interactions(source)
    assert skipping(source)[1] == list(range(len(values)))


def test_old_dates_are_dates():
    old = [date(1950, 1, 1) + timedelta(days=n) for n in range(0, 30_000, 5)]
    assert date(1970, 1, 1) in old
    assert days(times(table(old))) == old


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (pa.array(NOVEMBER, pa.int64()).cast(pa.float32(), safe=False), []),
        (["1.70E+12", "1.71E+12"], []),
        (["1.7E+9", "1.70E+09"], []),
        (["1.700000001e+18", "1.7e+18"], [0, 1]),
        (["1.7000000001e9", "1.7e9"], [0, 1]),
        (["1700000000.0", "1700000000"], [0, 1]),
        (pa.array([1.0, 2.0], pa.float32()), [0, 1]),
        (pl.Series([1.7e9] * 2, dtype=pl.Float32).to_arrow(), []),
    ],
)
def test_numbers_that_are_rounded_to_more_than_a_second_are_bad_rows(values, rows):
    assert skipping(table(values))[1] == rows
    if not rows:
        with pytest.raises(InputError, match=r"row 0: .*rounded to more than a second: export"):
            readers.read_interactions(table(values))


@pytest.mark.parametrize(
    "value",
    [
        *("2024-01-01T23:59:60", "2024-01-01-05:00", "2024-01-01+02:00", "2024-01-01x12:00", "0000-01-01"),
        *("-0001-01-01", "12024-01-01", "10000-01-01", "2024-01-01 99:99", "2024-02-30", "now", "NaT", None),
        *("9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00", "1700000000", "2024", "٢٠٢٤-01-01"),
    ],
)
def test_values_that_are_no_iso_dates_are_bad_rows(value):
    assert skipping(table(["2024-05-01", value, "1985-05-01"]))[1] == [0, 2]


@pytest.mark.parametrize(
    "values",
    [
        pa.array([0, 2**62, -(2**62)]).cast(pa.timestamp("us")),
        pa.array([0, 2**62, -(2**62)]).cast(pa.timestamp("s")),
        pa.array([0, 2**62, -(2**62)]).cast(pa.timestamp("ms", "UTC")),
        pa.array([0, 2**31 - 1, -(2**31)], pa.int32()).cast(pa.date32()),
        pa.array([0, 2**62, -(2**62)]).cast(pa.date64(), safe=False),
        pa.array([0, 2**63, 2**64 - 1], pa.uint64()),
        pa.array([0, 1e300, math.inf]),
        pa.array([Decimal(0), Decimal(10) ** 30, Decimal(-10) ** 31], pa.decimal128(38, 0)),
        pa.array(["0", "9" * 40, "1e999"]),
    ],
)
def test_values_beyond_the_years_1_to_9999_are_bad_rows(values):
    assert skipping(table(values))[:2] == ([0], [0])
    with pytest.raises(InputError, match="row 1: timestamp "):
        readers.read_interactions(table(values))


def test_dates_and_numbers_in_one_column():
    assert skipping(table(["2024-05-01", "1700000000", "2024-05-02"]))[1] == [0, 2]
    assert skipping(table(["2024-05-01", "1700000000", "1700000001"]))[1] == [1, 2]
    mixed = ["2024-05-01T10:00", "2024-05-01T10:00Z", "2024-05-01T10:00+02:00", "2024-05-01 10:00:00.1234567"]
    ten = microseconds_of(datetime(2024, 5, 1, 10))
    assert times(table(mixed)) == [ten, ten, ten - 7_200_000_000, ten + 123_456]


def test_the_command_line_sets_the_unit_and_the_format(item2vec, tmp_path):
    for words, day in (
        (f"ingest {INPUTS}/day_first.csv --timestamp when --time-format", "2017-08-20"),
        (f"ingest {INPUTS}/future.csv --store sqlite:///ms.db --time-unit", "1970-02-17"),
    ):
        option = "%d.%m.%Y %H:%M" if "format" in words else "ms"
        code, out, _ = item2vec(*words.split(), option, "--json")
        assert code == 0
        assert day in json.dumps(json.loads(out))
    code, _, err = item2vec("ingest", str(INPUTS / "day_first.csv"), "--timestamp", "when")
    assert code == 2
    assert err.endswith("; pass --time-format '%d.%m.%Y %H:%M'\n")
    assert item2vec("ingest", str(INPUTS / "future.csv"), "--time-unit", "minutes")[0] == 2


# Against a slow reference

moments = st.datetimes(datetime(1990, 1, 1), datetime(2099, 12, 31)).map(microseconds_of)


def exact(value):
    return Fraction(Decimal(value)) if isinstance(value, str) else Fraction(value)


def reference(value, kind):
    """Return the microseconds of a value if it is of a kind: a unit, a layout or "dates"; otherwise None."""
    try:
        if kind == "dates":
            if isinstance(value, str) and not value.strip().isdecimal():
                return microseconds_of(datetime.fromisoformat(value.strip()))
        elif kind in TICKS:
            micros = exact(value) * PER_TICK[kind]
            is_float = isinstance(value, float) or (isinstance(value, str) and not value.isdecimal())
            return (
                math.floor(micros + Fraction(1, 2))
                if kind == "ns" and is_float
                else (math.floor(micros) if kind == "ns" else round(micros))
            )
        else:
            return microseconds_of(datetime.strptime(str(value), kind))
    except (ValueError, ArithmeticError, TypeError):
        return None


def representations(micros, draw):
    """Return a list of values, in a drawn representation, that mean moments, and its exact meaning."""
    how = draw(st.sampled_from(["integers", "floats", "text", "iso", "typed", "days"]))
    if how == "iso":
        zone = draw(st.sampled_from(["", "Z", "+00:00"]))
        sep = draw(st.sampled_from(" T"))
        texts = [str(np.datetime64(micro, "us")).replace("T", sep) + zone for micro in micros]
        return pa.array(texts), micros
    if how == "days":
        return pa.array([micro // 86_400_000_000 for micro in micros], pa.int32()).cast(pa.date32()), [
            micro // 86_400_000_000 * 86_400_000_000 for micro in micros
        ]
    unit = draw(st.sampled_from(list(TICKS)))
    numbers = [math.floor(micro / PER_TICK[unit]) for micro in micros]
    if how == "typed":
        kind = pa.timestamp(unit, draw(st.sampled_from([None, "UTC", "Asia/Tokyo"])))
        return pa.array(numbers, pa.int64()).cast(kind), [reference(number, unit) for number in numbers]
    if how == "text":
        style = draw(st.sampled_from(["{}", " {}", "{}.0", "+{}", "{}.25", "0{}"]))
        texts = [style.format(number) for number in numbers]
        floats = [float(text) if "." in text else int(text) for text in texts]
        return pa.array(texts), [reference(number, unit) for number in floats]
    if how == "floats":
        floats = [float(micro / PER_TICK[unit]) for micro in micros]
        return pa.array(floats), [reference(number, unit) for number in floats]
    kind = draw(st.sampled_from([pa.int64(), pa.uint64()] + ([pa.uint32()] if unit == "s" else [])))
    return pa.array(numbers, kind), [reference(number, unit) for number in numbers]


@thorough
@given(micros=st.lists(moments, min_size=1, max_size=12), data=st.data())
def test_every_representation_is_read_exactly(tmp_path_factory, micros, data):
    values, expected = representations(micros, data.draw)
    source = table(values)
    form = data.draw(st.sampled_from(["arrow", "pandas", "polars", "parquet", "csv", "objects"]))
    if form == "pandas":
        source = source.to_pandas()
    elif form == "objects":
        source = source.to_pandas().astype(object)
    elif form == "polars":
        source = pl.from_arrow(source)
    elif form == "parquet":
        path = tmp_path_factory.mktemp("times") / "a.parquet"
        pq.write_table(source, path)
        source = path
    elif form == "csv":
        path = tmp_path_factory.mktemp("times") / "a.csv"
        source.to_pandas().to_csv(path, index=False)
        source = path
    assert times(source) == expected


WILD = st.one_of(
    moments.map(lambda micro: micro // 10**6),
    moments.map(lambda micro: micro // 10**3),
    moments.map(lambda micro: micro * 1000),
    moments.map(lambda micro: micro / 10**6),
    moments.map(lambda micro: str(np.datetime64(micro, "s"))),
    moments.map(lambda micro: int(str(np.datetime64(micro, "D")).replace("-", ""))),
    st.integers(-(2**65), 2**65),
    st.integers(-100, 10**6),
    st.sampled_from(
        [0, -1, 1e300, -1.5, "1.7e9", "", "x", "2024-02-30", None, True, "1700000000", "20240101"]
    ),
)


@thorough
@given(
    common=st.sampled_from(["s", "ms", "iso", "day", "wild"]),
    micros=st.lists(moments, max_size=30),
    wild=st.lists(WILD, min_size=1, max_size=6),
    data=st.data(),
)
@example(common="s", micros=[], wild=[20240101, 5], data=None)
def test_the_rows_of_a_mixed_column_have_one_meaning_or_are_faults(common, micros, wild, data):
    convert = {
        "s": lambda micro: micro // 10**6,
        "ms": lambda micro: micro // 10**3,
        "iso": lambda micro: str(np.datetime64(micro, "us")),
        "day": lambda micro: int(str(np.datetime64(micro, "D")).replace("-", "")),
        "wild": lambda micro: micro * 1000,
    }[common]
    values = [convert(micro) for micro in micros] + wild
    if data is not None:
        values = data.draw(st.permutations(values))
    frame = pd.DataFrame({"user_id": "u", "item_id": "i", "timestamp": pd.Series(values, dtype=object)})
    try:
        read, rows, _ = skipping(frame)
    except InputError:  # no common unit
        return
    kinds = ["dates", *TICKS, "%Y%m%d", "%Y%m%d%H", "%Y%m%d%H%M", "%Y%m%d%H%M%S"]
    assert any([reference(values[row], kind) for row in rows] == read for kind in kinds)


def test_json_lines_and_text_agree(tmp_path):
    lines = [
        {"user_id": "u", "item_id": "i", "timestamp": second} for second in [*NOVEMBER, 1_700_000_000_000]
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert skipping(tmp_path / "a.jsonl")[0] == [second * 10**6 for second in NOVEMBER]
    with pytest.raises(InputError, match="line 11: timestamp 1700000000000"):
        readers.read_interactions(tmp_path / "a.jsonl")
