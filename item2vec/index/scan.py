"""Scan of all rows: the rows whose exact score may be among the best k of a query."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Floats, Mask, Rows
from item2vec.index.bonuses import Bonuses
from item2vec.kernels.scanning import RowLists, keep_rows
from item2vec.matrices import row_norms

__all__ = ["margins", "near_best"]

BLAS_ELEMENTS = 1 << 18
TILE_ELEMENTS = 1 << 18
NO_MASK: Mask = np.empty(0, dtype=np.bool_)
NO_ROWS: Rows = np.empty(0, dtype=np.intp)


def near_best(
    matrix: Floats,
    queries: Floats,
    rounding: Floats,
    k: int,
    excluded: RowLists,
    bonuses: Bonuses | None,
    *,
    rows: Rows | None,
    allowed: Mask | None,
) -> RowLists:
    """Return, for each query, the eligible rows whose exact score may be among the best ``k``, ascending.

    ``matrix`` holds the ``rows`` of the index, or all rows if ``rows`` is ``None``. The order in which BLAS
    adds terms depends on the shape of the block. Its scores therefore only select candidates, with a margin
    ``rounding`` (see ``margins``). The scores of several queries without bonuses are computed in tiles that
    fit into the cache of a core.
    """
    if not len(matrix) or not len(queries):
        return RowLists(NO_ROWS, np.zeros(len(queries) + 1, np.int64))
    highest = np.full((len(queries), k), -np.inf, dtype=np.float32)
    filters = (
        rounding,
        _ascending(excluded),
        NO_MASK if allowed is None else np.require(allowed, requirements=["C", "W"]),  # one compiled copy
        NO_ROWS if rows is None else rows,
    )
    is_tiled = len(queries) > 1 and bonuses is None
    width = max(256, TILE_ELEMENTS // len(queries)) if is_tiled else len(matrix)
    tile = np.empty(len(queries) * min(width, len(matrix)), dtype=np.float32)
    kept = []
    for start in range(0, len(matrix), width):
        part = matrix[start : start + width]
        scores = _products(queries, part, tile[: len(queries) * len(part)].reshape(len(queries), -1))
        if bonuses is not None:
            columns = bonuses.rows if rows is None else np.searchsorted(rows, bonuses.rows)
            scores[bonuses.owners, columns] += bonuses.values
        kept.append(keep_rows(scores, start, *filters, highest))
    owners, found, found_scores = map(np.concatenate, zip(*kept, strict=True))
    near = np.flatnonzero(found_scores >= (highest[:, 0] - rounding)[owners])
    near = near[np.argsort(owners[near], kind="stable")]
    return RowLists(found[near], np.searchsorted(owners[near], np.arange(len(queries) + 1)))


def margins(queries: Floats, largest_norm: float, bonuses: Bonuses | None) -> Floats:
    """Return, per query, twice the maximum difference of a score between two orders of summation."""
    float32 = np.finfo(np.float32)
    rounding = float32.eps * largest_norm * row_norms(queries)
    margins = 2 * (queries.shape[1] + 1) * (rounding + float32.tiny)
    if bonuses is not None:
        margins += 4 * (float32.eps * bonuses.largest + rounding)
    rounded: Floats = margins.astype(np.float32)
    return rounded


def _products(queries: Floats, matrix: Floats, scores: Floats) -> Floats:
    """Write the inner products of queries and rows to ``scores`` (n queries × n rows)."""
    if len(queries) > 1:
        return np.dot(queries, matrix.T, out=scores)
    # OpenBLAS computes small pieces on this thread. Waking another thread takes longer than the scan of one
    # query, and up to a scheduler tick if the cores are busy with other requests.
    step = max(1, BLAS_ELEMENTS // matrix.shape[1])
    for start in range(0, len(matrix), step):
        np.dot(matrix[start : start + step], queries[0], out=scores[0, start : start + step])
    return scores


def _ascending(lists: RowLists) -> RowLists:
    """Return the lists with ascending rows."""
    return RowLists(lists.rows[np.lexsort((lists.rows, lists.owners))], lists.offsets)
