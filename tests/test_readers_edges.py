"""Edge lists, adjacency lists and tables are read as the graph that they describe."""

from __future__ import annotations

import gzip
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import readers
from item2vec.corpus import read_graph
from item2vec.errors import InputError, InputTypeError, InvalidIdError
from item2vec.graph import Graph

node_ids = st.sampled_from(
    [
        "1",
        "01",
        "NA",
        "a\u00a0b",
        "a\u2028b",
        "a\x1cb",
        "é",
        "e\u0301",
        "a\rb",
        "a#",
        "\u00a0a",
        "a\x1c",
        '"a"',
        "a,b",
    ]
)
edge_lists = st.lists(st.tuples(node_ids, node_ids), min_size=1, max_size=12)
weights = st.floats(0, width=32, exclude_min=True, allow_infinity=False, allow_subnormal=False, max_value=1e6)


def assert_same(graph, expected):
    assert graph.nodes == expected.nodes
    assert graph.directed == expected.directed
    assert graph.offsets.tolist() == expected.offsets.tolist()
    assert graph.neighbours.tolist() == expected.neighbours.tolist()
    assert (graph.weights is None) == (expected.weights is None)
    if expected.weights is not None:
        assert graph.weights.tolist() == expected.weights.tolist()


@pytest.mark.parametrize(
    ("name", "text", "options", "neighbours"),
    [
        ("edges.txt", "a b\na c\n", {}, {"a": "bc", "b": "", "c": ""}),
        ("edges.txt", "a\tb\n# comment\n\nc\n", {}, {"a": "b", "b": "", "c": ""}),
        ("edges.txt", "a,b\na, c\n", {}, {"a": "bc", "b": "", "c": ""}),
        ("edges.txt", "a b\tc\n", {"sep": "\t"}, {"a b": "c", "c": ""}),
        ("edges.txt", "target source\na b\n", {}, {"b": "a", "a": ""}),
        ("edges.txt", "1,a,b\n", {"columns": ["n", "target", "source"]}, {"b": "a", "a": ""}),
        ("edges.csv", "source,target\na,b\n", {}, {"a": "b", "b": ""}),
        ("edges.csv", "x,y\na,b\n", {"source_column": "y", "target_column": "x"}, {"b": "a", "a": ""}),
        ("edges.csv", "a,b,0.5\nb,c,1\n", {}, {"a": "b", "b": "c", "c": ""}),
        ("edges.tsv", "a\t7\na\tb\n", {}, {"a": "7b", "7": "", "b": ""}),
        ("graph.adjlist", "a b c\nd\n", {}, {"a": "bc", "b": "", "c": "", "d": ""}),
        ("graph.txt", "a b c\n", {"format": "adjacency"}, {"a": "bc", "b": "", "c": ""}),
    ],
)
def test_examples_of_files(tmp_path, name, text, options, neighbours):
    (tmp_path / name).write_text(text)
    graph = readers.read_edges(tmp_path / name, directed=True, **options)
    assert {node: "".join(graph.neighbours_of(node)) for node in graph.nodes} == neighbours


@pytest.mark.parametrize("weight", ["2", "0.5", "1e3"])
def test_example_of_weights(tmp_path, weight):
    (tmp_path / "edges.txt").write_text(f"a b {weight}\nb c 1\n")
    assert readers.read_edges(tmp_path / "edges.txt", directed=True).weights.tolist() == [float(weight), 1]


@pytest.mark.parametrize("weight", ["1e39", "1e-60"])
def test_a_weight_that_does_not_fit_into_float32_is_named_with_its_row(tmp_path, weight):
    (tmp_path / "edges.txt").write_text(f"a b 1\na c {weight}\n")
    with pytest.raises(
        InputError, match=rf"edges\.txt line 2: weight '{weight}'; expected a finite number > 0"
    ):
        readers.read_edges(tmp_path / "edges.txt")
    with pytest.raises(InputError, match="list row 1: weight 1e"):
        readers.read_edges([("a", "b", 1.0), ("a", "c", float(weight))])
    largest = float(np.finfo(np.float32).max)
    assert readers.read_edges([("a", "b", largest)]).weights.tolist() == [largest] * 2


