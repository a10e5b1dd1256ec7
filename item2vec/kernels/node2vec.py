"""Second-order steps of node2vec walks by rejection sampling. ``kernels.walks`` defines their distribution.

A neighbour ``x`` of the current node is proposed in proportion to its weight, and accepted if
``height < bias(x)``, with ``height`` uniform in [0, max(bias)). Proposals repeat until one is accepted.
Exceptions are a 1 / p above all other biases (see ``_propose``), and many rejections (see ``second_order``).

Up to 1,024 walks advance together, each in one *slot*, in simple passes over all slots. Each pass makes
random accesses to one array and has no unpredictable branch, so that the memory accesses of different walks
overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Offsets, Words
from item2vec.kernels.compiled import compiled
from item2vec.kernels.edges import Csr, degree_of, edge_index, may_be_edge
from item2vec.kernels.random import GOLDEN, LOW_HALF, below, mix

__all__ = ["second_order", "swaps"]

_SLOTS = 1024


class _Slots(NamedTuple):
    """The walks that advance together, one slot per walk.

    ``row`` is the index of the walk among all walks, ``length`` its number of nodes, ``state`` its random
    state, ``previous`` and ``node`` its last two nodes, and ``rejected`` the number of rejected candidates
    since the last step. ``edge`` (index of the proposed edge), ``candidate``, ``height`` and ``accepted``
    describe the current proposal. ``listed`` is working memory for lists of slots.
    """

    row: Offsets
    length: Offsets
    state: Words
    previous: Codes
    node: Codes
    rejected: Offsets
    edge: Offsets
    candidate: Codes
    height: Doubles
    accepted: Codes
    listed: Offsets


@compiled
def second_order(
    graph: Csr, edges: Words, walks: Codes, lengths: Offsets, states: Words, p: float, q: float
) -> None:
    """Extend walks of two nodes to their end, in place. When a walk ends, the next walk takes its slot.

    ``edges`` is the Bloom filter of the graph's edges (empty if ``q`` is 1). If more candidates were rejected
    than the current node has neighbours, the next node is drawn without rejection, in one pass over the
    neighbours.
    """
    rows = np.flatnonzero(lengths == 2)
    n_rows = 0
    for row in rows:
        rows[n_rows] = row
        n_rows += walks.shape[1] > 2 and degree_of(graph, walks[row, 1]) > 0
    n_slots = min(_SLOTS, n_rows)
    slots = _empty_slots(n_slots)
    for slot in range(n_slots):
        _enter(slots, slot, rows[slot], walks, states)
    entered = n_slots
    while n_slots > 0:
        _propose(graph, slots, n_slots, p, q)
        _decide(graph, edges, slots, n_slots, p, q)
        for end in range(_step(graph, slots, n_slots, walks, lengths, p, q) - 1, -1, -1):
            slot = slots.listed[end]
            if entered < n_rows:
                _enter(slots, slot, rows[entered], walks, states)
                entered += 1
            else:
                n_slots -= 1
                _move(slots, n_slots, slot)


@compiled
def _empty_slots(n_slots: int) -> _Slots:
    return _Slots(
        np.empty(n_slots, np.int64),
        np.empty(n_slots, np.int64),
        np.empty(n_slots, np.uint64),
        np.empty(n_slots, np.int32),
        np.empty(n_slots, np.int32),
        np.empty(n_slots, np.int64),
        np.empty(n_slots, np.int64),
        np.empty(n_slots, np.int32),
        np.empty(n_slots, np.float64),
        np.empty(n_slots, np.int32),
        np.empty(n_slots, np.int64),
    )


@compiled
def _enter(slots: _Slots, slot: int, row: int, walks: Codes, states: Words) -> None:
    slots.row[slot] = row
    slots.length[slot] = 2
    slots.state[slot] = states[row]
    slots.previous[slot], slots.node[slot] = walks[row, 0], walks[row, 1]
    slots.rejected[slot] = 0


@compiled
def _move(slots: _Slots, source: int, target: int) -> None:
    slots.row[target] = slots.row[source]
    slots.length[target] = slots.length[source]
    slots.state[target] = slots.state[source]
    slots.previous[target], slots.node[target] = slots.previous[source], slots.node[source]
    slots.rejected[target] = slots.rejected[source]


@compiled
def _propose(graph: Csr, slots: _Slots, n_slots: int, p: float, q: float) -> None:
    """Draw a candidate for each walk, and the height that the bias of the candidate must exceed.

    The bias is 1 / p for a return to the previous node, 1 for a neighbour of the previous node, and 1 / q for
    any other node. If 1 / p is the largest bias, a height above both other biases proposes the return.
    Without this separate proposal, a large 1 / p would cause nearly all other candidates to be rejected.
    """
    previous, candidate, state, height = slots.previous, slots.candidate, slots.state, slots.height
    highest = max(1.0, 1 / q)
    _add_returns(graph, slots, n_slots, max(0.0, 1 / p - highest))
    for slot in range(n_slots):
        state[slot] += GOLDEN
        height[slot] = _uniform(mix(state[slot])) * (highest + height[slot])
    _draw(graph, slots, n_slots)
    for slot in range(n_slots):
        candidate[slot] = previous[slot] if height[slot] >= highest else candidate[slot]


@compiled
def _add_returns(graph: Csr, slots: _Slots, n_slots: int, excess: float) -> None:
    """Set each height to ``excess`` times the share of the return edge in the node's total edge weight."""
    offsets, node, height = graph.offsets, slots.node, slots.height
    if excess == 0:
        height[:n_slots] = 0
    elif len(graph.weights) == 0 and not graph.directed:
        for slot in range(n_slots):
            height[slot] = excess / (offsets[node[slot] + 1] - offsets[node[slot]])
    else:
        for slot in range(n_slots):
            height[slot] = excess * _share_of_return(graph, slots.previous[slot], node[slot])


