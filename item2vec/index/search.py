"""Search: over-fetch candidates, filter them, compute exact scores, and keep the best k.

The eleven steps from a history to recommendations::

    ids of a history → codes, with weights and timestamps              histories.encode_histories
    rules → mask of allowed rows, rows of exclude and deny             RowRules.of
      ▼ steps 1 to 6: Ranker.rank ──────────────────────────────────────────────────────────────
      │ 1 dislikes    separate the disliked items of the history       dislikes.split_dislikes
      │ 2 exclude     rows of exclude, deny and the dislikes;          RowRules.excluded_from
      │               by default, rows of the history
      │ 3 filter      drop history items without an input vector       Ranker.with_input
      │ 4 taste       weighted mean of the history's vectors           TasteReader.read
      │               moved away from disliked items                   dislikes.move_away
      │               and in the given direction
      │ 5 bonuses     of repeats and neighbours                        bonuses.history_bonuses
      │ 6 query       taste + the popularity dimension, if used        Ranker._queries
      ▼ step 7: the order of the rows, before the search ───────────────────────────────────────
      │ 7 select      at_most, diversity                               selection.select
      │               rows near disliked items last; boost             Demoting.best
      ▼ steps 8 to 11: search, in this module ──────────────────────────────────────────────────
      │ 8 plan        if at most 256 rows and fewer than half of the   _fetched
      │               rows are allowed, score all allowed rows
      │ 9 candidates  FAISS, Annoy: request enough for k allowed       _over_fetched
      │               rows, then more until k rows are eligible; add
      │               rows with a bonus; exact scores, sort, keep k
      │ 10 scan       exact index, or a scan is faster: products +     _scanned
      │               bonuses, keep the k best and near ties
      │ 11 cut        exact score + bonus, sort, keep the best k       results.best_of
      ▼
    rows and scores → list[Recommendation]                             Ranking.listed

A history has no taste in step 4 if step 3 leaves no item, no weight is positive, or the vectors cancel out.
For such a history, ``Ranker.rank`` returns the most popular eligible items (``Ordered.best``) in place of
steps 8 to 11. With ``interests``, step 4 computes a taste per interest. Rows with a bonus are added to the
candidates of an approximate index only, because a scan adds bonuses to the scores of all rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from item2vec.arrays import NO_ROWS, Floats, Mask, Rows
from item2vec.errors import InputError
from item2vec.index.bonuses import Bonuses
from item2vec.index.results import SearchResult, SearchResults, best_of, check_rows, row_lists
from item2vec.index.scan import NO_MASK, Scan, margins, near_best
from item2vec.kernels.compiled import view_of
from item2vec.kernels.rescoring import best_candidates, exact_scores
from item2vec.kernels.scanning import RowLists
from item2vec.matrices import MAX_NORM, row_norms
from item2vec.types import check_k

__all__ = ["MAX_NORM", "Index", "SearchResult", "as_matrix", "find", "find_many", "search"]


BLOCK_BYTES = 1 << 25
FEW_ROWS = 256
"""If at most this many rows are allowed, all are candidates: a selection would take longer than scoring."""
NO_BONUSES = (NO_ROWS, np.empty(0, dtype=np.float32))


class Index(Protocol):
    """Index for maximum inner product search: returns candidate rows of ``matrix`` for a query."""

    @property
    def kind(self) -> str:
        """The name of the implementation: ``"exact"``, ``"faiss"`` or ``"annoy"``."""

    @property
    def matrix(self) -> Floats:
        """The indexed rows (float32, n rows × dimensions); never modified."""

    @property
    def largest_norm(self) -> float:
        """The largest Euclidean norm of a row."""

    @property
    def n_built(self) -> int:
        """The number of rows over which the index was built; later rows are candidates of every query."""

    def candidates(self, query: Floats, n: int, n_scanned: int) -> Rows | None:
        """Return about ``n`` of the best rows, in any order, or ``None`` to request a scan.

        ``n_scanned`` is the cost of the scan in place of the index (see ``Scan.n_scanned``).
        """

    def are_cut(self, rows: Rows, n: int) -> Mask:
        """Return, for each of the ``n_built`` rows among the candidates, whether equal rows were left out.

        ``n`` is the requested number of candidates (see ``Groups.are_cut``).
        """

    def save(self, folder: Path, prefix: str = "") -> dict[str, Any]:
        """Write the files of the index, if any, and flush them; return the description.

        The names of the files begin with ``prefix``, because a folder may contain two indexes.
        """


def find(
    index: Index, query: Floats, *, k: int, excluded: npt.ArrayLike = (), allowed: npt.ArrayLike | None = None
) -> SearchResult:
    """Return the ``k`` rows with the highest inner products with a query (dimensions,).

    Rows are sorted by score, best first, and rows of equal score by row number. ``excluded`` holds the
    numbers of rows to leave out. ``allowed`` restricts the result to some rows: it is a mask (bool, one flag
    per row) or an array of row numbers. Row numbers may repeat. The result has ``k`` rows, or all eligible
    rows if there are fewer. Scores are exact for every index; an approximate index may miss a row.

    Raises
    ------
    InputError
        If the query has the wrong number of dimensions, is zero, is not finite, or has a norm of 1e18 or
        more; if ``k`` is invalid; or if ``excluded`` or ``allowed`` does not fit the rows of the index.

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
    """Return a list with the result of each row of ``queries``.

    Without ``bonuses``, each result equals the result of ``find`` bit for bit. ``excluded`` holds an array of
    row numbers per query; ``allowed`` applies to all queries. ``search`` describes ``bonuses``.

    Examples
    --------
    >>> from item2vec.index.building import build
    >>> index = build(np.eye(3, dtype=np.float32))
    >>> [rows.tolist() for rows, _ in find_many(index, index.matrix, k=1, excluded=[[0], [], [2]])]
    [[1], [1], [0]]
    """
    lists = row_lists([()] * len(queries) if excluded is None else excluded, len(index.matrix))
    return list(search(index, queries, k=k, excluded=lists, allowed=allowed, bonuses=bonuses))


