"""Selection of the rows that may be among the best k of each query, in one pass over blocks of scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from item2vec.arrays import Floats, Mask, Offsets, Rows
from item2vec.kernels.compiled import compiled
from item2vec.kernels.dense import dot
from item2vec.kernels.lanes import LANES, pointer, prefetch_read

__all__ = ["RowLists", "contains", "keep_rows", "position_of", "products_of_rows", "rows_of_mask"]

_AHEAD = 8
_CHUNK = 64

Entries = TypeVar("Entries", Rows, Floats)


class RowLists(NamedTuple):
    """A list of rows per query: ``rows[offsets[i]:offsets[i + 1]]`` (intp) is the list of query ``i``."""

    rows: Rows
    offsets: Offsets

    @classmethod
    def of(cls, lists: Sequence[Rows]) -> RowLists:
        """Return one or more lists of rows in flat arrays.

        >>> RowLists.of([np.array([3]), np.array([1, 2])])
        RowLists(rows=array([3, 1, 2]), offsets=array([0, 1, 3]))
        """
        rows = lists[0] if len(lists) == 1 else np.concatenate(lists)
        return cls(rows, np.array([0, *accumulate(map(len, lists))]))

    @property
    def owners(self) -> Rows:
        """The index of the query to which each entry of ``rows`` belongs."""
        if len(self.offsets) == 2:
            return np.zeros(len(self.rows), dtype=np.intp)
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def lists(self) -> list[Rows]:
        """Return the list of each query."""
        return [self.rows[start:stop] for start, stop in pairwise(self.offsets.tolist())]

    def take(self, queries: Rows) -> RowLists:
        """Return the lists of these queries, in this order.

        >>> RowLists(np.array([4, 7, 9]), np.array([0, 1, 3])).take(np.array([1, 0]))
        RowLists(rows=array([7, 9, 4]), offsets=array([0, 2, 3]))
        """
        lengths = np.diff(self.offsets)[queries]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][queries] - offsets[:-1], lengths)
        return RowLists(self.rows[positions], offsets)


@compiled
def keep_rows(
    scores: Floats,
    first: int,
    margins: Floats,
    excluded: RowLists,
    allowed: Mask,
    rows_of_columns: Rows,
    highest: Floats,
) -> tuple[Rows, Rows, Floats]:
    """Return the entries of a block that are at least the k-th highest score so far, minus a margin.

    ``scores`` (n queries × m) holds the scores of columns ``first`` to ``first + m`` (exclusive). The row of
    a column is ``rows_of_columns[column]``, or the column itself if ``rows_of_columns`` is empty. Rows in
    ``excluded`` (ascending lists) are skipped, and so are rows outside the mask ``allowed`` (an empty mask
    selects all rows). ``margins`` has one margin per query. ``highest`` (n queries × k) holds a min-heap per
    query of the highest scores of all blocks so far, initially filled with ``-inf``; it is updated in place.

    The result is a triple of arrays: the query of each entry, the row of each entry, and the score of each
    entry. Entries are sorted by query, and within a query by column.

    Examples
    --------
    >>> scores = np.array([[3, 1, 2, 5]], np.float32)
    >>> nothing = RowLists(np.empty(0, np.intp), np.zeros(2, np.int64))
    >>> highest = np.full((1, 2), -np.inf, np.float32)
    >>> every = np.zeros(1, np.float32), nothing, np.empty(0, np.bool_), np.empty(0, np.intp)
    >>> keep_rows(scores, 10, *every, highest)[1], highest
    (array([10, 11, 12, 13]), array([[3., 5.]], dtype=float32))
    """
    n_queries, n_columns = scores.shape
    owners, rows, kept = np.empty(1024, np.intp), np.empty(1024, np.intp), np.empty(1024, np.float32)
    n = 0
    for query in range(n_queries):
        heap, margin = highest[query], margins[query]
        out = excluded.rows[excluded.offsets[query] : excluded.offsets[query + 1]]
        for start in range(0, n_columns, _CHUNK):
            chunk = scores[query, start : start + _CHUNK]
            if not _any_reaches(chunk, heap[0] - margin):
                continue
            if n + _CHUNK > len(rows):
                owners, rows, kept = _doubled(owners), _doubled(rows), _doubled(kept)
            for i in range(len(chunk)):
                if chunk[i] < heap[0] - margin:
                    continue
                column = first + start + i
                row = rows_of_columns[column] if len(rows_of_columns) else column
                if (len(allowed) and not allowed[row]) or contains(out, row):
                    continue
                owners[n], rows[n], kept[n] = query, row, chunk[i]
                n += 1
                if chunk[i] > heap[0]:
                    _replace_lowest(heap, chunk[i])
    return owners[:n], rows[:n], kept[:n]


@compiled
def products_of_rows(matrix: Floats, rows: Rows, query: Floats, products: Floats) -> None:
    """Write the inner product of a query and each of some rows of a matrix to ``products``.

    >>> products = np.empty(2, np.float32)
    >>> query = np.arange(3, dtype=np.float32)
    >>> products_of_rows(np.eye(3, dtype=np.float32), np.array([2, 0]), query, products)
    >>> products
    array([2., 0.], dtype=float32)
    """
    size, last = matrix.shape[1], len(rows) - 1
    numbers = pointer(matrix)
    for i in range(len(rows)):
        soon = rows[min(i + _AHEAD, last)] * size  # the processor cannot foresee which row follows
        for d in range(0, size, LANES):
            prefetch_read(numbers, soon + d)
        products[i] = dot(matrix[rows[i]], query)


@compiled
def rows_of_mask(mask: Mask, n: int) -> Rows:
    """Return the indices of the ``n`` true flags of a mask, as ``np.flatnonzero`` does.

    NumPy's function branches on each flag, and takes up to ten times as long for a random mask.

    >>> rows_of_mask(np.array([True, False, True]), 2)
    array([0, 2])
    """
    rows, place = np.empty(n + 1, np.intp), 0
    for row in range(len(mask)):
        rows[place] = row  # a row that is not kept is overwritten
        place += mask[row]
    return rows[:n]


@compiled
def _any_reaches(scores: Floats, floor: float) -> bool:
    n = 0
    for i in range(len(scores)):  # without an early exit, so that LLVM vectorises the loop
        n += scores[i] >= floor
    return n > 0


@compiled
def _doubled(array: Entries) -> Entries:
    larger = np.empty(2 * len(array), array.dtype)
    for i in range(len(array)):
        larger[i] = array[i]
    return larger


@compiled
def position_of(ascending: Rows, row: int) -> int:
    """Return the number of rows below ``row`` in an ascending list."""
    left, right = 0, len(ascending)
    while left < right:
        middle = (left + right) // 2
        if ascending[middle] < row:
            left = middle + 1
        else:
            right = middle
    return left


@compiled
def contains(ascending: Rows, row: int) -> bool:
    """Return whether an ascending list contains a row."""
    place = position_of(ascending, row)
    return place < len(ascending) and ascending[place] == row


@compiled
def _replace_lowest(heap: Floats, score: float) -> None:
    """Replace the root of a min-heap, its lowest score, by ``score``, which is higher."""
    parent, child = 0, 1
    while child < len(heap):
        if child + 1 < len(heap) and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= score:
            break
        heap[parent] = heap[child]
        parent, child = child, 2 * child + 1
    heap[parent] = score
