"""A path that a user may not write or look up raises an error of the package, which names the path."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from faults.made import made_model
from users import as_nobody

from item2vec import adapters, corpus, publish, readers, versions
from item2vec.batch import recommend_all
from item2vec.config import AdapterConfig
from item2vec.errors import CorruptBundleError, InputError, Item2VecError, WriteError
from item2vec.interactions import Interactions
from item2vec.sentences import Sentences
from item2vec.spark.answering import _bundle_of
from item2vec.vectors import ItemVectors

SENTENCES = Sentences.of([["a", "b"], ["b", "a"]])
LISTENS = Interactions.of(user=["u", "v"], item=["a", "b"])
WRITERS = {
    "recommend_all": lambda path: recommend_all(made_model(seed=0), {"u": []}, out=path),
    "save": SENTENCES.save,
    "save shards": lambda path: SENTENCES.save(path, shards=2),
    "save_shards": lambda path: adapters.save_shards(LISTENS, AdapterConfig(), path),
    "save_walks": lambda path: adapters.save_walks([("a", "b")], path),
    "prepare": lambda path: corpus.prepare("sample_data/listens.csv.gz", out=path),
    "prepare in memory": lambda path: corpus.prepare("sample_data/listens.csv.gz", out=path, driver="memory"),
    "save a model": lambda path: made_model(seed=0).save(path),
    "save vectors": made_model(seed=0).vectors.save,
    "save_word2vec": made_model(seed=0).vectors.save_word2vec,
}
READERS = {
    "Sentences.open": (Sentences.open, CorruptBundleError),
    "ItemVectors.load": (ItemVectors.load, InputError),
    "read_edges": (readers.read_edges, InputError),
    "read_graph": (corpus.read_graph, InputError),
    "a model in Spark": (_bundle_of, CorruptBundleError),
}
OF_MODELS = {
    "load": versions.load,
    "load_served": versions.load_served,
    "list_versions": versions.list_versions,
    "verify": versions.verify,
    "overview": versions.overview,
    "pinned": versions.pinned,
    "gc": versions.gc,
    "Live": versions.Live,
    "publish": lambda path: publish(made_model(seed=0), path, layout=False),
}


def outcome(action) -> str:
    """Return the class and the text of the error of this package that an action raises."""
    try:
        action()
    except Item2VecError as error:
        return f"{type(error).__name__}: {error}"
    return "no error"


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["open/new", "closed/new"])
def test_a_folder_without_write_access_is_a_write_error(outside, writer, name):
    (outside / "open").mkdir()
    (outside / "closed").mkdir(mode=0o700)
    path = outside / name
    WRITERS[writer](outside / "first")  # imports and compiles what the other user may not
    before = sorted(outside.rglob("*"))
    found = as_nobody(lambda: outcome(lambda: WRITERS[writer](path)))
    assert found.startswith(f"WriteError: {path} could not be written: Permission denied; ")
    assert sorted(outside.rglob("*")) == before


@pytest.mark.parametrize("writer", WRITERS)
def test_a_file_in_place_of_the_parent_folder_is_a_write_error(tmp_path, writer):
    (tmp_path / "file").write_text("content")
    with pytest.raises(WriteError, match=r"file/new could not be written: (Not a directory|File exists); "):
        WRITERS[writer](tmp_path / "file" / "new")


def test_recommend_all_refuses_a_file_in_place_of_its_folder(tmp_path):
    path = tmp_path / "g1.csv"
    path.write_text("content")
    with pytest.raises(
        Item2VecError, match=r"out is .*g1\.csv, which is not a folder; expected a new"
    ) as raised:
        recommend_all(made_model(seed=0), {"u": []}, out=path)
    assert (raised.value.exit_code, path.read_text()) == (2, "content")


@pytest.mark.parametrize("shards", [None, 2])
def test_a_full_disk_is_a_write_error(tmp_path, monkeypatch, shards):
    def full(descriptor):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("item2vec.files.flush", full)
    with pytest.raises(WriteError, match="could not be written: No space left on device; "):
        SENTENCES.save(tmp_path / "corpus", shards=shards)


@pytest.mark.parametrize("reader", READERS)
def test_a_path_that_may_not_be_looked_up_is_named(outside, reader):
    read, expected = READERS[reader]
    (outside / "closed").mkdir(mode=0o700)
    path = outside / "closed" / "x"
    found = as_nobody(lambda: outcome(lambda: read(path)))
    assert found.startswith(f"{expected.__name__}: {path}")
    assert " cannot be read: Permission denied" in found


@pytest.mark.parametrize("reader", OF_MODELS)
def test_a_models_folder_whose_name_is_too_long_is_named(reader):
    expected = "cannot be read: File name too long; check the path, the disk and its mount"
    with pytest.raises(CorruptBundleError, match=f"^a{{300}}.* {expected}"):
        OF_MODELS[reader]("a" * 300)


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_models_folder_on_a_disk_that_fails_is_named(tmp_path, monkeypatch, number):
    def failing(path, **_):
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "stat", failing)
    expected = f"{tmp_path}/versions cannot be read: {os.strerror(number)}; check the path, the disk"
    with pytest.raises(CorruptBundleError, match=expected):
        versions.load(tmp_path)


@pytest.mark.parametrize("shards", [None, 2])
def test_every_file_of_a_corpus_that_may_not_be_read_is_a_corrupt_bundle_error(outside, shards):
    SENTENCES.save(outside / "corpus", shards=shards)

    def read(path: Path) -> list[list[str]]:
        return list(Sentences.open(path))

    for file in (path for path in sorted((outside / "corpus").rglob("*")) if path.is_file()):
        file.chmod(0)
        found = as_nobody(lambda: outcome(lambda: read(outside / "corpus")))
        assert found.startswith("CorruptBundleError: ")
        assert str(outside / "corpus") in found
        file.chmod(0o644)
