"""Errors report the file, line and value of a bad row, or the reason why a file cannot be read."""

from __future__ import annotations

import gzip
import json
import logging
import os

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
from item2vec.errors import InputError, InputTypeError, InvalidIdError

HEADER = "user_id,item_id,timestamp,weight\n"
GOOD = "ann,x,2024-01-01,1\n"
LONG = "x" * 513


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("row", "found", "error"),
    [
        (",x,2024-01-01,1", "user_id ''", InvalidIdError),
        ("ann,,2024-01-01,1", "item_id ''", InvalidIdError),
        ("ann,a\0b,2024-01-01,1", r"item_id 'a\x00b'", InvalidIdError),
        (f"ann,{LONG},2024-01-01,1", "item_id 'xxx", InvalidIdError),
        ("ann,x,yesterday,1", "timestamp 'yesterday'", InputError),
        ("ann,x,now,1", "timestamp 'now'", InputError),
        ("ann,x,2024-02-30,1", "timestamp '2024-02-30'", InputError),
        ("ann,x,1704067200,1", "timestamp '1704067200'", InputError),
        ("ann,x,20240102,1", "timestamp '20240102'", InputError),
        ("ann,x,,1", "timestamp ''", InputError),
        ("ann,x,2024-01-01,nan", "weight 'nan'", InputError),
        ("ann,x,2024-01-01,inf", "weight 'inf'", InputError),
        ("ann,x,2024-01-01,-1", "weight '-1'", InputError),
        ("ann,x,2024-01-01,1e39", "weight '1e39'", InputError),
        ("ann,x,2024-01-01,0x10", "weight '0x10'", InputError),
        ("ann,x,2024-01-01,", "weight ''", InputError),
        ("ann,x,2024-01-01", "3 fields ('ann', 'x', '2024-01-01')", InputError),
        ("ann,x,2024-01-01,1,2", "5 fields", InputError),
        ("ann", "1 fields ('ann')", InputError),
    ],
)
@pytest.mark.parametrize(
    "before", [GOOD, GOOD + '"bob\nby\nname",x,2024-01-01,1\n\n', GOOD.replace("\n", "\r\n")]
)
def test_a_bad_row_of_text_is_reported_or_skipped(tmp_path, before, row, found, error):
    text = HEADER + before + row + "\n" + GOOD
    path = write(tmp_path / "listens.csv", text)
    line = (HEADER + before).count("\n") + 1
    with pytest.raises(error) as raised:
        readers.read_interactions(path, weight="weight")
    assert str(raised.value).startswith(f"{path} line {line}: {found}")
    assert "; expected " in str(raised.value)
    skipped = []
    read = readers.read_interactions(
        path, weight="weight", on_error="skip", max_bad=1, on_skip=skipped.append
    )
    assert [(fault.row_kind, fault.number) for fault in skipped] == [("line", line)]
    assert read.users.decode(read.user) == (
        ["ann", "ann"] if "bob" not in before else ["ann", "bob\nby\nname", "ann"]
    )


def test_line_numbers_are_right_after_an_unclosed_quote(tmp_path):
    path = write(tmp_path / "listens.csv", HEADER + '"ann,x,2024-01-01,1\n' + GOOD * 3 + "?\n")
    with pytest.raises(InputError, match="line 6: 1 fields"):
        readers.read_interactions(path)


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ({"user_id": 1.0}, "user_id 1.0"),
        ({"user_id": True}, "user_id True"),
        ({"user_id": None}, "user_id None"),
        ({"user_id": ["a"]}, "user_id ['a']"),
        ({"user_id": "\ud800"}, r"user_id '\ud800'"),
        ({"timestamp": True}, "timestamp True"),
        ({"timestamp": 5}, "timestamp 5"),
        ({"weight": "much"}, "weight 'much'"),
        ({"weight": float("nan")}, "weight nan"),
        ({"weight": {}}, "weight {}"),
    ],
)
def test_a_bad_row_of_json_lines_is_reported_or_skipped(tmp_path, row, found):
    good = {"user_id": "ann", "item_id": 1, "timestamp": "2024-01-01", "weight": 1}
    path = write(
        tmp_path / "listens.jsonl", f"{json.dumps(good)}\n\n{json.dumps(good | row)}\n{json.dumps(good)}\n"
    )
    with pytest.raises(InputError) as raised:
        readers.read_interactions(path, weight="weight")
    assert str(raised.value).startswith(f"{path} line 3: {found}; expected ")
    assert len(readers.read_interactions(path, weight="weight", on_error="skip", max_bad=1)) == 2


