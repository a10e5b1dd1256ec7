"""A heap of the best scored items: how a compiled loop keeps the top of a row."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes
from item2vec.kernels.compiled import compiled

__all__ = ["Best", "empty_heap", "keep_best", "write_down"]

Best = list[tuple[float, int]]


@compiled
def empty_heap() -> Best:
    """Return an empty heap."""
    best = [(0.0, 0)]  # numba infers the type of a list from its elements
    best.pop()
    return best


@compiled
def keep_best(best: Best, size: int, score: float, item: int) -> None:
    """Add an item to a heap of the ``size`` best, whose first is the worst; equal scores by lower item."""
    if len(best) < size:
        heapq.heappush(best, (score, int(-item)))
    elif size > 0:
        heapq.heappushpop(best, (score, int(-item)))


@compiled
def write_down(best: Best, items: Codes, scores: npt.NDArray[np.floating], start: int) -> int:
    """Empty the heap into two arrays from ``start`` on, best first; return where the row ends."""
    end = start + len(best)
    for place in range(end - 1, start - 1, -1):
        score, item = heapq.heappop(best)
        items[place] = -item
        scores[place] = score
    return end
