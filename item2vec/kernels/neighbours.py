"""What the items near an item add up to."""

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
    place_of: Codes,
    rows: Floats,
    sums: Floats,
    reach: int,
) -> Offsets:
    """Add to each sought item's sum the rows of the known items within ``reach`` places of its tokens.

    ``row_of`` is the row of an item, -1 where it has none; ``place_of`` its place in ``sums``, -1 where it is
    not sought. Returns how many rows were added to each sum.

    Examples
    --------
    >>> tokens, offsets = np.array([0, 2, 1], np.int32), np.array([0, 3])
    >>> row_of, place_of = np.array([0, 1, -1], np.int32), np.array([-1, -1, 0], np.int32)
    >>> sums = np.zeros((1, 2), np.float32)
    >>> add_near(tokens, offsets, row_of, place_of, np.eye(2, dtype=np.float32), sums, 3), sums
    (array([2]), array([[1., 1.]], dtype=float32))
    """
    n_added = np.zeros(len(sums), np.int64)
    for sentence in range(len(offsets) - 1):
        start, end = offsets[sentence], offsets[sentence + 1]
        for at in range(start, end):
            place = place_of[tokens[at]]
            if place < 0:
                continue
            for near in range(max(start, at - reach), min(end, at + reach + 1)):
                row = row_of[tokens[near]]
                if row >= 0:
                    sums[place] += rows[row]
                    n_added[place] += 1
    return n_added
