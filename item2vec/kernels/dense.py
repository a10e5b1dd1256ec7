"""Small dense linear algebra in float32: products, norms and exponentials, as loops that LLVM vectorises."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Floats
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.lanes import LANES, fma, load, pointer, splat, store

__all__ = [
    "COLUMNS",
    "add",
    "dot",
    "exponentials",
    "maximum",
    "mean_square",
    "product",
    "project",
    "to_length",
    "vectorised",
]


ROWS, COLUMNS = 8, 2 * LANES
"""Rows and columns of a product that are computed at a time. 32 registers of AVX-512 hold all operands."""

_LEAST = np.float32(-87.0)

# Inlined for reproducibility: LLVM may order the terms of a sum differently in each compiled copy of a
# function, and a process that compiles links another copy than a process that loads cached code.
vectorised = partial(inlined, fastmath={"reassoc", "contract", "nsz", "arcp"})


@vectorised
def exponentials(scores: Floats, items: Codes, target: int, highest: np.float32, powers: Codes) -> np.float32:
    """Replace scores by ``np.where(items == target, 0, np.exp(scores - highest))``; return their sum.

    No score may exceed ``highest``, and differences below -87 count as -87. ``exp(x) = 2**n * exp(f)`` with
    an integer n and f within ± log(2) / 2. n is written into the exponent bits of a float32, and a Taylor
    polynomial approximates exp(f) with a relative error of 3e-6. ``powers`` is working memory, one entry per
    score.
    """
    for k in range(len(scores)):
        x = max(scores[k] - highest, _LEAST)
        n = np.int32(x * np.float32(1.44269504) - np.float32(0.5))
        f = x - np.float32(n) * np.float32(0.69314718)
        power = np.float32(1 / 120) * f + np.float32(1 / 24)
        power = power * f + np.float32(1 / 6)
        power = power * f + np.float32(0.5)
        power = power * f + np.float32(1)
        scores[k] = power * f + np.float32(1)
        powers[k] = (n + np.int32(127)) << np.int32(23)
    factors = powers.view(np.float32)
    total = np.float32(0)
    for k in range(len(scores)):
        scores[k] *= factors[k] if items[k] != target else np.float32(0)
        total += scores[k]
    return total


@inlined
def maximum(row: Floats, maxima: Floats, least: np.float32) -> np.float32:
    """Return the largest of ``least`` and the entries of a vector.

    ``maxima`` is working memory for the maxima of 16 interleaved subsets, because LLVM does not vectorise the
    search for a single maximum.
    """
    whole = len(row) // LANES * LANES
    for lane in range(LANES):
        maxima[lane] = least
    for start in range(0, whole, LANES):
        for lane in range(LANES):
            maxima[lane] = max(maxima[lane], row[start + lane])
    for lane in range(LANES):
        least = max(least, maxima[lane])
    for k in range(whole, len(row)):
        least = max(least, row[k])
    return least


@compiled
def product(a: Floats, b: Floats, panel: Floats, out: Floats) -> None:
    """Write ``a @ b`` to ``out``. ``b`` and ``out`` are in C order.

    32 columns of ``b`` at a time are copied to ``panel`` (at least ``len(b)`` × 32), so that they remain in
    the cache. Then 8 rows by 32 columns of ``out`` are computed at a time, in registers (Goto & van de Geijn,
    ACM TOMS 34, 2008).
    """
    width = b.shape[1] // COLUMNS * COLUMNS
    for column in range(0, width, COLUMNS):
        for k in range(len(b)):
            for j in range(0, COLUMNS, LANES):
                store(pointer(panel), k * COLUMNS + j, load(pointer(b), k * b.shape[1] + column + j))
        for row in range(0, len(a), ROWS):
            _product_of_tile(a, row, pointer(panel), len(b), out, column)
    for i in range(len(a)):
        for j in range(width, b.shape[1]):
            out[i, j] = 0
        for k in range(len(b)):
            factor = a[i, k]
            for j in range(width, b.shape[1]):
                out[i, j] += factor * b[k, j]


@inlined
def _product_of_tile(a: Floats, row: int, panel: Any, inner: int, out: Floats, column: int) -> None:
    """Write 8 rows by 32 columns of a product. The last row is repeated if fewer than 8 rows remain."""
    last = len(a) - 1
    r0, r1, r2, r3 = row, min(row + 1, last), min(row + 2, last), min(row + 3, last)
    r4, r5, r6, r7 = min(row + 4, last), min(row + 5, last), min(row + 6, last), min(row + 7, last)
    zero = splat(0.0)
    x0, x1, x2, x3, x4, x5, x6, x7 = zero, zero, zero, zero, zero, zero, zero, zero
    y0, y1, y2, y3, y4, y5, y6, y7 = zero, zero, zero, zero, zero, zero, zero, zero
    for k in range(inner):
        x, y = load(panel, k * COLUMNS), load(panel, k * COLUMNS + LANES)
        a0, a1, a2, a3 = splat(a[r0, k]), splat(a[r1, k]), splat(a[r2, k]), splat(a[r3, k])
        a4, a5, a6, a7 = splat(a[r4, k]), splat(a[r5, k]), splat(a[r6, k]), splat(a[r7, k])
        x0, x1, x2, x3 = fma(a0, x, x0), fma(a1, x, x1), fma(a2, x, x2), fma(a3, x, x3)
        x4, x5, x6, x7 = fma(a4, x, x4), fma(a5, x, x5), fma(a6, x, x6), fma(a7, x, x7)
        y0, y1, y2, y3 = fma(a0, y, y0), fma(a1, y, y1), fma(a2, y, y2), fma(a3, y, y3)
        y4, y5, y6, y7 = fma(a4, y, y4), fma(a5, y, y5), fma(a6, y, y6), fma(a7, y, y7)
    _store_pair(out, r0, column, x0, y0)
    _store_pair(out, r1, column, x1, y1)
    _store_pair(out, r2, column, x2, y2)
    _store_pair(out, r3, column, x3, y3)
    _store_pair(out, r4, column, x4, y4)
    _store_pair(out, r5, column, x5, y5)
    _store_pair(out, r6, column, x6, y6)
    _store_pair(out, r7, column, x7, y7)


@inlined
def _store_pair(out: Floats, row: int, column: int, x: Any, y: Any) -> None:
    place = row * out.shape[1] + column
    store(pointer(out), place, x)
    store(pointer(out), place + LANES, y)


@vectorised
def add(to: Floats, row: Floats, factor: np.float32) -> None:
    """Add ``factor * row`` to ``to``, in place."""
    for d in range(len(to)):
        to[d] += factor * row[d]


@vectorised
def dot(a: Floats, b: Floats) -> np.float32:
    """Return the inner product of two vectors."""
    total = np.float32(0)
    for d in range(len(a)):
        total += a[d] * b[d]
    return total


@vectorised
def to_length(row: Floats, length: np.float32) -> np.float32:
    """Scale a row to a given length, in place; return its previous length, or 1 for a row of zeros."""
    norm = np.float32(np.sqrt(dot(row, row)))
    if norm == 0:
        return np.float32(1)
    factor = length / norm
    for d in range(len(row)):
        row[d] *= factor
    return norm


@vectorised
def project(gradient: Floats, along: Floats, square: np.float32) -> None:
    """Subtract from a gradient its component along a vector, in place.

    ``square`` is the squared norm of the vector ``along``.
    """
    factor = dot(gradient, along) / square
    for d in range(len(gradient)):
        gradient[d] -= factor * along[d]


@vectorised
def mean_square(row: Floats) -> np.float32:
    """Return the mean of the squared entries of a vector."""
    total = np.float32(0)
    for d in range(len(row)):
        total += row[d] * row[d]
    return total / np.float32(len(row))
