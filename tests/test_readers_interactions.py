"""Interactions that are read from a file of any format equal the interactions that were written."""

from __future__ import annotations

import csv
import gzip
import io
import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import readers
from item2vec.durations import SECOND, microseconds_of
from item2vec.errors import InputTypeError
from item2vec.interactions import Interactions

TRICKY_IDS = ["1", "01", "1.0", "NA", "null", "None", "nan", "true", "\\N", "2024-01-01", "x" * 512]
TRICKY_IDS += [" a", "a ", "a b", "A", "a", "é", "e\u0301", "é" * 256, "🎵", "a\u2028b", "a\u00a0b"]
TRICKY_IDS += ["a\x1cb", "a\x85b", 'say "hi"', '"', "a,b", "a\tb", "a\nb", "a\r\nb", "a\rb", "#a", "a;b|c"]

ids = st.sampled_from(TRICKY_IDS) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)
PLACEHOLDERS = {(1753, 1, 1), (1899, 12, 30), (1900, 1, 1), (1969, 12, 31), (1970, 1, 1)}
datetimes = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)).filter(
    lambda time: (time.year, time.month, time.day) not in PLACEHOLDERS
)
weights = st.floats(0, width=32, allow_nan=False, allow_infinity=False)
rows = st.fixed_dictionaries(
    {"user_id": ids, "item_id": ids, "timestamp": datetimes, "weight": weights, "event": ids, "session": ids}
)
tables = st.lists(rows, max_size=8)
ALL = {"weight": "weight", "event": "event", "session": "session"}
round_trip = examples(60)


def interactions_of(table):
    return Interactions.of(
        user=[row["user_id"] for row in table],
        item=[row["item_id"] for row in table],
        timestamp=np.array([microseconds_of(row["timestamp"]) for row in table], "datetime64[us]"),
        weight=[row["weight"] for row in table],
        event=[row["event"] for row in table],
        session=[row["session"] for row in table],
    )


def assert_same(read, expected):
    for name in ("users", "items", "events", "sessions"):
        assert getattr(read, name) == getattr(expected, name)
    for name in ("user", "item", "timestamp", "weight", "event", "session"):
        column, expected_column = getattr(read, name), getattr(expected, name)
        assert (column is None) == (expected_column is None)
        if expected_column is not None:
            assert column.dtype == expected_column.dtype
            assert column.tolist() == expected_column.tolist()


