"""A graph as plain arrays, and whether an edge joins two of its nodes.

The filter says at once, for most pairs of nodes, that no edge joins them. It is a blocked Bloom filter
(Putze, Sanders & Singler, Cache-, hash- and space-efficient Bloom filters, 2007): each edge sets two bits of
one word, and there is a byte for each edge, so that a pair without an edge passes about one time in twenty.
One look into an eighth of the neighbours' memory (a quarter where directed) takes the place of a search in
all of it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets, Words
from item2vec.kernels.compiled import compiled
from item2vec.kernels.random import GOLDEN, HALF

__all__ = [
    "Csr",
    "degree_of",
    "edge_filter",
    "edge_place",
    "may_be_edge",
]


_EDGES_A_WORD = 8
_ONE = np.uint64(1)
_BIT = np.uint64(63)
_SIX = np.uint64(6)


class Csr(NamedTuple):
    """A graph as plain arrays; those from ``weights`` on are empty where all edges weigh the same.

    ``strength`` is the total weight of each node's edges; ``keep`` and ``alias`` are Vose's tables.
    """

    offsets: Offsets
    neighbours: Codes
    directed: bool
    weights: Floats
    strength: Doubles
    keep: Floats
    alias: Codes


def edge_filter(offsets: Offsets, neighbours: Codes, directed: bool) -> Words:
    """Return the filter of a graph's edges; an undirected edge is in it once."""
    n_edges = len(neighbours) if directed else len(neighbours) // 2
    words = np.zeros(n_edges // _EDGES_A_WORD + 1, np.uint64)
    _add_edges(words, offsets, neighbours, directed)
    return words


@compiled
def may_be_edge(words: Words, source: int, target: int, directed: bool) -> bool:
    """Return whether there may be an edge; ``False`` is certain."""
    hash_ = _hash(source, target, directed)
    bits = _bits(hash_)
    return bool((words[_place(words, hash_)] & bits) == bits)


@compiled
def _add_edges(words: Words, offsets: Offsets, neighbours: Codes, directed: bool) -> None:
    for source in range(len(offsets) - 1):
        for slot in range(offsets[source], offsets[source + 1]):
            if directed or source <= neighbours[slot]:
                hash_ = _hash(source, neighbours[slot], directed)
                words[_place(words, hash_)] |= _bits(hash_)


@compiled
def _hash(source: int, target: int, directed: bool) -> np.uint64:
    """Return 64 bits for a pair; for the same pair turned round, the same bits unless directed."""
    turned = not directed and source > target
    first, second = (target, source) if turned else (source, target)
    pair = (np.uint64(first) << HALF) | np.uint64(second)
    pair = (pair ^ (pair >> HALF)) * GOLDEN
    return (pair ^ (pair >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


@compiled
def _place(words: Words, hash_: np.uint64) -> np.uint64:
    return ((hash_ >> HALF) * np.uint64(len(words))) >> HALF


@compiled
def _bits(hash_: np.uint64) -> np.uint64:
    return (_ONE << (hash_ & _BIT)) | (_ONE << ((hash_ >> _SIX) & _BIT))


@compiled
def edge_place(graph: Csr, source: int, target: int) -> int:
    """Return where an edge stands among all edges, or -1; the source has at least one edge.

    Without a branch in the loop, since the processor could not foresee it.
    """
    place, size = graph.offsets[source], degree_of(graph, source)
    while size > 1:
        half = size >> 1
        place = place + half if graph.neighbours[place + half] <= target else place
        size -= half
    return place if graph.neighbours[place] == target else -1


@compiled
def degree_of(graph: Csr, node: int) -> int:
    """Return the number of a node's neighbours."""
    return int(graph.offsets[node + 1] - graph.offsets[node])
