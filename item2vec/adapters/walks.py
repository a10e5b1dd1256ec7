"""Training sentences from random walks on a graph."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from os import PathLike
from typing import Any

import numpy as np

from item2vec.arguments import checked_except
from item2vec.arrays import Codes
from item2vec.errors import ConfigError
from item2vec.graph import Graph
from item2vec.interactions import read_only
from item2vec.kernels.alias import edge_alias_tables
from item2vec.kernels.walks import Csr, walk
from item2vec.sentences import Sentences, offsets_of
from item2vec.shaping import check_least

__all__ = ["walks"]


@checked_except("walks_per_node", "walk_length", "p", "q", "seed")
def walks(
    edges: Graph | str | PathLike[str] | Iterable[tuple[Any, ...]] | Any,
    *,
    walks_per_node: int = 10,
    walk_length: int = 80,
    p: float = 1.0,
    q: float = 1.0,
    seed: int = 7,
    directed: bool | None = None,
) -> Sentences:
    """Return random walks on a graph. Each pass starts one walk from every node, in random order.

    With ``p = q = 1``, the probability of a step is proportional to the edge weight (DeepWalk; Perozzi et
    al., KDD 2014). Otherwise, from the second step on, the edge weight is multiplied by ``1/p`` for a step
    back to the previous node, by 1 for a step to a neighbour of the previous node, and by ``1/q`` for all
    other steps (node2vec; Grover & Leskovec, KDD 2016).

    Parameters
    ----------
    edges
        A ``Graph``, or a source for ``readers.read_edges``: a file, a DataFrame, a graph of networkx or
        igraph, or tuples of source, target and optionally weight.
    walks_per_node
        Number of passes, and of walks from each node.
    walk_length
        Maximum number of nodes in a walk. A walk ends early at a node without outgoing edges.
    p, q
        Return parameter and in-out parameter of node2vec, each from 1e-300 to 1e300.
    seed
        Seed of the random number generator. Results do not depend on the number of threads.
    directed
        Whether the edges are directed. Must not be True for an undirected graph. ``None``: as the graph
        states, or undirected.

    Raises
    ------
    ConfigError
        If a setting is out of range, or the walks do not fit into memory.

    Examples
    --------
    >>> walks([("a", "b"), ("b", "c")], walks_per_node=2, walk_length=3)
    Sentences(6 sentences, 18 tokens, 3 items, lengths 3 to 3)
    """
    check_least("walks_per_node", walks_per_node, 1)
    check_least("walk_length", walk_length, 1, most=math.inf)
    check_least("seed", seed, 0)
    if seed >= 2**32:
        raise ConfigError(f"seed is {seed}; expected an integer below 2**32")
    for name, value in (("p", p), ("q", q)):
        _check_bias(name, value)
    graph = _graph(edges, directed)
    n_tokens = len(graph) * walks_per_node * walk_length
    try:
        if n_tokens > sys.maxsize // 8:
            raise MemoryError
        starts = _starts(len(graph), walks_per_node, seed)
        tokens, lengths = walk(_arrays(graph), starts, walk_length, p, q, seed)
    except MemoryError:
        raise ConfigError(
            f"the walks have {n_tokens:,} nodes, which do not fit into memory; "
            "lower walks_per_node or walk_length"
        ) from None
    return Sentences(graph.nodes, tokens, offsets_of(lengths))


def _check_bias(name: str, value: object) -> None:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | np.number)
        or not 1e-300 <= value <= 1e300
    ):
        raise ConfigError(f"{name} is {value!r}; expected a number from 1e-300 to 1e300")


def _graph(edges: Any, directed: bool | None) -> Graph:
    if not isinstance(edges, Graph):
        from item2vec.readers import read_edges  # imports pandas, which a Graph does not need

        return read_edges(edges, directed=directed)
    if directed and not edges.directed:
        raise ConfigError(
            "directed is True for an undirected graph; create the graph with Graph.of(…, directed=True)"
        )
    return edges


def _starts(n_nodes: int, n_passes: int, seed: int) -> Codes:
    random = np.random.default_rng(seed)
    starts = np.tile(np.arange(n_nodes, dtype=np.int32), (n_passes, 1))
    return random.permuted(starts, axis=1, out=starts).reshape(-1)


def _arrays(graph: Graph) -> Csr:
    if graph.weights is None:
        none = np.empty(0, np.float32)
        weights = read_only(none, np.float32)  # read-only, so that numba compiles one signature
        no_alias = np.empty(0, np.int32)
        return Csr(graph.offsets, graph.neighbours, graph.directed, weights, np.empty(0), none, no_alias)
    strength, keep, alias = edge_alias_tables(graph.offsets, graph.weights)
    return Csr(graph.offsets, graph.neighbours, graph.directed, graph.weights, strength, keep, alias)
