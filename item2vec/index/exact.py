"""The exact index: a scan of all allowed rows for each query."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from item2vec.arrays import Floats, Mask, Rows
from item2vec.index.search import as_matrix
from item2vec.matrices import row_norms

__all__ = ["ExactIndex"]


@dataclass(frozen=True, eq=False)
class ExactIndex:
    """Exact index: it requests a scan for each query, and saves no file, because it only holds the matrix.

    >>> import numpy as np
    >>> ExactIndex.build(np.eye(2, dtype=np.float32)).save("anywhere")
    {'kind': 'exact'}
    """

    kind: ClassVar[str] = "exact"
    matrix: Floats
    largest_norm: float

    @classmethod
    def build(cls, matrix: Floats) -> ExactIndex:
        """Validate a matrix of vectors (see ``as_matrix``), and return its index."""
        matrix = as_matrix(matrix)
        return cls(matrix, float(row_norms(matrix).max()))

    @property
    def n_built(self) -> int:
        """The number of rows."""
        return len(self.matrix)

    def candidates(self, query: Floats, n: int, n_scanned: int) -> Rows | None:  # noqa: ARG002
        """Return ``None``, which requests a scan."""
        return None

    def are_cut(self, rows: Rows, n: int) -> Mask:  # noqa: ARG002
        """Return false for each row: a scan leaves out no equal rows."""
        return np.zeros(len(rows), dtype=np.bool_)

    def save(self, folder: Path, prefix: str = "") -> dict[str, Any]:  # noqa: ARG002
        """Return the description that ``load`` needs; no file is written."""
        return {"kind": self.kind}
