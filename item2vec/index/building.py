"""Build an index over a matrix, or load a saved one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from item2vec.arrays import Floats
from item2vec.errors import ConfigError, CorruptBundleError
from item2vec.index.annoy import AnnoyIndex
from item2vec.index.exact import ExactIndex
from item2vec.index.search import Index
from item2vec.types import check_k

__all__ = ["ANNOY_FROM_ROWS", "Kind", "build", "load"]

Kind = Literal["auto", "exact", "annoy"]

ANNOY_FROM_ROWS = 50_000


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

    ``kind="auto"`` returns an exact index below 50,000 rows, where a scan is as fast as Annoy at recall 0.95
    (64 dimensions, ten excluded items). From 50,000 rows on, it returns an Annoy index, unless Annoy takes
    longer than a scan to reach the recall.

    Annoy's ``search_k`` is raised until recall@``k`` on a sample of ``queries`` (n queries × dimensions)
    reaches ``recall``. ``queries`` should resemble the queries that will be served; the default is a sample
    of the rows.

    Raises
    ------
    ConfigError
        If ``kind`` or ``recall`` is out of range.
    InputError
        If the matrix is empty, not float32 or not finite, or if Annoy cannot reach the recall.

    Examples
    --------
    >>> import numpy as np
    >>> build(np.eye(3, dtype=np.float32)).kind
    'exact'
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"index is {kind!r}; expected one of {', '.join(get_args(Kind))}")
    if not 0 < recall <= 1:
        raise ConfigError(f"recall is {recall!r}; expected a number above 0 and at most 1")
    check_k(k)
    if kind == "exact" or (kind == "auto" and len(matrix) < ANNOY_FROM_ROWS):
        return ExactIndex.build(matrix)
    index = AnnoyIndex.build(matrix, queries=queries, recall=recall, k=k, seed=seed)
    return ExactIndex.build(matrix) if kind == "auto" and index.is_slower_than_a_scan else index


def load(folder: Path, matrix: Floats, description: dict[str, Any]) -> Index:
    """Return the index that ``Index.save`` wrote into a folder, for the same matrix.

    ``description`` is the dictionary that ``save`` returned.

    Raises
    ------
    CorruptBundleError
        If files, description and matrix do not belong together. The index can be rebuilt from the matrix.

    Examples
    --------
    >>> import numpy as np
    >>> load(Path("anywhere"), np.eye(3, dtype=np.float32), {"kind": "exact"}).kind
    'exact'
    """
    kind = description.get("kind") if isinstance(description, dict) else None
    if kind == "annoy":
        return AnnoyIndex.load(folder, matrix, description)
    if description == {"kind": "exact"}:
        return ExactIndex.build(matrix)
    raise CorruptBundleError(
        f"the description of the index is {description!r:.80}; expected kind 'exact' or 'annoy': save the "
        "model again"
    )
