"""The queries and exact results by which an approximate index is tuned until it reaches a recall."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Floats
from item2vec.index.exact import ExactIndex
from item2vec.index.recall import recall_per_query
from item2vec.index.search import Index, SearchResult, find_many
from item2vec.matrices import row_norms, sample_rows

__all__ = ["Yardstick"]

SAMPLED_QUERIES = 256


@dataclass(frozen=True, eq=False)
class Yardstick:
    """Queries, and the ``k`` best rows of each query by exact search.

    >>> matrix = np.eye(3, dtype=np.float32)
    >>> yardstick = Yardstick.of(matrix, None, k=2, random=np.random.default_rng(1))
    >>> yardstick.recall(ExactIndex.build(matrix))
    (1.0, 1.0)
    """

    queries: Floats
    exact: list[SearchResult]
    k: int

    @classmethod
    def of(cls, matrix: Floats, queries: Floats | None, *, k: int, random: np.random.Generator) -> Yardstick:
        """Draw up to 256 of the queries, and find the ``k`` best rows of each.

        If ``queries`` is ``None`` or empty, up to 256 non-zero rows of ``matrix`` are drawn as queries. If
        all rows are zero, the only query is a vector of ones.
        """
        queries = _sample(matrix, queries, random)
        exact = ExactIndex(matrix, float(row_norms(matrix).max()))
        return cls(queries, find_many(exact, queries, k=k), k)

    def within(self, k: int) -> Yardstick:
        """Return the same queries with only the best ``k`` results of each query."""
        return Yardstick(self.queries, [SearchResult(rows[:k], scores[:k]) for rows, scores in self.exact], k)

    def recall(self, index: Index) -> tuple[float, float]:
        """Return the mean recall@k of an index, and the mean minus two standard errors."""
        recalls = recall_per_query(index, self.queries, self.exact, self.k)
        mean, error = float(recalls.mean()), float(recalls.std()) / len(recalls) ** 0.5
        return mean, mean - 2 * error


def _sample(matrix: Floats, queries: Floats | None, random: np.random.Generator) -> Floats:
    if queries is not None and len(queries):
        return queries[sample_rows(random, len(queries), SAMPLED_QUERIES)]
    rows = np.flatnonzero(matrix.any(axis=1))
    if not len(rows):
        return np.ones((1, matrix.shape[1]), dtype=np.float32)
    return matrix[rows[sample_rows(random, len(rows), SAMPLED_QUERIES)]]
