"""The k highest of many scores, in the one order that all indexes, metrics and baselines share.

Higher scores come first. Equal scores are ordered by row, and row 0 is the most frequent item, so that
rankings are deterministic.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Rows

__all__ = ["top_k"]


def top_k(scores: npt.NDArray[Any], k: int) -> Rows:
    """Return the positions of the ``k`` highest of ``scores`` (1-D), best first; ``-inf`` is never returned.

    Examples
    --------
    >>> import numpy as np
    >>> top_k(np.array([0.1, 0.7, -np.inf, 0.7]), k=3)
    array([1, 3, 0])
    """
    if k < len(scores):
        worst_kept = np.partition(scores, len(scores) - k)[len(scores) - k]
        candidates = np.flatnonzero(scores >= worst_kept)
    else:
        candidates = np.arange(len(scores))
    candidates = candidates[scores[candidates] > -np.inf]
    return candidates[np.argsort(-scores[candidates], kind="stable")][:k]
