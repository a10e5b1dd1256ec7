"""``prepare``: the DuckDB driver writes the shards that the adapters write in memory, from every format."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest
from disks import fill_at
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import fresh_folder

from item2vec import files
from item2vec.config import AdapterConfig
from item2vec.corpus import buckets, database, prepare, preparing
from item2vec.errors import (
    BundleExistsError,
    ConfigError,
    CorruptBundleError,
    InputError,
    InputTypeError,
    Item2VecError,
    LockHeldError,
    MissingExtraError,
    NothingToTrainError,
    WriteError,
)
from item2vec.readers.staging import InteractionFormat
from item2vec.sentences import Sentences
from item2vec.sharded import shard_of
from item2vec.shards.locks import locked

SAMPLE = Path("sample_data/listens.csv.gz")
DAY = 86_400
START = 1_700_000_000
IDS = (
    "A",
    "a",
    "1",
    "01",
    "é",
    "e\u0301",
    'say "x"',
    "o'b",
    "a,b",
    " a",
    "%",
    "日本語",
    "\ufeffx",
    "z" * 512,
)
FORMATS = ("parquet", "dated", "jsonl", "csv", "tsv", "csv.gz", "parts", "mixed")
COLUMNS = {"weight": "weight", "event": "event", "session": "session"}


@pytest.fixture(scope="module", autouse=True)
def _fast_disk():
    """Do not flush files to the disk, which takes most of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "flush", lambda descriptor: None)
        yield


rows = st.tuples(
    st.sampled_from(IDS),
    st.sampled_from(IDS),
    st.sampled_from([START, START + 60, START + 3600, START + 2 * DAY]),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from(["play", "skip", "it's"]),
    st.sampled_from(["s1", "S1"]),
)
frames = st.lists(rows, min_size=1, max_size=25).map(
    lambda drawn: pd.DataFrame(
        drawn, columns=["user_id", "item_id", "timestamp", "weight", "event", "session"]
    )
)
adapters = st.builds(
    AdapterConfig,
    kind=st.sampled_from(["histories", "sessions"]),
    gap=st.just("10min"),
    days=st.sampled_from([None, 1]),
    min_item_count=st.integers(1, 2),
    min_user_count=st.integers(1, 3),
    core=st.booleans(),
    min_length=st.integers(1, 2),
    max_length=st.sampled_from([None, 3]),
    drop_longer_than=st.sampled_from([None, 4]),
    collapse_repeats=st.booleans(),
    ordered=st.booleans(),
)


def write(frame: pd.DataFrame, folder: Path, kind: str) -> Path:
    """Write a frame in a format, and return the path to read."""
    path = folder / f"data.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "dated":
        path = folder / "dated.parquet"
        frame.assign(timestamp=pd.to_datetime(frame.timestamp, unit="s", utc=True)).to_parquet(path)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, frame.to_dict("records"))) + "\n")
    elif kind in ("parts", "mixed"):
        path = folder / kind
        path.mkdir()
        (path / "_SUCCESS").touch()
        half = len(frame) // 2
        frame[:half].to_parquet(path / "part-0.parquet")
        second = frame[half:] if kind == "parts" else frame[half:][[*reversed(frame.columns)]]
        second.to_parquet(path / "part-1.parquet")
    else:
        text = frame.to_csv(index=False, sep="\t" if kind == "tsv" else ",")
        path.write_bytes(gzip.compress(text.encode()) if kind.endswith("gz") else text.encode())
    return path


