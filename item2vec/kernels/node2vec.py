"""Second-order steps of node2vec walks (their distribution: ``kernels.walks``), by rejection.

A neighbour ``x`` of the current node is proposed in proportion to its weight, and accepted if
``height < bias(x)``, with ``height`` uniform in [0, max(bias)). This repeats until a proposal is accepted.

The walks advance together, in simple passes over all of them. Each pass reads one array at random and has no
unpredictable branch, so that the memory accesses of different walks overlap.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Offsets, Words
from item2vec.kernels.compiled import compiled
from item2vec.kernels.edges import Csr, degree_of, edge_index, may_be_edge
from item2vec.kernels.random import GOLDEN, LOW_HALF, below, mix

__all__ = ["second_order", "swaps"]

_SEATS = 1024


class _Seats(NamedTuple):
    """The state of the walks that advance together, one seat per walk.

    ``row`` is the number of the walk among all walks, ``length`` its nodes so far, ``state`` its random
    state, ``previous`` and ``node`` its last two nodes, ``rejected`` its rejections since the last step.
    ``slot``, ``candidate``, ``height`` and ``accepted`` belong to the current proposal. ``listed`` holds seat
    numbers.
    """

    row: Offsets
    length: Offsets
    state: Words
    previous: Codes
    node: Codes
    rejected: Offsets
    slot: Offsets
    candidate: Codes
    height: Doubles
    accepted: Codes
    listed: Offsets


@compiled
def second_order(
    graph: Csr, edges: Words, walks: Codes, lengths: Offsets, states: Words, p: float, q: float
) -> None:
    """Continue walks of two nodes to their end, in place; when a walk ends, another one takes its seat.

    Once a walk has rejected more candidates than its node has neighbours, its step is drawn exactly, in one
    pass over the neighbours.
    """
    rows = np.flatnonzero(lengths == 2)
    n_rows = 0
    for row in rows:
        rows[n_rows] = row
        n_rows += walks.shape[1] > 2 and degree_of(graph, walks[row, 1]) > 0
    n_seats = min(_SEATS, n_rows)
    seats = _empty_seats(n_seats)
    for seat in range(n_seats):
        _enter(seats, seat, rows[seat], walks, states)
    entered = n_seats
    while n_seats > 0:
        _propose(graph, seats, n_seats, p, q)
        _decide(graph, edges, seats, n_seats, p, q)
        for end in range(_step(graph, seats, n_seats, walks, lengths, p, q) - 1, -1, -1):
            seat = seats.listed[end]
            if entered < n_rows:
                _enter(seats, seat, rows[entered], walks, states)
                entered += 1
            else:
                n_seats -= 1
                _move(seats, n_seats, seat)


@compiled
def _empty_seats(n_seats: int) -> _Seats:
    return _Seats(
        np.empty(n_seats, np.int64),
        np.empty(n_seats, np.int64),
        np.empty(n_seats, np.uint64),
        np.empty(n_seats, np.int32),
        np.empty(n_seats, np.int32),
        np.empty(n_seats, np.int64),
        np.empty(n_seats, np.int64),
        np.empty(n_seats, np.int32),
        np.empty(n_seats, np.float64),
        np.empty(n_seats, np.int32),
        np.empty(n_seats, np.int64),
    )


@compiled
def _enter(seats: _Seats, seat: int, row: int, walks: Codes, states: Words) -> None:
    seats.row[seat] = row
    seats.length[seat] = 2
    seats.state[seat] = states[row]
    seats.previous[seat], seats.node[seat] = walks[row, 0], walks[row, 1]
    seats.rejected[seat] = 0


@compiled
def _move(seats: _Seats, source: int, target: int) -> None:
    seats.row[target] = seats.row[source]
    seats.length[target] = seats.length[source]
    seats.state[target] = seats.state[source]
    seats.previous[target], seats.node[target] = seats.previous[source], seats.node[source]
    seats.rejected[target] = seats.rejected[source]


@compiled
def _propose(graph: Csr, seats: _Seats, n_seats: int, p: float, q: float) -> None:
    """Draw, for each walk, a candidate and the height that its bias must exceed.

    If the bias of a return, 1/p, exceeds the other two, the excess is drawn separately: a height above both
    proposes the return itself. Otherwise a large 1/p would make all other candidates improbable.
    """
    previous, candidate, state, height = seats.previous, seats.candidate, seats.state, seats.height
    highest = max(1.0, 1 / q)
    _add_returns(graph, seats, n_seats, max(0.0, 1 / p - highest))
    for seat in range(n_seats):
        state[seat] += GOLDEN
        height[seat] = _uniform(mix(state[seat])) * (highest + height[seat])
    _draw(graph, seats, n_seats)
    for seat in range(n_seats):
        candidate[seat] = previous[seat] if height[seat] >= highest else candidate[seat]


@compiled
def _add_returns(graph: Csr, seats: _Seats, n_seats: int, excess: float) -> None:
    """Set each height to the excess bias of a return, times the share of that edge in the node's weight."""
    offsets, node, height = graph.offsets, seats.node, seats.height
    if excess == 0:
        height[:n_seats] = 0
    elif len(graph.weights) == 0 and not graph.directed:
        for seat in range(n_seats):
            height[seat] = excess / (offsets[node[seat] + 1] - offsets[node[seat]])
    else:
        for seat in range(n_seats):
            height[seat] = excess * _share_of_return(graph, seats.previous[seat], node[seat])


