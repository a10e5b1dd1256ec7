"""Results of searches: the rows and scores of several queries in flat arrays.

``row_lists`` converts the lists of rows to exclude to flat arrays, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from item2vec.arrays import NO_ROWS, Floats, Offsets, Rows
from item2vec.errors import InputError
from item2vec.kernels.scanning import RowLists

__all__ = ["SearchResult", "SearchResults", "best_of", "row_lists"]


class SearchResult(NamedTuple):
    """Rows (intp), best first, and their scores (float32): inner products with the query plus bonuses.

    >>> SearchResult(np.array([2, 0]), np.array([0.5, 0.25], dtype=np.float32)).rows
    array([2, 0])
    """

    rows: Rows
    scores: Floats


@dataclass(frozen=True, eq=False)
class SearchResults:
    """The results of several queries in flat arrays.

    The result of query ``i`` has the rows ``rows[offsets[i]:offsets[i + 1]]`` (intp), best first, and their
    ``scores`` (float32). Iteration yields a ``SearchResult`` per query.

    >>> results = SearchResults(np.array([2, 0, 1]), np.ones(3, dtype=np.float32), np.array([0, 2, 3]))
    >>> [result.rows.tolist() for result in results]
    [[2, 0], [1]]
    """

    rows: Rows
    scores: Floats
    offsets: Offsets

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[SearchResult]:
        bounds = self.offsets.tolist()
        for start, stop in pairwise(bounds):
            yield SearchResult(self.rows[start:stop], self.scores[start:stop])

    @classmethod
    def of(cls, results: Sequence[SearchResult]) -> SearchResults:
        """Concatenate the results of one or more queries.

        >>> result = SearchResult(np.array([2, 0]), np.ones(2, dtype=np.float32))
        >>> SearchResults.of([result, result]).offsets
        array([0, 2, 4])
        """
        rows, scores = results[0] if len(results) == 1 else map(np.concatenate, zip(*results, strict=True))
        return cls(rows, scores, np.array([0, *accumulate(len(result.rows) for result in results)]))

    @classmethod
    def joined(cls, parts: Sequence[SearchResults]) -> SearchResults:
        """Concatenate the results of consecutive blocks of queries."""
        counts = [np.diff(part.offsets) for part in parts]
        return cls(
            np.concatenate([NO_ROWS, *(part.rows for part in parts)]),
            np.concatenate([np.empty(0, np.float32), *(part.scores for part in parts)]),
            _offsets(np.concatenate([np.empty(0, np.int64), *counts])),
        )


def best_of(candidates: RowLists, scores: Floats, k: int) -> SearchResults:
    """Sort the candidates of each query by descending score, equal scores by row; keep the best ``k``.

    >>> best_of(RowLists(np.array([4, 7, 9]), np.array([0, 3])), np.array([1, 2, 2], np.float32), 2).rows
    array([7, 9])
    """
    rows, offsets = candidates
    if len(offsets) == 2:
        order = np.lexsort((rows, -scores))[:k]
        return SearchResults(rows[order], scores[order], np.array([0, len(order)]))
    owners = candidates.owners
    order = np.lexsort((rows, -scores, owners))
    order = order[np.arange(len(rows)) - offsets[owners] < k]
    return SearchResults(rows[order], scores[order], _offsets(np.minimum(np.diff(offsets), k)))


def row_lists(arrays: Sequence[npt.ArrayLike], n_rows: int) -> RowLists:
    """Return arrays of row numbers as ``RowLists``, after checking that each row exists.

    >>> row_lists([[3], [], [1, 2]], 4)
    RowLists(rows=array([3, 1, 2]), offsets=array([0, 1, 1, 3]))
    """
    rows = [np.asarray(array) if np.size(array) else NO_ROWS for array in arrays]
    numbers = np.concatenate([NO_ROWS, *rows], dtype=np.intp, casting="same_kind")
    lists = RowLists(numbers, _offsets(np.array([len(array) for array in rows], dtype=np.int64)))
    check_rows(lists, n_rows)
    return lists


def check_rows(lists: RowLists, n_rows: int) -> None:
    """Raise ``InputError`` if a row number is out of range."""
    if len(lists.rows) and not 0 <= lists.rows.min() <= lists.rows.max() < n_rows:
        row = lists.rows[(lists.rows < 0) | (lists.rows >= n_rows)][0]
        raise InputError(
            f"row {row} is outside 0 … {n_rows - 1}; expected rows of the index: drop unknown items"
        )


def _offsets(counts: npt.NDArray[np.integer]) -> Offsets:
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
