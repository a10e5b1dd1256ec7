"""The first two principal components, from which layouts start."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Floats
from item2vec.matrices import unit_rows

__all__ = ["components"]

BLOCK = 8_192


def components(matrix: Floats) -> Doubles:
    """Return the coordinates of the unit rows of a matrix along their first two principal components (n × 2).

    The rows are read in blocks, so that no copy of the matrix is needed. The sign of each axis is chosen such
    that its coefficient of largest magnitude is positive, so that the result does not depend on the solver.

    >>> components(np.array([[0, 1], [1, 0]], dtype=np.float32)).round(3) + 0
    array([[-0.707,  0.   ],
           [ 0.707,  0.   ]])
    """
    blocks = [slice(start, start + BLOCK) for start in range(0, len(matrix), BLOCK)]
    mean = np.sum([_unit(matrix[block]).sum(axis=0) for block in blocks], axis=0) / max(1, len(matrix))
    scatter = np.zeros((matrix.shape[1],) * 2)
    for block in blocks:
        centred = _unit(matrix[block]) - mean
        scatter += centred.T @ centred
    axes = np.linalg.eigh(scatter)[1][:, :-3:-1]
    axes = axes * np.sign(np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[None], axis=0))
    coordinates = np.zeros((len(matrix), 2))
    for block in blocks:
        coordinates[block, : axes.shape[1]] = (_unit(matrix[block]) - mean) @ axes
    return coordinates


def _unit(rows: Floats) -> Doubles:
    return unit_rows(rows).astype(np.float64)
