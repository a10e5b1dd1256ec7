"""Over-fetch, filter, cut: the one place where the best rows for a query are found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Floats, Mask, Rows
from item2vec.errors import InputError
from item2vec.index.bonuses import Bonuses
from item2vec.types import check_k

__all__ = ["MAX_NORM", "Found", "Index", "Rows", "as_matrix", "find", "find_many", "row_norms"]


BLOCK_BYTES = 1 << 25
BLAS_ELEMENTS = 1 << 18
MAX_NORM = 1e18
GATHERED_SHARE = 0.25
NO_ROWS: Rows = np.empty(0, dtype=np.intp)


class Index(Protocol):
    """A way to find the rows of ``matrix`` that have the highest inner products with a query."""

    @property
    def kind(self) -> str:
        """Its name: ``"exact"`` or ``"annoy"``."""

    @property
    def matrix(self) -> Floats:
        """The rows, float32, n rows × dimensions; never written to."""

    @property
    def largest_norm(self) -> float:
        """The length of the longest row."""

    def candidates(self, query: Floats, n: int) -> Rows | None:
        """Return about the ``n`` best rows in any order, or ``None`` for "look at all rows"."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the index's own files into an existing folder, flushed; return what ``load`` must be told."""


class Found(NamedTuple):
    """Rows (intp), best first, and their inner products with the query (float32).

    >>> Found(np.array([2, 0]), np.array([0.5, 0.25], dtype=np.float32)).rows
    array([2, 0])
    """

    rows: Rows
    scores: Floats


