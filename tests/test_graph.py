"""A graph contains each edge that it is created from once, and rejects inconsistent arrays."""

from __future__ import annotations

import re

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from strategies import ids, illegal_ids

from item2vec.errors import InputError, InputTypeError, InvalidIdError, UnknownItemError
from item2vec.graph import Graph
from item2vec.types import Vocabulary

weights = st.floats(0.0009765625, 1024, width=32)


@st.composite
def edge_lists(draw):
    nodes = draw(st.lists(ids, min_size=1, max_size=7, unique=True))
    node = st.sampled_from(nodes)
    return draw(st.lists(st.tuples(node, node, weights), max_size=25))


def reference(edges, directed):
    """Return the neighbours of each node with the summed weights of duplicate edges."""
    graph = {}
    for source, target, weight in edges:
        graph.setdefault(source, {})
        graph.setdefault(target, {})
        graph[source][target] = graph[source].get(target, 0.0) + weight
        if not directed and source != target:
            graph[target][source] = graph[target].get(source, 0.0) + weight
    return graph


def rows_of(graph):
    return {
        node: dict(
            zip(
                graph.nodes.decode(graph.neighbours[start:end]),
                graph.weights[start:end].tolist() if graph.weights is not None else [None] * (end - start),
                strict=True,
            )
        )
        for node, start, end in zip(
            graph.nodes, graph.offsets[:-1].tolist(), graph.offsets[1:].tolist(), strict=True
        )
    }


@pytest.mark.parametrize(
    ("edges", "directed", "n_edges", "neighbours"),
    [
        ([], False, 0, {}),
        (["ab", "bc"], False, 2, {"a": "b", "b": "ac", "c": "b"}),
        (["ab", "bc"], True, 2, {"a": "b", "b": "c", "c": ""}),
        (["ab", "ba", "ab"], False, 1, {"a": "b", "b": "a"}),
        (["ab", "ba", "ab"], True, 2, {"a": "b", "b": "a"}),
        (["aa", "ab"], False, 2, {"a": "ab", "b": "a"}),
        (["cb", "ca"], True, 2, {"c": "ba", "b": "", "a": ""}),
    ],
)
def test_examples_of_graphs(edges, directed, n_edges, neighbours):
    graph = Graph.of(map(tuple, edges), directed=directed)
    assert {node: "".join(graph.neighbours_of(node)) for node in graph.nodes} == neighbours
    assert graph.n_edges == n_edges
    assert graph.degrees.tolist() == [len(ids) for ids in neighbours.values()]


@pytest.mark.parametrize(
    ("directed", "weights_of"),
    [
        (False, {"a": {"b": 6, "c": 4}, "b": {"a": 6}, "c": {"a": 4}}),
        (True, {"a": {"b": 5}, "b": {"a": 1}, "c": {"a": 4}}),
    ],
)
def test_weights_of_duplicate_edges_are_summed(directed, weights_of):
    edges = [("a", "b", 2), ("a", "b", 3), ("b", "a", 1), ("c", "a", 4)]
    assert rows_of(Graph.of(edges, directed=directed)) == weights_of


@examples(150)
@given(edge_lists(), st.booleans())
def test_a_weighted_graph_equals_a_dict_of_dicts(edges, directed):
    graph, expected = Graph.of(edges, directed=directed), reference(edges, directed)
    if not edges:
        assert len(graph) == graph.n_edges == 0
        return
    rows = rows_of(graph)
    assert {node: set(row) for node, row in rows.items()} == {
        node: set(row) for node, row in expected.items()
    }
    for node, row in expected.items():
        assert rows[node] == pytest.approx(row, rel=1e-6)
        assert set(graph.neighbours_of(node)) == set(row)
    assert graph.degrees.tolist() == [len(expected[node]) for node in graph.nodes]
    one_way = {frozenset((s, t)) for s, row in expected.items() for t in row}
    assert graph.n_edges == (sum(map(len, expected.values())) if directed else len(one_way))


