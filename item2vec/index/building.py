"""Build an index over a matrix, or load a saved index."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal, get_args

from item2vec.arrays import Floats
from item2vec.errors import ConfigError, CorruptBundleError, short_repr
from item2vec.index.annoy import WHY_MISSING, AnnoyIndex, check_annoy
from item2vec.index.exact import ExactIndex
from item2vec.index.faiss import FaissIndex, check_faiss, why_missing
from item2vec.index.search import Index
from item2vec.types import check_k

__all__ = ["APPROXIMATE_FROM_ROWS", "Kind", "build", "build_for_neighbours", "check_kind", "load"]

Kind = Literal["auto", "exact", "faiss", "annoy"]

APPROXIMATE_FROM_ROWS = 50_000

log = logging.getLogger(__name__)


def check_kind(kind: Kind) -> None:
    """Check that the kind of an index is known, and that the required library can be imported.

    For ``"auto"``, no library is required.

    Raises
    ------
    ConfigError
        If ``kind`` is unknown.
    MissingExtraError
        If the library of the index is not installed.
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"index is {kind!r}; expected one of {', '.join(get_args(Kind))}")
    if kind == "annoy":
        check_annoy()
    if kind == "faiss":
        check_faiss()


def build(
    matrix: Floats,
    *,
    kind: Kind = "auto",
    queries: Floats | None = None,
    recall: float = 0.95,
    k: int = 10,
    seed: int = 1,
) -> Index:
    """Return an index over the rows of a float32 matrix (n rows × dimensions), which may be a memory map.

    ``kind="auto"`` returns an exact index below 50,000 rows, where the time of a scan matters little. From
    50,000 rows on, it returns a FAISS index, unless a scan is faster at this recall or FAISS is not
    installed. In these two cases, it returns an exact index, and a missing FAISS is logged as a warning.

    For an approximate index, the search effort is increased until recall@``k`` on a sample of ``queries`` (n
    queries × dimensions), minus two standard errors, reaches ``recall``. In addition, queries with the
    vectors of sampled rows must retrieve nearly all of these rows; for FAISS, this is not required if a scan
    is faster. ``queries`` should resemble the queries that will be served; by default, they are a sample of
    the rows. ``seed`` is the seed of the samples and of the index.

    Raises
    ------
    ConfigError
        If ``kind`` is unknown, or ``recall`` is out of range.
    MissingExtraError
        If the library of the index is not installed; never for ``kind="auto"``.
    InputError
        If ``k`` or a sampled query is invalid; if the matrix is empty, not float32 or not finite, or has a
        row with a norm of 1e18 or more; or if the library cannot build the index, or Annoy cannot reach the
        recall or retrieve the sampled rows.

    Examples
    --------
    >>> import numpy as np
    >>> build(np.eye(3, dtype=np.float32)).kind
    'exact'
    """
    check_kind(kind)
    if not 0 < recall <= 1:
        raise ConfigError(f"recall is {recall!r}; expected a number above 0 and at most 1")
    check_k(k)
    if kind == "exact" or (kind == "auto" and len(matrix) < APPROXIMATE_FROM_ROWS):
        return ExactIndex.build(matrix)
    if kind == "annoy":
        return AnnoyIndex.build(matrix, queries=queries, recall=recall, k=k, seed=seed)
    if (reason := why_missing()) is not None:
        return _scan_instead(matrix, reason, "an approximate index could not be built", "faiss-cpu")
    index = FaissIndex.build(matrix, queries=queries, recall=recall, k=k, seed=seed)
    return ExactIndex.build(matrix) if kind == "auto" and index.is_slower_than_a_scan else index


def build_for_neighbours(matrix: Floats, *, kind: Kind = "auto", recall: float = 0.95, k: int = 10) -> Index:
    """Return an index that is queried with its own rows, for the ``k`` best other rows.

    ``recall`` is the recall of the other rows: a row that is retrieved by itself counts in the measured
    recall@``k + 1``, but is no result.
    """
    return build(matrix, kind=kind, recall=(k * recall + 1) / (k + 1), k=k + 1)


def load(folder: Path, matrix: Floats, description: dict[str, Any], prefix: str = "") -> Index:
    """Return the index that ``Index.save`` wrote into a folder with this prefix, for the same matrix.

    ``description`` is the dictionary that ``save`` returned. If the library of the saved index is not
    installed, an exact index of the matrix is returned instead, and a warning is logged.

    Raises
    ------
    CorruptBundleError
        If a file or the description is damaged, or was made for another matrix. The index can be rebuilt from
        the matrix.
    InputError
        If the matrix is invalid, or the memory or the temporary folder does not suffice for an Annoy index.

    Examples
    --------
    >>> import numpy as np
    >>> load(Path("anywhere"), np.eye(3, dtype=np.float32), {"kind": "exact"}).kind
    'exact'
    """
    kind = description.get("kind") if isinstance(description, dict) else None
    if kind == "annoy" or kind == "faiss":  # noqa: PLR1714 - a damaged kind may not be hashable
        reason, package = (WHY_MISSING, "annoy") if kind == "annoy" else (why_missing(), "faiss-cpu")
        if reason is not None:
            return _scan_instead(matrix, reason, f"the index in {folder} was not loaded", package)
    if kind == "annoy":
        return AnnoyIndex.load(folder, matrix, description, prefix)
    if kind == "faiss":
        return FaissIndex.load(folder, matrix, description, prefix)
    if description == {"kind": "exact"}:
        return ExactIndex.build(matrix)
    raise CorruptBundleError(
        f"the description of the index is {short_repr(description)}; expected kind 'exact', 'faiss' or "
        "'annoy': use another copy of the bundle, or save the model again"
    )


def _scan_instead(matrix: Floats, reason: str, effect: str, package: str) -> ExactIndex:
    log.warning(
        "%s: %s, and each query scans all %s items; to install the library, run: pip install %s",
        reason,
        effect,
        f"{len(matrix):,}",
        package,
    )
    return ExactIndex.build(matrix)
