"""Second-order steps of random walks, in plain passes over many walks.

Each pass fetches from one place only and takes no branch that the processor would have to guess, so that the
fetches of one walk overlap with the others' and the sums compile to vector code.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Offsets, Words
from item2vec.kernels.compiled import compiled
from item2vec.kernels.edges import Csr, degree_of, edge_place, may_be_edge
from item2vec.kernels.random import GOLDEN, LOW_HALF, below, mix

__all__ = ["second_order", "swaps"]

_SEATS = 1024


class _Seats(NamedTuple):
    """Where each of the walks stands that advance side by side; ``row`` is its place among all walks."""

    row: Offsets
    length: Offsets
    state: Words
    previous: Codes
    node: Codes
    refused: Offsets
    slot: Offsets
    candidate: Codes
    height: Doubles
    accepted: Codes
    listed: Offsets


@compiled
def second_order(
    graph: Csr, edges: Words, walks: Codes, lengths: Offsets, states: Words, p: float, q: float
) -> None:
    """Advance walks of two nodes, each by its own number of tries; where one ends, another takes its seat.

    A candidate drawn by weight is accepted in proportion to its bias: 1/p for a return, 1 for a neighbour of
    the node before, 1/q for any other. Once more candidates were refused than there are, the draw is made
    among all of them.
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
    seats.refused[seat] = 0


@compiled
def _move(seats: _Seats, source: int, target: int) -> None:
    seats.row[target] = seats.row[source]
    seats.length[target] = seats.length[source]
    seats.state[target] = seats.state[source]
    seats.previous[target], seats.node[target] = seats.previous[source], seats.node[source]
    seats.refused[target] = seats.refused[source]


@compiled
def _propose(graph: Csr, seats: _Seats, n_seats: int, p: float, q: float) -> None:
    """Draw a candidate for each walk, and the height that its bias has to exceed.

    Where a return's bias stands out above the other two, that part of it is drawn by itself, as a height
    above both, so that it does not make the others improbable.
    """
    previous, candidate, state, height = seats.previous, seats.candidate, seats.state, seats.height
    roof = max(1.0, 1 / q)
    _add_returns(graph, seats, n_seats, max(0.0, 1 / p - roof))
    for seat in range(n_seats):
        state[seat] += GOLDEN
        height[seat] = _unit(mix(state[seat])) * (roof + height[seat])
    _draw(graph, seats, n_seats)
    for seat in range(n_seats):
        candidate[seat] = previous[seat] if height[seat] >= roof else candidate[seat]


@compiled
def _add_returns(graph: Csr, seats: _Seats, n_seats: int, out: float) -> None:
    """Set the heights to the part of a return's bias that stands out, by its share of the node's weight."""
    offsets, node, height = graph.offsets, seats.node, seats.height
    if out == 0:
        height[:n_seats] = 0
    elif len(graph.weights) == 0 and not graph.directed:
        for seat in range(n_seats):
            height[seat] = out / (offsets[node[seat] + 1] - offsets[node[seat]])
    else:
        for seat in range(n_seats):
            height[seat] = out * _share_of_return(graph, seats.previous[seat], node[seat])


@compiled
def _draw(graph: Csr, seats: _Seats, n_seats: int) -> None:
    """Draw a neighbour of each walk's node by weight, in passes so plain that they become vector code."""
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
    """Accept or refuse each candidate: by its height where that is enough, by the filter, by a search.

    Each pass lists, without a branch, what it leaves open, and fetches from one place only, so that the
    fetches overlap.
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
    for place in range(n_open):
        seat = listed[place]
        accepted[seat] = q < 1
        listed[n_searched] = seat
        n_searched += may_be_edge(edges, previous[seat], candidate[seat], directed)
    for place in range(n_searched):
        seat = listed[place]
        accepted[seat] = (edge_place(graph, previous[seat], candidate[seat]) >= 0) == (q >= 1)


@compiled
def _step(graph: Csr, seats: _Seats, n_seats: int, walks: Codes, lengths: Offsets, p: float, q: float) -> int:
    """Go to the accepted candidates; list the seats whose walks end there, and return their number."""
    offsets, row, length, refused = graph.offsets, seats.row, seats.length, seats.refused
    previous, node, candidate, accepted = seats.previous, seats.node, seats.candidate, seats.accepted
    for seat in range(n_seats):
        here = node[seat]
        refused[seat] = (refused[seat] + 1) * (1 - accepted[seat])
        if refused[seat] > offsets[here + 1] - offsets[here]:
            seats.state[seat], candidate[seat] = _among_all(
                graph, previous[seat], here, seats.state[seat], p, q
            )
            accepted[seat] = 1
            refused[seat] = 0
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
        state += GOLDEN
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
def swaps(bits: np.uint64, keep: float) -> bool:
    """Return whether the lower half of the bits swaps an edge for its alias."""
    return bool(np.int64(bits & LOW_HALF) * 2.0**-32 >= keep)


@compiled
def _unit(bits: np.uint64) -> float:
    """Return a number in [0, 1)."""
    return np.int64(bits >> np.uint64(11)) * 2.0**-53
