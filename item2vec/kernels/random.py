"""Counter-based random numbers for compiled loops (splitmix64)."""

from __future__ import annotations

import numpy as np

from item2vec.kernels.compiled import compiled

__all__ = ["GOLDEN", "HALF", "LOW_HALF", "below", "mix"]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""The increment between successive states of splitmix64."""

HALF = np.uint64(32)
LOW_HALF = np.uint64(0xFFFFFFFF)


@compiled
def mix(bits: np.uint64) -> np.uint64:
    """Return the output of splitmix64 for a state (Steele, Lea & Flood, OOPSLA 2014).

    >>> int(mix(np.uint64(1)))
    6238072747940578789
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled
def below(bits: np.uint64, size: int) -> int:
    """Return a uniform integer in [0, size) from the upper 32 of 64 random bits.

    >>> below(np.uint64(3 << 62), 8)
    6
    """
    # int64, because numba converts the sum of an int64 and a uint64 to a float
    return int(np.int64((bits >> HALF) * np.uint64(size) >> HALF))