def search(
    index: Index,
    queries: Floats,
    *,
    k: int,
    excluded: RowLists,
    allowed: npt.ArrayLike | None = None,
    bonuses: Bonuses | None = None,
) -> SearchResults:
    """Return the results of ``find_many`` in flat arrays; ``excluded`` holds a list of rows per query.

    Queries are processed in blocks, each with up to 8 million scores or one query, to bound memory. The fewer
    rows are allowed, the more candidates are requested from an approximate index; the index requests a scan
    of the allowed rows if the scan is faster.

    ``bonuses`` are added to the inner products. They must not be negative, because the search assumes
    that each of the best ``k`` rows has a bonus, or is among the ``k`` rows with the highest inner products.
    """
    queries = _checked_queries(index, queries)
    n_rows = len(index.matrix)
    k = min(check_k(k), n_rows)
    if len(excluded.offsets) != len(queries) + 1:
        n_arrays = len(excluded.offsets) - 1
        raise InputError(f"found {n_arrays} arrays of excluded rows; expected {len(queries)}, one per query")
    check_rows(excluded, n_rows)
    mask = None if allowed is None else _as_mask(allowed, n_rows)
    scan = Scan(index.matrix, mask)
    if bonuses is not None:
        bonuses = _eligible_bonuses(bonuses, mask, excluded, n_rows)
    size = max(1, BLOCK_BYTES // (index.matrix.itemsize * n_rows))
    if len(queries) <= size:
        return _search_block(index, scan, queries, k, excluded, bonuses)
    results = []
    for start in range(0, len(queries), size):
        block = np.arange(start, min(start + size, len(queries)))
        own = None if bonuses is None else bonuses.take(block)
        results.append(_search_block(index, scan, queries[block], k, excluded.take(block), own))
    return SearchResults.joined(results)


def as_matrix(matrix: Floats) -> Floats:
    """Return a matrix as a plain C-ordered array; raise ``InputError`` if its rows cannot be indexed.

    The matrix must be float32, with at least one row and one dimension, and the norms must be below 1e18.
    """
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or 0 in matrix.shape or matrix.dtype != np.float32:
        raise InputError(
            f"the vectors are {matrix.dtype} of shape {matrix.shape}; expected float32 of n rows × "
            "dimensions, with at least one row and one dimension"
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
    if queries.dtype != np.float32 or not queries.flags.c_contiguous:
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


def _as_mask(allowed: npt.ArrayLike, n_rows: int) -> Mask:
    array = np.asarray(allowed)
    if array.dtype == np.bool_:
        if array.shape != (n_rows,):
            raise InputError(f"found a mask of shape {array.shape}; expected {n_rows} flags, one per row")
        return array
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[row_lists([array], n_rows).rows] = True
    return mask


def _eligible_bonuses(bonuses: Bonuses, allowed: Mask | None, excluded: RowLists, n_rows: int) -> Bonuses:
    """Drop the bonuses of rows that are excluded or not allowed."""
    n_queries = len(excluded.offsets) - 1
    if len(bonuses) != n_queries:
        raise InputError(f"found bonuses of {len(bonuses)} queries; expected {n_queries}, one per query")
    if allowed is not None:
        bonuses = bonuses.keep(allowed[bonuses.rows])
    owners = np.repeat(np.arange(n_queries), np.diff(excluded.offsets))
    return bonuses.without(owners, excluded.rows, n_rows)


def _search_block(
    index: Index, scan: Scan, queries: Floats, k: int, excluded: RowLists, bonuses: Bonuses | None
) -> SearchResults:
    found = _fetched(index, scan, queries, k, excluded, bonuses)
    unsettled = [number for number, result in enumerate(found) if result is None]
    if len(unsettled) == len(found):
        return _scanned(index, scan, queries, k, excluded, bonuses)
    if unsettled:
        to_scan = np.array(unsettled, dtype=np.intp)
        own = None if bonuses is None else bonuses.take(to_scan)
        scanned = _scanned(index, scan, queries[to_scan], k, excluded.take(to_scan), own)
        for number, result in zip(unsettled, scanned, strict=True):
            found[number] = result
    return SearchResults.of([result for result in found if result is not None])


def _fetched(
    index: Index, scan: Scan, queries: Floats, k: int, excluded: RowLists, bonuses: Bonuses | None
) -> list[SearchResult | None]:
    """Return a list with an entry per query: the result, or ``None`` if the query needs a scan.

    If at most 256 rows and fewer than half of the rows are allowed, all allowed rows are candidates.
    Otherwise, an approximate index returns candidates, and each query of an exact index needs a scan.
    """
    few = scan.rows if scan.n_allowed <= FEW_ROWS else None
    if index.kind == "exact" and few is None:
        return [None] * len(queries)
    results: list[SearchResult | None] = []
    for number, (query, rows) in enumerate(zip(queries, excluded.lists(), strict=True)):
        own = NO_BONUSES if bonuses is None else bonuses.of(number)
        best = _Best(view_of(index.matrix), view_of(query), np.sort(rows), scan, own, k)
        results.append(_over_fetched(index, query, rows, best) if few is None else best.of(few, 0)[0])
    return results


def _scanned(
    index: Index, scan: Scan, queries: Floats, k: int, excluded: RowLists, bonuses: Bonuses | None
) -> SearchResults:
    rounding = margins(queries, index.largest_norm, bonuses)
    candidates = near_best(scan, queries, rounding, k, excluded, bonuses)
    owners = candidates.owners
    matrix = view_of(index.matrix)
    scores = exact_scores(matrix, candidates.rows, view_of(queries), owners)
    if bonuses is not None:
        scores += bonuses.at(owners, candidates.rows, len(matrix))
    return best_of(candidates, scores, k)


class _Best(NamedTuple):
    """A query with its filters and bonuses. ``of`` selects the best ``k`` eligible rows among candidates."""

    matrix: Floats
    query: Floats
    excluded: Rows
    scan: Scan
    bonuses: tuple[Rows, Floats]
    k: int

    def of(self, candidates: Rows, n_built: int) -> tuple[SearchResult, int]:
        """Return a pair: the best ``k`` rows, and a count.

        The rows are selected from the eligible candidates and the rows with a bonus. The count is the number
        of eligible candidates among the first ``n_built`` rows of the matrix.
        """
        allowed = NO_MASK if self.scan.allowed is None else self.scan.allowed
        rows, scores, n_eligible = best_candidates(
            self.matrix,
            self.query,
            candidates,
            n_built,
            self.excluded,
            view_of(allowed),
            view_of(self.bonuses[0]),
            view_of(self.bonuses[1]),
            self.k,
        )
        return SearchResult(rows, scores), n_eligible


def _over_fetched(index: Index, query: Floats, excluded: Rows, best: _Best) -> SearchResult | None:
    """Request candidates until ``k`` are eligible; return the best ``k`` rows.

    ``None`` is returned if the approximate index requests a scan.
    """
    k, scan = best.k, best.scan
    # Usually few of the best rows are excluded: the first search allows for at most k excluded rows. The
    # second search allows for all excluded rows.
    n = _n_candidates(k, scan) + min(k, len(excluded))
    n_built = index.n_built  # later rows are not counted
    while (rows := index.candidates(query, n, scan.n_scanned)) is not None:
        result, n_eligible = best.of(rows, n_built)
        # Of a group of more than n equal rows, n are candidates. At least k of them are eligible if at most
        # n - k of all candidates are not.
        built = rows[rows < n_built]
        if n_eligible >= k and (len(built) - n_eligible <= n - k or not index.are_cut(built, n).any()):
            return result
        n = max(2 * n, _n_candidates(k + len(excluded), scan))
    return None


def _n_candidates(n: int, scan: Scan) -> int:
    """Return the number of candidates of which at least ``n`` are very probably allowed.

    It is the number of which ``n`` are allowed on average, plus a margin of two standard deviations.
    """
    if scan.allowed is None:
        return n
    share = max(1, scan.n_allowed) / len(scan.allowed)
    return math.ceil((n + 2 * math.sqrt(n * (1 - share))) / share)
