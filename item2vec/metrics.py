"""How good a ranking is, from the rank of what truly came next."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["hr", "mrr", "ndcg"]

Ranks = npt.NDArray[Any]


def hr(ranks: Ranks, k: int) -> npt.NDArray[np.float64]:
    """Return 1 for each target ranked within the first ``k``, else 0. Ranks start at 1; ``inf`` is unranked.

    >>> hr(np.array([1, 11, np.inf]), k=10)
    array([1., 0., 0.])
    """
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: Ranks, k: int) -> npt.NDArray[np.float64]:
    """Return ``1 / log2(rank + 1)`` for each target within the first ``k``, else 0.

    With one target this is normalised discounted cumulative gain (Järvelin & Kekäläinen, TOIS 2002).

    >>> ndcg(np.array([1, 3, 11]), k=10)
    array([1. , 0.5, 0. ])
    """
    return np.where(ranks <= k, 1.0 / np.log2(ranks + 1.0), 0.0)


def mrr(ranks: Ranks, k: int) -> npt.NDArray[np.float64]:
    """Return ``1 / rank`` for each target within the first ``k``, else 0.

    >>> mrr(np.array([1, 4, 11]), k=10)
    array([1.  , 0.25, 0.  ])
    """
    return np.where(ranks <= k, 1.0 / ranks, 0.0)