@compiled
def _draw(graph: Csr, seats: _Seats, n_seats: int) -> None:
    """Draw a neighbour of each walk's node in proportion to its weight."""
    offsets, neighbours, keep, alias = graph.offsets, graph.neighbours, graph.keep, graph.alias
    node, candidate, state, slot = seats.node, seats.candidate, seats.state, seats.slot
    for seat in range(n_seats):
        state[seat] += GOLDEN
        start = offsets[node[seat]]
        slot[seat] = start + below(mix(state[seat]), offsets[node[seat] + 1] - start)
    if len(keep) > 0:
        for seat in range(n_seats):
            if swaps(mix(state[seat]), keep[slot[seat]]):
                slot[seat] = offsets[node[seat]] + alias[slot[seat]]
    for seat in range(n_seats):
        candidate[seat] = neighbours[slot[seat]]


@compiled
def _decide(graph: Csr, edges: Words, seats: _Seats, n_seats: int, p: float, q: float) -> None:
    """Accept or reject each candidate, by the cheapest test that decides: bias bounds, Bloom filter, search.

    Each pass lists, without a branch, the seats that it leaves undecided.
    """
    directed, previous, candidate = graph.directed, seats.previous, seats.candidate
    height, accepted, listed = seats.height, seats.accepted, seats.listed
    low, return_bias = min(1.0, 1 / q), 1 / p
    n_open = 0
    for seat in range(n_seats):
        returns = candidate[seat] == previous[seat]
        accepted[seat] = height[seat] < (return_bias if returns else low)
        listed[n_open] = seat
        n_open += (not returns) & (height[seat] >= low)
    n_searched = 0
    for i in range(n_open):
        seat = listed[i]
        accepted[seat] = q < 1
        listed[n_searched] = seat
        n_searched += may_be_edge(edges, previous[seat], candidate[seat], directed)
    for i in range(n_searched):
        seat = listed[i]
        accepted[seat] = (edge_index(graph, previous[seat], candidate[seat]) >= 0) == (q >= 1)


@compiled
def _step(graph: Csr, seats: _Seats, n_seats: int, walks: Codes, lengths: Offsets, p: float, q: float) -> int:
    """Move to the accepted candidates; list the seats whose walks end there, and return their number."""
    offsets, row, length, rejected = graph.offsets, seats.row, seats.length, seats.rejected
    previous, node, candidate, accepted = seats.previous, seats.node, seats.candidate, seats.accepted
    for seat in range(n_seats):
        here = node[seat]
        rejected[seat] = (rejected[seat] + 1) * (1 - accepted[seat])
        if rejected[seat] > offsets[here + 1] - offsets[here]:
            seats.state[seat], candidate[seat] = _draw_exactly(
                graph, previous[seat], here, seats.state[seat], p, q
            )
            accepted[seat] = 1
            rejected[seat] = 0
    n_ended = 0
    for seat in range(n_seats):
        to, moves = candidate[seat], accepted[seat]
        walks[row[seat], length[seat]] = to
        length[seat] += moves
        previous[seat] += (node[seat] - previous[seat]) * moves
        node[seat] += (to - node[seat]) * moves
        seats.listed[n_ended] = seat
        n_ended += (length[seat] == walks.shape[1]) | (moves & (offsets[to] == offsets[to + 1]))
    for end in range(n_ended):
        seat = seats.listed[end]
        lengths[row[seat]] = length[seat]
    return n_ended


@compiled
def _draw_exactly(
    graph: Csr, previous: int, node: int, state: np.uint64, p: float, q: float
) -> tuple[np.uint64, int]:
    """Return the next state and a neighbour drawn by weight × bias, in one pass (reservoir sampling)."""
    total = 0.0
    chosen = previous
    for slot in range(graph.offsets[node], graph.offsets[node + 1]):
        candidate = graph.neighbours[slot]
        if candidate == previous:
            weight = 1 / p
        elif edge_index(graph, previous, candidate) >= 0:
            weight = 1.0
        else:
            weight = 1 / q
        if len(graph.weights) > 0:
            weight *= graph.weights[slot]
        total += weight
        state += GOLDEN
        if _uniform(mix(state)) * total < weight:
            chosen = candidate
    return state, chosen


@compiled
def _share_of_return(graph: Csr, previous: int, node: int) -> float:
    """Return the share of a node's total weight that the edge back to the previous node has."""
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
    """Return whether a draw takes the alias of an edge, by the lower 32 random bits."""
    return bool(np.int64(bits & LOW_HALF) * 2.0**-32 >= keep)


@compiled
def _uniform(bits: np.uint64) -> float:
    """Return a float in [0, 1)."""
    return np.int64(bits >> np.uint64(11)) * 2.0**-53
