"""How well answers name what truly came next.

``hits`` (bool, n questions × places) tells for each place, best first, whether a target stands there;
``n_targets`` (whole numbers of at least 1, one a question) how many targets there are. Every function
returns one number a question. With one target each, recall is the hit rate, and MAP is MRR.

Definitions are those of trec_eval: MAP and recall divide by all targets, however small ``k`` is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Mask

__all__ = ["ACCURACY", "hits_of_ranks", "hr", "mean_average_precision", "mrr", "ndcg", "precision", "recall"]

Counts = npt.NDArray[Any]


def hits_of_ranks(ranks: npt.NDArray[Any], places: int) -> Mask:
    """Return the hits of questions with one target each, from its rank: 1 is best, ``inf`` is unranked.

    >>> hits_of_ranks(np.array([2, np.inf]), places=3)
    array([[False,  True, False],
           [False, False, False]])
    """
    hits: Mask = ranks[:, None] == np.arange(1, places + 1)
    return hits


def hr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the hit rate: 1 where a target is within the first ``k``, else 0.

    >>> hr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([1., 0.])
    """
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def recall(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the share of the targets that are within the first ``k``.

    >>> recall(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    found: Doubles = hits[:, :k].sum(axis=1) / n_targets
    return found


def precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the share of the first ``k`` places that hold a target, be the answer shorter or not.

    >>> precision(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    found: Doubles = hits[:, :k].sum(axis=1) / np.float64(k)
    return found


def ndcg(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the sum of ``1 / log2(place + 1)`` over hits, divided by the best sum that can be had.

    Source: Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, for targets
    that are all worth the same.

    >>> ndcg(np.array([[False, True, True], [True, False, False]]), np.array([2, 1]), k=3).round(3)
    array([0.693, 1.   ])
    """
    places = min(k, hits.shape[1])
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(n_targets, k).astype(np.intp) - 1]
    gained: Doubles = hits[:, :places] @ gains[:places] / best
    return gained


def mrr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return ``1 / place`` of the first hit within the first ``k``, else 0 (Voorhees, TREC-8, 1999).

    >>> mrr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    first = hits[:, :k].argmax(axis=1)
    return np.where(hits[:, :k].any(axis=1), 1.0 / (first + 1), 0.0)


def mean_average_precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the sum, over hits within the first ``k``, of the precision at their place, over all targets.

    Its mean over questions is what is called MAP (Buckley & Voorhees, SIGIR 2000).

    >>> mean_average_precision(np.array([[False, True, True], [True, False, False]]), np.array([2, 1]), k=3)
    array([0.58333333, 1.        ])
    """
    within = hits[:, :k]
    precisions = np.cumsum(within, axis=1) / np.arange(1, within.shape[1] + 1)
    averaged: Doubles = (precisions * within).sum(axis=1) / n_targets
    return averaged


ACCURACY: dict[str, Callable[[Mask, Counts, int], Doubles]] = {
    "hr": hr,
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": mean_average_precision,
}
"""Every metric of accuracy by its name."""
