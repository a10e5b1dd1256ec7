"""Folders, globs, lists and iterators are read as if their rows were concatenated."""

import gzip
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import readers
from item2vec.errors import InputError, InputTypeError, InvalidIdError

INPUTS = Path(__file__).parent / "inputs"
SECOND = 1_000_000


def rows(interactions):
    moments = (
        [None] * len(interactions) if interactions.timestamp is None else interactions.timestamp.tolist()
    )
    users, items = interactions.users.decode(interactions.user), interactions.items.decode(interactions.item)
    return list(zip(users, items, moments, strict=True))


def frame(*pairs):
    return pd.DataFrame(pairs, columns=["user_id", "item_id"])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode())
    return path


def test_a_folder_of_spark_without_its_uncommitted_files():
    read = readers.read_interactions(INPUTS / "spark_folder")
    assert [item for _, item, _ in rows(read)] == ["good0", "good1", "good2", "good20", "good21"]


def test_a_folder_of_hive_whose_partition_is_a_column():
    read = readers.read_interactions(INPUTS / "hive_folder", timestamp="date")
    days = [np.datetime64(moment, "us").astype("datetime64[D]").item().day for _, _, moment in rows(read)]
    assert days == [1, 1, 2, 2]
    assert set(read.users.ids) == {"u1", "u2"}


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "jsonl", "parquet", "feather", ""])
@examples(12)
@given(
    pairs=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
)
def test_parts_equal_the_whole(tmp_path_factory, suffix, pairs, cuts):
    bounds = [0, *sorted(cut for cut in cuts if cut < len(pairs)), len(pairs)]
    parts = [frame(*pairs[low:high]) for low, high in pairwise(bounds)]
    whole = rows(readers.read_interactions(frame(*pairs), timestamp=None))
    folder = tmp_path_factory.mktemp("parts") / "part"
    paths = [folder / "deeper" / f"part-{number:05}.{suffix}".strip(".") for number in range(len(parts))]
    folder.joinpath("deeper").mkdir(parents=True)
    for path, part in zip(paths, parts, strict=True):
        if suffix in ("parquet", ""):
            part.to_parquet(path)
        elif suffix == "feather":
            part.to_feather(path)
        elif suffix == "jsonl":
            part.to_json(path, orient="records", lines=True)
        else:
            part.to_csv(path, index=False)
    write(folder / "_SUCCESS", "")
    write(folder / "deeper" / ".part-00000.crc", "crc!")
    if any(map(len, parts)):
        sources = [folder, folder / "deeper" / "part-*", str(folder / "**" / "part-*")]
        sources += [[*map(str, paths)], tuple(paths), iter(paths)] if suffix != "jsonl" else []
        for source in sources:
            assert rows(readers.read_interactions(source, timestamp=None)) == whole
    frames = [*parts]
    tables = [pa.table(part) for part in parts]
    batches = (batch for table in tables for batch in table.to_batches(max_chunksize=2))
    for source in (frames, iter(frames), tables, (pl.from_pandas(part) for part in parts), batches):
        assert rows(readers.read_interactions(source, timestamp=None)) == whole


def test_partition_columns_are_decoded_and_may_be_null(tmp_path):
    folder = tmp_path / "events"
    write(folder / "country=C%C3%B4te%2FX" / "day=2024-03-01" / "part-0.csv", "user_id,item_id\nu,a\n")
    write(folder / "country=b" / "day=__HIVE_DEFAULT_PARTITION__" / "part-0.csv", "user_id,item_id\nv,b\n")
    read = readers.read_interactions(folder, timestamp=None, event="country")
    assert read.events.decode(read.event) == ["Côte/X", "b"]
    days = "country=b/day=__HIVE_DEFAULT_PARTITION__/part-0.csv line 2: day None; expected"
    with pytest.raises(InputError, match=days):
        readers.read_interactions(folder, timestamp="day")
    skipped = []
    read = readers.read_interactions(
        folder, timestamp="day", on_error="skip", max_bad=1, on_skip=skipped.append
    )
    assert rows(read) == [("u", "a", 1_709_251_200 * SECOND)]
    assert [Path(fault.source).parent.name for fault in skipped] == ["day=__HIVE_DEFAULT_PARTITION__"]


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_items_have_partition_columns(tmp_path, suffix):
    for genre in ("jazz", "soul"):
        path = write(tmp_path / "items" / f"genre={genre}" / f"part.{suffix}", "")
        row = pd.DataFrame({"item_id": [genre[0]], "title": [genre.title()], "year": [1959]})
        if suffix == "csv":
            row.to_csv(path, index=False)
        elif suffix == "jsonl":
            row.to_json(path, orient="records", lines=True)
        else:
            row.to_parquet(path)
    items = readers.read_items(tmp_path / "items")
    assert items.where({"genre": "soul"}) == ["s"]
    assert items.title("j") == "Jazz"
    assert str(items.about("j")["year"]) == "1959"


