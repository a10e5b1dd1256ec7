"""Tastes: the weighted sum of the item vectors of each history, scaled per part, in one pass."""

from __future__ import annotations

import math

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Mask, Offsets
from item2vec.kernels.compiled import compiled

__all__ = ["mean_vectors"]


@compiled
def mean_vectors(
    matrix: Floats,
    rows: Codes,
    offsets: Offsets,
    weights: Doubles,
    part_weights: Doubles,
    divisor: float,
    by_part: bool,
    smallest: float,
) -> tuple[Floats, Doubles, Mask]:
    """Return three arrays with a row per history, which are fields of ``item2vec.taste.Tastes``.

    The arrays are the vectors, the scales of the parts, and the ``empty`` flags.

    Each part of the vector of history ``i`` is a weighted sum of the same part of the rows
    ``matrix[rows[offsets[i]:offsets[i + 1]]]``, multiplied by the scale of the part. ``weights`` (n tokens ×
    parts) are the weights of the sum. Sums are computed in float64, in the order of the history.

    If ``divisor`` is 0, the scale of a part is its part weight. Otherwise, the scale is the part weight,
    divided by ``divisor`` and by a norm. If ``by_part`` is true, this norm is the norm of the part's sum.
    Otherwise, it is the norm of all parts together, after the sum of each part is multiplied by its part
    weight. A norm below ``smallest`` is replaced by 1.

    A history is empty if the norm of all its sums together, without part weights, is below ``smallest``; its
    vector is then zero. A history is also empty if all entries of its scaled vector are 0.

    >>> both = np.array([0, 1], np.int32), np.array([0, 2]), np.array([[3.0], [4.0]])
    >>> mean_vectors(np.eye(2, dtype=np.float32), *both, np.ones(1), 1.0, False, 1e-6)
    (array([[0.6, 0.8]], dtype=float32), array([[0.2]]), array([False]))
    """
    n, n_parts = len(offsets) - 1, weights.shape[1]
    vectors, scales = np.zeros((n, matrix.shape[1]), np.float32), np.empty((n, n_parts))
    empty = np.ones(n, np.bool_)
    sums = np.empty((n_parts, matrix.shape[1] // n_parts))
    for history in range(n):
        start, stop = offsets[history], offsets[history + 1]
        _add_up(matrix, rows[start:stop], weights[start:stop], sums)
        square = _scale(sums, part_weights, divisor, by_part, smallest, scales[history])
        if math.sqrt(square) >= smallest:
            empty[history] = _write(sums, scales[history], vectors[history])
    return vectors, scales, empty


@compiled
def _add_up(matrix: Floats, rows: Codes, weights: Doubles, sums: Doubles) -> None:
    """Write the weighted sum of the rows to ``sums`` (parts × dimensions of a part).

    Each part of a row has a separate weight (``weights``, n rows × parts).
    """
    sums[:] = 0
    n_parts, width = sums.shape
    for token in range(len(rows)):
        row = matrix[rows[token]]
        for part in range(n_parts):
            weight = weights[token, part]
            if weight != 0:
                for d in range(width):
                    sums[part, d] += weight * row[part * width + d]


@compiled
def _scale(
    sums: Doubles, part_weights: Doubles, divisor: float, by_part: bool, smallest: float, scales: Doubles
) -> float:
    """Write the scale of each part to ``scales``; return the squared norm of the whole, unscaled sum."""
    square, weighted = 0.0, 0.0
    for part in range(len(sums)):
        own = 0.0
        for d in range(sums.shape[1]):
            own += sums[part, d] * sums[part, d]
        scales[part] = own
        square += own
        weighted += own * part_weights[part] ** 2
    for part in range(len(sums)):
        length = math.sqrt(scales[part] if by_part else weighted)
        scales[part] = part_weights[part]
        if divisor:
            scales[part] /= (1.0 if length < smallest else length) * divisor
    return square


@compiled
def _write(sums: Doubles, scales: Doubles, vector: Floats) -> bool:
    """Write the scaled sums of the parts to ``vector``; return whether all entries of the vector are 0."""
    is_zero, width = True, sums.shape[1]
    for part in range(len(sums)):
        for d in range(width):
            scaled = np.float32(sums[part, d] * scales[part])
            vector[part * width + d] = scaled
            is_zero = is_zero and scaled == 0
    return is_zero