@compiled
def _draw(graph: Csr, slots: _Slots, n_slots: int) -> None:
    """Draw a neighbour of the current node of each walk, in proportion to the weights of the edges."""
    offsets, neighbours, keep, alias = graph.offsets, graph.neighbours, graph.keep, graph.alias
    node, candidate, state, edge = slots.node, slots.candidate, slots.state, slots.edge
    for slot in range(n_slots):
        state[slot] += GOLDEN
        start = offsets[node[slot]]
        edge[slot] = start + below(mix(state[slot]), offsets[node[slot] + 1] - start)
    if len(keep) > 0:
        for slot in range(n_slots):
            if swaps(mix(state[slot]), keep[edge[slot]]):
                edge[slot] = offsets[node[slot]] + alias[edge[slot]]
    for slot in range(n_slots):
        candidate[slot] = neighbours[edge[slot]]


@compiled
def _decide(graph: Csr, edges: Words, slots: _Slots, n_slots: int, p: float, q: float) -> None:
    """Accept or reject each candidate by the cheapest sufficient test: bias bounds, Bloom filter, search.

    Each pass lists the slots that remain undecided. The passes have no unpredictable branches.
    """
    directed, previous, candidate = graph.directed, slots.previous, slots.candidate
    height, accepted, listed = slots.height, slots.accepted, slots.listed
    low, return_bias = min(1.0, 1 / q), 1 / p
    n_open = 0
    for slot in range(n_slots):
        returns = candidate[slot] == previous[slot]
        accepted[slot] = height[slot] < (return_bias if returns else low)
        listed[n_open] = slot
        n_open += (not returns) & (height[slot] >= low)
    n_searched = 0
    for i in range(n_open):
        slot = listed[i]
        accepted[slot] = q < 1
        listed[n_searched] = slot
        n_searched += may_be_edge(edges, previous[slot], candidate[slot], directed)
    for i in range(n_searched):
        slot = listed[i]
        accepted[slot] = (edge_index(graph, previous[slot], candidate[slot]) >= 0) == (q >= 1)


@compiled
def _step(graph: Csr, slots: _Slots, n_slots: int, walks: Codes, lengths: Offsets, p: float, q: float) -> int:
    """Append accepted candidates to the walks; list the slots whose walks end, and return their number."""
    offsets, row, length, rejected = graph.offsets, slots.row, slots.length, slots.rejected
    previous, node, candidate, accepted = slots.previous, slots.node, slots.candidate, slots.accepted
    for slot in range(n_slots):
        here = node[slot]
        rejected[slot] = (rejected[slot] + 1) * (1 - accepted[slot])
        if rejected[slot] > offsets[here + 1] - offsets[here]:
            slots.state[slot], candidate[slot] = _draw_exactly(
                graph, previous[slot], here, slots.state[slot], p, q
            )
            accepted[slot] = 1
            rejected[slot] = 0
    n_ended = 0
    for slot in range(n_slots):
        to, moves = candidate[slot], accepted[slot]
        walks[row[slot], length[slot]] = to
        length[slot] += moves
        previous[slot] += (node[slot] - previous[slot]) * moves
        node[slot] += (to - node[slot]) * moves
        slots.listed[n_ended] = slot
        n_ended += (length[slot] == walks.shape[1]) | (moves & (offsets[to] == offsets[to + 1]))
    for end in range(n_ended):
        slot = slots.listed[end]
        lengths[row[slot]] = length[slot]
    return n_ended


@compiled
def _draw_exactly(
    graph: Csr, previous: int, node: int, state: np.uint64, p: float, q: float
) -> tuple[np.uint64, int]:
    """Draw a neighbour of ``node`` in proportion to weight × bias, in one pass (reservoir sampling).

    Return a pair: the new random state, and the neighbour.
    """
    total = 0.0
    chosen = previous
    for edge in range(graph.offsets[node], graph.offsets[node + 1]):
        candidate = graph.neighbours[edge]
        if candidate == previous:
            weight = 1 / p
        elif edge_index(graph, previous, candidate) >= 0:
            weight = 1.0
        else:
            weight = 1 / q
        if len(graph.weights) > 0:
            weight *= graph.weights[edge]
        total += weight
        state += GOLDEN
        if _uniform(mix(state)) * total < weight:
            chosen = candidate
    return state, chosen


@compiled
def _share_of_return(graph: Csr, previous: int, node: int) -> float:
    """Return the share of the edge to ``previous`` in the node's total edge weight; 0 without this edge."""
    if len(graph.weights) == 0 and not graph.directed:
        return 1 / degree_of(graph, node)
    back = edge_index(graph, node, previous)
    if back < 0:
        return 0.0
    return (
        graph.weights[back] / graph.strength[node] if len(graph.weights) > 0 else 1 / degree_of(graph, node)
    )


@compiled
def swaps(bits: np.uint64, keep: float) -> bool:
    """Return whether the lower 32 of 64 random bits select the alias of an edge instead of the edge."""
    return bool(np.int64(bits & LOW_HALF) * 2.0**-32 >= keep)


@compiled
def _uniform(bits: np.uint64) -> float:
    """Return a uniform number in [0, 1) from 64 random bits."""
    return np.int64(bits >> np.uint64(11)) * 2.0**-53
