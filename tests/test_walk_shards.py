"""``save_walks`` writes the walks of ``walks`` shard by shard, and continues after a kill."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import fresh_folder

from item2vec import Graph, Sentences, adapters, files
from item2vec.errors import BundleExistsError, ConfigError, InputError
from item2vec.sharded import ShardWriter
from item2vec.shards import writer as writing

PATH = [("a", "b"), ("b", "c"), ("c", "d")]
MODULE = importlib.import_module("item2vec.adapters.walks")  # the package has a function of this name


@pytest.fixture(scope="module", autouse=True)
def _fast_disk():
    """Do not flush files to the disk, which takes most of the time of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "flush", lambda descriptor: None)
        yield


def interrupt(*_, **__):
    raise KeyboardInterrupt


def content(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def counts_in(folder):
    """Return the ids and the counts in the file of the vocabulary."""
    return pa.ipc.open_file(folder / "vocabulary.arrow").read_all().to_pydict()


nodes = st.sampled_from("abcdefgh")
edges = st.lists(st.tuples(nodes, nodes), min_size=1, max_size=12) | st.lists(
    st.tuples(nodes, nodes, st.sampled_from([0.5, 1.0, 3.0])), min_size=1, max_size=12
)


@examples(40)
@given(
    edges=edges,
    directed=st.booleans(),
    shards=st.integers(1, 7),
    walks_per_node=st.integers(1, 4),
    walk_length=st.integers(1, 6),
    p=st.sampled_from([1.0, 0.25]),
    q=st.sampled_from([1.0, 4.0]),
    seed=st.integers(0, 3),
)
def test_shards_are_runs_of_the_walks_in_memory(tmp_path_factory, edges, directed, shards, **settings):
    graph = Graph.of(edges, directed=directed)
    whole = adapters.walks(graph, **settings)
    folder = fresh_folder(tmp_path_factory)
    adapters.save_walks(graph, folder / "corpus", shards=shards, **settings)
    corpus = Sentences.open(folder / "corpus")
    assert corpus.whole().fingerprint() == whole.fingerprint()
    sizes = [len(shard) for shard in corpus.shards]
    assert len(sizes) == shards
    assert max(sizes) - min(sizes) <= 1
    assert counts_in(folder / "corpus") == {"id": [*graph.nodes.ids], "count": whole.counts().tolist()}
    if shards == 1 or min(whole.lengths) == settings["walk_length"]:
        whole.save(folder / "saved", shards=shards)
        assert content(folder / "corpus") == content(folder / "saved")


def test_each_shard_is_written_before_the_next_is_walked(monkeypatch, tmp_path):
    walk, complete = MODULE.walk, []

    def counted(*arguments):
        complete.append([path.name for path in sorted((tmp_path / ".corpus.partial").glob("0*"))])
        return walk(*arguments)

    monkeypatch.setattr(MODULE, "walk", counted)
    adapters.save_walks(PATH, tmp_path / "corpus", shards=3)
    assert complete == [[], ["00000"], ["00000", "00001"]]


SETTINGS = {"shards": 4, "walks_per_node": 3, "walk_length": 5, "p": 0.5, "q": 2.0, "seed": 3}
KILLED = f"""
import importlib, os, signal, sys
from item2vec import adapters
module = importlib.import_module("item2vec.adapters.walks")
walk, n = module.walk, []
def limited(*arguments):
    n.append(1)
    if len(n) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return walk(*arguments)
module.walk = limited
adapters.save_walks({PATH}, sys.argv[1], **{SETTINGS})
"""


@pytest.mark.slow
def test_a_killed_writer_is_continued_with_the_same_bytes(monkeypatch, tmp_path):
    out, partial = tmp_path / "corpus", tmp_path / ".corpus.partial"
    one_thread = os.environ | {"NUMBA_NUM_THREADS": "1"}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(out)], env=one_thread, check=False, capture_output=True
    )
    assert killed.returncode == -signal.SIGKILL
    assert not out.exists()
    assert sorted(path.name for path in partial.glob("0*")) == ["00000", "00001"]
    before = [(partial / name / "tokens.npy").stat().st_ino for name in ("00000", "00001")]
    with monkeypatch.context() as patch:  # killed again, after the counts were replaced
        patch.setattr(writing.Manifest, "as_json", interrupt)
        with pytest.raises(KeyboardInterrupt):
            adapters.save_walks(PATH, out, **SETTINGS)
    adapters.save_walks(PATH, out, **SETTINGS)
    assert [(out / name / "tokens.npy").stat().st_ino for name in ("00000", "00001")] == before
    adapters.save_walks(PATH, tmp_path / "whole", **SETTINGS)
    assert content(out) == content(tmp_path / "whole")
    assert not partial.exists()


RING = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "a")]
CROSSED = [("a", "b"), ("c",), ("b", "d"), ("d", "c"), ("c", "a")]  # the same nodes and degrees as RING
TWICE, THRICE = ([(a, b, weight) for a, b in RING] for weight in (2.0, 3.0))


@pytest.mark.parametrize(
    ("edges", "changed"),
    [
        (RING, {"edges": CROSSED}),
        (RING, {"edges": TWICE}),
        (TWICE, {"edges": THRICE}),
        (RING, {"walks_per_node": 2}),
        (RING, {"walk_length": 4}),
        (RING, {"p": 1.0}),
        (RING, {"q": 1.0}),
        (RING, {"seed": 4}),
        (RING, {"shards": 2}),
    ],
    ids=str,
)
def test_shards_of_other_settings_are_not_continued(monkeypatch, tmp_path, edges, changed):
    given = {"edges": edges, **SETTINGS}
    with monkeypatch.context() as patch:
        patch.setattr(ShardWriter, "finish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            adapters.save_walks(out=tmp_path / "corpus", **given)
    adapters.save_walks(out=tmp_path / "corpus", **(given | changed))
    adapters.save_walks(out=tmp_path / "other", **(given | changed))
    assert content(tmp_path / "corpus") == content(tmp_path / "other")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"shards": 0}, ConfigError, "shards is 0; expected an integer of at least 1"),
        ({"shards": 2**60}, InputError, "expected 1 to 100,000"),
        ({"p": 0}, ConfigError, "p is 0"),
        ({"seed": 2**32}, ConfigError, "seed is"),
        ({"walk_length": 10**25}, ConfigError, "do not fit into memory: .*; raise shards, or lower"),
        ({"directed": True}, ConfigError, "directed is True for an undirected graph"),
        ({"out": "."}, BundleExistsError, "already exists"),
        ({"out": ".", "edges": "missing.csv"}, BundleExistsError, "already exists"),
    ],
)
def test_refused_calls(monkeypatch, tmp_path, changed, error, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        adapters.save_walks(**({"edges": Graph.of(PATH), "out": "corpus"} | changed))
    assert not (tmp_path / "corpus").exists()


def test_counts_are_those_of_the_shards_after_a_recount(monkeypatch, tmp_path):
    monkeypatch.setattr(writing, "_TOKENS_PER_BLOCK", 2)
    with ShardWriter(tmp_path / "corpus", ["a", "b", "c"], [9, 9, 9], n_shards=2) as writer:
        writer.write(0, np.array([1, 1, 1]), np.array([0, 3]))
        writer.write(1, np.array([2, 1]), np.array([0, 1, 2]))
        writer.finish(recount=True)
    assert counts_in(tmp_path / "corpus") == {"id": ["a", "b", "c"], "count": [0, 4, 1]}
    assert Sentences.open(tmp_path / "corpus").counts().tolist() == [0, 4, 1]
