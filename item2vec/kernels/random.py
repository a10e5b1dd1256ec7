"""Random bits in compiled loops."""

from __future__ import annotations

import numpy as np

from item2vec.kernels.compiled import compiled

__all__ = ["mix"]


@compiled
def mix(bits: np.uint64) -> np.uint64:
    """Return splitmix64's output for a state (Steele, Lea & Flood, OOPSLA 2014).

    >>> int(mix(np.uint64(1)))
    6238072747940578789
    """
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
