"""A sharded corpus equals the sentences that were saved; its files are written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import pickle
import signal
import subprocess
import sys
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from corpora import rows_of
from disks import fill_at
from examples import examples
from hypothesis import assume, given
from hypothesis import strategies as st
from strategies import ODD_IDS, corpora, fresh_folder

from item2vec import files
from item2vec.adapters import save_shards
from item2vec.adapters.histories import training_sentences
from item2vec.config import AdapterConfig
from item2vec.errors import (
    BundleExistsError,
    CorruptBundleError,
    InputError,
    InvalidIdError,
    LockHeldError,
    UnknownItemError,
    WriteError,
)
from item2vec.interactions import Interactions
from item2vec.items import Items
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.sharded import ShardWriter, shard_of
from item2vec.shards import arrow, hashing
from item2vec.shards.users import write_users
from item2vec.types import Vocabulary

LISTS = Sentences.of([["a", "b", "c"], [], ["b", "c"], ["é", "a"]])


@pytest.fixture(scope="module", autouse=True)
def _fast_disk():
    """Do not flush files to the disk, which takes most of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "flush", lambda descriptor: None)
        yield


@pytest.fixture(params=["tuple", "mapped"])
def either(request, monkeypatch):
    """Run a test with a vocabulary on each side of the switch between a tuple and a mapped file."""
    if request.param == "mapped":
        monkeypatch.setattr(arrow, "LARGEST_TUPLE", 0)
        monkeypatch.setattr(arrow, "BLOCK", 3)
        monkeypatch.setattr(arrow, "SINGLE", 2)
    return request.param


@st.composite
def weighted(draw):
    """Draw sentences with or without weights, with or without timestamps, ordered or unordered."""
    sentences = Sentences.of(draw(corpora()), ordered=draw(st.booleans()))
    n = len(sentences.tokens)
    if draw(st.booleans()):
        weights = draw(st.lists(st.floats(-9, 9, width=32), min_size=n, max_size=n))
        sentences = dataclasses.replace(sentences, weights=np.array(weights, dtype=np.float32))
    if draw(st.booleans()):
        times = draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n))
        sentences = dataclasses.replace(sentences, timestamps=np.array(times, dtype=np.int64))
    return sentences


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@examples(40)
@given(sentences=weighted(), shards=st.integers(1, 5), data=st.data())
def test_an_opened_corpus_equals_the_saved_sentences(tmp_path_factory, sentences, shards, data):
    folder = fresh_folder(tmp_path_factory)
    sentences.save(folder / "corpus", shards=shards)
    corpus = Sentences.open(folder / "corpus")
    assert isinstance(corpus, ShardedSentences)
    assert (len(corpus), corpus.n_tokens, len(corpus.shards)) == (
        len(sentences),
        len(sentences.tokens),
        shards,
    )
    assert list(corpus) == list(sentences)
    assert corpus.vocabulary == sentences.vocabulary
    assert corpus.ordered == sentences.ordered
    assert corpus.lengths.tolist() == sentences.lengths.tolist()
    assert corpus.counts().tolist() == sentences.counts().tolist()
    assert [row for shard in corpus.shards for row in rows_of(shard)] == rows_of(sentences)
    assert corpus.whole().fingerprint() == sentences.fingerprint()
    if shards == 1:
        assert corpus.shards[0].fingerprint() == sentences.fingerprint()
    again = Sentences.open(folder / "corpus").fingerprint()
    assert corpus.fingerprint() == again == corpus.derive(lambda _, shard: shard).fingerprint()
    indices = st.lists(st.integers(-len(corpus), len(corpus) - 1), max_size=6) if corpus else st.just([])
    rows = np.array(data.draw(indices), dtype=np.int64)
    assert rows_of(corpus.take(rows)) == rows_of(sentences.take(rows))
    start, stop, step = data.draw(
        st.tuples(*[st.none() | st.integers(-6, 6)] * 2, st.sampled_from([1, 2, -1]))
    )
    assert list(corpus[start:stop:step]) == list(sentences[start:stop:step])
    for row in range(-len(corpus), len(corpus)):
        assert corpus[row] == sentences[row]
    with pytest.raises(IndexError):
        corpus[len(corpus)]


