"""Second-order steps of random walks, in plain passes over many walks.

Each pass fetches from one place only and takes no branch that the processor would have to guess, so that the
fetches of one walk overlap with the others' and the sums compile to vector code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.kernels.compiled import compiled
from item2vec.kernels.edges import (
    Csr,
    Nodes,
    Numbers,
    Places,
    Words,
    degree_of,
    edge_place,
    may_be_edge,
)
from item2vec.kernels.random import mix

__all__ = ["part", "second_order", "swaps"]

_LANES = 1024
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_HALF = np.uint64(32)
_LOW_HALF = np.uint64(0xFFFFFFFF)


class _Lanes(NamedTuple):
    """Where each of the walks stands that advance side by side; ``row`` is its place among all walks."""

    row: Places
    length: Places
    state: Words
    previous: Nodes
    node: Nodes
    refused: Places
    slot: Places
    candidate: Nodes
    height: Numbers
    accepted: Nodes
    listed: Places


@compiled
def second_order(
    graph: Csr, edges: Words, walks: Nodes, lengths: Places, states: Words, p: float, q: float
) -> None:
    """Advance walks of two nodes, each by its own number of tries; where one ends, another takes its lane.

    A candidate drawn by weight is accepted in proportion to its bias: 1/p for a return, 1 for a neighbour of
    the node before, 1/q for any other. Once more candidates were refused than there are, the draw is made
    among all of them.
    """
    rows = np.flatnonzero(lengths == 2)
    n_rows = 0
    for row in rows:
        rows[n_rows] = row
        n_rows += walks.shape[1] > 2 and degree_of(graph, walks[row, 1]) > 0
    n_lanes = min(_LANES, n_rows)
    lanes = _empty_lanes(n_lanes)
    for lane in range(n_lanes):
        _enter(lanes, lane, rows[lane], walks, states)
    entered = n_lanes
    while n_lanes > 0:
        _propose(graph, lanes, n_lanes, p, q)
        _decide(graph, edges, lanes, n_lanes, p, q)
        for end in range(_step(graph, lanes, n_lanes, walks, lengths, p, q) - 1, -1, -1):
            lane = lanes.listed[end]
            if entered < n_rows:
                _enter(lanes, lane, rows[entered], walks, states)
                entered += 1
            else:
                n_lanes -= 1
                _move(lanes, n_lanes, lane)


@compiled
def _empty_lanes(n_lanes: int) -> _Lanes:
    return _Lanes(
        np.empty(n_lanes, np.int64),
        np.empty(n_lanes, np.int64),
        np.empty(n_lanes, np.uint64),
        np.empty(n_lanes, np.int32),
        np.empty(n_lanes, np.int32),
        np.empty(n_lanes, np.int64),
        np.empty(n_lanes, np.int64),
        np.empty(n_lanes, np.int32),
        np.empty(n_lanes, np.float64),
        np.empty(n_lanes, np.int32),
        np.empty(n_lanes, np.int64),
    )


@compiled
def _enter(lanes: _Lanes, lane: int, row: int, walks: Nodes, states: Words) -> None:
    lanes.row[lane] = row
    lanes.length[lane] = 2
    lanes.state[lane] = states[row]
    lanes.previous[lane], lanes.node[lane] = walks[row, 0], walks[row, 1]
    lanes.refused[lane] = 0


@compiled
def _move(lanes: _Lanes, source: int, target: int) -> None:
    lanes.row[target] = lanes.row[source]
    lanes.length[target] = lanes.length[source]
    lanes.state[target] = lanes.state[source]
    lanes.previous[target], lanes.node[target] = lanes.previous[source], lanes.node[source]
    lanes.refused[target] = lanes.refused[source]


@compiled
def _propose(graph: Csr, lanes: _Lanes, n_lanes: int, p: float, q: float) -> None:
    """Draw a candidate for each walk, and the height that its bias has to exceed.

    Where a return's bias stands out above the other two, that part of it is drawn by itself, as a height
    above both, so that it does not make the others improbable.
    """
    previous, candidate, state, height = lanes.previous, lanes.candidate, lanes.state, lanes.height
    roof = max(1.0, 1 / q)
    _add_returns(graph, lanes, n_lanes, max(0.0, 1 / p - roof))
    for lane in range(n_lanes):
        state[lane] += _GOLDEN
        height[lane] = _unit(mix(state[lane])) * (roof + height[lane])
    _draw(graph, lanes, n_lanes)
    for lane in range(n_lanes):
        candidate[lane] = previous[lane] if height[lane] >= roof else candidate[lane]


@compiled
def _add_returns(graph: Csr, lanes: _Lanes, n_lanes: int, out: float) -> None:
    """Set the heights to the part of a return's bias that stands out, by its share of the node's weight."""
    offsets, node, height = graph.offsets, lanes.node, lanes.height
    if out == 0:
        height[:n_lanes] = 0
    elif len(graph.weights) == 0 and not graph.directed:
        for lane in range(n_lanes):
            height[lane] = out / (offsets[node[lane] + 1] - offsets[node[lane]])
    else:
        for lane in range(n_lanes):
            height[lane] = out * _share_of_return(graph, lanes.previous[lane], node[lane])


@compiled
def _draw(graph: Csr, lanes: _Lanes, n_lanes: int) -> None:
    """Draw a neighbour of each walk's node by weight, in passes so plain that they become vector code."""
    offsets, neighbours, keep, alias = graph.offsets, graph.neighbours, graph.keep, graph.alias
    node, candidate, state, slot = lanes.node, lanes.candidate, lanes.state, lanes.slot
    for lane in range(n_lanes):
        state[lane] += _GOLDEN
        start = offsets[node[lane]]
        slot[lane] = start + part(mix(state[lane]), offsets[node[lane] + 1] - start)
    if len(keep) > 0:
        for lane in range(n_lanes):
            if swaps(mix(state[lane]), keep[slot[lane]]):
                slot[lane] = offsets[node[lane]] + alias[slot[lane]]
    for lane in range(n_lanes):
        candidate[lane] = neighbours[slot[lane]]


