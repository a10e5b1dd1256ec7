"""Random walks over a graph in compressed sparse rows: DeepWalk and node2vec.

First-order steps draw a neighbour evenly, or through an alias table (Vose, A linear algorithm for generating
random numbers with a given distribution, 1991). Second-order steps (Grover & Leskovec, node2vec, KDD 2016)
are drawn by rejection (Yang et al., KnightKing, SOSP 2019), so that no table over pairs of edges is needed.

Walks advance side by side in blocks, so that the memory fetches of one overlap with the others': up to four
times as fast as walk by walk. Each has a random generator of its own (splitmix64), made from the seed, the
pass and the node it starts at, so that neither blocks nor threads change it. The threads are Python's:
numba's own pools abort the process after a fork, or when two calls meet.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from item2vec.kernels.compiled import compiled
from item2vec.kernels.random import mix

__all__ = ["Csr", "alias_tables", "walk"]

Nodes = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
States = npt.NDArray[np.uint64]
Probabilities = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

_BLOCK = 64
_TASK = 64 * _BLOCK
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)


class Csr(NamedTuple):
    """A graph as plain arrays; those from ``weights`` on are empty where all edges weigh the same.

    ``strength`` is the total weight of each node's edges; ``keep`` and ``alias`` are Vose's tables.
    """

    offsets: Places
    neighbours: Nodes
    directed: bool
    weights: npt.NDArray[np.float32]
    strength: Numbers
    keep: Probabilities
    alias: Nodes


def walk(graph: Csr, starts: Nodes, walk_length: int, p: float, q: float, seed: int) -> tuple[Nodes, Places]:
    """Return the nodes of all walks, one walk after another, and the length of each.

    ``starts`` are passes over all nodes, each in any order. A walk ends early at a node without neighbours.
    """
    tokens = np.empty(len(starts) * walk_length, np.int32)
    walks = tokens.reshape(len(starts), walk_length)
    walks[:, 0] = starts
    lengths = np.ones(len(starts), np.int64)

    def advance(first: int) -> None:
        task = slice(first, first + _TASK)
        _advance(graph, walks[task], lengths[task], first, np.uint64(seed), float(p), float(q))

    with ThreadPoolExecutor(numba.config.NUMBA_NUM_THREADS) as threads:
        for _ in threads.map(advance, range(0, len(starts), _TASK)):
            pass
    tokens.resize(_close_gaps(walks, lengths), refcheck=False)  # walks, a view of it, ends here
    return tokens, lengths


@compiled
def alias_tables(offsets: Places, weights: npt.NDArray[np.float32]) -> tuple[Numbers, Probabilities, Nodes]:
    """Return each node's total weight, and for each edge the probability to keep it and its alias otherwise.

    An alias is a place among the same node's edges.
    """
    strength = np.zeros(len(offsets) - 1, np.float64)
    keep = np.ones(len(weights), np.float32)
    alias = np.zeros(len(weights), np.int32)
    for node in range(len(strength)):
        edges = slice(offsets[node], offsets[node + 1])
        share = weights[edges].astype(np.float64)
        if len(share) == 0:
            continue
        strength[node] = share.sum()
        share *= len(share) / strength[node]
        _fill_alias_row(share, keep[edges], alias[edges])
    return strength, keep, alias


@compiled
def _fill_alias_row(share: Numbers, keep: Probabilities, alias: Nodes) -> None:
    """Fill up each share below 1, their mean, from one above; the stack holds lows left, highs right."""
    stack = np.empty(len(share), np.int32)
    n_low, high = 0, len(share)
    for place in range(len(share)):
        if share[place] < 1:
            stack[n_low] = place
            n_low += 1
        else:
            high -= 1
            stack[high] = place
    while n_low > 0 and high < len(share):
        low, donor = stack[n_low - 1], stack[high]
        keep[low], alias[low] = share[low], donor
        share[donor] -= 1 - share[low]
        n_low -= 1
        if share[donor] < 1:
            high += 1
            stack[n_low] = donor
            n_low += 1


@compiled
def _advance(
    graph: Csr, walks: Nodes, lengths: Places, first: int, seed: np.uint64, p: float, q: float
) -> None:
    n_nodes = len(graph.offsets) - 1
    key = mix(seed)
    for start in range(0, len(walks), _BLOCK):
        block, block_lengths = walks[start : start + _BLOCK], lengths[start : start + _BLOCK]
        states = np.empty(len(block), np.uint64)
        for i in range(len(block)):
            pass_ = (first + start + i) // n_nodes
            states[i] = mix(key + _GOLDEN * np.uint64(pass_ * n_nodes + block[i, 0]))
        if p == 1 and q == 1:
            _first_order(graph, block, block_lengths, states)
        else:
            _first_order(graph, block[:, :2], block_lengths, states)
            _second_order(graph, block, block_lengths, states, p, q)


@compiled
def _first_order(graph: Csr, walks: Nodes, lengths: Places, states: States) -> None:
    for step in range(1, walks.shape[1]):
        for i in range(len(walks)):
            if lengths[i] == step and _degree(graph, walks[i, step - 1]) > 0:
                states[i] += _GOLDEN
                walks[i, step] = _neighbour(graph, walks[i, step - 1], mix(states[i]))
                lengths[i] = step + 1


@compiled
def _second_order(graph: Csr, walks: Nodes, lengths: Places, states: States, p: float, q: float) -> None:
    """Advance walks of two nodes, each by its own number of tries.

    A candidate drawn by weight is accepted in proportion to its bias: 1/p for a return, 1 for a neighbour of
    the node before, 1/q for any other. Once more candidates were refused than there are, the draw is made
    among all of them.
    """
    active = np.flatnonzero(lengths == 2)
    refused = np.zeros(len(walks), np.int64)
    candidate = np.empty(len(walks), np.int32)
    height = np.empty(len(walks), np.float64)
    while True:
        n_active = 0
        for i in active:
            if lengths[i] < walks.shape[1] and _degree(graph, walks[i, lengths[i] - 1]) > 0:
                active[n_active] = i
                n_active += 1
        active = active[:n_active]
        if n_active == 0:
            return
        _propose(graph, walks, lengths, states, active, candidate, height, p, q)
        for i in active:
            previous, node = walks[i, lengths[i] - 2], walks[i, lengths[i] - 1]
            accepted = _accepts(graph, previous, candidate[i], height[i], p, q)
            refused[i] += not accepted
            if refused[i] > _degree(graph, node):
                states[i], candidate[i] = _among_all(graph, previous, node, states[i], p, q)
                accepted = True
            if accepted:
                walks[i, lengths[i]] = candidate[i]
                lengths[i] += 1
                refused[i] = 0


@compiled
def _propose(
    graph: Csr,
    walks: Nodes,
    lengths: Places,
    states: States,
    active: Places,
    candidate: Nodes,
    height: Numbers,
    p: float,
    q: float,
) -> None:
    """Draw a candidate for each active walk, and the height that its bias has to exceed.

    Where a return's bias stands out above the other two, that part of it is drawn by itself, as a height
    above both, so that it does not make the others improbable.
    """
    roof = max(1.0, 1 / q)
    for i in active:
        previous, node = walks[i, lengths[i] - 2], walks[i, lengths[i] - 1]
        above = max(0.0, 1 / p - roof)
        if above > 0:
            above *= _share_of_return(graph, previous, node)
        states[i] += _GOLDEN
        height[i] = _unit(mix(states[i])) * (roof + above)
        states[i] += _GOLDEN
        drawn = _neighbour(graph, node, mix(states[i]))
        candidate[i] = previous if height[i] >= roof else drawn


@compiled
def _accepts(graph: Csr, previous: int, candidate: int, height: float, p: float, q: float) -> bool:
    if candidate == previous:
        return height < 1 / p
    if height < min(1.0, 1 / q):
        return True
    return (_edge(graph, previous, candidate) >= 0) == (q >= 1)


@compiled
def _among_all(
    graph: Csr, previous: int, node: int, state: np.uint64, p: float, q: float
) -> tuple[np.uint64, int]:
    """Draw a neighbour by weight times bias in one look at each (reservoir sampling)."""
    total = 0.0
    chosen = previous
    for slot in range(graph.offsets[node], graph.offsets[node + 1]):
        candidate = graph.neighbours[slot]
        if candidate == previous:
            share = 1 / p
        elif _edge(graph, previous, candidate) >= 0:
            share = 1.0
        else:
            share = 1 / q
        if len(graph.weights) > 0:
            share *= graph.weights[slot]
        total += share
        state += _GOLDEN
        if _unit(mix(state)) * total < share:
            chosen = candidate
    return state, chosen


@compiled
def _share_of_return(graph: Csr, previous: int, node: int) -> float:
    """Return the part of a node's total weight that its edge back to the node before has."""
    if len(graph.weights) == 0 and not graph.directed:
        return 1 / _degree(graph, node)
    back = _edge(graph, node, previous)
    if back < 0:
        return 0.0
    return graph.weights[back] / graph.strength[node] if len(graph.weights) > 0 else 1 / _degree(graph, node)


