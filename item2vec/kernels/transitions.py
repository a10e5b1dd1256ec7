"""Windowed transitions: weighted counts of the items that follow or precede an item in ordered sentences."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets
from item2vec.kernels.compiled import compiled
from item2vec.kernels.cooccurrence import SparseRows
from item2vec.kernels.grouping import group_rows
from item2vec.kernels.heaps import empty_heap, keep_best, write_down

__all__ = ["windowed_transitions"]


def windowed_transitions(
    tokens: Codes, offsets: Offsets, n_items: int, after: Doubles, before: Doubles, smoothing: float, k: int
) -> SparseRows:
    """Return the ``k`` transitions of each item with the highest scores above 0, best first.

    ``T`` (n items × n items) is initially zero. For each pair of positions i < j of a sentence ``s``::

        T[s[i], s[j]] += after[j - i - 1]       # 0 beyond the end of ``after``
        T[s[j], s[i]] += before[j - i - 1]      # 0 beyond the end of ``before``

    Afterwards, the scores (float32) are ``T / (T.sum(axis=1, keepdims=True) + smoothing)``. ``T`` is never
    stored: apart from the result, memory is O(tokens + items).

    Examples
    --------
    >>> tokens, offsets = np.array([0, 1, 0, 2], np.int32), np.array([0, 2, 4])
    >>> rows = windowed_transitions(tokens, offsets, 3, np.ones(1), np.zeros(1), 2.0, 5)
    >>> rows.items, rows.scores, rows.starts
    (array([1, 2], dtype=int32), array([0.25, 0.25], dtype=float32), array([0, 2, 2]))
    """
    positions, item_offsets = group_rows(tokens, n_items)
    most = np.minimum(np.diff(item_offsets) * (len(after) + len(before)), min(k, n_items))
    sentence_of = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    occurrences = positions, item_offsets, sentence_of
    items, scores, ends = _count(
        tokens, offsets, *occurrences, _exact(after), _exact(before), smoothing, k, most.sum()
    )
    return SparseRows(items, scores, ends[:-1], ends[1:])


def _exact(weights: Doubles) -> Doubles:
    """Round weights to float32, so that their sums in float64 are exact and do not depend on the order."""
    return weights.astype(np.float32).astype(np.float64)


@compiled
def _count(
    tokens: Codes,
    offsets: Offsets,
    positions: Offsets,
    item_offsets: Offsets,
    sentence_of: Codes,
    after: Doubles,
    before: Doubles,
    smoothing: float,
    k: int,
    capacity: int,
) -> tuple[Codes, Floats, Offsets]:
    n_items = len(item_offsets) - 1
    items = np.empty(capacity, np.int32)
    scores = np.empty(capacity, np.float32)
    ends = np.zeros(n_items + 1, np.int64)
    sums = np.zeros(n_items, np.float64)
    met = np.empty(n_items, np.int32)
    best = empty_heap()
    for item in range(n_items):
        n_met = 0
        for at in positions[item_offsets[item] : item_offsets[item + 1]]:
            sentence = sentence_of[at]
            following = tokens[at + 1 : offsets[sentence + 1]]
            n_met = _add(following, after, sums, met, n_met)
            preceding = tokens[offsets[sentence] : at][::-1]
            n_met = _add(preceding, before, sums, met, n_met)
        total = sums[met[:n_met]].sum() + smoothing
        for other in met[:n_met]:
            keep_best(best, k, np.float64(np.float32(sums[other] / total)), other)
            sums[other] = 0
        ends[item + 1] = write_down(best, items, scores, ends[item])
    return items[: ends[n_items]], scores[: ends[n_items]], ends


@compiled
def _add(near: Codes, weights: Doubles, sums: Doubles, met: Codes, n_met: int) -> int:
    """Add ``weights[step]`` to the sum of the item ``near[step]``, for each step with a positive weight.

    An item whose sum was 0 is appended to ``met``. The function returns the number of items in ``met``.
    """
    for step in range(min(len(near), len(weights))):
        if weights[step] > 0:
            if sums[near[step]] == 0:
                met[n_met] = near[step]
                n_met += 1
            sums[near[step]] += weights[step]
    return n_met