@examples(60)
@given(edges=edge_lists, weight=st.none() | weights, directed=st.booleans(), data=st.data())
def test_edges_in_all_formats_are_the_same_graph(tmp_path_factory, edges, weight, directed, data):
    folder = tmp_path_factory.mktemp("edges")
    weighted = [(*edge, weight) for edge in edges] if weight is not None else edges
    expected = Graph.of(weighted, directed=directed)
    assert_same(readers.read_edges(iter(weighted), directed=directed), expected)

    blank = data.draw(st.sampled_from([" ", "\t", "  \t"]))
    end = data.draw(st.sampled_from(["\n", "\r\n", " \n", "\n# a comment\n\n"]))
    text = "".join(blank.join(map(str, edge)) + end for edge in weighted)
    (folder / "edges.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert_same(readers.read_edges(folder / "edges.txt.gz", directed=directed), expected)

    names = ["source", "target", "weight"][: len(weighted[0])]
    frame = pd.DataFrame(weighted, columns=names)
    column = "weight" if weight is not None else None
    frame.to_csv(folder / "edges.csv", index=False, lineterminator="\r\n")
    for source in (frame, pl.from_pandas(frame), folder / "edges.csv"):
        assert_same(readers.read_edges(source, weight=column, directed=directed), expected)


@examples(60)
@given(edges=edge_lists, directed=st.booleans())
def test_an_adjacency_list_is_its_edges(tmp_path_factory, edges, directed):
    neighbours: dict[str, list[str]] = {}
    for source, target in edges:
        neighbours.setdefault(source, []).append(target)
    path = tmp_path_factory.mktemp("adjacency") / "graph.adjlist"
    path.write_text(
        "".join(" ".join((node, *row)) + "\n" for node, row in neighbours.items()), "utf-8", newline=""
    )
    edges_in_file_order = [(node, neighbour) for node, row in neighbours.items() for neighbour in row]
    assert_same(readers.read_edges(path, directed=directed), Graph.of(edges_in_file_order, directed=directed))


def test_a_line_with_one_node_is_a_node(tmp_path):
    path = tmp_path / "edges.txt"
    path.write_text("\ufeff# from\tto\n\nann bob\ncy\n", "utf-8")
    for graph in (readers.read_edges(path), readers.read_edges(path, format="adjacency")):
        assert graph.nodes.ids == ("ann", "bob", "cy")
        assert graph.neighbours_of("cy") == []
    assert readers.read_edges([(1, 2), (3,)]).nodes.ids == ("1", "2", "3")
    assert readers.read_edges([("a",)]).degrees.tolist() == [0]
    assert len(readers.read_edges([])) == 0
    assert readers.read_edges(np.array([[1, 2], [2, 3]])).n_edges == 2


@pytest.mark.parametrize("line", ['"a b",c , d', '"a b",c\t,d\t', '" a b ", c ,\td'])
def test_blanks_around_fields_are_removed_in_lines_with_quotes_too(tmp_path, line):
    path = tmp_path / "edges.adjlist"
    path.write_text(f"{line}\nc,d\na b,d\n")
    for read in (readers.read_edges, partial(read_graph, driver="duckdb")):
        assert read(path, sep=",").nodes.ids == ("a b", "c", "d")


def test_a_first_line_with_the_column_names_makes_a_table(tmp_path):
    path = tmp_path / "user_friends.dat"
    path.write_text("userID\tfriendID\n2\t275\n2\t428\n")
    graph = readers.read_edges(path, source_column="userID", target_column="friendID")
    assert graph.nodes.ids == ("2", "275", "428")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "no edges"),
        ("a b\na b c d\n", r"line 2: 4 fields .*format='adjacency'"),
        ("a b 1\na b x\n", r"line 2: weight 'x'"),
        ("a b 1\n\na b 0\n", r"line 3: weight '0'"),
        ("a b 1\na b nan\n", r"line 2: weight 'nan'"),
        ("a b 1\na b\n", r"line 2: an edge without a weight"),
        ("a b\na b 1\n", r"line 2: an edge with a weight"),
        ("a b\na " + "x" * 513, r"line 2: node 'xxx"),
        ("a b\na b\0", r"line 2: node 'b\\x00'"),
        ("a b\na \udce9\n", r"line 2: node .*encoding='latin-1'"),
        ("a,b\na,,1\n", r"line 2: node ''"),
    ],
)
def test_bad_lines_are_reported_by_number(tmp_path, text, message):
    path = tmp_path / "edges.txt"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=message):
        readers.read_edges(path)


def test_bad_tables_and_tuples_are_reported(tmp_path):
    path = tmp_path / "edges.csv"
    path.write_text("a,b\nc,d\n")
    with pytest.raises(InputError, match=r"no column 'source'; found 'a', 'b'"):
        readers.read_edges(path)
    path.write_text("a,b,0.5\nc,d,1\n")
    for options in ({"format": "edges"}, {"source_column": "x"}, {"weight": "w"}):
        with pytest.raises(InputError, match=r"no column '(source|x|w)'; found 'a', 'b', '0.5'"):
            readers.read_edges(path, **options)
    with pytest.raises(InputError, match=r"DataFrame row 1: target (None|nan)"):
        readers.read_edges(pd.DataFrame({"source": ["a", "b"], "target": ["b", None]}).astype(object))
    for edges in (["ab"], [("a", "b", 1, 2)], [()], [7], 7, {("a", "b"): 2.0}, [{"a": 1, "b": 2}]):
        with pytest.raises(InputTypeError, match=r"tuples|row 0"):
            readers.read_edges(edges)
    for node in (None, b"a", 1.5, True):
        with pytest.raises(InputTypeError, match=rf"list row 1: node {node}; expected an id"):
            readers.read_edges([("a", "b"), ("a", node)])
    with pytest.raises(InvalidIdError, match=r"list row 0: node ''"):
        readers.read_edges([("a", "")])
    for weight in (-1, 1e39, 1e-60):
        with pytest.raises(InputError, match=r"weight"):
            readers.read_edges([("a", "b", weight)])
    with pytest.raises(InputError, match="weight is True; expected the name of a column"):
        readers.read_edges(path, weight=True)
    with pytest.raises(InputError, match="format is 'matrix'"):
        readers.read_edges(path, format="matrix")
    with pytest.raises(InputError, match="no file"):
        readers.read_edges(tmp_path / "missing.adjlist")
