"""Top-k selection, in the order that all indexes, metrics and baselines share.

Higher scores come first. Equal scores are sorted by row, so that rankings are deterministic. The rows of a
trained model are sorted by frequency, most frequent item first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Rows

__all__ = ["top_k"]


def top_k(scores: npt.NDArray[Any], k: int) -> Rows:
    """Return the indices of the ``k`` highest ``scores`` (1-D), best first; scores of ``-inf`` are left out.

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
