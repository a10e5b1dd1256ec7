"""Search: over-fetch candidates, filter them, compute exact scores, and keep the best k.

The eight steps from a history to recommendations::

    ids of a history → codes, with weights and timestamps              sentences.encode_histories
    rules → mask of allowed rows, rows of exclude and deny             row_rules.RowRules.of
      ▼ steps 1 to 4: Ranker.rank ──────────────────────────────────────────────────────────────
      │ 1 exclude     rows of exclude, deny and, by default, history   RowRules.excluded_from
      │ 2 filter      drop history items without an input vector       Ranker.with_input
      │ 3 taste       weighted mean of the history's vectors           taste.read_tastes
      │ 4 query       taste + the popularity dimension                 prior.queries_of
      │               bonuses of repeats and neighbours                bonuses.history_bonuses
      ▼ steps 5 to 8: find_many, in this module ────────────────────────────────────────────────
      │ 5 plan        few rows allowed: scan a copy of these rows      _scan_of
      │ 6 candidates  Annoy: k + excluded, doubled until k are left,   _over_fetched
      │               and all rows with a bonus                        _find_block
      │ 7 scan        exact index, few rows, or no quicker: products   _near_best
      │               + bonuses, keep the k best and near ties
      │ 8 cut         exact score + bonus, sort, keep the best k       _cut
      ▼
    rows and scores → list[Recommendation]                             Recommender._listed

If no item of a history is known, or the vectors cancel out, the history has no taste in step 3. Its result is
the most popular eligible items (``Ranker._popular``). Rows with a bonus are added to the candidates of
an approximate index only, because a scan adds bonuses to the scores of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Floats, Mask, Rows
from item2vec.errors import InputError
from item2vec.index.bonuses import Bonuses
from item2vec.matrices import MAX_NORM, row_norms
from item2vec.types import check_k

__all__ = ["MAX_NORM", "Index", "SearchResult", "as_matrix", "find", "find_many"]


BLOCK_BYTES = 1 << 25
BLAS_ELEMENTS = 1 << 18
GATHERED_SHARE = 0.25
NO_ROWS: Rows = np.empty(0, dtype=np.intp)


class Index(Protocol):
    """Index for maximum inner product search: returns candidate rows of ``matrix`` for a query."""

    @property
    def kind(self) -> str:
        """The name of the implementation: ``"exact"`` or ``"annoy"``."""

    @property
    def matrix(self) -> Floats:
        """The indexed rows (float32, n rows × dimensions); never modified."""

    @property
    def largest_norm(self) -> float:
        """The largest Euclidean norm of a row."""

    def candidates(self, query: Floats, n: int) -> Rows | None:
        """Return about ``n`` of the best rows, in any order, or ``None`` to request a scan of all rows."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Write and flush the index's files into an existing folder; return the description for ``load``."""


class SearchResult(NamedTuple):
    """Rows (intp), best first, and their scores (float32): inner products with the query plus bonuses.

    >>> SearchResult(np.array([2, 0]), np.array([0.5, 0.25], dtype=np.float32)).rows
    array([2, 0])
    """

    rows: Rows
    scores: Floats


def find(
    index: Index, query: Floats, *, k: int, excluded: npt.ArrayLike = (), allowed: npt.ArrayLike | None = None
) -> SearchResult:
    """Return the ``k`` rows with the highest inner products with a query (dimensions,).

    Rows are sorted by score, best first, and rows of equal score by row number. ``excluded`` rows (row
    numbers) are left out. If ``allowed`` is given, only allowed rows are returned: a mask (bool, one flag per
    row) or row numbers. Row numbers may repeat. The result has ``k`` rows, or all eligible rows if there are
    fewer. Scores are exact for every index; an approximate index may miss a row.

    Raises
    ------
    InputError
        If the query has the wrong number of dimensions, is zero, or is not finite.

    Examples
    --------
    >>> from item2vec.index.building import build
    >>> index = build(np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32))
    >>> find(index, np.array([2, 1], dtype=np.float32), k=2, excluded=[2])
    SearchResult(rows=array([0, 1]), scores=array([2., 1.], dtype=float32))
    """
    return find_many(index, np.asarray(query)[None], k=k, excluded=[excluded], allowed=allowed)[0]


