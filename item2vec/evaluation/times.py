"""Conversion of timestamps to ISO text, for descriptions and messages of splits."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Offsets

__all__ = ["iso", "span_of"]


def iso(timestamp: int | np.int64) -> str:
    """Return a timestamp (microseconds since 1970, UTC) as ISO text.

    >>> iso(1_000_000)
    '1970-01-01T00:00:01'
    """
    unit = "us" if int(timestamp) % 1_000_000 else "s"
    return str(np.datetime64(int(timestamp), "us").astype(f"datetime64[{unit}]"))


def span_of(timestamps: Offsets) -> tuple[str, str]:
    """Return the earliest and the latest of several timestamps (microseconds since 1970, UTC) as ISO text.

    >>> span_of(np.array([1_500_000, 0]))
    ('1970-01-01T00:00:00', '1970-01-01T00:00:01.500000')
    """
    return iso(timestamps.min()), iso(timestamps.max())