@pytest.mark.parametrize("line", ["{", "[1]", "7", '"a"', "{'user_id': 1}", "[" * 100_000, "1" * 5_000])
def test_a_line_that_is_not_a_json_object_is_a_bad_row(tmp_path, line):
    good = '{"user_id": "u", "item_id": "i"}\n'
    path = write(tmp_path / "listens.jsonl", good + line + "\n" + good)
    with pytest.raises(InputError, match=r"line 2: .*expected a JSON object"):
        readers.read_interactions(path, timestamp=None)
    assert len(readers.read_interactions(path, timestamp=None, on_error="skip", max_bad=1)) == 2


def test_a_bad_row_of_a_table_is_reported_by_number(tmp_path):
    frame = pd.DataFrame({"user_id": ["u", None, "v"], "item_id": [1, 2, 3], "weight": [1.0, 1.0, np.inf]})
    frame.to_parquet(tmp_path / "listens.parquet")
    polars = pl.from_pandas(frame)
    categories = polars.with_columns(pl.col("user_id").cast(pl.Categorical))
    sources = [(frame, "DataFrame"), (frame.astype({"user_id": "category"}), "DataFrame")]
    sources += [(polars, "DataFrame"), (categories, "DataFrame"), (pa.table(frame), "Table")]
    for source, name in (*sources, (tmp_path / "listens.parquet", None)):
        skipped = []
        read = readers.read_interactions(
            source, timestamp=None, weight="weight", on_error="skip", max_bad=1, on_skip=skipped.append
        )
        assert read.items.ids == ("1",)
        assert [str(fault).split("; expected")[0].replace("nan", "None") for fault in skipped] == [
            f"{name or source} row 1: user_id None",
            f"{name or source} row 2: weight inf",
        ]


def test_row_numbers_continue_across_chunks_and_partitions():
    good, bad = (pa.table({"user_id": ["u", "v"], "item_id": pa.array(["x", item])}) for item in ("y", None))
    with pytest.raises(InputError, match="Table row 3: item_id None"):
        readers.read_interactions(pa.concat_tables([good, bad]), timestamp=None)
    n = sa.select(sa.literal(0).label("n")).cte("n", recursive=True)
    n = n.union_all(sa.select(n.c.n + 1).where(n.c.n < 20_000))
    item = sa.case((n.c.n == 19_999, None), else_="x")
    engine = sa.create_engine("sqlite://")
    with pytest.raises(InputError, match="SELECT row 19999: item_id None"):
        readers.read_interactions(
            sa.select(n.c.n.label("user_id"), item.label("item_id")), timestamp=None, connection=engine
        )
    engine.dispose()


@examples(60)
@given(
    rows=st.lists(
        st.sampled_from(
            [("u", "1", "2"), ("v", "2", "3"), ("", "1", "1"), ("w", "x", "1"), ("u", "3", "-1"), ("z",)]
        ),
        min_size=1,
    ),
    quoted=st.booleans(),
)
def test_skipping_keeps_exactly_the_good_rows(tmp_path_factory, rows, quoted):
    header = '"user_id",item_id,timestamp,weight\n' if quoted else HEADER
    rows = [("u", "1", "2"), *rows]
    lines = [",".join((row[0], "i" + row[0], *row[1:])) if len(row) > 1 else row[0] for row in rows]
    path = write(tmp_path_factory.mktemp("skip") / "listens.csv", header + "\n".join(lines) + "\n")
    skipped = []
    read = readers.read_interactions(
        path, weight="weight", on_error="skip", max_bad=1, on_skip=skipped.append
    )
    good = [row for row in rows if len(row) == 3 and row in (("u", "1", "2"), ("v", "2", "3"))]
    bad_lines = [line for line, row in enumerate(rows, start=2) if row not in good]
    assert [fault.number for fault in skipped] == bad_lines
    assert read.users.decode(read.user) == [row[0] for row in good]
    assert set(read.users.ids) == {row[0] for row in good}
    assert read.timestamp.tolist() == [int(row[1]) * 1_000_000 for row in good]
    if bad_lines:
        with pytest.raises(InputError, match=f"line {bad_lines[0]}:"):
            readers.read_interactions(path, weight="weight")


