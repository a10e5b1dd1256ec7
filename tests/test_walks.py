"""Walks follow edges with the probabilities that node2vec defines, and are reproducible for a seed."""

import hashlib
import itertools
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from item2vec import Graph, Vocabulary, adapters
from item2vec.errors import ConfigError

nodes = st.sampled_from("abcdefg")
pairs = st.lists(st.tuples(nodes, nodes), min_size=1, max_size=20)
weighted = st.lists(st.tuples(nodes, nodes, st.floats(0.125, 8)), min_size=1, max_size=20)
parameters = st.sampled_from([0.001, 0.25, 1.0, 4.0, 1000.0])


@pytest.mark.parametrize(
    ("edges", "directed", "walk_length", "walks"),
    [
        (["ab", "bc", "ca"], True, 5, {"abcab", "bcabc", "cabca"}),
        (["ab", "bc"], True, 5, {"abc", "bc", "c"}),
        (["ab"], False, 3, {"aba", "bab"}),
        (["aa"], False, 3, {"aaa"}),
        (["ab", "cd"], False, 1, {"a", "b", "c", "d"}),
    ],
)
@pytest.mark.parametrize(("p", "q"), [(1, 1), (0.25, 4)])
def test_examples_without_a_choice(edges, directed, walk_length, walks, p, q):
    graph = Graph.of(map(tuple, edges), directed=directed)
    sentences = adapters.walks(graph, walks_per_node=3, walk_length=walk_length, p=p, q=q)
    assert Counter(map("".join, sentences)) == dict.fromkeys(walks, 3)


@examples(300)
@given(pairs | weighted, st.booleans(), parameters, parameters, st.integers(1, 3), st.integers(1, 8))
def test_every_step_is_an_edge_and_every_node_is_a_start(edges, directed, p, q, walks_per_node, walk_length):
    graph = Graph.of(edges, directed=directed)
    sentences = adapters.walks(
        graph, walks_per_node=walks_per_node, walk_length=walk_length, p=p, q=q, seed=3
    )
    neighbours = {node: set(graph.neighbours_of(node)) for node in graph.nodes}
    for walk in sentences:
        assert all(after in neighbours[before] for before, after in itertools.pairwise(walk))
        assert len(walk) == walk_length or not neighbours[walk[-1]]  # only a sink ends a walk early
    assert Counter(walk[0] for walk in sentences) == dict.fromkeys(graph.nodes, walks_per_node)
    for start in range(0, len(sentences), len(graph)):  # each pass starts at every node once
        assert {walk[0] for walk in sentences[start : start + len(graph)]} == set(graph.nodes)


EDGES = [
    ("a", "b", 1),
    ("a", "c", 2),
    ("b", "c", 1),
    ("b", "d", 4),
    ("c", "d", 1),
    ("d", "e", 1),
    ("a", "a", 1),
]


@pytest.mark.parametrize(("p", "q"), [(1, 1), (0.5, 2), (4, 0.25), (0.001, 1), (1000, 1), (1, 1000)])
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("with_weights", [False, True])
def test_step_frequencies_match_the_definition_of_node2vec(p, q, directed, with_weights):
    graph = Graph.of(EDGES if with_weights else [edge[:2] for edge in EDGES], directed=directed)
    weight = {}
    for source, target, w in EDGES:
        weight[source, target] = w if with_weights else 1
        if not directed:
            weight[target, source] = weight[source, target]
    walks = adapters.walks(graph, walks_per_node=5_000, walk_length=4, p=p, q=q, seed=11)
    steps = Counter((w[i], w[i + 1], w[i + 2]) for w in walks for i in range(len(w) - 2))
    assert {(here, to) for _, here, to in steps} <= set(weight)
    for before, here in weight:
        options = [target for source, target in weight if source == here]
        bias = {
            to: weight[here, to] * (1 / p if to == before else 1 if (before, to) in weight else 1 / q)
            for to in options
        }
        total = sum(steps[before, here, to] for to in options)
        for to in options:
            expected = total * bias[to] / sum(bias.values())
            spread = np.sqrt(expected * (1 - bias[to] / sum(bias.values()))) + 1
            assert abs(steps[before, here, to] - expected) < 6 * spread, (before, here, to)


@pytest.mark.slow
def test_walks_of_a_seed_do_not_depend_on_the_number_of_threads():
    code = (
        "import hashlib; from item2vec import adapters;"
        "edges = [(str(n), str(n * 7 % 500)) for n in range(500)];"
        "walks = adapters.walks(edges, walks_per_node=20, walk_length=20, p=.5, q=2, seed=5);"
        "print(hashlib.sha256(walks.tokens.tobytes()).hexdigest())"
    )
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"NUMBA_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for threads in ("1", "2")
    }
    assert len(hashes) == 1
    assert hashes != {hashlib.sha256(b"").hexdigest() + "\n"}


def test_other_seeds_give_other_walks():
    tokens = {
        seed: adapters.walks(Graph.of(EDGES), walk_length=30, seed=seed).tokens.tobytes() for seed in range(5)
    }
    assert len(set(tokens.values())) == 5


@pytest.mark.slow
def test_a_hub_of_a_million_edges_does_not_stall():
    n = 1_000_001
    graph = Graph.from_codes(
        Vocabulary(tuple(map(str, range(n)))),
        np.zeros(n - 1, dtype=np.int32),
        np.arange(1, n, dtype=np.int32),
    )
    sentences = adapters.walks(graph, walks_per_node=1, walk_length=10, p=0.25, q=4)
    tokens = sentences.tokens.reshape(n, 10)
    assert ((tokens[:, :-1] == 0) != (tokens[:, 1:] == 0)).all()  # every step is to the hub or from it


@pytest.mark.parametrize(
    "setting",
    [
        {"p": 0},
        {"q": -1},
        {"p": float("nan")},
        {"q": float("inf")},
        {"p": "1"},
        {"walks_per_node": 0},
        {"walks_per_node": float("nan")},
        {"walk_length": 0},
        {"walk_length": 2.5},
        {"seed": -1},
        {"seed": 2**32},
    ],
)
def test_settings_out_of_range_are_errors(setting):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))} is"):
        adapters.walks(EDGES, **setting)


@pytest.mark.parametrize("walk_length", [10**14, 10**25])
def test_walks_that_do_not_fit_into_memory_are_errors(walk_length):
    with pytest.raises(ConfigError, match="lower walks_per_node or walk_length"):
        adapters.walks(EDGES, walk_length=walk_length)


def test_directed_walks_over_an_undirected_graph_are_an_error():
    with pytest.raises(ConfigError, match="directed"):
        adapters.walks(Graph.of(EDGES), directed=True)


def test_walks_over_a_graph_do_not_import_pandas():
    code = (
        "import sys; from item2vec import Graph, adapters;"
        "adapters.walks(Graph.of([('a', 'b')]), walk_length=3); assert 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_walks_work_in_threads_and_after_a_fork():
    code = (
        "import os; from concurrent.futures import ThreadPoolExecutor; from item2vec import Graph, adapters;"
        "graph = Graph.of([(str(n), str(n * 7 % 500)) for n in range(500)]);"
        "walk = lambda _=0: adapters.walks(graph, p=.5).tokens.tobytes();"
        "first = walk();"
        "assert set(ThreadPoolExecutor(4).map(walk, range(12))) == {first};"
        "child = os.fork();"
        "child or os._exit(walk() != first);"
        "assert os.waitpid(child, 0)[1] == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
