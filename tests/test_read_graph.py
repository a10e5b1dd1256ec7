"""``read_graph`` merges the edges of files with DuckDB into the graph that ``read_edges`` makes in memory."""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import fresh_folder

from item2vec import Sentences, adapters, readers
from item2vec.corpus import database, read_graph
from item2vec.errors import ConfigError, InputError, InputTypeError, Item2VecError, MissingExtraError
from item2vec.shards import arrow

NODES = ("A", "a", "1", "01", "é", "e\u0301", 'say "x"', "o'b", "%", "日本語", "z" * 512)
FORMATS = ("parquet", "folder", "numbers", "jsonl", "csv", "lines", "adjacency")

node = st.sampled_from(NODES)
edges = st.lists(st.tuples(node, node, st.sampled_from([0.25, 1.0, 3.0, 1e10])), min_size=1, max_size=25)


def write(frame, folder, kind):
    """Write a frame in a format; return the path and the arguments of the readers."""
    path = folder / f"edges.{kind}"
    if kind == "parquet":
        frame.to_parquet(path)
    elif kind == "numbers":
        path = folder / "edges.parquet"
        codes = {name: 9 - index for index, name in enumerate(NODES)}
        frame.assign(source=frame.source.map(codes), target=frame.target.map(codes)).to_parquet(path)
    elif kind == "folder":
        path.mkdir()
        half = len(frame) // 2
        frame[half:].to_parquet(path / "part-2.parquet")
        frame[:half].to_parquet(path / "part-1.parquet")
    elif kind == "jsonl":
        frame.to_json(path, orient="records", lines=True)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    elif kind == "lines":
        frame.to_csv(path, index=False, header=False, sep="|")
        path.write_text(path.read_text() + "single\n")
        return path, {"sep": "|", "format": "lines"}
    else:
        frame = frame[["source", "target"]].assign(other=frame.source)
        frame.to_csv(path, index=False, header=False, sep="|")
        return path, {"sep": "|", "format": "adjacency"}
    return path, {}


def parts(graph):
    weights = None if graph.weights is None else graph.weights.tolist()
    return [*graph.nodes.ids], graph.offsets.tolist(), graph.neighbours.tolist(), weights, graph.directed


@examples(40)
@given(edges, st.sampled_from(FORMATS), st.booleans(), st.sampled_from([None, False]), st.booleans())
def test_the_graph_is_that_of_the_reader_in_memory(tmp_path_factory, drawn, kind, directed, weight, mapped):
    frame = pd.DataFrame(drawn, columns=["source", "target", "weight"])
    path, options = write(frame, fresh_folder(tmp_path_factory), kind)
    options |= {"directed": directed, "weight": weight}
    expected = parts(readers.read_edges(path, **options))
    assert parts(read_graph(path, driver="memory", **options)) == expected
    with pytest.MonkeyPatch.context() as patch:
        if mapped:  # the ids of the nodes stay in an Arrow array
            patch.setattr(arrow, "LARGEST_TUPLE", 0)
        assert parts(read_graph(path, **options)) == expected


def test_sums_of_weights_are_rounded_once(tmp_path):
    weights = np.random.default_rng(0).random(2_000).astype(np.float32)
    frame = pd.DataFrame({"source": "a", "target": "b", "weight": weights})
    frame.to_parquet(tmp_path / "edges.parquet")
    expected = np.float32(weights.astype(np.float64).sum())
    assert read_graph(tmp_path / "edges.parquet").weights.tolist() == [expected, expected]


def test_many_edges_and_their_walks(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "_BATCH_ROWS", 1000)
    monkeypatch.setattr(arrow, "LARGEST_TUPLE", 0)
    ends = np.random.default_rng(1).integers(0, 300, (20_000, 2))
    pd.DataFrame(ends, columns=["from", "to"]).to_csv(tmp_path / "edges.csv", index=False)
    columns = {"source_column": "from", "target_column": "to"}
    graph = read_graph(tmp_path / "edges.csv", memory="512MB", **columns)
    expected = readers.read_edges(tmp_path / "edges.csv", **columns)
    assert parts(graph) == parts(expected)
    adapters.save_walks(graph, tmp_path / "walks", walks_per_node=1, walk_length=5)
    walks = adapters.walks(expected, walks_per_node=1, walk_length=5)
    assert Sentences.open(tmp_path / "walks").whole().fingerprint() == walks.fingerprint()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": [None, "u"]}, "row 0: source None"),
        ({"target": ["a", ""]}, "row 1: target ''"),
        ({"target": ["a", "x\0"]}, "row 1: target"),
        ({"target": ["a", "x" * 513]}, "row 1: target"),
        ({"weight": [1.0, 0.0]}, "row 1: weight 0.0; expected a finite number > 0"),
        ({"weight": [np.inf, 1.0]}, "row 0: weight inf"),
        ({"weight": [1.0, None]}, "row 1: weight"),
        (
            {"weight": [3e38, 3e38], "source": "b", "target": "c"},
            "the weight of the edge from 'b' to 'c' is inf",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_bad_row_is_the_error_of_the_reader_in_memory(tmp_path, kind, change, message):
    frame = pd.DataFrame({"source": ["b", "c"], "target": ["a", "b"], "weight": [1.0, 2.0]}).assign(**change)
    path, _ = write(frame, tmp_path, kind)
    errors = []
    for read in (read_graph, readers.read_edges):
        with pytest.raises(InputError) as error:
            read(path)
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]
    assert kind == "csv" or message in errors[0][1]


@pytest.mark.parametrize(
    "text", ["a b 1\nb c\n", "a b\nb c 1\n", "a\na b 1\nb c\n", "a b\nb \x00c\n", "a b x\n", "a b 0\n", ""]
)
def test_a_bad_line_is_the_error_of_the_reader_in_memory(tmp_path, text):
    (tmp_path / "edges.txt").write_text(text)
    errors = []
    for read in (read_graph, readers.read_edges):
        with pytest.raises(Item2VecError) as error:
            read(tmp_path / "edges.txt", format="lines")
        errors.append((type(error.value), str(error.value)))
    assert errors[0] == errors[1]


@pytest.mark.parametrize("text", ["source,target\n", "source,target,weight\n"])
def test_a_file_without_edges(tmp_path, text):
    (tmp_path / "edges.csv").write_text(text)
    assert parts(read_graph(tmp_path / "edges.csv")) == parts(readers.read_edges(tmp_path / "edges.csv"))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"memory": "1MB"}, ConfigError, "memory is '1MB'; expected a size of at least 512MB"),
        ({"driver": "spark"}, ConfigError, "expected 'duckdb' or 'memory'"),
        ({"connection": 1}, InputTypeError, "unknown argument 'connection'; expected some of columns,"),
        ({"format": "gml"}, InputError, "format is 'gml'"),
        ({"source_column": "x"}, InputError, "no column 'x'; found 'source', 'target'"),
    ],
)
def test_refused_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        read_graph("sample_data/friends.csv", **arguments)


def test_without_duckdb_the_error_names_the_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "duckdb", None)
    monkeypatch.delitem(sys.modules, "item2vec.corpus.database")
    monkeypatch.delattr("item2vec.corpus.database")
    with pytest.raises(MissingExtraError, match=r"pip install 'item2vec\[bigdata\]'.*driver='memory'"):
        read_graph("sample_data/friends.csv")
    assert len(read_graph("sample_data/friends.csv", driver="memory")) == 800
