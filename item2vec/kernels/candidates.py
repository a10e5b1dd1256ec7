"""From scored candidates to an answer: those not barred, filled up with the first items of all."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Offsets
from item2vec.kernels.compiled import compiled
from item2vec.kernels.cooccurrence import SparseRows
from item2vec.kernels.random import GOLDEN, mix

__all__ = ["draw", "fill_up"]


@compiled
def fill_up(rows: SparseRows, barred: Codes, offsets: Offsets, n_items: int, k: int) -> tuple[Codes, Doubles]:
    """Return ``k`` items a row and their scores (two matrices; -1 where there are not so many).

    First those of the row, in its order, then the items from number 0 on, item i with the score
    -(1 + i) / n_items. ``barred[offsets[r]:offsets[r + 1]]`` are left out of row ``r``.

    Examples
    --------
    >>> row = Rows(np.array([2, 1]), np.array([9.0, 8.0]), np.array([0]), np.array([2]))
    >>> fill_up(row, np.array([1]), np.array([0, 1]), 4, 3)
    (array([[2, 0, 3]], dtype=int32), array([[ 9.  , -0.25, -1.  ]]))
    """
    n = len(rows.starts)
    items = np.full((n, k), -1, np.int32)
    scores = np.zeros((n, k), np.float64)
    every_item = np.arange(n_items)
    last_scores = -(1.0 + every_item) / n_items
    used_in = np.full(n_items, -1, np.int64)
    for row in range(n):
        for item in barred[offsets[row] : offsets[row + 1]]:
            used_in[item] = row
        own = slice(rows.starts[row], rows.ends[row])
        found = _take(rows.items[own], rows.scores[own], used_in, row, items[row], scores[row], 0)
        _take(every_item, last_scores, used_in, row, items[row], scores[row], found)
    return items, scores


@compiled
def _take(
    candidates: npt.NDArray[np.integer],
    candidate_scores: npt.NDArray[np.floating],
    used_in: Offsets,
    row: int,
    items: Codes,
    scores: Doubles,
    found: int,
) -> int:
    """Append candidates that are not used in this row until it is full; return how many it holds."""
    for place in range(len(candidates)):
        if found == len(items):
            break
        item = candidates[place]
        if used_in[item] != row:
            used_in[item] = row
            items[found] = item
            scores[found] = candidate_scores[place]
            found += 1
    return found


@compiled
def draw(histories: Codes, offsets: Offsets, sizes: Offsets, n_items: int, seed: int) -> SparseRows:
    """Return ``sizes`` different items for each history, drawn evenly; the score of the r-th is 1 / r.

    A draw depends on the seed and on what the history holds, and on nothing else; a larger one begins with
    the smaller one. (Fisher & Yates' shuffle of as many cards as are asked for, then undone.)

    Examples
    --------
    >>> drawn = draw(np.array([0], np.int32), np.array([0, 1]), np.array([2]), 2, 1)
    >>> sorted(drawn.items.tolist()), drawn.scores
    ([0, 1], array([1. , 0.5]))
    """
    starts = np.zeros(len(sizes) + 1, np.int64)
    starts[1:] = np.cumsum(sizes)
    items = np.empty(starts[-1], np.int32)
    scores = np.empty(starts[-1], np.float64)
    deck = np.arange(n_items).astype(np.int32)
    swapped = np.empty(n_items, np.int64)
    for history in range(len(sizes)):
        state = mix(np.uint64(seed))
        for item in histories[offsets[history] : offsets[history + 1]]:
            state = mix(state + GOLDEN * np.uint64(item + 1))
        for card in range(sizes[history]):
            state += GOLDEN
            other = card + np.int64(mix(state) % np.uint64(n_items - card))
            deck[card], deck[other] = deck[other], deck[card]
            swapped[card] = other
            items[starts[history] + card] = deck[card]
            scores[starts[history] + card] = 1 / (1 + card)
        for card in range(sizes[history] - 1, -1, -1):
            deck[card], deck[swapped[card]] = deck[swapped[card]], deck[card]
    return SparseRows(items, scores, starts[:-1], starts[1:])