def test_a_partition_column_replaces_the_column_of_the_file(tmp_path):
    write(tmp_path / "e" / "item_id=x" / "part.csv", "item_id,user_id\nold,u\n")
    assert rows(readers.read_interactions(tmp_path / "e", timestamp=None)) == [("u", "x", None)]


def delta(folder):
    write(folder / "_delta_log" / "00000000000000000000.json", "{}")
    frame(("u", "i")).to_parquet(folder / "part-0.parquet")


def iceberg(folder):
    write(folder / "metadata" / "v1.metadata.json", "{}")
    write(folder / "data" / "x", "")
    frame(("u", "i")).to_parquet(folder / "data" / "part-0.parquet")


def hudi(folder):
    write(folder / ".hoodie" / "hoodie.properties", "")
    frame(("u", "i")).to_parquet(folder / "part-0.parquet")


@pytest.mark.parametrize(
    ("make", "name"), [(delta, "a Delta table"), (iceberg, "an Iceberg table"), (hudi, "a Hudi table")]
)
def test_tables_with_deleted_rows_are_explained(tmp_path, make, name):
    make(tmp_path / "lake" / "events")
    for folder in (tmp_path / "lake" / "events", tmp_path / "lake", tmp_path / "la*"):
        with pytest.raises(InputError, match=f"events is {name}, .*; (read it|export)"):
            readers.read_interactions(folder, timestamp=None)


def test_a_folder_named_metadata_is_an_ordinary_folder(tmp_path):
    write(tmp_path / "metadata" / "a.csv", "user_id,item_id\nu,i\n")
    assert rows(readers.read_interactions(tmp_path, timestamp=None)) == [("u", "i", None)]


def test_folders_that_are_not_one_table_are_errors(tmp_path):
    write(tmp_path / "a" / "a.csv", "user_id,item_id\nu,i\n")
    write(tmp_path / "a" / "b.jsonl", '{"user_id": "u", "item_id": "i"}\n')
    with pytest.raises(InputError, match=r"formats: .*a\.csv \(delimited text \.csv\) and .*b\.jsonl \(JSON"):
        readers.read_interactions(tmp_path / "a", timestamp=None)
    write(tmp_path / "b" / "a.csv", "user_id,item_id\nu,i\n")
    write(tmp_path / "b" / "notes.txt", "see the wiki\n")
    with pytest.raises(InputError, match=r"pass a pattern, such as '.*/\*\.txt'"):
        readers.read_interactions(tmp_path / "b", timestamp=None)
    assert len(readers.read_interactions(tmp_path / "b" / "*.csv", timestamp=None)) == 1
    write(tmp_path / "c" / "day=1" / "a.csv", "user_id,item_id\nu,i\n")
    write(tmp_path / "c" / "hour=1" / "a.csv", "user_id,item_id\nu,i\n")
    with pytest.raises(InputError, match=r"hour=1/a\.csv has the partition columns 'hour'; expected 'day'"):
        readers.read_interactions(tmp_path / "c", timestamp=None)
    write(tmp_path / "d" / "part-0.csv", "")
    write(tmp_path / "d" / "part-1.csv.gz", "").write_bytes(gzip.compress(b""))
    with pytest.raises(InputError, match="contains only empty files"):
        readers.read_interactions(tmp_path / "d", timestamp=None)
    write(tmp_path / "d" / "part-2.csv", "user_id,item_id\nu,i\n")
    assert len(readers.read_interactions(tmp_path / "d", timestamp=None)) == 1
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "link").symlink_to(tmp_path / "d")
    with pytest.raises(InputError, match="link is a link to a folder"):
        readers.read_interactions(tmp_path / "e", timestamp=None)
    with pytest.raises(InputError, match=r"no file matches '.*nothing-\*'"):
        readers.read_interactions(tmp_path / "nothing-*", timestamp=None)


