"""Operations on the rows of matrices: validation, norms, scaling to length 1, inner products, sampling."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Floats, Mask, Rows

__all__ = [
    "MAX_NORM",
    "SMALLEST_NORM",
    "finite_rows",
    "invalid_row",
    "row_norms",
    "row_products",
    "sample_rows",
    "unit_rows",
]

MAX_NORM = 1e18
"""Exclusive upper bound of the norm of a vector. Inner products of two such vectors are finite in float32."""
SMALLEST_NORM = 1e-6
"""Least norm of a combination of vectors, relative to their norm; below it, the vectors cancel out."""


def finite_rows(matrix: Floats) -> Mask:
    """Return a mask of the rows of a float32 matrix in which all numbers are finite (bool, n rows).

    The function sums each row in float64: the sum of finite float32 numbers is finite in float64, and a sum
    needs no mask of the size of the matrix.

    >>> finite_rows(np.array([[3e38, 3e38], [np.inf, -np.inf], [0, np.nan]], np.float32))
    array([ True, False, False])
    """
    with np.errstate(invalid="ignore"):
        finite: Mask = np.isfinite(matrix.sum(axis=1, dtype=np.float64))
    return finite


def invalid_row(matrix: Floats) -> tuple[int, float] | None:
    """Return the index and the norm of the first row whose norm is not below ``MAX_NORM``.

    A row that is not finite counts as such a row. ``None`` is returned if there is no such row.

    The norms are computed only if the largest absolute number of the matrix permits such a norm.

    >>> invalid_row(np.array([[3, 4], [2.0**100, 0], [np.nan, 1]], np.float32)) == (1, 2.0**100)
    True
    """
    if matrix.size == 0:
        return None
    largest = np.abs([matrix.min(), matrix.max()]).max()
    if largest * np.sqrt(matrix.shape[1], dtype=np.float64) < MAX_NORM:
        return None
    norms = row_norms(matrix)
    row = int(np.argmin(norms < MAX_NORM))
    return None if norms[row] < MAX_NORM else (row, float(norms[row]))


def row_products(matrix: Floats, other: Floats) -> Doubles:
    """Return the inner product of each row with the same row of another matrix (float64, n rows).

    >>> row_products(np.array([[1, 2], [3, 4]], np.float32), np.array([[1, 0], [0, 1]], np.float32))
    array([1., 4.])
    """
    products: Doubles = np.einsum("ij,ij->i", matrix, other, dtype=np.float64)
    return products


def row_norms(matrix: Floats) -> Doubles:
    """Return the Euclidean norm of each row (float64, n rows), which is finite for every finite row.

    Squares are summed in float64, because squares of valid numbers can overflow or underflow in float32.

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
    """Return ``size`` distinct row indices below ``n``, drawn uniformly, ascending; all if ``n < size``.

    >>> sample_rows(np.random.default_rng(7), 3, 10)
    array([0, 1, 2])
    """
    return np.sort(random.choice(n, size=min(n, size), replace=False))