def columns_of(table):
    return {name: [row[name] for row in table] for name in ("user_id", "item_id", "timestamp", *ALL)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("interactions")


def iso(draw, time):
    """Format a datetime as ISO text, in a drawn time zone and style."""
    zone = draw(
        st.sampled_from([None, UTC, timezone(-timedelta(hours=9, minutes=30)), timezone(timedelta(hours=2))])
    )
    aware = time if zone is None else time.replace(tzinfo=UTC).astimezone(zone)
    text = aware.isoformat(sep=draw(st.sampled_from("T ")))
    return text.replace("+00:00", draw(st.sampled_from(["+00:00", "Z", "+0000"])))


def as_csv(table, draw, *, header, **style):
    """Format a table with the csv module, which quotes a \\r only if the line terminator contains one."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n", **style)
    if header:
        writer.writerow(columns_of([]))
    for row in table:
        cells = row | {"timestamp": iso(draw, row["timestamp"])}
        writer.writerow([cells[name] for name in columns_of([])])
    return text.getvalue()


@pytest.mark.parametrize(
    ("name", "text", "options", "rows"),
    [
        ("log.csv", "user_id,item_id,timestamp\nu,a,5\nv,b,6\n", {}, [("u", "a", 5), ("v", "b", 6)]),
        ("log.tsv", "item_id\ttimestamp\tuser_id\na\t5\tu\n", {}, [("u", "a", 5)]),
        ("log.dat", "user_id|item_id|timestamp\nu|a|5\n", {}, [("u", "a", 5)]),
        ("log.csv", "user_id,item_id\nu,a\n", {"timestamp": None}, [("u", "a", None)]),
        (
            "log.csv",
            "who,song,at\nu,a,5\n",
            {"user": "who", "item": "song", "timestamp": "at"},
            [("u", "a", 5)],
        ),
        ("log.csv", "u,5,a\n", {"columns": ["user_id", "timestamp", "item_id"]}, [("u", "a", 5)]),
        ("log.inter", "user_id:token,item_id:token,timestamp:float\nu,a,5\n", {}, [("u", "a", 5)]),
        ("log.csv", 'user_id,item_id,timestamp\n"u, v","a ""b""",5\n', {}, [("u, v", 'a "b"', 5)]),
        ("log.csv", "user_id,item_id,timestamp\n01, a ,5\nNA,a,6\n", {}, [("01", " a ", 5), ("NA", "a", 6)]),
        (
            "log.csv",
            "user_id,item_id,timestamp\nu,a,5\n,b,6\n",
            {"on_error": "skip", "max_bad": 1},
            [("u", "a", 5)],
        ),
        ("log.jsonl", '{"user_id": 7, "item_id": "a", "timestamp": 5}\n', {}, [("7", "a", 5)]),
    ],
)
def test_examples_of_files(tmp_path, name, text, options, rows):
    (tmp_path / name).write_text(text)
    log = readers.read_interactions(tmp_path / name, **options)
    seconds = [None] * len(log) if log.timestamp is None else (log.timestamp // SECOND).tolist()
    assert list(zip(log.users.decode(log.user), log.items.decode(log.item), seconds, strict=True)) == rows


def read_times(values, folder):
    """Read timestamps from a DataFrame and two files, and check that all results are equal."""
    frame = pd.DataFrame({"user_id": "u", "item_id": "i", "timestamp": values})
    frame.astype(str).to_csv(folder / "times.csv", index=False)
    frame.to_json(folder / "times.jsonl", orient="records", lines=True)
    sources = (frame, folder / "times.csv", folder / "times.jsonl")
    times = [readers.read_interactions(source).timestamp.tolist() for source in sources]
    assert times[0] == times[1] == times[2]
    return times[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1_700_000_000, 631_152_000], [1_700_000_000_000_000, 631_152_000_000_000]),
        ([1_700_000_000_123, 4_102_444_799_999], [1_700_000_000_123_000, 4_102_444_799_999_000]),
        ([1_700_000_000_123_456, 631_152_000_000_000], [1_700_000_000_123_456, 631_152_000_000_000]),
        ([1_700_000_000_123_456_789] * 2, [1_700_000_000_123_456] * 2),
        ([1_700_000_000.25, 1_700_000_000.5], [1_700_000_000_250_000, 1_700_000_000_500_000]),
        ([*[1_700_000_000] * 9, -1_500_000_000], [*[1_700_000_000_000_000] * 9, -1_500_000_000_000_000]),
        ([0, 1, -1, 100_000_000], [0, 1_000_000, -1_000_000, 100_000_000_000_000]),
        ([20240229, 20240301], [1_709_164_800_000_000, 1_709_251_200_000_000]),
        ([20240229013000, 20240301000000], [1_709_170_200_000_000, 1_709_251_200_000_000]),
        (["2024-02-29", "2024-02-29T01:00+02:00"], [1_709_164_800_000_000, 1_709_161_200_000_000]),
        (["1965-02-28 00:00:00 UTC", "1969-12-31T23:59:59.9999999Z"], [-152_755_200_000_000, -1]),
    ],
)
def test_examples_of_timestamps(folder, values, expected):
    assert read_times(values, folder) == expected


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "Asia/Tokyo"])
def test_typed_timestamps_in_every_unit(unit, zone):
    times = pa.array([1, -1], pa.int64()).cast(pa.timestamp(unit, zone))
    table = pa.table({"user_id": ["u", "u"], "item_id": ["i", "i"], "timestamp": times})
    per_tick = {"s": 10**6, "ms": 10**3, "us": 1, "ns": 0.001}[unit]
    expected = [int(np.floor(per_tick)), int(np.floor(-per_tick))]
    assert readers.read_interactions(table).timestamp.tolist() == expected


