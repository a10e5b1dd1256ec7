"""Loops of the evaluation baselines: fill rankings up to k items, and draw random rankings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Offsets
from item2vec.kernels.compiled import compiled
from item2vec.kernels.cooccurrence import SparseRows
from item2vec.kernels.random import GOLDEN, mix

__all__ = ["draw", "fill_up"]


@compiled
def fill_up(
    rows: SparseRows, excluded: Codes, offsets: Offsets, n_items: int, k: int
) -> tuple[Codes, Doubles]:
    """Return rankings of ``k`` items, one per row: items and scores (int32 and float64, n rows × k).

    A ranking begins with the items of the row in ``rows``, in their order. It is filled up with the items 0,
    1, 2, … that it does not contain yet; item i then has the score -(1 + i) / n_items. The items
    ``excluded[offsets[r]:offsets[r + 1]]`` are left out of ranking ``r``. If fewer than ``k`` items remain,
    the free slots hold item -1 and score 0. The items of one ranking in Python, where ``candidates`` are the
    items of its row::

        ranking = dict.fromkeys([*candidates, *range(n_items)])
        items = [item for item in ranking if item not in excluded][:k]

    Examples
    --------
    >>> row = SparseRows(np.array([2, 1]), np.array([9.0, 8.0]), np.array([0]), np.array([2]))
    >>> fill_up(row, np.array([1]), np.array([0, 1]), 4, 3)
    (array([[2, 0, 3]], dtype=int32), array([[ 9.  , -0.25, -1.  ]]))
    """
    n_rows = len(rows.starts)
    items = np.full((n_rows, k), -1, np.int32)
    scores = np.zeros((n_rows, k), np.float64)
    every_item = np.arange(n_items)
    last_scores = -(1.0 + every_item) / n_items
    used_in = np.full(n_items, -1, np.int64)
    for row in range(n_rows):
        for item in excluded[offsets[row] : offsets[row + 1]]:
            used_in[item] = row
        own = slice(rows.starts[row], rows.ends[row])
        n = _take(rows.items[own], rows.scores[own], used_in, row, items[row], scores[row], 0)
        _take(every_item, last_scores, used_in, row, items[row], scores[row], n)
    return items, scores


@compiled
def _take(
    candidates: npt.NDArray[np.integer],
    candidate_scores: npt.NDArray[np.floating],
    used_in: Offsets,
    row: int,
    items: Codes,
    scores: Doubles,
    n: int,
) -> int:
    """Append candidates to a ranking of ``n`` items until the ranking is full; return its number of items.

    A candidate is skipped if the ranking contains or excludes it: ``used_in[candidate] == row``.
    """
    for i in range(len(candidates)):
        if n == len(items):
            break
        item = candidates[i]
        if used_in[item] != row:
            used_in[item] = row
            items[n] = item
            scores[n] = candidate_scores[i]
            n += 1
    return n


@compiled
def draw(histories: Codes, offsets: Offsets, sizes: Offsets, n_items: int, seed: int) -> SparseRows:
    """Return ``sizes[history]`` distinct random items for each history; the item of rank r has score 1 / r.

    The items depend only on ``seed``, on ``n_items``, and on the items of the history and their order. If
    ``sizes[history]`` is larger, the ranking starts with the same items. The loop is a Fisher–Yates shuffle
    that stops after the requested number of items and then undoes its swaps.

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
        for i in range(sizes[history]):
            state += GOLDEN
            j = i + np.int64(mix(state) % np.uint64(n_items - i))
            deck[i], deck[j] = deck[j], deck[i]
            swapped[i] = j
            items[starts[history] + i] = deck[i]
            scores[starts[history] + i] = 1 / (1 + i)
        for i in range(sizes[history] - 1, -1, -1):
            deck[i], deck[swapped[i]] = deck[swapped[i]], deck[i]
    return SparseRows(items, scores, starts[:-1], starts[1:])