def test_runs_have_about_equal_numbers_of_tokens(tmp_path):
    lists = Sentences.of([["a"] * 6, ["b"], ["c"] * 3, [], ["d"] * 2])
    lists.save(tmp_path / "corpus", shards=3)
    corpus = Sentences.open(tmp_path / "corpus")
    assert [list(map(len, shard)) for shard in corpus.shards] == [[6], [1, 3], [0, 2]]
    assert repr(corpus) == "ShardedSentences(3 shards, 5 sentences, 12 tokens, 4 items)"


def test_a_derived_corpus_is_computed_shard_by_shard(tmp_path):
    LISTS.save(tmp_path / "corpus", shards=2)
    corpus = Sentences.open(tmp_path / "corpus")
    longer = corpus.derive(lambda _, shard: shard.take(shard.lengths > 2))
    assert (list(longer), longer.n_tokens, len(longer)) == ([["a", "b", "c"]], 3, 1)
    assert longer.fingerprint() != corpus.fingerprint()
    numbered = corpus.derive(lambda number, shard: shard[:number])
    assert list(numbered) == [[]]


IDS = sorted({*ODD_IDS, *map(str, range(40))})


def test_a_mapped_vocabulary_has_the_surface_of_a_tuple(monkeypatch, tmp_path, either):
    plain = Vocabulary(tuple(IDS))
    arrow.write_vocabulary(tmp_path, IDS, np.arange(len(IDS)))
    mapped = arrow.open_vocabulary(tmp_path, len(IDS))
    assert isinstance(mapped, arrow.ArrowVocabulary) == (either == "mapped")
    assert (tmp_path / "vocabulary.codes.npy").exists() == (either == "mapped")
    assert len(mapped) == len(plain)
    assert list(mapped) == list(plain)
    assert mapped == plain
    assert plain == mapped
    assert mapped != Vocabulary(tuple(IDS[1:]))
    assert Vocabulary(tuple(reversed(IDS))) != mapped
    assert hash(mapped) == hash(plain)
    assert repr(mapped) == repr(plain)
    wanted = [*reversed(IDS), "unheard-of", "\ud800", ""]
    assert mapped.encode(wanted).tolist() == plain.encode(wanted).tolist()
    assert mapped.encode(mapped.ids).tolist() == list(range(len(IDS)))
    assert mapped.encode(iter([])).tolist() == []
    codes = np.array([3, 0, 3, len(IDS) - 1])
    assert mapped.decode(codes) == plain.decode(codes)
    assert mapped.decode(codes.tolist()) == plain.decode(codes)
    assert mapped.decode([]) == []
    assert mapped.take(np.array([5, 1, 4])) == plain.take(np.array([5, 1, 4]))
    assert mapped.ids[2:5] == plain.ids[2:5]
    assert mapped.ids[-1] == plain.ids[-1]
    assert ("1" in mapped, "unheard-of" in mapped, 7 in mapped) == (True, False, False)
    assert mapped.code("1") == plain.code("1")
    assert mapped.closest("blue") == plain.closest("blue")
    assert pickle.loads(pickle.dumps(mapped)) == plain
    for call in (lambda v: v.code("'a"), lambda v: v.decode([len(IDS)]), lambda v: v.encode([7])):
        messages = []
        for vocabulary in (plain, mapped):
            with pytest.raises((UnknownItemError, InputError)) as error:
                call(vocabulary)
            messages.append((type(error.value), str(error.value)))
        assert messages[0] == messages[1]


def test_different_ids_of_equal_hashes_are_distinguished(monkeypatch):
    monkeypatch.setattr(hashing, "hashes_of", lambda ids: np.full(len(ids), 7, dtype=np.uint64))
    monkeypatch.setattr(hashing, "hash_of", lambda encoded: 7)
    monkeypatch.setattr(arrow, "SINGLE", 1)
    vocabulary = arrow.ArrowVocabulary(pa.chunked_array([["a", "b"], ["c"]]))
    assert vocabulary.encode(["c", "x", "a", "b"]).tolist() == [2, -1, 0, 1]
    assert [id_ in vocabulary for id_ in "cxab"] == [True, False, True, True]


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), st.integers(0, 5))
def test_hashes_depend_on_the_bytes_of_an_id_only(texts, start):
    array = pa.array(texts, pa.string()).slice(start)
    hashes = hashing.hashes_of(array).tolist()
    alone = [int(hashing.hashes_of(pa.array([text]))[0]) for text in texts[start:]]
    assert hashes == alone == [hashing.hash_of(text.encode()) for text in texts[start:]]
    assert len(set(zip(hashes, texts[start:], strict=True))) == len(set(texts[start:])) == len(set(hashes))


