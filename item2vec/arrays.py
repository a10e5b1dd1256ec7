"""Names for the arrays that the package passes around, by element type."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["Codes", "Doubles", "Floats", "Mask", "Offsets", "Rows", "Words"]

Codes = npt.NDArray[np.int32]
"""Dense integers that stand for ids: of items, users or nodes."""

Offsets = npt.NDArray[np.int64]
"""Positions, counts, or timestamps in microseconds."""

Rows = npt.NDArray[np.intp]
"""Row numbers, as NumPy's own functions return them."""

Floats = npt.NDArray[np.float32]
"""Vectors and their scores."""

Doubles = npt.NDArray[np.float64]
"""Numbers that are summed or averaged: weights, metrics."""

Mask = npt.NDArray[np.bool_]
"""One boolean per row."""

Words = npt.NDArray[np.uint64]
"""Random state and lookup tables of the compiled loops."""
