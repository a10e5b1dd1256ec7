"""Recall of an index, measured against exact search."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Doubles, Floats
from item2vec.index.search import Index, SearchResult, find_many
from item2vec.matrices import row_norms

__all__ = ["recall_per_query"]

ROUNDING = 1e-6


def recall_per_query(index: Index, queries: Floats, exact: list[SearchResult], k: int) -> Doubles:
    """Return the recall@k of each query.

    It is the share of results whose score is at least the score of the k-th exact result. ``exact`` holds the
    ``k`` best results of each query by exact search. Scores are compared instead of rows, so that any row
    with an equal score counts as a hit. Scores are compared with a tolerance of 1e-6 × largest row norm ×
    norm of the query.

    Examples
    --------
    >>> from item2vec.index.exact import ExactIndex
    >>> index = ExactIndex.build(np.eye(3, dtype=np.float32))
    >>> recall_per_query(index, index.matrix, find_many(index, index.matrix, k=1), k=1)
    array([1., 1., 1.])
    """
    tolerances = ROUNDING * index.largest_norm * row_norms(queries)
    results = find_many(index, queries, k=k)
    return np.array(
        [
            np.mean(result.scores >= best.scores[-1] - tolerance)
            for result, best, tolerance in zip(results, exact, tolerances, strict=True)
        ]
    )
