"""Type aliases for NumPy arrays, one per element type, an empty array, and the conversion of a scalar."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "NO_ROWS",
    "Bytes",
    "Codes",
    "Doubles",
    "Floats",
    "Mask",
    "Offsets",
    "Rows",
    "Words",
    "python_scalar",
]

Codes = npt.NDArray[np.int32]
"""Dense integer codes of ids, such as the ids of items, users or nodes."""

Offsets = npt.NDArray[np.int64]
"""Positions, counts, or timestamps in microseconds."""

Rows = npt.NDArray[np.intp]
"""Row indices, in the type that NumPy returns for indices."""

NO_ROWS: Rows = np.empty(0, dtype=np.intp)

Floats = npt.NDArray[np.float32]
"""Vectors and scores."""

Doubles = npt.NDArray[np.float64]
"""Numbers in double precision, such as weights, metrics, and intermediate results of linear algebra."""

Mask = npt.NDArray[np.bool_]
"""One boolean per element, such as a row, an item or a token."""

Bytes = npt.NDArray[np.uint8]
"""The content of a file or of a block of a file."""

Words = npt.NDArray[np.uint64]
"""Random states and lookup tables of the compiled loops."""


def python_scalar(value: np.generic) -> Any:
    """Return a NumPy scalar as a Python value.

    A float of 16 or 32 bits becomes the shortest decimal that identifies it among the floats of its type.

    >>> python_scalar(np.float32(19.99)), float(np.float32(19.99))
    (19.99, 19.989999771118164)
    """
    return float(str(value)) if isinstance(value, np.floating) else value.item()