def test_skipped_rows_are_logged_once(tmp_path, caplog):
    path = write(tmp_path / "listens.csv", HEADER + GOOD + "ann,x,?,1\n" * 5)
    with caplog.at_level(logging.WARNING, logger="item2vec.readers"):
        readers.read_interactions(path, on_error="skip", max_bad=1)
    (record,) = caplog.records
    assert record.message.startswith(f"{path}: skipped 5 of 6 rows: {path} line 3: timestamp '?'")
    assert "line 5" in record.message
    assert "line 6" not in record.message


def test_undecodable_bytes_are_reported_with_a_suggested_encoding(tmp_path):
    path = write(tmp_path / "listens.csv", HEADER + GOOD + GOOD.replace("ann", "Zoé"), "latin-1")
    with pytest.raises(InputError, match=r"line 3: user_id .*byte 0xe9.*encoding='latin-1'"):
        readers.read_interactions(path)
    assert readers.read_interactions(path, encoding="latin-1").users.ids == ("ann", "Zoé")
    assert readers.read_interactions(path, user="item_id").users.ids == ("x",)
    with pytest.raises(InputError, match="unknown encoding: klingon"):
        readers.read_interactions(path, encoding="klingon")
    odd = tmp_path / "odd.csv"
    odd.write_bytes((HEADER + GOOD).encode("utf-16")[:-1])
    with pytest.raises(InputError, match="cannot be decoded"):
        readers.read_interactions(odd, encoding="utf-16")


def test_the_error_for_a_missing_column_lists_the_columns(tmp_path):
    path = write(tmp_path / "listens.csv", "userId;song;when\nu;s;1\n")
    with pytest.raises(
        InputError, match=r"no column 'user_id'; found 'userId', 'song', 'when'; did you mean user='userId'"
    ):
        readers.read_interactions(path, item="song")
    with pytest.raises(InputError, match=r"name the column with timestamp=, or pass timestamp=None if there"):
        readers.read_interactions(path, user="userId", item="song")
    for source in (pd.read_csv(path, sep=";"), write(tmp_path / "a.jsonl", '{"userId": 1, "song": 2}\n')):
        with pytest.raises(InputError, match=r"no column 'user_id'; found 'userId', 'song'"):
            readers.read_interactions(source, item="song")
    twice = write(tmp_path / "twice.csv", "user_id,item_id,item_id\nu,i,j\n")
    with pytest.raises(InputError, match="2 columns 'item_id'"):
        readers.read_interactions(twice, timestamp=None)


def test_an_empty_file_is_an_error_and_a_header_alone_is_zero_rows(tmp_path):
    for name in ("empty.csv", "empty.jsonl", "empty.csv.gz"):
        for text in ("", "\n\n", "\ufeff"):
            path = tmp_path / name
            path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
            with pytest.raises(InputError, match="is empty"):
                readers.read_interactions(path)
    path = write(tmp_path / "header.csv", HEADER)
    assert len(readers.read_interactions(path)) == 0
    assert len(readers.read_interactions(write(path, HEADER.rstrip()))) == 0
    assert len(readers.read_interactions(pd.DataFrame({"user_id": [], "item_id": [], "timestamp": []}))) == 0


def test_a_byte_order_mark_is_not_part_of_the_first_name(tmp_path):
    for name, text in (
        ("a.csv", HEADER + GOOD),
        ("a.jsonl", '{"user_id": "ann", "item_id": 1, "timestamp": 1}\n'),
    ):
        path = write(tmp_path / name, "\ufeff" + text)
        assert readers.read_interactions(path).users.ids == ("ann",)
    headerless = write(tmp_path / "b.csv", "\ufeff" + GOOD)
    assert readers.read_interactions(headerless, columns=HEADER.strip().split(",")).users.ids == ("ann",)


