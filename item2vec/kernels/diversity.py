"""Maximal marginal relevance: choose the next row of a selection."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Floats, Mask
from item2vec.kernels.compiled import compiled
from item2vec.kernels.rescoring import exact_score

__all__ = ["next_diverse"]


@compiled
def next_diverse(
    units: Floats, relevance: Doubles, nearest: Doubles, is_left: Mask, diversity: float, selected: Floats
) -> int:
    """Return the position of the remaining row with the highest marginal relevance; -1 if no row remains.

    ``units`` holds the unit vector of each row, and ``is_left`` marks the remaining rows. The marginal
    relevance of a row is its ``relevance`` minus ``diversity`` times its largest cosine to a selected row;
    before the first selection, it is ``relevance``. ``nearest`` holds the largest cosine of each row so far
    (``-inf`` before the first selection). It is updated in place with ``selected``, the unit vectors of the
    rows selected since the last call. Of rows with equal marginal relevance, the first is returned.

    >>> units, nearest = np.eye(2, dtype=np.float32), np.full(2, -np.inf)
    >>> next_diverse(units, np.array([0.5, 0.4]), nearest, np.ones(2, np.bool_), 0.3, units[:1])
    1
    >>> nearest
    array([1., 0.])
    """
    best, highest = -1, -np.inf
    for i in range(len(units)):
        for unit in selected:
            nearest[i] = max(nearest[i], exact_score(units[i], unit))
        marginal = relevance[i] - diversity * nearest[i] if nearest[i] > -np.inf else relevance[i]
        if is_left[i] and (best < 0 or marginal > highest):
            best, highest = i, marginal
    return best
