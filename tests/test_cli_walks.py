"""``item2vec walks``, and the checkpoint and the processes of ``item2vec train``."""

import json

import numpy as np
import pytest

from item2vec import adapters, load, readers
from item2vec.sentences import Sentences

EDGES = "from;to;n\n" + "".join(f"a{n};a{n * 7 % 10};{n + 1}\n" for n in range(10))
GRAPH = [
    "--edges",
    "e.csv",
    "--source",
    "from",
    "--target",
    "to",
    "--weight",
    "n",
    "--sep",
    ";",
    "--directed",
]
WALKS = ["--walks-per-node", "3", "--walk-length", "4", "--p", "0.5", "--q", "2", "--seed", "5"]
QUICK = ["--vector-size", "4", "--epochs", "2", "--workers", "1", "--no-layout", "--json"]


@pytest.fixture
def graph(tmp_path):
    (tmp_path / "e.csv").write_text(EDGES)


def test_an_undirected_file_is_not_read_as_directed(item2vec, tmp_path):
    (tmp_path / "g.net").write_text("*Vertices 2\n*Edges\n1 2\n")
    code, _, err = item2vec("walks", "--edges", "g.net", "--directed", "--out", "walks")
    assert (code, "is set; omit --directed\n" in err) == (2, True)


@pytest.mark.parametrize("driver", ["memory", "duckdb"])
@pytest.mark.usefixtures("graph")
def test_walks_are_those_of_the_function(item2vec, tmp_path, driver):
    words = [*GRAPH, "--directed", *WALKS, "--driver", driver, "--out", "walks", "--shards", "2", "--json"]
    code, out, _ = item2vec("walks", *words)
    facts = json.loads(out)
    columns = {"source_column": "from", "target_column": "to", "weight": "n", "sep": ";"}
    edges = readers.read_edges(tmp_path / "e.csv", directed=True, **columns)
    expected = adapters.walks(edges, walks_per_node=3, walk_length=4, p=0.5, q=2, seed=5)
    assert Sentences.open(tmp_path / "walks").whole().fingerprint() == expected.fingerprint()
    assert code == 0
    assert {name: facts[name] for name in facts if name != "seconds"} == {
        "corpus": "walks",
        "shards": 2,
        "sentences": 30,
        "tokens": expected.n_tokens,
        "items": 10,
    }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x", "--source", "from"], "name the column with --target COLUMN"),
        ([*GRAPH, "--out", "."], ". already exists; choose another path"),
        ([*GRAPH, "--out", "x", "--shards", "0"], "shards is 0; expected"),
        ([*GRAPH, "--out", "x", "--p", "0"], "p is 0.0; expected"),
        ([*GRAPH, "--out", "x", "--driver", "spark"], "expected 'duckdb' or 'memory'"),
        (["--out", "x"], "no column 'source'; found 'from', 'to', 'n'; name the column with --source COLUMN"),
        (GRAPH, "--out"),
    ],
)
@pytest.mark.usefixtures("graph")
def test_refused_walks(item2vec, tmp_path, words, message):
    code, out, err = item2vec("walks", *(words if "--edges" in words else ["--edges", "e.csv", *words]))
    assert (code, out) == (2, "")
    assert message in err
    assert not (tmp_path / "x").exists()


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    lists = [[f"i{n}" for n in rng.integers(0, 12, 6)] for _ in range(60)]
    Sentences.of(lists).save(tmp_path / "corpus", shards=3)
    Sentences.of(lists).save(tmp_path / "one", shards=1)


@pytest.mark.usefixtures("corpus")
def test_a_checkpoint_continues_the_same_training_only(item2vec, tmp_path):
    words = ["train", "--corpus", "corpus", *QUICK, "--checkpoint", "state"]
    assert item2vec(*words)[0] == 0
    (state,) = (tmp_path / "state").iterdir()
    before, vectors = state.stat().st_ino, load("models").vectors
    assert item2vec(*words)[0] == 0
    assert [path.stat().st_ino for path in (tmp_path / "state").iterdir()] == [before]
    assert np.array_equal(load("models").vectors.input, vectors.input)
    code, _, err = item2vec(*words, "--epochs", "3")
    assert code == 2
    assert "checkpoint state belongs to a training run with epochs 2; expected 3; remove state" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--corpus corpus --processes 2 --objective skipgram",
            "12 % lower NDCG@10); set --processes 1, or set --objective next_item",
        ),
        ("--corpus corpus --processes 2 --checkpoint state", "set --processes 1, or omit checkpoint"),
        ("--corpus corpus --processes 0", "processes is 0; expected an integer of at least 1"),
        ("--corpus one --processes 2", "at least processes=2; write a corpus of 4 shards with item2vec prep"),
        ("--corpus corpus --checkpoint state --objective lsa", "computed in one step; omit checkpoint"),
    ],
)
@pytest.mark.usefixtures("corpus")
def test_processes_and_checkpoints_are_refused_where_they_do_not_apply(item2vec, words, message):
    code, out, err = item2vec("train", *words.split(), "--vector-size", "4")
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.usefixtures("corpus")
def test_processes_reach_the_training(item2vec, monkeypatch):
    import item2vec as package

    given = {}

    def fit(*_, **arguments):
        given.update(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(package, "fit", fit)
    item2vec("train", "--corpus", "corpus", "--processes", "3", *QUICK)
    assert (given["processes"], given["checkpoint"]) == (3, None)