def test_sources_that_cannot_be_opened_are_reported(tmp_path):
    path = write(tmp_path / "listens.csv", HEADER + GOOD)
    with pytest.raises(InputError, match=r"no file .*did you mean '.*listens.csv'"):
        readers.read_interactions(tmp_path / "listen.csv")
    with pytest.raises(InputError, match="no file"):
        readers.read_interactions(tmp_path / "nowhere" / "listens.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"folder without data files"):
        readers.read_interactions(tmp_path / "empty")
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match="a pipe or a device, which can be read only once"):
        readers.read_interactions(tmp_path / "pipe.csv")
    for source in (7, None, [("u", "i")], pa.array([1])):
        with pytest.raises(InputTypeError, match=r"rows"):
            readers.read_interactions(source)
    with pytest.raises(InputError, match="sep is"):
        readers.read_interactions(path, sep="")
    with pytest.raises(InputError, match="on_error is 'ignore'"):
        readers.read_interactions(path, on_error="ignore")
    with pytest.raises(InputError, match="has named columns"):
        readers.read_interactions(pd.DataFrame({"user_id": ["u"]}), columns=["user_id"])


@examples(60)
@given(data=st.data())
def test_a_truncated_or_altered_file_is_an_error_or_is_read_in_full(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    intact = {"a.csv.gz": gzip.compress((HEADER + GOOD * 50).encode())}
    table = pa.table({"user_id": ["u"] * 50, "item_id": list("ab" * 25), "timestamp": range(50)})
    pq.write_table(table, folder / "intact", write_page_checksum=True)
    intact["a.parquet"] = (folder / "intact").read_bytes()
    name = data.draw(st.sampled_from(sorted(intact)))
    content = bytearray(intact[name])
    position = data.draw(st.integers(0, len(content) - 1))
    truncate = data.draw(st.booleans())
    if truncate:
        del content[position:]
    else:
        content[position] ^= 1 << data.draw(st.integers(0, 7))
    path = folder / name
    path.write_bytes(content)
    try:
        read = readers.read_interactions(path)
    except InputError:
        return
    assert not truncate
    assert len(read) == 50


@pytest.mark.parametrize(
    "values",
    [
        pa.array([True]),
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([1], pa.timestamp("s")),
        pa.array([1], pa.time32("s")),
    ],
)
def test_columns_of_unsupported_types_are_errors(values):
    column = pa.array(["x"])
    for name in ("user_id", "weight", "timestamp"):
        if name == "timestamp" and pa.types.is_timestamp(values.type):
            continue
        table = pa.table(
            {"user_id": column, "item_id": column, "timestamp": pa.array([1]), "weight": pa.array([1])}
        )
        position = table.column_names.index(name)
        with pytest.raises(InputError, match=f"column '{name}' is of type"):
            readers.read_interactions(table.set_column(position, name, values), weight="weight")


@pytest.mark.parametrize("value", [b"a", bytearray(b"a"), np.bytes_(b"a")])
def test_python_bytes_in_a_dataframe_are_no_ids(value):
    frame = pd.DataFrame({"user_id": ["u", "v"], "item_id": pd.Series(["x", value], dtype=object)})
    with pytest.raises(InputError, match=r"DataFrame row 1: item_id .*b'a'"):
        readers.read_interactions(frame, timestamp=None)
    with pytest.raises(InputError, match=r"DataFrame row 1: target .*b'a'"):
        readers.read_edges(frame.set_axis(["source", "target"], axis=1))


def test_bytes_that_are_not_utf8_are_errors():
    table = pa.table({"user_id": pa.array([b"\xff"]), "item_id": ["x"]})
    with pytest.raises(InputError, match="not UTF-8"):
        readers.read_interactions(table, timestamp=None)
    table = pa.table({"user_id": pa.array([b"\xc3\xa9"]), "item_id": ["x"]})
    assert readers.read_interactions(table, timestamp=None).users.ids == ("é",)
