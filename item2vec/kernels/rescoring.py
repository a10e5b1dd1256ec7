"""Exact scores of candidate rows.

The score of a row for a query has the same bits in every batch, and with every index that returned the row.
"""

from __future__ import annotations

import math

import numpy as np

from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.kernels.compiled import compiled
from item2vec.kernels.scanning import contains, position_of

__all__ = ["best_candidates", "exact_scores", "largest_cosines"]


@compiled
def exact_score(row: Floats, query: Floats) -> np.float32:
    """Return an inner product, rounded to float32."""
    return np.float32(_product(row, query))


@compiled
def _product(row: Floats, query: Floats) -> float:
    """Return an inner product, summed in float64 in an order that does not depend on the compiler."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = len(row) // 4 * 4
    for i in range(0, whole, 4):
        a += np.float64(row[i]) * query[i]
        b += np.float64(row[i + 1]) * query[i + 1]
        c += np.float64(row[i + 2]) * query[i + 2]
        d += np.float64(row[i + 3]) * query[i + 3]
    for i in range(whole, len(row)):
        a += np.float64(row[i]) * query[i]
    return (a + b) + (c + d)


@compiled
def exact_scores(matrix: Floats, rows: Rows, queries: Floats, owners: Rows) -> Floats:
    """Return the inner product of each row and its query; row ``i`` belongs to ``queries[owners[i]]``.

    >>> exact_scores(np.eye(2, dtype=np.float32), np.array([1]), np.ones((1, 2), np.float32), np.array([0]))
    array([1.], dtype=float32)
    """
    scores = np.empty(len(rows), np.float32)
    for i in range(len(rows)):
        scores[i] = exact_score(matrix[rows[i]], queries[owners[i]])
    return scores


@compiled
def largest_cosines(matrix: Floats, rows: Rows, others: Rows) -> Doubles:
    """Return, for each of ``rows``, the largest cosine to any of ``others`` (float64).

    The cosine to a row of zeros, or of a row of zeros, is 0. If ``others`` is empty, the result is ``-inf``.

    >>> largest_cosines(np.array([[2, 0], [1, 1]], np.float32), np.array([0]), np.array([1])).round(3)
    array([0.707])
    """
    largest = np.full(len(rows), -np.inf)
    for j in range(len(others)):
        other = matrix[others[j]]
        square = _product(other, other)
        for i in range(len(rows)):
            row = matrix[rows[i]]
            norm = math.sqrt(square * _product(row, row))
            largest[i] = max(largest[i], _product(row, other) / norm if norm > 0 else 0.0)
    return largest


@compiled
def best_candidates(
    matrix: Floats,
    query: Floats,
    candidates: Rows,
    n_built: int,
    excluded: Rows,
    allowed: Mask,
    bonus_rows: Rows,
    bonuses: Floats,
    k: int,
) -> tuple[Rows, Floats, int]:
    """Return a triple: the rows and the scores of the best ``k`` eligible candidates, and a count.

    A candidate is eligible if it is allowed (an empty mask allows all rows) and not excluded (ascending
    rows). The score is the inner product with the query, plus the bonus of the row, if there is one. All
    ``bonus_rows`` (ascending) are candidates, too; the caller ensures that these rows are eligible. Rows are
    sorted by descending score, and rows of equal score by row number. The count is the number of eligible
    rows below ``n_built`` among ``candidates``.

    >>> rows, none, scores = np.arange(3), np.empty(0, np.intp), np.empty(0, np.float32)
    >>> query, out, every = np.array([1, 3, 2], np.float32), np.array([1]), np.empty(0, np.bool_)
    >>> best_candidates(np.eye(3, dtype=np.float32), query, rows, 3, out, every, none, scores, 5)
    (array([2, 0]), array([2., 1.], dtype=float32), 2)
    """
    n, n_eligible = 0, 0
    size = min(k, len(candidates) + len(bonus_rows))
    rows, scores = np.empty(size, np.intp), np.empty(size, np.float32)
    is_new = np.ones(len(bonus_rows), np.bool_)
    for row in candidates:
        if (len(allowed) and not allowed[row]) or contains(excluded, row):
            continue
        n_eligible += row < n_built
        score = exact_score(matrix[row], query)
        place = position_of(bonus_rows, row)
        if place < len(bonus_rows) and bonus_rows[place] == row:
            score += bonuses[place]
            is_new[place] = False
        n = _insert(rows, scores, n, row, score)
    for place in range(len(bonus_rows)):
        if is_new[place]:
            row = bonus_rows[place]
            n = _insert(rows, scores, n, row, exact_score(matrix[row], query) + bonuses[place])
    return rows[:n], scores[:n], n_eligible


@compiled
def _insert(rows: Rows, scores: Floats, n: int, row: int, score: np.float32) -> int:
    """Insert a row into the ordered ``n`` best rows; return the new number of rows.

    If all places are taken, the row that ranks last is dropped.
    """
    if n == len(rows):
        if n == 0 or score < scores[n - 1] or (score == scores[n - 1] and row > rows[n - 1]):
            return n
        n -= 1
    place = n
    while place > 0 and (scores[place - 1] < score or (scores[place - 1] == score and rows[place - 1] > row)):
        scores[place], rows[place] = scores[place - 1], rows[place - 1]
        place -= 1
    scores[place], rows[place] = score, row
    return n + 1