def test_a_path_that_exists_is_not_a_pattern(tmp_path):
    for name in ("a[1].csv", "a1.csv", "b*.csv", "bc.csv"):
        write(tmp_path / name, f"user_id,item_id\n{name},i\n")
    for name in ("a[1].csv", "b*.csv"):
        assert readers.read_interactions(tmp_path / name, timestamp=None).users.ids == (name,)


def test_a_pattern_skips_hidden_names(tmp_path):
    for name in ("_old.csv", ".new.csv", "a.csv"):
        write(tmp_path / name, f"user_id,item_id\n{name},i\n")
    assert readers.read_interactions(tmp_path / "*", timestamp=None).users.ids == ("a.csv",)
    assert readers.read_interactions(tmp_path / "_*", timestamp=None).users.ids == ("_old.csv",)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_with_other_columns_is_named(tmp_path, suffix):
    def save(name, table):
        path = tmp_path / f"{name}.{suffix}"
        table.to_csv(path, index=False) if suffix == "csv" else table.to_parquet(path)
        return path

    first = save("a", frame(("u", "i")))
    turned = save("b", frame(("v", "j"))[["item_id", "user_id"]])
    other = save("c", frame(("w", "k")).rename(columns={"item_id": "song"}))
    more = save("d", frame(("x", "l")).assign(note="n"))
    assert rows(readers.read_interactions([first, turned], timestamp=None)) == [
        ("u", "i", None),
        ("v", "j", None),
    ]
    with pytest.raises(
        InputError, match=rf"c\.{suffix} has the columns .*'song'; expected one column 'item_id'"
    ):
        readers.read_interactions([first, turned, other], timestamp=None)
    assert len(readers.read_interactions([first, more], timestamp=None)) == 2
    with pytest.raises(InputError, match=rf"d\.{suffix} has a column 'note' that .*a\.{suffix} lacks"):
        readers.read_items([first, more])
    with pytest.raises(InputError, match=rf"{suffix}, … has no column 'user'; found 'user_id', 'item_id'"):
        readers.read_interactions([first, turned], user="user", timestamp=None)


def test_a_key_may_be_missing_from_a_file_of_json_lines(tmp_path):
    first = write(tmp_path / "a.jsonl", '{"item_id": "a", "year": 1}\n')
    second = write(tmp_path / "b.jsonl", '{"item_id": "b"}\n{"item_id": "c", "year": 2}\n')
    third = write(tmp_path / "c.jsonl", '{"item_id": "d"}\n')
    assert readers.read_items([first, second, third]).where({"year": 2}) == ["c"]
    with pytest.raises(InvalidIdError, match=r"c\.jsonl line 1: year None"):
        readers.read_interactions([first, third], user="year", timestamp=None)


def test_a_fault_names_its_own_part(tmp_path):
    first = write(tmp_path / "a.csv", "user_id,item_id\nu,i\n")
    second = write(tmp_path / "b.csv", 'user_id,item_id\n"v, w",j\n,k\n')
    with pytest.raises(InvalidIdError, match=r"b\.csv line 3: user_id ''"):
        readers.read_interactions([first, second], timestamp=None)
    good, bad = frame(("u", "i")), frame(("u", None))
    for parts in ([good, bad], iter([good, bad])):
        with pytest.raises(InvalidIdError, match="DataFrame 1 row 0: item_id None"):
            readers.read_interactions(parts, timestamp=None)