@examples(100)
@given(edge_lists(), st.booleans())
def test_without_weights_duplicate_edges_change_nothing(edges, directed):
    pairs = [edge[:2] for edge in edges]
    graph = Graph.of(pairs, directed=directed)
    expected = reference(edges, directed)
    assert graph.weights is None
    assert {node: set(row) for node, row in rows_of(graph).items()} == {
        node: set(row) for node, row in expected.items()
    }
    duplicates = pairs + [(target, source) for source, target in pairs] * (not directed)
    twice = Graph.of([*pairs, *duplicates], directed=directed)
    assert (twice.offsets.tolist(), twice.neighbours.tolist()) == (
        graph.offsets.tolist(),
        graph.neighbours.tolist(),
    )


@examples(50)
@given(edge_lists())
def test_neighbours_are_ascending_and_distinct(edges):
    graph = Graph.of(edges)
    for start, end in zip(graph.offsets[:-1], graph.offsets[1:], strict=True):
        row = graph.neighbours[start:end].tolist()
        assert row == sorted(set(row))


def test_edges_may_come_from_an_iterator():
    assert Graph.of(iter([("a", "b"), ("b", "c")])).n_edges == 2


def test_a_node_without_edges_has_no_neighbours():
    nodes = Vocabulary(("a", "alone", "b"))
    graph = Graph.from_codes(nodes, np.array([0], np.int32), np.array([2], np.int32))
    assert graph.neighbours_of("alone") == []
    assert repr(graph) == "Graph(3 nodes, 1 edges, undirected, degrees 0 to 1)"
    with pytest.raises(UnknownItemError):
        graph.neighbours_of("c")


@pytest.mark.parametrize("weight", [0.0, -1.0, np.nan, np.inf, 1e39, 1e-60])
@pytest.mark.parametrize("directed", [True, False])
def test_invalid_weights_are_errors(weight, directed):
    """Also if only the float32 is infinite or 0: the message shows the weight that was given."""
    with pytest.raises(InputError, match=re.escape(f"weight of edge 1 is {weight}; expected")):
        Graph.of([("a", "b", 1.0), ("b", "c", weight)], directed=directed)


def test_weights_on_some_edges_are_errors():
    with pytest.raises(InputError, match="1 of 2 edges have a weight"):
        Graph.of([("a", "b", 1.0), ("b", "c")])


@pytest.mark.parametrize("edges", [{("a", "b"): 2.0}, [{"source": "a", "target": "b"}]])
def test_mappings_are_not_edges(edges):
    with pytest.raises(InputTypeError, match="mapping"):
        Graph.of(edges)


@examples(20)
@given(illegal_ids)
def test_illegal_ids_are_errors(illegal):
    with pytest.raises(InvalidIdError):
        Graph.of([("a", "b"), ("b", illegal)])


@pytest.mark.parametrize(
    ("offsets", "neighbours", "edge_weights"),
    [
        ([0, 1], [1], None),
        ([0, 1, 1, 1], [1], None),
        ([0, 1, 3], [1, 0], None),
        ([1, 1, 2], [1, 0], None),
        ([0, 2, 1], [1], None),
        ([0, -1, 1], [1], None),
        ([0, 1, 2], [1, 2], None),
        ([0, 1, 2], [1, -1], None),
        ([0, 2, 2], [1, 0], None),
        ([0, 2, 2], [1, 1], None),
        ([0, 1, 2], [1, 0], [1.0]),
        ([0, 1, 2], [1, 0], [1.0, 0.0]),
    ],
)
def test_inconsistent_arrays_are_errors(offsets, neighbours, edge_weights):
    with pytest.raises(InputError):
        Graph(Vocabulary(("a", "b")), np.array(offsets), np.array(neighbours), edge_weights)


@pytest.mark.parametrize("ends", [([0], [2]), ([2], [0]), ([-1], [0]), ([0], [-1])])
@pytest.mark.parametrize("directed", [True, False])
def test_edges_of_unknown_nodes_are_errors(ends, directed):
    source, target = (np.array(end, dtype=np.int32) for end in ends)
    with pytest.raises(InputError, match="outside 0 … 1"):
        Graph.from_codes(Vocabulary(("a", "b")), source, target, directed=directed)


def test_arrays_are_read_only():
    graph = Graph.of([("a", "b", 2.0)])
    for column in (graph.offsets, graph.neighbours, graph.weights):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0
