"""Scan of all allowed rows, to find the rows whose exact score may be among the best k of a query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from item2vec.arrays import NO_ROWS, Floats, Mask, Rows
from item2vec.index.bonuses import Bonuses
from item2vec.kernels.compiled import view_of
from item2vec.kernels.scanning import RowLists, keep_rows, products_of_rows, rows_of_mask
from item2vec.matrices import row_norms

__all__ = ["NO_MASK", "Scan", "margins", "near_best"]

BLAS_ELEMENTS = 1 << 18
TILE_ELEMENTS = 1 << 18
GATHERED_COST = 2
"""Time per row of a scan of selected rows, relative to the time per row of a scan of all rows."""
NO_MASK: Mask = np.empty(0, dtype=np.bool_)


def near_best(
    scan: Scan,
    queries: Floats,
    rounding: Floats,
    k: int,
    excluded: RowLists,
    bonuses: Bonuses | None,
) -> RowLists:
    """Return, for each query, the eligible rows whose exact score may be among the best ``k``, in row order.

    The order in which BLAS adds the terms of an inner product depends on the shapes of the matrices.
    Therefore, the scores of BLAS only select candidates, with a margin ``rounding`` (see ``margins``). The
    scores of several queries without bonuses are computed in tiles that fit into the cache of a core.
    """
    rows, allowed = scan.rows, scan.allowed if scan.rows is None else None
    n_rows = len(scan.matrix) if rows is None else len(rows)
    if not n_rows or not len(queries):
        return RowLists(NO_ROWS, np.zeros(len(queries) + 1, np.int64))
    highest = np.full((len(queries), k), -np.inf, dtype=np.float32)
    filters = (
        rounding,
        _ascending(excluded),
        NO_MASK if allowed is None else np.require(allowed, requirements=["C", "W"]),  # one compiled version
        NO_ROWS if rows is None else rows,
    )
    is_tiled = len(queries) > 1 and bonuses is None
    width = max(256, TILE_ELEMENTS // len(queries)) if is_tiled else n_rows
    tile = np.empty(len(queries) * min(width, n_rows), dtype=np.float32)
    kept = []
    for start in range(0, n_rows, width):
        n_columns = min(width, n_rows - start)
        scores = tile[: len(queries) * n_columns].reshape(len(queries), n_columns)
        if rows is not None and len(queries) == 1:
            products_of_rows(view_of(scan.matrix), rows, view_of(queries[0]), scores[0])
        else:
            _products(queries, scan.matrix_of_rows[start : start + width], scores)
        if bonuses is not None:
            columns = bonuses.rows if rows is None else np.searchsorted(rows, bonuses.rows)
            scores[bonuses.owners, columns] += bonuses.values
        kept.append(keep_rows(scores, start, *filters, highest))
    owners, found, found_scores = map(np.concatenate, zip(*kept, strict=True))
    near = np.flatnonzero(found_scores >= (highest[:, 0] - rounding)[owners])
    near = near[np.argsort(owners[near], kind="stable")]
    return RowLists(found[near], np.searchsorted(owners[near], np.arange(len(queries) + 1)))


@dataclass(frozen=True, eq=False)
class Scan:
    """A scan of the rows that the mask ``allowed`` selects, or of all rows if ``allowed`` is ``None``."""

    matrix: Floats
    allowed: Mask | None

    @cached_property
    def n_allowed(self) -> int:
        """The number of allowed rows."""
        return len(self.matrix) if self.allowed is None else int(np.count_nonzero(self.allowed))

    @property
    def n_scanned(self) -> int:
        """The cost of this scan: the number of rows that a full scan reads in the same time."""
        return min(len(self.matrix), int(self.n_allowed * GATHERED_COST))

    @cached_property
    def rows(self) -> Rows | None:
        """The rows to read; ``None`` if all rows are read, because at least half of the rows are allowed."""
        if self.allowed is None or self.n_scanned == len(self.matrix):
            return None
        return rows_of_mask(view_of(self.allowed), self.n_allowed)

    @cached_property
    def matrix_of_rows(self) -> Floats:
        """The rows of the matrix to read; a copy, unless all rows are read."""
        return self.matrix if self.rows is None else self.matrix[self.rows]


def margins(queries: Floats, largest_norm: float, bonuses: Bonuses | None) -> Floats:
    """Return, per query, twice an upper bound of the difference of a score between two summation orders."""
    float32 = np.finfo(np.float32)
    rounding = float32.eps * largest_norm * row_norms(queries)
    margins = 2 * (queries.shape[1] + 1) * (rounding + float32.tiny)
    if bonuses is not None:
        margins += 4 * (float32.eps * bonuses.largest + rounding)
    rounded: Floats = margins.astype(np.float32)
    return rounded


def _products(queries: Floats, matrix: Floats, scores: Floats) -> None:
    """Write the inner products of queries and rows to ``scores`` (n queries × n rows)."""
    # All products are finite (see ``MAX_NORM``), but OpenBLAS can signal otherwise: see docs/platforms.md.
    with np.errstate(invalid="ignore"):
        if len(queries) > 1:
            np.dot(queries, matrix.T, out=scores)
        else:
            _products_of_one(queries[0], matrix, scores[0])


def _products_of_one(query: Floats, matrix: Floats, scores: Floats) -> None:
    # OpenBLAS computes small pieces on this thread. Waking another thread takes longer than the scan of one
    # query, and up to a scheduler tick if the cores are busy with other requests.
    step = max(1, BLAS_ELEMENTS // matrix.shape[1])
    for start in range(0, len(matrix), step):
        np.dot(matrix[start : start + step], query, out=scores[start : start + step])


def _ascending(lists: RowLists) -> RowLists:
    """Return the lists, each sorted by row."""
    return RowLists(lists.rows[np.lexsort((lists.rows, lists.owners))], lists.offsets)
