"""Extend rows to equal norms, so that an index of nearest neighbours ranks the rows by inner product.

One additional dimension gives all rows the same norm. Therefore, the row at the smallest angle to a query is
the row with the largest inner product with the query (Bachrach et al., Speeding up the Xbox recommender
system using a Euclidean transformation for inner-product spaces, RecSys 2014). Unit rows need no additional
dimension.
"""

from __future__ import annotations

import math

import numpy as np

from item2vec.arrays import Floats
from item2vec.matrices import row_norms

__all__ = ["direction_of", "directions", "scale_of"]

UNIT_TOLERANCE = 1e-4


def scale_of(matrix: Floats) -> float | None:
    """Return the largest norm of a row, 1 if all rows are zero, or ``None`` if all norms are 1 (± 0.0001).

    >>> scale_of(np.eye(2, dtype=np.float32)), scale_of(np.diag([3, 4]).astype(np.float32))
    (None, 4.0)
    """
    norms = row_norms(matrix)
    return None if np.all(np.abs(norms - 1) < UNIT_TOLERANCE) else float(norms.max()) or 1.0


def directions(rows: Floats, scale: float | None) -> Floats:
    """Return unit vectors whose angles to a query rank the rows by their inner products with the query.

    ``scale`` is the result of ``scale_of`` for the whole matrix. For ``None``, the rows are unit vectors
    already, and are returned unchanged.

    >>> directions(np.array([[0, 3], [4, 0]], dtype=np.float32), 5.0).round(2).tolist()
    [[0.0, 0.6000000238418579, 0.800000011920929], [0.800000011920929, 0.0, 0.6000000238418579]]
    """
    if scale is None:
        return rows
    scaled = rows / np.float32(scale)
    rest = np.sqrt(np.maximum(0, 1 - row_norms(scaled) ** 2))
    return np.column_stack((scaled, rest.astype(np.float32)))


def direction_of(query: Floats, scale: float | None) -> Floats:
    """Return the unit vector of a query, followed by a 0 unless ``scale`` is ``None``.

    >>> direction_of(np.array([0, 2], dtype=np.float32), 5.0)
    array([0., 1., 0.], dtype=float32)
    """
    long = query.astype(np.float64)
    unit = (long / math.sqrt(np.dot(long, long))).astype(np.float32)
    return unit if scale is None else np.append(unit, np.float32(0))