def find_many(
    index: Index,
    queries: Floats,
    *,
    k: int,
    excluded: Sequence[npt.ArrayLike] | None = None,
    allowed: npt.ArrayLike | None = None,
    bonuses: Bonuses | None = None,
) -> list[SearchResult]:
    """Return the result of ``find``, bit for bit, for each row of ``queries`` (n queries × dimensions).

    ``excluded`` holds an array of rows per query; ``allowed`` applies to all queries. An exact index
    processes blocks of queries as matrix products, 32 MB of scores at a time. An approximate index is used
    only if at least a quarter of the rows are allowed; otherwise the allowed rows are scanned.

    ``bonuses`` are added to the inner products. They are never negative, so each of the best ``k`` rows has
    a bonus, or is among the ``k`` rows with the highest inner products.

    Examples
    --------
    >>> from item2vec.index.building import build
    >>> index = build(np.eye(3, dtype=np.float32))
    >>> [rows.tolist() for rows, _ in find_many(index, index.matrix, k=1, excluded=[[0], [], [2]])]
    [[1], [1], [0]]
    """
    queries = _checked_queries(index, queries)
    n_rows = len(index.matrix)
    k = min(check_k(k), n_rows)
    excluded_rows = _as_rows([()] * len(queries) if excluded is None else excluded, n_rows)
    if len(excluded_rows) != len(queries):
        raise InputError(
            f"found {len(excluded_rows)} arrays of excluded rows; expected {len(queries)}, one per query"
        )
    mask = None if allowed is None else _as_mask(allowed, n_rows)
    scan = _scan_of(index.matrix, mask)
    if bonuses is not None:
        bonuses = _eligible_bonuses(bonuses, mask, excluded_rows, n_rows)
    size = max(1, BLOCK_BYTES // (index.matrix.itemsize * n_rows))
    results: list[SearchResult] = []
    for start in range(0, len(queries), size):
        block = slice(start, start + size)
        own = None if bonuses is None else bonuses.take(np.arange(len(queries))[block])
        results += _find_block(index, scan, queries[block], k, excluded_rows[block], own)
    return results


def as_matrix(matrix: Floats) -> Floats:
    """Return a matrix as a plain C-ordered array, after checking that its rows can be indexed."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype != np.float32:
        raise InputError(
            f"the vectors are {matrix.dtype} of shape {matrix.shape}; expected float32 of n rows × dimensions"
        )
    matrix = np.ascontiguousarray(matrix)
    norms = row_norms(matrix)
    if not (norms < MAX_NORM).all():
        row = int(np.argmin(norms < MAX_NORM))
        raise InputError(
            f"the norm of vector {row} is {norms[row]:.3g}; expected finite numbers and a norm below "
            f"{MAX_NORM:.0e}: train again with a lower alpha"
        )
    return matrix


def _checked_queries(index: Index, queries: Floats) -> Floats:
    dims = index.matrix.shape[1]
    with np.errstate(over="ignore"):
        queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != dims:
        raise InputError(
            f"a query has shape {queries.shape[1:]}; expected ({dims},), the dimensions of the index"
        )
    norms = row_norms(queries)
    is_valid = (norms > 0) & (norms < MAX_NORM)
    if not is_valid.all():
        row = int(np.argmin(is_valid))
        raise InputError(
            f"the norm of query {row} is {norms[row]:.3g}; expected a finite, non-zero vector with a norm "
            f"below {MAX_NORM:.0e}, such as the mean of item vectors"
        )
    return queries


def _as_rows(arrays: Sequence[npt.ArrayLike], n_rows: int) -> list[Rows]:
    rows = [np.asarray(array) if np.size(array) else NO_ROWS for array in arrays]
    numbers = np.concatenate([NO_ROWS, *rows], dtype=np.intp, casting="same_kind")
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < n_rows:
        raise InputError(f"a row is outside 0 … {n_rows - 1}; expected rows of the index: drop unknown items")
    return rows


def _as_mask(allowed: npt.ArrayLike, n_rows: int) -> Mask:
    array = np.asarray(allowed)
    if array.dtype == np.bool_:
        if array.shape != (n_rows,):
            raise InputError(f"found a mask of shape {array.shape} ; expected {n_rows} flags, one per row")
        return array
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[_as_rows([array], n_rows)[0]] = True
    return mask


def _eligible_bonuses(bonuses: Bonuses, allowed: Mask | None, excluded: list[Rows], n_rows: int) -> Bonuses:
    """Drop the bonuses of rows that are excluded or not allowed."""
    if len(bonuses) != len(excluded):
        raise InputError(f"found bonuses of {len(bonuses)} queries; expected {len(excluded)}, one per query")
    if allowed is not None:
        bonuses = bonuses.keep(allowed[bonuses.rows])
    owners = np.repeat(np.arange(len(excluded)), [len(rows) for rows in excluded])
    return bonuses.without(owners, np.concatenate([NO_ROWS, *excluded]), n_rows)


def _find_block(
    index: Index, scan: _Scan, queries: Floats, k: int, excluded: list[Rows], bonuses: Bonuses | None
) -> list[SearchResult]:
    candidates = [
        None if scan.rows is not None else _over_fetched(index, query, k, rows, scan)
        for query, rows in zip(queries, excluded, strict=True)
    ]
    if bonuses is not None:
        with_bonus = np.split(bonuses.rows, bonuses.offsets[1:-1])
        pairs = zip(candidates, with_bonus, strict=True)
        candidates = [None if rows is None else np.union1d(rows, added) for rows, added in pairs]
    to_scan = [number for number, rows in enumerate(candidates) if rows is None]
    if to_scan:
        own = None if bonuses is None else bonuses.take(np.array(to_scan))
        margins = _margins(index, queries[to_scan], own)
        own_excluded = [excluded[number] for number in to_scan]
        scanned = _near_best(scan, queries[to_scan], margins, k, own_excluded, own)
        for number, rows in zip(to_scan, scanned, strict=True):
            candidates[number] = rows
    return _cut(index.matrix, queries, [rows for rows in candidates if rows is not None], k, bonuses)


def _over_fetched(index: Index, query: Floats, k: int, excluded: Rows, scan: _Scan) -> Rows | None:
    """Return at least ``k`` eligible candidates of an approximate index, or ``None`` to request a scan."""
    n = k + len(excluded)
    if scan.allowed is not None:
        n = n * len(scan.allowed) // max(1, scan.n_allowed)
    while (rows := index.candidates(query, n)) is not None:
        if scan.allowed is not None:
            rows = rows[scan.allowed[rows]]
        if len(excluded):
            rows = rows[~np.isin(rows, excluded)]
        if len(rows) >= k:
            return rows
        n *= 2
    return None


class _Scan(NamedTuple):
    """The rows to scan.

    If few rows are allowed, ``matrix`` is a copy of these rows, and ``rows`` holds their row numbers.
    Otherwise ``matrix`` is the whole matrix, ``allowed`` the mask of allowed rows, and ``n_allowed`` their
    number. If all rows are allowed, ``allowed`` is ``None``.
    """

    matrix: Floats
    rows: Rows | None = None
    allowed: Mask | None = None
    n_allowed: int = 0


def _scan_of(matrix: Floats, allowed: Mask | None) -> _Scan:
    if allowed is None:
        return _Scan(matrix)
    n_allowed = int(np.count_nonzero(allowed))
    if n_allowed < len(matrix) * GATHERED_SHARE:
        rows = np.flatnonzero(allowed)
        return _Scan(matrix[rows], rows)
    return _Scan(matrix, allowed=allowed, n_allowed=n_allowed)


def _near_best(
    scan: _Scan,
    queries: Floats,
    margins: Floats,
    k: int,
    excluded: list[Rows],
    bonuses: Bonuses | None,
) -> list[Rows]:
    """Return, for each query, the eligible rows whose exact score may be among the best ``k``, ascending.

    The order in which BLAS adds terms depends on the shape of the block. Its scores therefore only select
    candidates, with a margin for rounding. ``_cut`` computes the scores that are returned.
    """
    scores = _products(queries, scan.matrix)
    gathered = scan.rows
    if bonuses is not None:
        columns = bonuses.rows if gathered is None else np.searchsorted(gathered, bonuses.rows)
        scores[bonuses.owners, columns] += bonuses.values
    if scan.allowed is not None:
        scores[:, ~scan.allowed] = -np.inf
    for own_scores, rows in zip(scores, excluded, strict=True):
        if len(rows):
            own_scores[rows if gathered is None else np.isin(gathered, rows)] = -np.inf
    floors = np.maximum(_kth_best(scores, k) - margins, np.finfo(np.float32).min)
    owners, rows = np.divmod(np.flatnonzero(scores >= floors[:, None]), scores.shape[1])
    if gathered is not None:
        rows = gathered[rows]
    return np.split(rows, np.searchsorted(owners, np.arange(1, len(queries))))


def _margins(index: Index, queries: Floats, bonuses: Bonuses | None) -> Floats:
    """Return, per query, twice the maximum difference of a score between two orders of summation."""
    float32 = np.finfo(np.float32)
    rounding = float32.eps * index.largest_norm * row_norms(queries)
    margins = 2 * (queries.shape[1] + 1) * (rounding + float32.tiny)
    if bonuses is not None:
        margins += 4 * (float32.eps * bonuses.largest + rounding)
    rounded: Floats = margins.astype(np.float32)
    return rounded


def _products(queries: Floats, matrix: Floats) -> Floats:
    if len(queries) > 1:
        products: Floats = queries @ matrix.T
        return products
    # OpenBLAS computes small pieces on this thread. Waking another thread takes longer than the scan of one
    # query, and up to a scheduler tick if the cores are busy with other requests.
    scores = np.empty((1, len(matrix)), dtype=np.float32)
    step = max(1, BLAS_ELEMENTS // matrix.shape[1])
    for start in range(0, len(matrix), step):
        np.dot(matrix[start : start + step], queries[0], out=scores[0, start : start + step])
    return scores


def _kth_best(scores: Floats, k: int) -> Floats:
    """Return, per query, a close lower bound on the k-th best score; ``-inf`` if there are too few rows.

    The bound is the k-th best maximum of groups of columns. It takes a tenth of the time of a full partition.
    """
    n_queries, n_rows = scores.shape
    width = min(64, max(1, n_rows // (4 * k)))
    n_groups = n_rows // width
    if n_groups < k:
        return np.full(n_queries, -np.inf, dtype=np.float32)
    maxima = scores[:, : width * n_groups].reshape(n_queries, width, n_groups).max(axis=1)
    kth: Floats = np.partition(maxima, n_groups - k, axis=1)[:, n_groups - k]
    return kth


def _cut(
    matrix: Floats, queries: Floats, candidates: list[Rows], k: int, bonuses: Bonuses | None
) -> list[SearchResult]:
    """Compute exact scores of candidates, add bonuses, and return the best ``k`` rows of each query."""
    counts = np.array([len(rows) for rows in candidates])
    rows = np.concatenate(candidates)
    owners = np.repeat(np.arange(len(candidates)), counts)
    scores = _exact_scores(matrix, rows, queries, owners)
    if bonuses is not None:
        scores += bonuses.at(owners, rows, len(matrix))
    order = np.lexsort((rows, -scores, owners))
    rows, scores = rows[order], scores[order]
    starts = np.cumsum(counts) - counts
    stops = starts + np.minimum(counts, k)
    return [
        SearchResult(rows[start:stop], scores[start:stop])
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _exact_scores(matrix: Floats, rows: Rows, queries: Floats, owners: Rows) -> Floats:
    """Return the inner product of each row and its query.

    Each sum is computed separately, so that it is the same in every batch.
    """
    scores = np.empty(len(rows), dtype=np.float32)
    step = max(1, BLOCK_BYTES // (8 * matrix.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scores[part] = np.einsum("ij,ij->i", matrix[rows[part]], queries[owners[part]])
    return scores