@pytest.mark.parametrize(
    ("ids", "error"),
    [
        (["a", "a"], InputError),
        (["a", ""], InvalidIdError),
        (["a", "b\0"], InvalidIdError),
        (["a", "x" * 513], InvalidIdError),
        (["a", None], InvalidIdError),
    ],
)
@pytest.mark.parametrize("form", ["list", "arrow", "batches"])
def test_invalid_ids_are_errors(tmp_path, either, ids, error, form):
    arguments = {
        "list": (ids, [1] * len(ids)),
        "arrow": (pa.array(ids), [1] * len(ids)),
        "batches": (iter([pa.record_batch({"id": [id_], "count": [1]}) for id_ in ids]),),
    }[form]
    with pytest.raises(InputError if form == "list" else error):
        ShardWriter(tmp_path / "corpus", *arguments)


def test_arrow_batches_of_any_size_give_the_same_bytes(tmp_path, either):
    ids, counts = [f"item {n}" for n in range(8)], list(range(8, 0, -1))
    batches = [pa.record_batch({"id": ids[a:b], "count": counts[a:b]}) for a, b in ((0, 2), (2, 7), (7, 8))]
    large = pa.chunked_array([pa.array(ids, pa.large_string())])
    for name, arguments in (("list", (ids, counts)), ("batches", (batches,)), ("large", (large, counts))):
        with ShardWriter(tmp_path / name, *arguments) as writer:
            writer.write(0, np.array([7, 0]), np.array([0, 2]))
            writer.finish()
    assert contents(tmp_path / "list") == contents(tmp_path / "batches") == contents(tmp_path / "large")
    assert list(Sentences.open(tmp_path / "batches")) == [["item 7", "item 0"]]


@pytest.fixture
def saved(tmp_path):
    times = np.arange(len(LISTS.tokens))
    dataclasses.replace(LISTS, timestamps=times).save(tmp_path / "corpus", shards=2)
    return tmp_path / "corpus"


def read_all(folder):
    return list(Sentences.open(folder))


FILES = ["vocabulary.arrow", "00000/tokens.npy", "00001/offsets.npy", "00001/timestamps.npy"]


