"""An approximate index with rows added after it was built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from item2vec.arrays import Floats, Mask, Rows
from item2vec.index.exact import ExactIndex
from item2vec.index.search import Index, as_matrix

__all__ = ["ExtendedIndex", "extended"]


@dataclass(frozen=True, eq=False)
class ExtendedIndex:
    """An approximate index of the first rows of a matrix; all other rows are candidates of every query.

    The other rows were added after the index was built. Their scores are computed exactly, like those of all
    candidates, so that no added row is missed.

    >>> from item2vec.index.building import build
    >>> base = build(np.eye(3, 2, dtype=np.float32), kind="annoy")
    >>> extended(base, np.ones((5, 2), np.float32)).candidates(np.ones(2, np.float32), 1, 5)[-2:]
    array([3, 4])
    """

    base: Index
    matrix: Floats
    largest_norm: float

    @property
    def n_built(self) -> int:
        """The number of rows over which ``base`` was built."""
        return len(self.base.matrix)

    @property
    def kind(self) -> str:
        """The kind of the index of the first rows."""
        return self.base.kind

    def candidates(self, query: Floats, n: int, n_scanned: int) -> Rows | None:
        """Return the candidates of ``base`` and all added rows; ``None`` if ``base`` requests a scan."""
        rows = self.base.candidates(query, n, n_scanned)
        if rows is None:
            return None
        return np.concatenate((rows, np.arange(self.n_built, len(self.matrix))))

    def are_cut(self, rows: Rows, n: int) -> Mask:
        """Return, for each candidate among the first rows, whether ``base`` left out equal rows."""
        return self.base.are_cut(rows, n)

    def save(self, folder: Path, prefix: str = "") -> dict[str, Any]:
        """Write no file; return the description of an exact index, because ``base`` lacks the added rows."""
        return ExactIndex(self.matrix, self.largest_norm).save(folder, prefix)


def extended(base: Index, matrix: Floats) -> Index:
    """Return an index of a matrix whose first rows are the rows of ``base``.

    No approximate index is built. The result is exact if ``base`` is exact. If ``base`` is an
    ``ExtendedIndex``, the result extends the approximate index in ``base.base``.
    """
    exact = ExactIndex.build(as_matrix(matrix))
    if base.kind == "exact":
        return exact
    built = base.base if isinstance(base, ExtendedIndex) else base
    return ExtendedIndex(built, exact.matrix, exact.largest_norm)
