"""Graphs in compressed sparse row (CSR) format, and membership tests of their edges.

``edge_index`` is a binary search among the neighbours of a node. ``may_be_edge`` queries a blocked Bloom
filter (Putze, Sanders & Singler, Cache-, hash- and space-efficient Bloom filters, 2007), which rejects most
pairs without an edge after one memory access. Each edge sets two bits of one 64-bit word. The filter takes
one byte per edge: an eighth of the memory of the neighbours, or a quarter in a directed graph. Its false
positive rate is about 5 %.
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
    "edge_index",
    "may_be_edge",
]


_EDGES_PER_WORD = 8
_ONE = np.uint64(1)
_BIT = np.uint64(63)
_SIX = np.uint64(6)


class Csr(NamedTuple):
    """A graph in compressed sparse row (CSR) format.

    The neighbours of node ``i`` are ``neighbours[offsets[i]:offsets[i + 1]]``, ascending. ``weights`` holds
    the weight of each edge. ``strength`` (the total edge weight of each node), ``keep`` and ``alias`` are the
    result of ``edge_alias_tables``. These four arrays are empty for an unweighted graph.
    """

    offsets: Offsets
    neighbours: Codes
    directed: bool
    weights: Floats
    strength: Doubles
    keep: Floats
    alias: Codes


def edge_filter(offsets: Offsets, neighbours: Codes, directed: bool) -> Words:
    """Return the Bloom filter of a graph's edges. An undirected edge is added once."""
    n_edges = len(neighbours) if directed else len(neighbours) // 2
    words = np.zeros(n_edges // _EDGES_PER_WORD + 1, np.uint64)
    _add_edges(words, offsets, neighbours, directed)
    return words


@compiled
def may_be_edge(words: Words, source: int, target: int, directed: bool) -> bool:
    """Return whether the filter contains an edge. ``True`` may be a false positive."""
    hash_ = _hash(source, target, directed)
    bits = _bits(hash_)
    return bool((words[_word(words, hash_)] & bits) == bits)


@compiled
def _add_edges(words: Words, offsets: Offsets, neighbours: Codes, directed: bool) -> None:
    for source in range(len(offsets) - 1):
        for slot in range(offsets[source], offsets[source + 1]):
            if directed or source <= neighbours[slot]:
                hash_ = _hash(source, neighbours[slot], directed)
                words[_word(words, hash_)] |= _bits(hash_)


@compiled
def _hash(source: int, target: int, directed: bool) -> np.uint64:
    """Return the 64-bit hash of a pair. Undirected pairs (a, b) and (b, a) have the same hash."""
    swapped = not directed and source > target
    first, second = (target, source) if swapped else (source, target)
    pair = (np.uint64(first) << HALF) | np.uint64(second)
    pair = (pair ^ (pair >> HALF)) * GOLDEN
    return (pair ^ (pair >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)


@compiled
def _word(words: Words, hash_: np.uint64) -> np.uint64:
    """Return the index of the word that holds the bits of a hash."""
    return ((hash_ >> HALF) * np.uint64(len(words))) >> HALF


@compiled
def _bits(hash_: np.uint64) -> np.uint64:
    return (_ONE << (hash_ & _BIT)) | (_ONE << ((hash_ >> _SIX) & _BIT))


@compiled
def edge_index(graph: Csr, source: int, target: int) -> int:
    """Return the index of an edge in ``graph.neighbours``, or -1 if there is no such edge.

    The source must have at least one edge. The loop is branch-free, because a branch on the
    comparison would be unpredictable.
    """
    index, size = graph.offsets[source], degree_of(graph, source)
    while size > 1:
        half = size >> 1
        index = index + half if graph.neighbours[index + half] <= target else index
        size -= half
    return index if graph.neighbours[index] == target else -1


@compiled
def degree_of(graph: Csr, node: int) -> int:
    """Return the number of neighbours of a node."""
    return int(graph.offsets[node + 1] - graph.offsets[node])
