"""Min-heaps of the k items with the highest scores, for compiled loops.

Calls of ``keep_best`` for all items, followed by ``write_down``, write the items in the order
``np.lexsort((items, -scores))[:k]``.
"""

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
    """Push an item onto a min-heap of at most ``size`` items; a full heap drops the item that ranks last.

    Items rank by descending score, and of equal scores, the lower item code ranks first.
    """
    if len(best) < size:
        heapq.heappush(best, (score, int(-item)))
    elif size > 0:
        heapq.heappushpop(best, (score, int(-item)))


@compiled
def write_down(best: Best, items: Codes, scores: npt.NDArray[np.floating], start: int) -> int:
    """Empty a heap into ``items`` and ``scores``, best first, from index ``start``; return the end index."""
    end = start + len(best)
    for i in range(end - 1, start - 1, -1):
        score, item = heapq.heappop(best)
        items[i] = -item
        scores[i] = score
    return end