@compiled
def _decide(graph: Csr, edges: Words, lanes: _Lanes, n_lanes: int, p: float, q: float) -> None:
    """Accept or refuse each candidate: by its height where that is enough, by the filter, by a search.

    Each pass lists, without a branch, what it leaves open, and fetches from one place only, so that the
    fetches overlap.
    """
    directed, previous, candidate = graph.directed, lanes.previous, lanes.candidate
    height, accepted, listed = lanes.height, lanes.accepted, lanes.listed
    low, return_bias = min(1.0, 1 / q), 1 / p
    n_open = 0
    for lane in range(n_lanes):
        returns = candidate[lane] == previous[lane]
        accepted[lane] = height[lane] < (return_bias if returns else low)
        listed[n_open] = lane
        n_open += (not returns) & (height[lane] >= low)
    n_searched = 0
    for place in range(n_open):
        lane = listed[place]
        accepted[lane] = q < 1
        listed[n_searched] = lane
        n_searched += may_be_edge(edges, previous[lane], candidate[lane], directed)
    for place in range(n_searched):
        lane = listed[place]
        accepted[lane] = (edge_place(graph, previous[lane], candidate[lane]) >= 0) == (q >= 1)


@compiled
def _step(graph: Csr, lanes: _Lanes, n_lanes: int, walks: Nodes, lengths: Places, p: float, q: float) -> int:
    """Go to the accepted candidates; list the lanes whose walks end there, and return their number."""
    offsets, row, length, refused = graph.offsets, lanes.row, lanes.length, lanes.refused
    previous, node, candidate, accepted = lanes.previous, lanes.node, lanes.candidate, lanes.accepted
    for lane in range(n_lanes):
        here = node[lane]
        refused[lane] = (refused[lane] + 1) * (1 - accepted[lane])
        if refused[lane] > offsets[here + 1] - offsets[here]:
            lanes.state[lane], candidate[lane] = _among_all(
                graph, previous[lane], here, lanes.state[lane], p, q
            )
            accepted[lane] = 1
            refused[lane] = 0
    n_ended = 0
    for lane in range(n_lanes):
        to, moves = candidate[lane], accepted[lane]
        walks[row[lane], length[lane]] = to
        length[lane] += moves
        previous[lane] += (node[lane] - previous[lane]) * moves
        node[lane] += (to - node[lane]) * moves
        lanes.listed[n_ended] = lane
        n_ended += (length[lane] == walks.shape[1]) | (moves & (offsets[to] == offsets[to + 1]))
    for end in range(n_ended):
        lane = lanes.listed[end]
        lengths[row[lane]] = length[lane]
    return n_ended


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
        elif edge_place(graph, previous, candidate) >= 0:
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
        return 1 / degree_of(graph, node)
    back = edge_place(graph, node, previous)
    if back < 0:
        return 0.0
    return (
        graph.weights[back] / graph.strength[node] if len(graph.weights) > 0 else 1 / degree_of(graph, node)
    )


@compiled
def part(bits: np.uint64, size: int) -> int:
    """Return a number in [0, size) by the upper half of the bits."""
    return int(np.int64((bits >> _HALF) * np.uint64(size) >> _HALF))  # signed: a sum of both kinds is a float


@compiled
def swaps(bits: np.uint64, keep: float) -> bool:
    """Return whether the lower half of the bits swaps an edge for its alias."""
    return bool(np.int64(bits & _LOW_HALF) * 2.0**-32 >= keep)


@compiled
def _unit(bits: np.uint64) -> float:
    """Return a number in [0, 1)."""
    return np.int64(bits >> np.uint64(11)) * 2.0**-53
