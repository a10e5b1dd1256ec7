"""Random walks over a graph in compressed sparse rows: DeepWalk and node2vec.

After a step from node ``u`` to node ``v``, the next node ``x`` is a neighbour of ``v``, drawn in proportion
to (Grover & Leskovec, node2vec, KDD 2016)::

    weight(v, x) * (1 / p if x == u else 1 if x is a neighbour of u else 1 / q)

The first step of a walk, and every step if p = q = 1, is drawn in proportion to the weight (from an alias
table, if the edges have weights). All other steps are drawn by rejection sampling (Yang et al., KnightKing,
SOSP 2019), which does not need an alias table for each pair of previous and current node. After many
rejections, a step is drawn without rejection, in one pass over the neighbours.

The walks of a block advance by one step at a time, so that their memory accesses overlap. This is up to four
times as fast as one walk after another. The random state of each walk (splitmix64) is computed from the seed,
the pass and the first node, so that results do not depend on blocks or threads. The threads are Python
threads, because numba's thread pools abort the process after a fork, and if two calls run concurrently.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

from item2vec.arrays import Codes, Offsets, Words
from item2vec.kernels.compiled import compiled
from item2vec.kernels.edges import Csr, edge_filter
from item2vec.kernels.node2vec import second_order, swaps
from item2vec.kernels.random import GOLDEN, below, mix

__all__ = ["Csr", "filter_of", "walk"]

_BLOCK = 64
_TASK = 64 * _BLOCK


def filter_of(graph: Csr, q: float) -> Words:
    """Return the Bloom filter of the graph's edges, for walks with this in-out parameter ``q``.

    For q = 1, the filter is empty, because neighbours of the previous node have the same bias as other nodes.
    """
    if q == 1:
        return np.empty(0, np.uint64)
    return edge_filter(graph.offsets, graph.neighbours, graph.directed)


def walk(
    graph: Csr, edges: Words, starts: Codes, first: int, walk_length: int, p: float, q: float, seed: int
) -> tuple[Codes, Offsets]:
    """Return a pair of arrays: the concatenated nodes of all walks; and the length of each walk.

    ``edges`` is the result of ``filter_of``. ``starts`` holds the first node of each walk. It is a slice of a
    longer list, which contains all nodes once per pass, in any order within a pass. ``first`` is the index in
    the list at which the slice starts. A walk has ``walk_length`` nodes, or fewer if it reaches a node
    without neighbours.
    """
    tokens = np.empty(len(starts) * walk_length, np.int32)
    walks = tokens.reshape(len(starts), walk_length)
    walks[:, 0] = starts
    lengths = np.ones(len(starts), np.int64)

    def advance(start: int) -> None:
        task = slice(start, start + _TASK)
        _advance(graph, edges, walks[task], lengths[task], first + start, np.uint64(seed), float(p), float(q))

    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as threads:
        for _ in threads.map(advance, range(0, len(starts), _TASK)):
            pass
    tokens.resize(_close_gaps(walks, lengths), refcheck=False)  # walks is a view of tokens
    return tokens, lengths


@compiled
def _advance(
    graph: Csr, edges: Words, walks: Codes, lengths: Offsets, first: int, seed: np.uint64, p: float, q: float
) -> None:
    n_nodes = len(graph.offsets) - 1
    key = mix(seed)
    states = np.empty(len(walks), np.uint64)
    for i in range(len(walks)):
        pass_ = (first + i) // n_nodes
        states[i] = mix(key + GOLDEN * np.uint64(pass_ * n_nodes + walks[i, 0]))
    first_order = p == 1 and q == 1
    for start in range(0, len(walks), _BLOCK):
        block = slice(start, start + _BLOCK)
        _first_order(graph, walks[block] if first_order else walks[block, :2], lengths[block], states[block])
    if not first_order:
        second_order(graph, edges, walks, lengths, states, p, q)


@compiled
def _first_order(graph: Csr, walks: Codes, lengths: Offsets, states: Words) -> None:
    offsets, neighbours, keep, alias = graph.offsets, graph.neighbours, graph.keep, graph.alias
    for step in range(1, walks.shape[1]):
        for i in range(len(walks)):
            start, end = offsets[walks[i, step - 1]], offsets[walks[i, step - 1] + 1]
            if lengths[i] == step and start < end:
                states[i] += GOLDEN
                bits = mix(states[i])
                slot = start + below(bits, end - start)
                if len(keep) > 0 and swaps(bits, keep[slot]):
                    slot = start + alias[slot]
                walks[i, step] = neighbours[slot]
                lengths[i] = step + 1


@compiled
def _close_gaps(walks: Codes, lengths: Offsets) -> int:
    """Move walks to the left in place, so that they are contiguous; return their total length."""
    tokens = walks.reshape(-1)
    end = 0
    for i in range(len(walks)):
        if end == i * walks.shape[1]:
            end += lengths[i]
            continue
        for step in range(lengths[i]):
            tokens[end] = walks[i, step]
            end += 1
    return end
