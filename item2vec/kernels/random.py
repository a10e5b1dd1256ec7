"""Random bits in compiled loops."""

from __future__ import annotations

import numpy as np

from item2vec.kernels.compiled import compiled

__all__ = ["GOLDEN", "HALF", "LOW_HALF", "below", "mix"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""From one of splitmix64's states to the next."""

HALF = np.uint64(32)
LOW_HALF = np.uint64(0xFFFFFFFF)


@compiled
def mix(bits: np.uint64) -> np.uint64:
    """Return splitmix64's output for a state (Steele, Lea & Flood, OOPSLA 2014).

    >>> int(mix(np.uint64(1)))
    6238072747940578789
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled
def below(bits: np.uint64, size: int) -> int:
    """Return a number in [0, size) by the upper half of the bits.

    >>> below(np.uint64(3 << 62), 8)
    6
    """
    return int(np.int64((bits >> HALF) * np.uint64(size) >> HALF))  # signed: a sum of both kinds is a float
