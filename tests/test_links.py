"""Link prediction by hidden edges."""

import math

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Graph, ItemVectors, Recommender, Vocabulary, errors
from item2vec.evaluation import AdamicAdar, CommonNeighbours, HiddenEdges, cosines, evaluate, hide_edges

PATH = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")]
EDGES = st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), min_size=1, max_size=25)


def hidden(known, *pairs):
    """Return hidden edges between nodes of a known graph."""
    graph = Graph.of(known)
    codes = [graph.nodes.encode(ends) for ends in zip(*pairs, strict=True)]
    return HiddenEdges(graph, *codes)


@given(EDGES, st.floats(0.1, 0.9), st.integers(0, 99))
def test_edges_are_either_known_or_hidden(edges, share, seed):
    graph = Graph.of(edges)
    distinct = {frozenset(edge) for edge in edges if edge[0] != edge[1]}
    n_hidden = round(share * len(distinct))
    if not 0 < n_hidden < len(distinct):
        with pytest.raises(errors.InputError, match="would be hidden"):
            hide_edges(graph, share=share, seed=seed)
        return
    found = hide_edges(graph, share=share, seed=seed)
    ids = graph.nodes.ids
    hidden_edges = {frozenset((ids[a], ids[b])) for a, b in zip(found.sources, found.targets, strict=True)}
    known = {frozenset((a, b)) for a in ids for b in found.known.neighbours_of(a)}
    assert hidden_edges | known == distinct
    assert not hidden_edges & known
    assert len(hidden_edges) == len(found.sources) == n_hidden


def test_queries_are_nodes_and_targets_their_hidden_neighbours():
    split = hidden([*PATH, ("x", "x")], ("a", "c"), ("c", "e"), ("a", "x")).split()
    queries = dict(zip((history[0] for history in split.histories), map(sorted, split.targets), strict=True))
    assert queries == {"a": ["c", "x"], "c": ["a", "e"], "e": ["c"], "x": ["a"]}
    assert [sorted(seen) for seen in split.seen] == [["b"], ["b", "d"], ["d"], ["x"]]
    split = hide_edges(Graph.of([("a", "b"), ("c", "d")]), share=0.5).split()
    assert (len(split), split.dropped) == (0, {"edges of nodes without a known edge": 2})


def test_auc_of_worked_examples():
    edges = hidden(PATH, ("a", "c"))  # without an edge: a-d, a-e, b-d, b-e, c-e
    best = {("a", "c"): 3.0, ("a", "d"): 1.0}
    scores = lambda rows: np.array([best.get(tuple(sorted(row)), 0.0) for row in rows])  # noqa: E731
    assert edges.auc(lambda s, t: scores(zip(s, t, strict=True))) == 1.0
    assert edges.auc(lambda s, t: -scores(zip(s, t, strict=True))) == 0.0
    assert edges.auc(lambda s, t: np.zeros(len(s))) == 0.5
    best = {("a", "c"): 1.0, ("a", "d"): 2.0, ("a", "e"): 1.0}  # of 5: one above, one equal, three below
    assert edges.auc(lambda s, t: scores(zip(s, t, strict=True)), negatives=20_000) == pytest.approx(
        3.5 / 5, abs=0.02
    )


@given(EDGES)
def test_baselines_are_those_of_networkx(edges):
    edges = [(a, b) for a, b in edges if a != b] or [("a", "b")]
    theirs, ours = networkx.Graph(edges), Graph.of(edges)
    pairs = [(a, b) for a in theirs for b in theirs if a != b]
    common = {(a, b): len(list(networkx.common_neighbors(theirs, a, b))) for a, b in pairs}
    weighted = {(a, b): score for a, b, score in networkx.adamic_adar_index(theirs, pairs)}
    for model, expected in ((CommonNeighbours(ours), common), (AdamicAdar(ours), weighted)):
        found = model.score_pairs(*zip(*pairs, strict=True))
        np.testing.assert_allclose(found, [expected[pair] for pair in pairs])
        nodes = list(theirs)
        answers = model.recommend_many([[node] for node in nodes], k=9)
        for node, answer in zip(nodes, answers, strict=True):
            positive = {item.item: item.score for item in answer if item.score > 0}
            assert positive == pytest.approx({b: s for (a, b), s in expected.items() if a == node and s > 0})