@pytest.mark.parametrize("name", [*FILES, "vocabulary.hashes.npy", "vocabulary.codes.npy"])
@pytest.mark.parametrize("damage", ["removed", "truncated", "altered"])
def test_a_damaged_file_is_named(monkeypatch, tmp_path, name, damage):
    monkeypatch.setattr(arrow, "LARGEST_TUPLE", 0)
    folder = tmp_path / "corpus"
    dataclasses.replace(LISTS, timestamps=np.arange(len(LISTS.tokens))).save(folder, shards=2)
    path = folder / name
    content = path.read_bytes()
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(content[:-1] if damage == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(CorruptBundleError, match=path.name):
        read_all(folder)


def test_a_shard_is_verified_at_its_first_access(saved):
    (saved / "00001" / "tokens.npy").write_bytes(b"")
    corpus = Sentences.open(saved)
    assert corpus[0] == ["a", "b", "c"]
    with pytest.raises(CorruptBundleError, match="00001"):
        corpus.shards[1]


@pytest.mark.parametrize(
    "changed",
    [
        {"format": 2},
        {"kind": "sentences"},
        {"ordered": 1},
        {"columns": ["weights"]},
        {"columns": ["timestamps", "timestamps"]},
        {"columns": ["x"]},
        {"columns": None},
        {"n_items": 5},
        {"n_items": 4.0},
        {"n_tokens": 8},
        {"n_sentences": 5},
        {"shards": []},
        {"shards": None},
        {"shards": [{"name": "../other"}]},
        {"sha256": {}},
        {"sha256": {"vocabulary.arrow": "0" * 64}},
        {"more": 1},
    ],
    ids=str,
)
def test_a_wrong_manifest_is_an_error(saved, changed):
    manifest = json.loads((saved / "corpus.json").read_text())
    (saved / "corpus.json").write_text(json.dumps(manifest | changed))
    with pytest.raises(CorruptBundleError, match=r"corpus\.json"):
        read_all(saved)


@pytest.mark.parametrize("key", ["format", "kind", "ordered", "columns", "n_items", "shards", "sha256"])
def test_an_incomplete_manifest_is_an_error(saved, key):
    manifest = json.loads((saved / "corpus.json").read_text())
    del manifest[key]
    (saved / "corpus.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptBundleError, match=r"corpus\.json"):
        read_all(saved)


def test_shard_names_outside_the_folder_are_refused(saved):
    manifest = json.loads((saved / "corpus.json").read_text())
    manifest["shards"][0]["name"] = "../corpus/00000"
    (saved / "corpus.json").write_text(json.dumps(manifest))
    with pytest.raises(CorruptBundleError, match="is damaged"):
        Sentences.open(saved)


WRITE = """
import os, signal, sys
import numpy as np
from item2vec import files
from item2vec.sentences import Sentences

path, kills_at = sys.argv[1], int(sys.argv[2])
write, written = files.write_array, 0

def counted(*arguments):
    global written
    written += 1
    if written == kills_at:
        os.kill(os.getpid(), signal.SIGKILL)
    write(*arguments)

files.write_array = counted
Sentences.of([[f"{n % 7}", f"{n % 5}"] for n in range(30)]).save(path, shards=4)
"""


def test_a_killed_writer_is_continued_with_the_same_bytes(tmp_path):
    Sentences.of([[f"{n % 7}", f"{n % 5}"] for n in range(30)]).save(tmp_path / "whole", shards=4)
    killed = subprocess.run(
        [sys.executable, "-c", WRITE, str(tmp_path / "corpus"), "6"], check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    partial = tmp_path / ".corpus.partial"
    assert not (tmp_path / "corpus").exists()
    first = partial / "00000" / "tokens.npy"
    before = first.stat()
    assert {path.name for path in partial.iterdir() if path.name.startswith("0000")} == {"00000", "00001"}
    Sentences.of([[f"{n % 7}", f"{n % 5}"] for n in range(30)]).save(tmp_path / "corpus", shards=4)
    after = (tmp_path / "corpus" / "00000" / "tokens.npy").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert contents(tmp_path / "corpus") == contents(tmp_path / "whole")
    assert not partial.exists()


def unfinished(path, **arguments):
    """Write shard 0 of 2 and stop."""
    given = {"ids": ["a", "b"], "counts": [2, 1], "n_shards": 2, "source": "s"} | arguments
    with ShardWriter(path, **given) as writer:
        writer.write(0, np.array([0]), np.array([0, 1]))


@pytest.mark.parametrize(
    "changed",
    [
        {"ids": ["a", "c"]},
        {"counts": [3, 1]},
        {"n_shards": 3},
        {"source": "t"},
        {"ordered": False},
        {"columns": ["weights"]},
    ],
    ids=str,
)
def test_shards_of_other_arguments_are_not_continued(tmp_path, changed):
    unfinished(tmp_path / "corpus")
    given = {"ids": ["a", "b"], "counts": [2, 1], "n_shards": 2, "source": "s"}
    with ShardWriter(tmp_path / "corpus", **given) as writer:
        assert writer.missing() == [1]
    with ShardWriter(tmp_path / "corpus", **(given | changed)) as writer:
        assert writer.missing() == list(range(writer.n_shards))


@pytest.mark.parametrize("name", ["tokens.npy", "shard.json"])
def test_a_damaged_complete_shard_is_written_again(tmp_path, caplog, name):
    unfinished(tmp_path / "corpus")
    (tmp_path / ".corpus.partial" / "00000" / name).write_bytes(b"x")
    with ShardWriter(tmp_path / "corpus", ["a", "b"], [2, 1], n_shards=2, source="s") as writer:
        assert writer.missing() == [0, 1]
    assert "written again" in caplog.text


def test_a_full_disk_leaves_no_part_of_the_header(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        fill_at(patch, "header.json")
        with pytest.raises(WriteError, match="corpus could not be written: No space left"):
            unfinished(tmp_path / "corpus")
    assert not (tmp_path / ".corpus.partial" / "header.json").exists()
    unfinished(tmp_path / "corpus")


@pytest.mark.parametrize("damaged", ["", '{"columns": [', "\0\0"])
def test_shards_of_a_damaged_header_are_written_again(tmp_path, damaged):
    unfinished(tmp_path / "corpus")
    (tmp_path / ".corpus.partial" / "header.json").write_text(damaged)
    with ShardWriter(tmp_path / "corpus", ["a", "b"], [2, 1], n_shards=2, source="s") as writer:
        assert writer.missing() == [0, 1]


@pytest.mark.parametrize("recount", [False, True])
def test_no_shard_is_lost_in_finish(tmp_path, monkeypatch, recount):
    """The process is killed before the folder is renamed, or at once afterwards."""

    def finished(name):
        with ShardWriter(tmp_path / name, ["a", "b"], [0, 0], n_shards=2, source="s") as writer:
            n_missing = len(writer.missing())
            for number in writer.missing():
                writer.write(number, np.array([number, 1]), np.array([0, 2]))
            writer.finish(recount=recount)
        return n_missing

    def killed(staging, path, rename=files.rename_into_place):
        if path.name == "renamed":
            rename(staging, path)
        if path.name in {"before", "renamed"}:
            raise KeyboardInterrupt
        rename(staging, path)

    assert finished("whole") == 2
    with monkeypatch.context() as patch:
        patch.setattr(files, "rename_into_place", killed)
        for name in ("before", "renamed"):
            with pytest.raises(KeyboardInterrupt):
                finished(name)
    assert finished("before") == 0
    assert contents(tmp_path / "before") == contents(tmp_path / "whole")
    assert list(Sentences.open(tmp_path / "renamed")) == list(Sentences.open(tmp_path / "whole"))


def test_files_of_a_killed_process_are_not_part_of_the_corpus(tmp_path):
    with ShardWriter(tmp_path / "corpus", ["a"], [1]) as writer:
        writer.write(0, np.array([0]), np.array([0, 1]))
        (writer.folder / ".00000.1f.tmp").mkdir()
        writer.finish()
    assert sorted(path.name for path in (tmp_path / "corpus").iterdir()) == [
        "00000",
        "corpus.json",
        "vocabulary.arrow",
    ]


def test_descending_bounds_of_runs_are_an_error(tmp_path):
    sentences = Sentences.of([["a"], ["b"], ["a"]])
    with (
        ShardWriter(tmp_path / "corpus", ["a", "b"], [2, 1], n_shards=3) as writer,
        pytest.raises(InputError, match="expected 4 ascending numbers, the first 0 and the last 3"),
    ):
        writer.write_runs(np.array([0, 2, 1, 3]), sentences.tokens, sentences.offsets)


def test_two_writers_exclude_each_other(tmp_path):
    with (
        ShardWriter(tmp_path / "corpus", ["a"], [1]),
        pytest.raises(LockHeldError, match="another process"),
    ):
        ShardWriter(tmp_path / "corpus", ["a"], [1])
    with ShardWriter(tmp_path / "corpus", ["a"], [1]) as writer:
        pickle.loads(pickle.dumps(writer)).write(0, np.array([0]), np.array([0, 1]))
        writer.finish()
    with pytest.raises(InputError, match="is already finished"):
        writer.write(0, np.array([0]), np.array([0, 1]))
    assert list(Sentences.open(tmp_path / "corpus")) == [["a"]]
    with pytest.raises(BundleExistsError):
        ShardWriter(tmp_path / "corpus", ["a"], [1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"number": 2}, "number is 2"),
        ({"tokens": np.array([2])}, "tokens are from 2 to 2; expected codes of the vocabulary, from 0 to 1"),
        ({"offsets": np.array([0, 2])}, "offsets"),
        ({"weights": np.array([1.0])}, "columns"),
    ],
)
def test_inconsistent_shards_are_refused(tmp_path, arguments, message):
    with ShardWriter(tmp_path / "corpus", ["a", "b"], [1, 1], n_shards=2) as writer:
        with pytest.raises(InputError, match=message):
            writer.write(**({"number": 0, "tokens": np.array([0]), "offsets": np.array([0, 1])} | arguments))
        with pytest.raises(InputError, match="2 of 2 shards are missing"):
            writer.finish()


USERS = ["ann", "bob", "carl", "dan", "éva", "z", "😀"]


@st.composite
def interactions(draw):
    n = draw(st.integers(1, 30))
    rows = st.lists(
        st.tuples(
            st.sampled_from(USERS), st.sampled_from("abcdef"), st.integers(0, 9), st.sampled_from([1.0, 2.0])
        ),
        min_size=n,
        max_size=n,
    )
    user, item, minute, weight = zip(*draw(rows), strict=True)
    times = np.array(minute) * 60_000_000
    return Interactions.of(user=user, item=item, timestamp=times, weight=weight)


ADAPTERS = [
    AdapterConfig(),
    AdapterConfig(kind="sessions", gap="2min"),
    AdapterConfig(min_item_count=2, min_user_count=2, min_length=2, max_length=3),
    AdapterConfig(collapse_repeats=True, drop_longer_than=5, ordered=False),
    AdapterConfig(group_by="group", min_length=2),
]
ITEMS = Items.of({item: {"group": "vowel" if item in "ae" else "other"} for item in "abcde"})


@examples(40)
@given(data=interactions(), shards=st.integers(1, 5), adapter=st.sampled_from(ADAPTERS))
def test_saved_interactions_equal_the_training_sentences(tmp_path_factory, data, shards, adapter):
    assume(adapter.group_by is None or {*data.items.ids} != {"f"})  # an error, because no item has a group
    expected = training_sentences(data, adapter, ITEMS)
    folder = fresh_folder(tmp_path_factory) / "corpus"
    save_shards(data, adapter, folder, shards=shards, items=ITEMS)
    corpus = Sentences.open(folder)
    assert corpus.ordered == adapter.ordered
    assert Counter(row for shard in corpus.shards for row in rows_of(shard)) == Counter(rows_of(expected))
    assert {*expected.vocabulary.ids} <= {*corpus.vocabulary.ids}


def test_users_are_dealt_by_hash_and_ordered_by_id(tmp_path):
    # Each user has one item, named after the user; rows are in the opposite order of users.
    names = [f"user {n}" for n in range(40)] + ["é", "z"]
    data = Interactions.of(user=names[::-1] * 2, item=names[::-1] * 2)
    save_shards(data, AdapterConfig(), tmp_path / "corpus", shards=4)
    corpus = Sentences.open(tmp_path / "corpus")
    for number, shard in enumerate(corpus.shards):
        owners = [name for name in names if shard_of(name, 4) == number]
        assert [sentence[0] for sentence in shard] == sorted(owners, key=str.encode)
    assert corpus.vocabulary.ids == tuple(sorted(names, key=str.encode))


def test_the_file_of_users_depends_on_their_ids_only(tmp_path):
    names = [f"user {n}" for n in range(5)]
    slices = {"list": names[:3], "slice": pa.array(names)[:3], "later slice": pa.array(["x", *names])[1:4]}
    for name, users in slices.items():
        (tmp_path / name).mkdir()
        write_users(tmp_path / name, users, 3)
    assert contents(tmp_path / "slice") == contents(tmp_path / "list") == contents(tmp_path / "later slice")


def test_codes_are_in_the_order_of_counts(tmp_path):
    data = Interactions.of(user=["u", "u", "v", "v", "w"], item=["z", "é", "é", "b", "b"])
    save_shards(data, AdapterConfig(min_length=2), tmp_path / "corpus", shards=2)
    assert Sentences.open(tmp_path / "corpus").vocabulary.ids == ("b", "é", "z")
    table = pa.ipc.open_file(tmp_path / "corpus" / "vocabulary.arrow").read_all()
    assert table.to_pydict() == {"id": ["b", "é", "z"], "count": [2, 2, 1]}


def test_sessions_of_a_user_are_in_order_of_time(tmp_path):
    data = Interactions.of(
        user=["u", "v", "u", "u"],
        item=["late", "x", "early", "tie"],
        timestamp=np.array([9, 1, 0, 0]) * 10**8,
    )
    save_shards(data, AdapterConfig(kind="sessions", gap="1min"), tmp_path / "corpus", shards=1)
    assert list(Sentences.open(tmp_path / "corpus")) == [["early", "tie"], ["late"], ["x"]]
