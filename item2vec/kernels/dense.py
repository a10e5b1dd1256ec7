"""Small dense linear algebra in float32: products, norms and exponentials, as loops that LLVM vectorises."""

from __future__ import annotations

from functools import partial

import numpy as np

from item2vec.arrays import Codes, Floats
from item2vec.kernels.compiled import inlined

__all__ = ["add", "dot", "exponentials", "mean_square", "product", "project", "to_length", "vectorised"]


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


@vectorised
def product(a: Floats, b: Floats, out: Floats) -> None:
    """Write ``a @ b`` to ``out``.

    Four rows of ``a`` and four rows of ``b`` are processed together, so that each number loaded from ``b`` is
    used for four rows of ``out``.
    """
    out[:] = 0
    rows, inner = len(a) // 4 * 4, len(b) // 4 * 4
    for i in range(0, rows, 4):
        p0, p1, p2, p3 = out[i], out[i + 1], out[i + 2], out[i + 3]
        for k in range(0, inner, 4):
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            for j in range(out.shape[1]):
                p0[j] += a00 * b0[j] + a01 * b1[j] + a02 * b2[j] + a03 * b3[j]
                p1[j] += a10 * b0[j] + a11 * b1[j] + a12 * b2[j] + a13 * b3[j]
                p2[j] += a20 * b0[j] + a21 * b1[j] + a22 * b2[j] + a23 * b3[j]
                p3[j] += a30 * b0[j] + a31 * b1[j] + a32 * b2[j] + a33 * b3[j]
    for i in range(len(a)):
        for k in range(inner if i < rows else 0, len(b)):
            add(out[i], b[k], a[i, k])


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
