"""Row-wise operations on matrices: norms, scaling to unit length, inner products, sampling of rows."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Floats, Rows

__all__ = ["row_norms", "row_products", "sample_rows", "unit_rows"]


def row_products(matrix: Floats, other: Floats) -> Doubles:
    """Return the inner product of each row with the same row of another matrix (float64, n rows).

    >>> row_products(np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 0], [0, 1]], np.float32))
    array([1., 4.])
    """
    products: Doubles = np.einsum("ij,ij->i", matrix, other, dtype=np.float64)
    return products


def row_norms(matrix: Floats) -> Doubles:
    """Return the Euclidean norm of each row (float64, n rows), which is finite for every finite row.

    Squares are summed in float64, because squares of valid numbers overflow or underflow in float32.

    >>> row_norms(np.array([[3, 4], [1e38, 0]], np.float32)).tolist() == [5.0, float(np.float32(1e38))]
    True
    """
    norms: Doubles = np.sqrt(row_products(matrix, matrix))
    return norms


def unit_rows(matrix: Floats) -> Floats:
    """Return a matrix with each row scaled to length 1; a zero row stays zero.

    >>> unit_rows(np.array([[3, 4], [0, 0]], np.float32))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """
    norms = row_norms(matrix)[:, None]
    scaled: Floats = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    return scaled


def sample_rows(random: np.random.Generator, n: int, size: int) -> Rows:
    """Return ``size`` distinct row numbers below ``n``, drawn uniformly, ascending; all if ``n < size``.

    >>> sample_rows(np.random.default_rng(7), 3, 10)
    array([0, 1, 2])
    """
    return np.sort(random.choice(n, size=min(n, size), replace=False))
