"""The exact median of numbers that are read twice, block by block, because they may not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Floats, Offsets

__all__ = ["lower_median"]

HALF_BITS = 16


def lower_median(blocks: Callable[[], Iterable[Floats]]) -> np.float64:
    """Return the median of positive float32 numbers; of two middle numbers, the lower one.

    ``blocks`` returns the numbers, block by block. It is called twice.

    The bits of positive floats, read as an integer, have the order of the floats. The upper 16 bits of the
    median are therefore found by a histogram of all numbers, and the lower 16 bits by a histogram of the
    numbers with these upper bits.

    >>> blocks = [np.array([0.5, 8], np.float32), np.array([3, 2], np.float32)]
    >>> float(lower_median(lambda: blocks))
    2.0
    """
    upper = np.zeros(1 << HALF_BITS, np.int64)
    for block in blocks():
        upper += _histogram(block.view(np.uint32) >> HALF_BITS)
    rank = (upper.sum() - 1) // 2
    high = int(np.searchsorted(np.cumsum(upper), rank, side="right"))
    rank -= upper[:high].sum()
    lower = np.zeros(1 << HALF_BITS, np.int64)
    for block in blocks():
        bits = block.view(np.uint32)
        lower += _histogram(bits[bits >> HALF_BITS == high] & 0xFFFF)
    low = int(np.searchsorted(np.cumsum(lower), rank, side="right"))
    return np.float64(np.array(high << HALF_BITS | low, np.uint32).view(np.float32))


def _histogram(numbers: npt.NDArray[Any]) -> Offsets:
    return np.bincount(numbers, minlength=1 << HALF_BITS)