def test_sources_that_are_not_tables_are_errors(tmp_path):
    path = write(tmp_path / "a.csv", "user_id,item_id\nu,i\n")
    with pytest.raises(InputError, match="found no sources"):
        readers.read_interactions([])
    for sources in ([None], ["u", 7][1:], [("u", "i")], [frame(), 7], [path, frame()], [{"user_id": "u"}]):
        with pytest.raises(InputTypeError, match=r"cannot read rows from|a source is|expected a path"):
            readers.read_interactions(sources, timestamp=None)
    kinds = r"Table 1 and DataFrame 0 are of different kinds \(an Arrow table and a pandas DataFrame\)"
    with pytest.raises(InputError, match=kinds):
        readers.read_interactions([frame(("u", "i")), pa.table(frame(("u", "i")))], timestamp=None)
    parquet = tmp_path / "a.parquet"
    frame(("u", "i")).to_parquet(parquet)
    with pytest.raises(
        InputError, match=r"\(a Parquet file and delimited text\); expected files or DataFrames"
    ):
        readers.read_interactions([path, parquet], timestamp=None)
    for name in (["user_id"], 0, ("user_id",), {"user_id"}):
        with pytest.raises(InputTypeError, match=r"the name of a column is .*; expected text"):
            readers.read_interactions(path, user=name, timestamp=None)


def test_a_timestamp_beyond_int64_is_a_bad_row():
    path = INPUTS / "uint64_timestamps.parquet"
    with pytest.raises(InputError, match=r"uint64_timestamps\.parquet row 1: timestamp 9223372036854775813"):
        readers.read_interactions(path)
    read = readers.read_interactions(path, on_error="skip", max_bad=1)
    assert rows(read) == [("u", "a", 1_700_000_000 * SECOND)]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([2**62], pa.timestamp("s")),
        ([2**62], pa.date64()),
        ([2**31 - 1], pa.date32()),
        ([2**64 - 1], pa.uint64()),
        ([1e300], pa.float64()),
        ([10**37], pa.decimal128(38, 0)),
    ],
)
def test_times_beyond_the_range_of_python_are_bad_rows(values, type_):
    integers = {8: pa.int64(), 4: pa.int32()}.get(getattr(type_, "bit_width", 0) // 8)
    is_time = pa.types.is_timestamp(type_) or pa.types.is_date(type_)
    column = pa.array(values, integers).view(type_) if is_time else pa.array(values, type_)
    table = pa.table({"user_id": ["u"], "item_id": ["i"], "timestamp": column})
    with pytest.raises(InputError, match="Table row 0: timestamp"):
        readers.read_interactions(table)
    if is_time:
        with pytest.raises(
            InputError, match=r"Table column 'timestamp' of type .*; expected years 1 to 9999"
        ):
            readers.read_items(table)


def test_unhashable_values_are_bad_rows(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"user_id": ["u"], "item_id": {"i": 1}}\n')
    objects = pd.DataFrame({"user_id": [["u"]], "item_id": [{"i": 1}]}, dtype="object")
    for source in (path, objects):
        for column in ("user_id", "item_id"):
            with pytest.raises(InvalidIdError, match=rf"{column} [\[{{]"):
                readers.read_interactions(source, user=column, item=column, timestamp=None)
        with pytest.raises(InvalidIdError, match=r"item_id \{'i': 1\}"):
            readers.read_items(source)
        with pytest.raises(InvalidIdError, match="user_id"):
            readers.read_edges(source, source_column="user_id", target_column="item_id")


def test_a_parquet_file_without_rows_has_no_interactions(tmp_path):
    table = pa.table(frame(("u", "i")))
    pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
    assert len(readers.read_interactions(tmp_path / "a.parquet", timestamp=None)) == 0
    pq.write_table(pa.table({}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="no column 'user_id'; found none"):
        readers.read_interactions(tmp_path / "a.parquet")
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="cannot be read as a Parquet file: "):
        readers.read_interactions(tmp_path / "a.parquet")


@pytest.mark.parametrize("name", ["events.zip", "utf16.csv"])
def test_archives_and_utf16(name):
    moments = [1_700_000_000 * SECOND, 1_700_000_060 * SECOND]
    assert rows(readers.read_interactions(INPUTS / name)) == [
        ("u1", item, moment) for item, moment in zip("ab", moments, strict=True)
    ]


def test_an_arrow_file_that_is_damaged_is_an_error(tmp_path):
    path = tmp_path / "a.feather"
    frame(*[("u", "i")] * 50).to_feather(path)
    content = path.read_bytes()
    for size in (8, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(InputError, match=r"a\.feather"):
            readers.read_interactions(path, timestamp=None)
    for position in range(8, len(content), 5):
        altered = bytearray(content)
        altered[position] ^= 0xFF
        path.write_bytes(altered)
        try:
            readers.read_interactions(path, timestamp=None)
        except InputError:
            continue