@round_trip
@given(table=tables, data=st.data())
def test_delimited_text_round_trips(folder, table, data):
    sep = data.draw(st.sampled_from(",\t;|"))
    quoting = data.draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]))
    encoding = data.draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
    header = data.draw(st.booleans()) or not table or table[0]["user_id"].startswith("\ufeff")
    content = as_csv(table, data.draw, header=header, delimiter=sep, quoting=quoting).encode(encoding)
    path = folder / "table.anything"
    path.write_bytes(gzip.compress(content) if data.draw(st.booleans()) else content)
    read = readers.read_interactions(
        path,
        sep=None if header else sep,
        columns=None if header else list(columns_of([])),
        encoding=encoding.removesuffix("-sig"),
        **ALL,
    )
    assert_same(read, interactions_of(table))


@round_trip
@given(table=tables.filter(bool), data=st.data())
def test_json_lines_round_trip(folder, table, data):
    text = "".join(
        json.dumps(
            row | {"timestamp": iso(data.draw, row["timestamp"])}, ensure_ascii=data.draw(st.booleans())
        )
        + data.draw(st.sampled_from(["\n", "\r\n", "\n\n"]))
        for row in table
    )
    path = folder / "table.jsonl.gz"
    path.write_bytes(gzip.compress(text.encode()))
    assert_same(readers.read_interactions(path, **ALL), interactions_of(table))


def arrow_table(table, data):
    text_type = data.draw(
        st.sampled_from(
            [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
        )
    )
    time_type = data.draw(
        st.sampled_from([pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.timestamp("us", "Asia/Tokyo")])
    )
    columns = columns_of(table)
    times = [microseconds_of(time) for time in columns["timestamp"]]
    columns["timestamp"] = pa.array(times, pa.int64()).cast(time_type)
    for name in ("user_id", "item_id", "event", "session"):
        columns[name] = pa.array(columns[name], text_type)
    columns["weight"] = pa.array(columns["weight"], data.draw(st.sampled_from([pa.float32(), pa.float64()])))
    return pa.table(columns)


@round_trip
@given(table=tables, data=st.data())
def test_parquet_files_round_trip(folder, table, data):
    path = folder / "table.parquet"
    pq.write_table(arrow_table(table, data), path, row_group_size=3)
    assert_same(readers.read_interactions(path, **ALL), interactions_of(table))


@round_trip
@given(table=tables, data=st.data())
def test_data_frames_round_trip(table, data):
    columns = columns_of(table)
    frame = pd.DataFrame(columns).astype({"timestamp": "datetime64[us]", "weight": "float32"})
    kinds = dict.fromkeys(
        ("user_id", "item_id", "event", "session"), data.draw(st.sampled_from(["str", "object", "category"]))
    )
    zoned = frame.assign(timestamp=frame["timestamp"].dt.tz_localize("UTC")).astype(kinds)
    schema = {"timestamp": pl.Datetime("us"), "weight": pl.Float32}
    schema = {name: schema.get(name, pl.String) for name in columns}
    for source in (
        zoned,
        zoned.astype("object"),
        pl.DataFrame(columns, schema=schema),
        arrow_table(table, data),
    ):
        assert_same(readers.read_interactions(source, **ALL), interactions_of(table))


@round_trip
@given(table=tables)
def test_to_frame_round_trips(table):
    expected = interactions_of(table)
    frame = readers.to_frame(expected)
    assert frame["timestamp"].dtype == pd.DatetimeTZDtype("us", "UTC")
    assert_same(readers.read_interactions(frame, **ALL), expected)


@pytest.fixture(scope="module")
def database():
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool)
    columns = [sa.Column(name, sa.Text) for name in ("user_id", "item_id", "event", "session")]
    listens = sa.Table(
        "listens",
        sa.MetaData(),
        sa.Column("n", sa.Integer, primary_key=True),
        *columns,
        sa.Column("timestamp", sa.DateTime),
        sa.Column("weight", sa.Float),
    )
    listens.create(engine)
    yield engine, listens
    engine.dispose()