def find(
    index: Index, query: Floats, *, k: int, excluded: npt.ArrayLike = (), allowed: npt.ArrayLike | None = None
) -> Found:
    """Return the ``k`` rows with the highest inner products with a query (dimensions,).

    Best first, equal scores by lower row. ``excluded`` rows are left out. ``allowed`` are the only rows to
    choose from: a mask (bool, one flag per row), or row numbers. Row numbers may repeat. There are ``k``
    results whenever there are ``k`` rows to choose from. Scores are exact for every index: an approximate one
    may miss a row, never misjudge it.

    Raises
    ------
    InputError
        If the query has another length than the rows, is zero, or is not finite.

    Examples
    --------
    >>> from item2vec.index import build, find
    >>> index = build(np.array([[1, 0], [0, 1], [1, 1]], dtype=np.float32))
    >>> find(index, np.array([2, 1], dtype=np.float32), k=2, excluded=[2])
    Found(rows=array([0, 1]), scores=array([2., 1.], dtype=float32))
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
) -> list[Found]:
    """Return for each of many queries (n queries × dimensions) what ``find`` returns, bit for bit.

    ``excluded`` holds an array of rows for each query; ``allowed`` holds for all of them. An exact index
    works through blocks of queries at the speed of a matrix product, 32 MB of scores at a time. An
    approximate one answers where at least a quarter of the rows are allowed; fewer rows are all looked at.

    ``bonuses`` are added to the inner products. No row without a bonus can be among the best only because of
    the bonuses of others, so the best ``k`` are among the best without bonuses and all rows with one.

    Examples
    --------
    >>> from item2vec.index import build, find_many
    >>> index = build(np.eye(3, dtype=np.float32))
    >>> [found.rows.tolist() for found in find_many(index, index.matrix, k=1, excluded=[[0], [], [2]])]
    [[1], [1], [0]]
    """
    queries = _checked_queries(index, queries)
    n_rows = len(index.matrix)
    k = min(check_k(k), n_rows)
    out = _as_rows([()] * len(queries) if excluded is None else excluded, n_rows)
    assert len(out) == len(queries), f"{len(out)} arrays of excluded rows for {len(queries)} queries"
    mask = None if allowed is None else _as_mask(allowed, n_rows)
    scan = _scan_of(index.matrix, mask)
    if bonuses is not None:
        bonuses = _eligible(bonuses, mask, out, n_rows)
    size = max(1, BLOCK_BYTES // (index.matrix.itemsize * n_rows))
    found: list[Found] = []
    for start in range(0, len(queries), size):
        block = slice(start, start + size)
        own = None if bonuses is None else bonuses.take(np.arange(len(queries))[block])
        found += _find_block(index, scan, queries[block], k, out[block], own)
    return found


def as_matrix(matrix: Floats) -> Floats:
    """Return the matrix of an index as a plain C-ordered array, after checking that it can be searched."""
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
            f"vector {row} has length {norms[row]:.3g}; expected finite numbers and a length below "
            f"{MAX_NORM:.0e}: train again with a lower alpha"
        )
    return matrix


def row_norms(matrix: Floats) -> Doubles:
    """Return the length of each row, not finite where the row is not, without overflow in between."""
    norms: Doubles = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    return norms


def _checked_queries(index: Index, queries: Floats) -> Floats:
    dims = index.matrix.shape[1]
    with np.errstate(over="ignore"):
        queries = np.ascontiguousarray(queries, dtype=np.float32)
    if queries.ndim != 2 or queries.shape[1] != dims:
        raise InputError(
            f"a query has shape {queries.shape[1:]}; expected {dims} numbers, as the vectors have"
        )
    norms = row_norms(queries)
    sound = (norms > 0) & (norms < MAX_NORM)
    if not sound.all():
        row = int(np.argmin(sound))
        raise InputError(
            f"query {row} is zero, not finite, or too long (length {norms[row]:.3g}): it points nowhere; "
            "expected the mean of known vectors"
        )
    return queries


def _as_rows(arrays: Sequence[npt.ArrayLike], n_rows: int) -> list[Rows]:
    rows = [np.asarray(array) if np.size(array) else NO_ROWS for array in arrays]
    numbers = np.concatenate([NO_ROWS, *rows], dtype=np.intp, casting="same_kind")
    if len(numbers):
        assert 0 <= numbers.min() <= numbers.max() < n_rows, "a row is out of range; drop unknown items"
    return rows


def _as_mask(allowed: npt.ArrayLike, n_rows: int) -> Mask:
    given = np.asarray(allowed)
    if given.dtype == np.bool_:
        assert given.shape == (n_rows,), f"a mask of shape {given.shape} for {n_rows} rows"
        return given
    mask = np.zeros(n_rows, dtype=np.bool_)
    mask[_as_rows([given], n_rows)[0]] = True
    return mask


def _eligible(bonuses: Bonuses, mask: Mask | None, excluded: list[Rows], n_rows: int) -> Bonuses:
    """Return the bonuses of rows that may be found."""
    assert len(bonuses) == len(excluded), f"bonuses of {len(bonuses)} queries for {len(excluded)}"
    if mask is not None:
        bonuses = bonuses.keep(mask[bonuses.rows])
    owners = np.repeat(np.arange(len(excluded)), [len(rows) for rows in excluded])
    return bonuses.without(owners, np.concatenate([NO_ROWS, *excluded]), n_rows)


def _find_block(
    index: Index, scan: _Scan, queries: Floats, k: int, excluded: list[Rows], bonuses: Bonuses | None
) -> list[Found]:
    candidates = [
        None if scan.rows is not None else _over_fetched(index, query, k, out, scan)
        for query, out in zip(queries, excluded, strict=True)
    ]
    if bonuses is not None:
        own = np.split(bonuses.rows, bonuses.offsets[1:-1])
        pairs = zip(candidates, own, strict=True)
        candidates = [None if rows is None else np.union1d(rows, more) for rows, more in pairs]
    rest = [place for place, rows in enumerate(candidates) if rows is None]
    if rest:
        added = None if bonuses is None else bonuses.take(np.array(rest))
        margins = _margins(index, queries[rest], added)
        out_of_rest = [excluded[place] for place in rest]
        scanned = _near_best(scan, queries[rest], margins, k, out_of_rest, added)
        for place, rows in zip(rest, scanned, strict=True):
            candidates[place] = rows
    return _cut(index.matrix, queries, [rows for rows in candidates if rows is not None], k, bonuses)


def _over_fetched(index: Index, query: Floats, k: int, excluded: Rows, scan: _Scan) -> Rows | None:
    """Return candidates of an approximate index, at least ``k`` after the filter, or ``None``: scan."""
    n = k + len(excluded)
    if scan.closed is not None:
        n = n * len(scan.closed) // max(1, scan.n_open)
    while (rows := index.candidates(query, n)) is not None:
        if scan.closed is not None:
            rows = rows[~scan.closed[rows]]
        if len(excluded):
            rows = rows[~np.isin(rows, excluded)]
        if len(rows) >= k:
            return rows
        n *= 2
    return None


class _Scan(NamedTuple):
    """What a search looks at: all rows of ``matrix``, or those that a mask leaves open.

    Where these are few, ``matrix`` holds only them, and ``rows`` their numbers. Otherwise ``closed`` is the
    mask of the other rows, and ``n_open`` the number of open ones.
    """

    matrix: Floats
    rows: Rows | None = None
    closed: Mask | None = None
    n_open: int = 0


def _scan_of(matrix: Floats, allowed: Mask | None) -> _Scan:
    if allowed is None:
        return _Scan(matrix)
    n_open = int(np.count_nonzero(allowed))
    if n_open < len(matrix) * GATHERED_SHARE:
        rows = np.flatnonzero(allowed)
        return _Scan(matrix[rows], rows)
    return _Scan(matrix, closed=~allowed, n_open=n_open)


def _near_best(
    scan: _Scan,
    queries: Floats,
    margins: Floats,
    k: int,
    excluded: list[Rows],
    bonuses: Bonuses | None,
) -> list[Rows]:
    """Return for each query, ascending, the allowed rows whose exact scores may be among the best ``k``.

    BLAS adds in an order that depends on the shape of the block. So its scores only choose, with a margin for
    rounding; the scores that are compared and returned are computed by ``_cut``.
    """
    scores = _products(queries, scan.matrix)
    gathered = scan.rows
    if bonuses is not None:
        columns = bonuses.rows if gathered is None else np.searchsorted(gathered, bonuses.rows)
        scores[bonuses.owners, columns] += bonuses.values
    if scan.closed is not None:
        scores[:, scan.closed] = -np.inf
    for line, out in zip(scores, excluded, strict=True):
        if len(out):
            line[out if gathered is None else np.isin(gathered, out)] = -np.inf
    floors = np.maximum(_kth_best(scores, k) - margins, np.finfo(np.float32).min)
    owners, rows = np.divmod(np.flatnonzero(scores >= floors[:, None]), scores.shape[1])
    if gathered is not None:
        rows = gathered[rows]
    return np.split(rows, np.searchsorted(owners, np.arange(1, len(queries))))


def _margins(index: Index, queries: Floats, bonuses: Bonuses | None) -> Floats:
    """Return twice the most by which two ways to add up a row's products can differ, and a little more."""
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
    # In pieces, OpenBLAS stays on this thread: waking another costs more than a request's whole scan,
    # and up to a scheduler's tick where the cores are busy with other requests.
    scores = np.empty((1, len(matrix)), dtype=np.float32)
    step = max(1, BLAS_ELEMENTS // matrix.shape[1])
    for start in range(0, len(matrix), step):
        np.dot(matrix[start : start + step], queries[0], out=scores[0, start : start + step])
    return scores


def _kth_best(scores: Floats, k: int) -> Floats:
    """Return for each line a number that at least ``k`` scores reach, near the k-th best; ``-inf`` if fewer.

    The k-th best of the maxima of groups of columns: a tenth of the time of a partition of all scores.
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
) -> list[Found]:
    """Score candidates exactly, add their bonuses, and keep the best ``k`` for each query."""
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
        Found(rows[start:stop], scores[start:stop])
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True)
    ]


def _exact_scores(matrix: Floats, rows: Rows, queries: Floats, owners: Rows) -> Floats:
    """Score each row against its query; each sum is added up alone, so it never depends on its neighbours."""
    scores = np.empty(len(rows), dtype=np.float32)
    step = max(1, BLOCK_BYTES // (8 * matrix.shape[1]))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scores[part] = np.einsum("ij,ij->i", matrix[rows[part]], queries[owners[part]])
    return scores