def content(folder: Path) -> dict[str, bytes]:
    """Return the content of each file of a corpus by its path."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def both(source: Path, folder: Path, **arguments) -> tuple[dict, dict]:
    """Prepare a source with both drivers, and return the contents, or the errors, of both."""
    results = []
    for driver in ("duckdb", "memory"):
        try:
            prepare(source, out=folder / driver, driver=driver, **arguments)
            results.append(content(folder / driver))
        except Item2VecError as error:
            results.append((type(error), str(error)))
    return results[0], results[1]


@pytest.mark.slow
def test_drivers_write_the_same_bytes_from_every_format(tmp_path_factory):
    @examples(60)
    @given(frames, adapters, st.sampled_from(FORMATS), st.integers(1, 3), st.booleans())
    def check(frame, adapter, kind, shards, has_columns):
        folder = fresh_folder(tmp_path_factory)
        source = write(frame, folder, kind)
        columns = COLUMNS if has_columns else {}
        ours, reference = both(source, folder, adapter=adapter, shards=shards, **columns)
        assert ours == reference

    check()


def test_users_are_dealt_by_the_hash_of_their_ids_and_keep_the_order_of_equal_timestamps(tmp_path):
    listens = pd.DataFrame(
        [["b", "x", 5], ["a", "y", 5], ["b", "w", 5], ["B", "x", 1], ["b", "v", 4]],
        columns=["user_id", "item_id", "timestamp"],
    )
    listens.timestamp += START
    listens.to_parquet(tmp_path / "listens.parquet")
    corpus = prepare(tmp_path / "listens.parquet", out=tmp_path / "corpus", shards=2)
    sentences = {"a": ["y"], "b": ["v", "x", "w"], "B": ["x"]}
    for number in (0, 1):
        users = [user for user in ("B", "a", "b") if shard_of(user, 2) == number]
        assert list(corpus.shards[number]) == [sentences[user] for user in users]
    assert corpus.vocabulary.ids == ("x", "v", "w", "y")  # by count, then by id


@pytest.mark.parametrize("core", [False, True])
def test_minimum_counts_are_applied_once_or_repeatedly(core, tmp_path):
    # c is dropped with v; then a has one interaction; then u has one.
    chain = [("u", "a"), ("u", "b"), ("v", "a"), ("v", "c"), ("w", "b"), ("w", "d"), ("x", "b"), ("x", "d")]
    pd.DataFrame(chain, columns=["user_id", "item_id"]).to_parquet(tmp_path / "chain.parquet")
    adapter = AdapterConfig(min_item_count=2, min_user_count=2, core=core)
    ours, reference = both(tmp_path / "chain.parquet", tmp_path, adapter=adapter, timestamp=None)
    assert ours == reference
    corpus = Sentences.open(tmp_path / "duckdb")
    left = [["b", "d"], ["b", "d"]]
    assert sorted(map(sorted, corpus)) == ([["a", "b"], *left] if not core else left)


def test_rows_that_need_no_conversion_are_read_by_duckdb_and_all_others_by_the_readers(tmp_path):
    frame = pd.DataFrame({"user_id": ["u"], "item_id": [7], "timestamp": [START]})
    frame.to_parquet(tmp_path / "plain.parquet")
    assert InteractionFormat().as_found([tmp_path / "plain.parquet"]).unit == "s"
    others = {
        "floats": frame.assign(item_id=[7.0]),
        "bytes": frame.assign(user_id=[b"u"]),
        "layout": frame.assign(timestamp=[20240131]),
        "text": frame.assign(timestamp=["2024-01-31"]),
        "case": frame.assign(USER_ID=["v"]),
    }
    for name, other in others.items():
        other.to_parquet(tmp_path / f"{name}.parquet")
        assert InteractionFormat().as_found([tmp_path / f"{name}.parquet"]) is None, name
        ours, reference = both(tmp_path / f"{name}.parquet", tmp_path / name)
        assert ours == reference, name


def test_names_of_folders_are_neither_columns_nor_patterns(tmp_path):
    folder = tmp_path / "user_id=5" / "[a]*"
    folder.mkdir(parents=True)
    frame = pd.DataFrame({"user_id": ["u"], "item_id": ["a"], "timestamp": [START]})
    ours, reference = both(write(frame, folder, "parquet"), folder)
    assert ours == reference
    assert Sentences.open(folder / "duckdb").users[0] == ("u",)


def test_errors_of_duckdb_become_errors_of_this_package():
    for error, expected, message in [
        (duckdb.OutOfMemoryException("no more"), InputError, "memory is 1GB, which is too little"),
        (duckdb.IOException("disk full"), WriteError, "disk full; check the space on the disk"),
        (duckdb.Error("other"), InputError, r"DuckDB failed: other \(working in x\)"),
    ]:
        with pytest.raises(expected, match=message), database.failures(Path("x"), "1GB"):
            raise error


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"user_id": [None, "u"]}, "row 0: user_id None"),
        ({"item_id": ["a", ""]}, "row 1: item_id ''"),
        ({"item_id": ["a", "x\0"]}, "row 1: item_id"),
        ({"item_id": ["a", "x" * 513]}, "row 1: item_id"),
        ({"timestamp": [START, 0]}, "row 1: timestamp 0"),
        ({"weight": [1.0, -1.0]}, "row 1: weight -1.0"),
        ({"weight": [np.inf, 1.0]}, "row 0: weight inf"),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_bad_row_is_an_error_with_its_position_and_leaves_nothing(kind, change, expected, tmp_path):
    frame = pd.DataFrame(
        {"user_id": ["t", "u"], "item_id": ["a", "b"], "timestamp": [START, START], "weight": [1.0, 2.0]}
    ).assign(**change)
    source = write(frame, tmp_path, kind)
    ours, reference = both(source, tmp_path, weight="weight")
    assert ours == reference
    if kind == "parquet":
        assert expected in ours[1]
    assert {path.name for path in tmp_path.iterdir()} == {source.name}


def test_bad_rows_are_skipped_and_counted_like_the_readers_do(tmp_path):
    source = tmp_path / "listens.csv"
    source.write_text("user_id,item_id,timestamp\n" + f"u,a,{START}\n" * 30 + "u,,1\n")
    faults = []
    corpus = prepare(source, out=tmp_path / "corpus", on_error="skip", on_skip=faults.append)
    assert [len(corpus), corpus.n_tokens, [fault.number for fault in faults]] == [1, 30, [32]]


def test_a_dislike_that_does_not_occur_is_logged_once_for_all_shards(tmp_path, caplog):
    source = tmp_path / "shop.csv"
    rows = "".join(f"u{n},a,{START},play\n" for n in range(9))
    source.write_text("user_id,item_id,timestamp,event\n" + rows)
    adapter = AdapterConfig(events={"play": 1, "skipp": -1})
    prepare(source, out=tmp_path / "corpus", shards=3, event="event", adapter=adapter)
    assert sum("no interaction has the event 'skipp'" in message for message in caplog.messages) == 1


@pytest.mark.slow
def test_a_killed_preparation_continues_and_writes_the_same_bytes(tmp_path):
    arguments = {"out": str(tmp_path / "corpus"), "shards": 5}
    script = (
        "import os, item2vec.corpus.preparing as preparing\n"
        "read = preparing.read_bucket\n"
        "preparing.read_bucket = lambda *a: os.kill(os.getpid(), 9) if a[1] == 3 else read(*a)\n"
        f"preparing.prepare({str(SAMPLE)!r}, **{arguments})"
    )
    killed = subprocess.run([sys.executable, "-c", script], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "corpus").exists()
    assert (tmp_path / ".corpus.partial" / "00002").is_dir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "Database", None)  # no row is read again
        patch.setattr(preparing, "read_bucket", counted := Counted(buckets.read_bucket))
        prepare(SAMPLE, **arguments)
    assert counted.numbers == [3, 4]
    prepare(SAMPLE, out=tmp_path / "whole", shards=5)
    assert content(tmp_path / "corpus") == content(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"corpus", "whole"}


class Counted:
    """A function that records the second argument of each call."""

    def __init__(self, function):
        self.function, self.numbers = function, []

    def __call__(self, *arguments):
        self.numbers.append(arguments[1])
        return self.function(*arguments)


def interrupted(source, out, monkeypatch):
    """Prepare a file up to the first bucket, which cannot be read."""
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "read_bucket", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            prepare(source, out=out)


def test_changed_files_are_read_again(tmp_path, monkeypatch):
    source = tmp_path / "listens.csv"
    source.write_text(f"user_id,item_id,timestamp\nu,a,{START}\n")
    interrupted(source, tmp_path / "corpus", monkeypatch)
    source.write_text(f"user_id,item_id,timestamp\nu,bb,{START}\n")
    assert list(prepare(source, out=tmp_path / "corpus")) == [["bb"]]


def test_a_full_disk_leaves_no_part_of_the_state(tmp_path, monkeypatch):
    source = tmp_path / "listens.csv"
    source.write_text(f"user_id,item_id,timestamp\nu,a,{START}\n")
    with monkeypatch.context() as patch:
        fill_at(patch, "coded.json")
        with pytest.raises(WriteError, match="corpus could not be written: No space left"):
            prepare(source, out=tmp_path / "corpus")
    assert [*tmp_path.iterdir()] == [source]
    assert list(prepare(source, out=tmp_path / "corpus")) == [["a"]]


@pytest.mark.parametrize("damaged", ["", '{"source": "0a', "\0\0"])
def test_a_damaged_state_is_written_again(tmp_path, monkeypatch, damaged):
    source = tmp_path / "listens.csv"
    source.write_text(f"user_id,item_id,timestamp\nu,a,{START}\n")
    interrupted(source, tmp_path / "corpus", monkeypatch)
    (tmp_path / ".corpus.rows" / "coded.json").write_text(damaged)
    assert list(prepare(source, out=tmp_path / "corpus")) == [["a"]]


def test_the_vocabulary_is_read_in_the_order_of_its_file(tmp_path, monkeypatch):
    """Several threads of DuckDB read different row groups of the file."""
    monkeypatch.setattr(database, "usable_cpus", lambda: 4)
    ids, path = [f"item {number}" for number in range(200_000)], tmp_path / "vocabulary.parquet"
    pd.DataFrame({"id": ids, "count": 1}).to_parquet(path, row_group_size=2_048)
    assert [id_ for batch in database.read_vocabulary(path) for id_ in batch["id"].to_pylist()] == ids


def test_rows_of_a_bucket_are_counted(tmp_path, monkeypatch):
    source = tmp_path / "listens.csv"
    source.write_text(f"user_id,item_id,timestamp\nu,a,{START}\n")
    interrupted(source, tmp_path / "corpus", monkeypatch)
    (tmp_path / ".corpus.rows" / "buckets" / "00000.rows").write_bytes(b"")
    with pytest.raises(CorruptBundleError, match="has 0 bytes; expected 24"):
        prepare(source, out=tmp_path / "corpus")


def test_a_second_preparation_of_the_same_folder_is_refused(tmp_path):
    work = tmp_path / ".corpus.rows"
    work.mkdir()
    lock = locked(work)
    with pytest.raises(LockHeldError, match="another writer, in this or another process, holds the lock of"):
        prepare(SAMPLE, out=tmp_path / "corpus")
    os.close(lock)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"memory": "2 GBytes"}, ConfigError, "memory is '2 GBytes'; expected a size of at least 512MB"),
        ({"memory": "1MB"}, ConfigError, "expected a size of at least 512MB"),
        ({"shards": 0}, ConfigError, "shards is 0; expected an integer of at least 1"),
        ({"driver": "spark"}, ConfigError, "driver is 'spark'; expected 'duckdb' or 'memory'"),
        ({"users": "u"}, InputTypeError, "unknown argument 'users'; expected some of user, item"),
        ({"adapter": AdapterConfig(group_by="artist")}, ConfigError, "save_shards"),
        ({"adapter": AdapterConfig(events=["play"])}, InputError, "no event column"),
        ({"adapter": AdapterConfig(min_item_count=10**9)}, NothingToTrainError, "select none of 59,096"),
        ({"timestamp": None, "adapter": AdapterConfig(days=1)}, ConfigError, "no timestamps"),
        (
            {"timestamp": None, "adapter": AdapterConfig(kind="sessions")},
            InputError,
            "neither a session column",
        ),
        ({"item": "track"}, InputError, "has no column 'track'"),
    ],
)
def test_an_invalid_argument_is_named_and_nothing_is_left(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        prepare(SAMPLE, out=tmp_path / "corpus", **arguments)
    assert not [*tmp_path.iterdir()]


def test_an_existing_folder_and_missing_files_are_errors(tmp_path):
    with pytest.raises(BundleExistsError, match="already exists"):
        prepare(SAMPLE, out=tmp_path)
    with pytest.raises(InputError, match="no-such-file"):
        prepare(tmp_path / "no-such-file.csv", out=tmp_path / "corpus")
    with pytest.raises(InputError, match="files is empty"):
        prepare([], out=tmp_path / "corpus")
    (tmp_path / "empty.csv").write_text("user_id,item_id,timestamp\n")
    with pytest.raises(InputError, match="found no rows in"):
        prepare(tmp_path / "empty.csv", out=tmp_path / "corpus")


def test_without_duckdb_the_error_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, "item2vec.corpus.database")
    monkeypatch.delattr("item2vec.corpus.database")
    with pytest.raises(MissingExtraError, match=r"pip install 'item2vec\[bigdata\]'.*driver='memory'"):
        prepare(SAMPLE, out=tmp_path / "corpus")
    assert len(prepare(SAMPLE, out=tmp_path / "corpus", driver="memory")) == 800