@compiled
def _edge(graph: Csr, source: int, target: int) -> int:
    """Return where an edge stands among all edges, or -1; the source has at least one edge.

    Without a branch in the loop, since the processor could not foresee it.
    """
    place, size = graph.offsets[source], _degree(graph, source)
    while size > 1:
        half = size >> 1
        place = place + half if graph.neighbours[place + half] <= target else place
        size -= half
    return place if graph.neighbours[place] == target else -1


@compiled
def _degree(graph: Csr, node: int) -> int:
    return int(graph.offsets[node + 1] - graph.offsets[node])


@compiled
def _neighbour(graph: Csr, node: int, bits: np.uint64) -> int:
    """Draw a neighbour by weight: the upper half of the bits picks one, the lower half keeps or swaps it."""
    start = graph.offsets[node]
    slot = start + np.int64((bits >> _HALF) * np.uint64(_degree(graph, node)) >> _HALF)
    if len(graph.keep) > 0 and np.int64(bits & _LOW_HALF) * 2.0**-32 >= graph.keep[slot]:
        slot = start + graph.alias[slot]
    return int(graph.neighbours[slot])


@compiled
def _unit(bits: np.uint64) -> float:
    """Return a number in [0, 1)."""
    return np.int64(bits >> np.uint64(11)) * 2.0**-53


@compiled
def _close_gaps(walks: Nodes, lengths: Places) -> int:
    """Move the walks together, in place, so that each starts where the one before ends; return the end."""
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
