"""Sums of the vectors of nearby items, from which a warm start computes the vectors of new items."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.kernels.compiled import compiled

__all__ = ["add_near"]


@compiled
def add_near(
    tokens: Codes,
    offsets: Offsets,
    row_of: Codes,
    slot_of: Codes,
    rows: Floats,
    sums: Floats,
    reach: int,
) -> Offsets:
    """Add to ``sums``, for each new item, the rows of known items within ``reach`` positions of its tokens.

    ``row_of`` maps a known item to its row in ``rows``, and ``slot_of`` a new item to its row in ``sums``;
    all other entries are -1. The function returns the number of rows added to each sum. For each position
    ``t`` of a new item in a sentence::

        near = row_of[sentence[max(0, t - reach) : t + reach + 1]]
        sums[slot_of[sentence[t]]] += rows[near[near >= 0]].sum(axis=0)

    Examples
    --------
    >>> tokens, offsets = np.array([0, 2, 1], np.int32), np.array([0, 3])
    >>> row_of, slot_of = np.array([0, 1, -1], np.int32), np.array([-1, -1, 0], np.int32)
    >>> sums = np.zeros((1, 2), np.float32)
    >>> add_near(tokens, offsets, row_of, slot_of, np.eye(2, dtype=np.float32), sums, 3), sums
    (array([2]), array([[1., 1.]], dtype=float32))
    """
    n_added = np.zeros(len(sums), np.int64)
    for sentence in range(len(offsets) - 1):
        start, end = offsets[sentence], offsets[sentence + 1]
        for at in range(start, end):
            slot = slot_of[tokens[at]]
            if slot < 0:
                continue
            for near in range(max(start, at - reach), min(end, at + reach + 1)):
                row = row_of[tokens[near]]
                if row >= 0:
                    for d in range(sums.shape[1]):
                        sums[slot, d] += rows[row, d]
                    n_added[slot] += 1
    return n_added