@given(EDGES)
def test_baselines_of_a_directed_graph_count_paths_of_two_edges(edges):
    edges = [(a, b) for a, b in edges if a != b] or [("a", "b")]
    graph = networkx.DiGraph(edges)
    nodes = list(graph)
    paths = {(a, b): [c for c in graph.successors(a) if graph.has_edge(c, b)] for a in nodes for b in nodes}
    own = Graph.of(edges, directed=True)
    weight = {c: 1 / math.log(n) if n > 1 else 1.0 for c, n in graph.out_degree()}
    for model, of_node in ((CommonNeighbours(own), dict.fromkeys(nodes, 1.0)), (AdamicAdar(own), weight)):
        expected = {pair: sum(of_node[c] for c in middle) for pair, middle in paths.items()}
        found = model.score_pairs(*zip(*paths, strict=True))
        np.testing.assert_allclose(found, list(expected.values()))
        rankings = model.recommend_many([[node] for node in nodes], k=9)
        for node, ranking in zip(nodes, rankings, strict=True):
            positive = {item.item: item.score for item in ranking if item.score > 0}
            assert positive == pytest.approx({b: s for (a, b), s in expected.items() if a == node != b and s})


def test_unknown_nodes_have_score_zero():
    model = AdamicAdar(Graph.of(PATH))
    assert model.score_pairs(["zz", "a", "a"], ["a", "zz", "c"]).tolist() == [0, 0, 1 / math.log(2)]
    vectors = ItemVectors(Vocabulary(("a", "b")), np.array([[1, 0], [3, 4]]), None, np.ones(2))
    assert cosines(vectors)(["a", "a", "b"], ["b", "zz", "b"]).tolist() == pytest.approx([0.6, 0, 1])


def test_a_model_is_evaluated_without_oneself_and_known_neighbours():
    edges = hidden(PATH, ("a", "c"))
    matrix = np.array([[1, 0], [0.9, 0.1], [0.8, 0.2], [0, 1], [0.1, 0.9]])
    vectors = ItemVectors(edges.known.nodes, matrix, None, np.ones(5))
    result = evaluate(Recommender(vectors, score="cosine", index="exact"), edges.split(), k=[1])
    assert result.metrics["hr@1"] == 1.0  # a: b is known, c follows; c: b and d are known, a follows
    assert evaluate(CommonNeighbours(edges.known), edges.split(), k=[1]).metrics["mrr@1"] == 1.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hide_edges(Graph.of(PATH), share=1.0), "share is 1.0"),
        (lambda: hide_edges(Graph.of(PATH), share=0.01), "0 of 4 edges"),
        (lambda: HiddenEdges(Graph.of(PATH), [], []), "are empty; expected at least one hidden edge"),
        (lambda: hidden(PATH, ("a", "c")).auc(lambda s, t: np.zeros(1)), "shape"),
        (lambda: hidden(PATH, ("a", "c")).auc(lambda s, t: np.full(len(s), np.nan)), "finite"),
        (lambda: hidden(PATH, ("a", "c")).auc(lambda s, t: np.zeros(len(s)), negatives=0), "negatives is 0"),
        (
            lambda: hidden([("a", "b"), ("b", "c")], ("a", "c")).auc(lambda s, t: np.zeros(len(s))),
            "every pair of nodes has an edge",
        ),
    ],
)
def test_errors_name_the_cause(call, message):
    with pytest.raises((errors.InputError, errors.ConfigError), match=message):
        call()
