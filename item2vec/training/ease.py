"""EASE: a table of neighbours by linear regression in closed form."""

from __future__ import annotations

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles
from item2vec.errors import InputError, Remedy
from item2vec.kernels.cooccurrence import newest_items, pair_counts
from item2vec.neighbours import MAX_ITEMS, NeighbourTable
from item2vec.ranking import top_k
from item2vec.sentences import Sentences, offsets_of

__all__ = ["EASE_MAX_ITEMS", "EASE_ROUNDING", "ease", "inverse"]

EASE_MAX_ITEMS = 20_000
MIN_L2, MAX_L2 = 0.001, 1e9
EASE_ROUNDING = 1e-9
"""Bound of the rounding errors of the inverse: weights of at most this absolute value are left out."""


@checked
def ease(
    sentences: Sentences, *, l2: float = 250.0, k: int = 400, max_items: int = MAX_ITEMS
) -> NeighbourTable:
    """Return the table of EASE, with a row per item of the vocabulary.

    Let A be the binary matrix of sentences × items, and P the inverse of ``Aᵀ A + l2 · I``. The weight of
    item ``j`` in the row of item ``i`` is ``-P[i, j] / P[j, j]``. The matrix B of these weights minimises
    ``|A - A B|² + l2 · |B|²`` among the matrices with a diagonal of 0. In each row, the ``k`` weights with
    the largest absolute values are kept, except absolute values of at most 1e-9, which may be rounding
    errors. The decay of the table is 1.

    The inverse is dense and computed in place: 8 n² bytes of memory, and about n³ multiplications and
    additions, for n items. Of a sentence with more than ``max_items`` distinct items, only the last
    ``max_items`` are counted.

    Source: Steck, Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019, equation 8.

    Raises
    ------
    InputError
        If the vocabulary has more than 20,000 items, for which the matrix takes 3.2 GB, or ``l2`` is not in
        the range from 0.001 to 1e9.

    Examples
    --------
    >>> table = ease(Sentences.of([["a", "b"], ["b", "a"], ["c", "a"]]), l2=1.0)
    >>> table.items, table.weights.round(1)
    (array([1, 2, 0, 2, 0, 1], dtype=int32), array([ 0.6,  0.4,  0.7, -0.2,  0.5, -0.3], dtype=float32))
    """
    n_items = len(sentences.vocabulary)
    if n_items > EASE_MAX_ITEMS:
        raise InputError(
            f"found {n_items:,} items; expected at most {EASE_MAX_ITEMS:,}, because EASE inverts a dense "
            f"matrix, here of {8e-9 * n_items**2:,.1f} GB",
            remedies=[
                Remedy("min_count", text="raise {}", otherwise="raise --min-count"),
                Remedy("objective", "linkprop", "set {}", otherwise="set --objective linkprop"),
            ],
        )
    counted = newest_items(sentences.tokens, sentences.offsets, n_items, max_items)
    weights = inverse(pair_counts(*counted, n_items), l2)
    diagonal = weights.diagonal().copy()
    rows, values = [np.empty(0, np.intp)], [np.empty(0, np.float32)]
    for item in range(n_items):
        row = (weights[item] / -diagonal).astype(np.float32)
        row[item] = 0
        sizes = np.abs(row)
        sizes[sizes <= EASE_ROUNDING] = -np.inf
        best = top_k(sizes, k)
        best = best[np.argsort(-row[best], kind="stable")]
        rows.append(best)
        values.append(row[best])
    offsets = offsets_of([len(best) for best in rows[1:]])
    return NeighbourTable(offsets, np.concatenate(rows).astype(np.int32), np.concatenate(values), 1.0)


def inverse(counts: Doubles, l2: float) -> Doubles:
    """Add ``l2`` to the diagonal of a matrix of pair counts; invert it in place, and return the inverse.

    Raises
    ------
    InputError
        If ``l2`` is not in the range from 0.001 to 1e9. Below 0.001, rounding errors would be large.

    Examples
    --------
    >>> inverse(np.array([[1.0, 1.0], [1.0, 1.0]]), 1.0).round(3)
    array([[ 0.667, -0.333],
           [-0.333,  0.667]])
    """
    from scipy.linalg import lapack

    if not MIN_L2 <= l2 <= MAX_L2:
        raise InputError(f"l2 is {l2}; expected a number from {MIN_L2} to {MAX_L2:.0e}")
    counts[np.diag_indices(len(counts))] += l2
    # LAPACK works in place only on arrays in Fortran order. The transpose is in Fortran order, and equals the
    # matrix, because the matrix is symmetric.
    factor, _ = lapack.dpotrf(counts.T, lower=True, overwrite_a=True)
    half, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    for row in range(len(half)):
        half[row, row + 1 :] = half[row + 1 :, row]
    result: Doubles = half.T
    return result
