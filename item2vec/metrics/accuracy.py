"""Accuracy metrics of rankings with known targets.

``hits`` (bool, n queries × ranks, best first) marks the ranks that hold a target; ``n_targets`` (integers of
at least 1, one per query) counts the targets of each query. Every metric returns one value per query
(float64). With one target per query, recall equals the hit rate, and MAP equals MRR.

The definitions are those of trec_eval: MAP and recall divide by all targets, even if ``k`` is smaller.
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
    """Return the hits (queries × places) of one target per query, from its rank: 1 is best, ``inf`` unranked.

    >>> hits_of_ranks(np.array([2, np.inf]), places=3)
    array([[False,  True, False],
           [False, False, False]])
    """
    hits: Mask = ranks[:, None] == np.arange(1, places + 1)
    return hits


def hr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the hit rate: 1 if a target is among the first ``k`` ranks, else 0.

    >>> hr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([1., 0.])
    """
    return np.asarray(hits[:, :k].any(axis=1), dtype=np.float64)


def recall(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the share of the targets that are among the first ``k`` ranks.

    >>> recall(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    shares: Doubles = hits[:, :k].sum(axis=1) / n_targets
    return shares


def precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the number of targets among the first ``k`` ranks divided by ``k``, also for shorter rankings.

    >>> precision(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    shares: Doubles = hits[:, :k].sum(axis=1) / np.float64(k)
    return shares


def ndcg(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the sum of ``1 / log2(rank + 1)`` over hits, divided by its maximum.

    Source: Järvelin & Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002, with binary
    relevance.

    >>> ndcg(np.array([[False, True, True], [True, False, False]]), np.array([2, 1]), k=3).round(3)
    array([0.693, 1.   ])
    """
    n_ranks = min(k, hits.shape[1])
    gains = 1.0 / np.log2(np.arange(2, k + 2))
    best = np.cumsum(gains)[np.minimum(n_targets, k).astype(np.intp) - 1]
    normalised: Doubles = hits[:, :n_ranks] @ gains[:n_ranks] / best
    return normalised


def mrr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return ``1 / rank`` of the first hit among the first ``k`` ranks, else 0 (Voorhees, TREC-8, 1999).

    >>> mrr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    first = hits[:, :k].argmax(axis=1)
    return np.where(hits[:, :k].any(axis=1), 1.0 / (first + 1), 0.0)


def mean_average_precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the precision at each hit among the first ``k`` ranks, summed and divided by all targets.

    The mean over queries is MAP (Buckley & Voorhees, SIGIR 2000).

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
"""The accuracy metrics by name."""