@round_trip
@given(table=tables)
def test_selects_round_trip(database, table):
    engine, listens = database
    with engine.begin() as connection:
        connection.execute(listens.delete())
        if table:
            connection.execute(listens.insert(), [row | {"n": n} for n, row in enumerate(table)])
    query = sa.select(listens).order_by(listens.c.n)
    with engine.connect() as connection:
        for source in (engine, connection):
            assert_same(readers.read_interactions(query, connection=source, **ALL), interactions_of(table))


def test_a_select_needs_a_connection(database):
    with pytest.raises(InputTypeError, match="connection="):
        readers.read_interactions(sa.select(database[1]))


def test_whole_numbers_as_ids_become_text(folder):
    expected = ("7", "-1", "9007199254740993")
    numbers = [7, -1, 2**53 + 1]
    frame = pd.DataFrame({"user_id": numbers, "item_id": ["x"] * 3})
    frame.to_json(folder / "numbers.jsonl", orient="records", lines=True)
    frame.to_parquet(folder / "numbers.parquet")
    for source in (frame, folder / "numbers.jsonl", folder / "numbers.parquet", frame.astype("object")):
        assert readers.read_interactions(source, timestamp=None).users.ids == expected
    with_one_missing = pd.DataFrame({"user_id": [7, None, 1.5], "item_id": ["x"] * 3})
    assert readers.read_interactions(
        with_one_missing, timestamp=None, on_error="skip", max_bad=1
    ).users.ids == ("7",)


def test_a_folder_of_parquet_files_is_one_table(tmp_path):
    for name, users in (("b", ["y"]), ("a", ["x", "z"])):
        pd.DataFrame({"user_id": users, "item_id": users}).to_parquet(tmp_path / f"{name}.parquet")
    assert readers.read_interactions(tmp_path, timestamp=None).users.ids == ("x", "z", "y")


def test_column_names_match_without_type_suffix(tmp_path):
    path = tmp_path / "ml.inter"
    path.write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n")
    read = readers.read_interactions(path, weight="rating")
    assert read.users.ids == ("196",)
    assert read.timestamp.tolist() == [881_250_949_000_000]
    assert readers.read_interactions(path, user="user_id:token").users.ids == ("196",)


def test_a_column_may_be_used_twice(tmp_path):
    path = tmp_path / "twice.csv"
    path.write_text("user_id,item_id,n\nu,i,2\n")
    for source in (path, pd.read_csv(path), pa.table(pd.read_csv(path))):
        read = readers.read_interactions(source, timestamp=None, weight="n", session="n", event="item_id")
        assert (read.weight.tolist(), read.sessions.ids, read.events.ids) == ([2.0], ("2",), ("i",))


def test_a_quote_that_does_not_end_its_field_is_an_ordinary_character(tmp_path):
    path = tmp_path / "artists.tsv"
    lines = [
        "user_id\titem_id",
        'u\t"Weird Al" Yankovic',
        'u\t"tab\there"',
        "u\tRoyce 5'9\"",
        'u\t"open',
        "u\tlast",
    ]
    path.write_text("\n".join(lines))
    read = readers.read_interactions(path, timestamp=None)
    assert read.items.ids == ('"Weird Al" Yankovic', "tab\there", "Royce 5'9\"", '"open', "last")


@pytest.mark.slow
def test_tables_larger_than_a_batch(tmp_path):
    n = 90_000
    users, items = np.arange(n) % 40_001, np.arange(n) % 13
    frame = pd.DataFrame({"user_id": users, "item_id": items, "timestamp": np.arange(n)})
    frame.to_csv(tmp_path / "quick.csv", index=False)
    frame.to_csv(tmp_path / "quoted.csv", index=False, quoting=csv.QUOTE_ALL)
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    expected = readers.read_interactions(frame)
    assert expected.users.ids == tuple(map(str, range(40_001)))
    assert expected.user.tolist() == users.tolist()
    for name in ("quick.csv", "quoted.csv", "rows.jsonl"):
        assert_same(readers.read_interactions(tmp_path / name), expected)
