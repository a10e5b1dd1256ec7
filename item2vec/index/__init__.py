"""The index: which rows of a matrix have the highest inner products with a query.

One metric serves both scores: for cosines the caller passes unit rows and unit queries, for output scores the
rows as they are. Whatever the index, the answers are scored exactly and filtered in one place (``search``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

from item2vec.arrays import Floats
from item2vec.errors import ConfigError, CorruptBundleError
from item2vec.index.annoy import AnnoyIndex
from item2vec.index.bonuses import Bonuses
from item2vec.index.exact import ExactIndex
from item2vec.index.search import Found, Index, find, find_many
from item2vec.types import check_k

__all__ = ["Bonuses", "Found", "Index", "build", "find", "find_many", "load"]

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
    """Return an index of the rows of a float32 matrix (n rows × dimensions), which may be a memory map.

    ``"auto"`` is exact below 50,000 rows, where a scan (64 dimensions) takes a request with a history of
    some ten items to leave out no longer than Annoy at recall 0.95; above, it is Annoy, unless its trees are
    so poor that a scan would still be quicker. Annoy looks at as many nodes as it takes to reach ``recall``
    at ``k`` on a sample of ``queries`` (n queries × dimensions): pass real ones; without, rows are asked for.

    Raises
    ------
    InputError
        If the matrix is empty, not float32 or not finite, or Annoy can not reach the recall.

    Examples
    --------
    >>> import numpy as np
    >>> build(np.eye(3, dtype=np.float32)).kind
    'exact'
    """
    if kind not in get_args(Kind):
        raise ConfigError(f"index is {kind!r}; expected one of {', '.join(get_args(Kind))}")
    if not 0 < recall <= 1:
        raise ConfigError(f"recall is {recall!r}; expected a number above 0, up to 1")
    check_k(k)
    if kind == "exact" or (kind == "auto" and len(matrix) < ANNOY_FROM_ROWS):
        return ExactIndex.build(matrix)
    index = AnnoyIndex.build(matrix, queries=queries, recall=recall, k=k, seed=seed)
    return ExactIndex.build(matrix) if kind == "auto" and index.is_slower_than_a_scan else index


def load(folder: Path, matrix: Floats, about: dict[str, Any]) -> Index:
    """Return the index that ``Index.save`` wrote into a folder, for the same matrix.

    ``about`` is what ``save`` returned.

    Raises
    ------
    CorruptBundleError
        If files, description and matrix do not belong together; an index can always be built anew.

    Examples
    --------
    >>> import numpy as np
    >>> load(Path("anywhere"), np.eye(3, dtype=np.float32), {"kind": "exact"}).kind
    'exact'
    """
    kind = about.get("kind") if isinstance(about, dict) else None
    if kind == "annoy":
        return AnnoyIndex.load(folder, matrix, about)
    if about == {"kind": "exact"}:
        return ExactIndex.build(matrix)
    raise CorruptBundleError(f"the index is described as {about!r:.80}; expected kind 'exact' or 'annoy'")
