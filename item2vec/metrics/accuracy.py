"""Accuracy metrics of rankings with known targets.

``hits`` (bool, n queries × ranks, best first) marks the ranks of the targets. ``n_targets`` (one integer of
at least 1 per query) is the number of targets. Every metric returns one value per query (float64). With one
target per query, recall equals the hit rate, and MAP equals MRR.

The metrics are defined as in trec_eval: MAP and recall divide by the number of all targets, even if it is
greater than ``k``.
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
    """Convert the rank of one target per query to hits (queries × places).

    Rank 1 is best. The rank ``inf`` denotes a target that is not ranked.

    >>> hits_of_ranks(np.array([2, np.inf]), places=3)
    array([[False,  True, False],
           [False, False, False]])
    """
    hits: Mask = ranks[:, None] == np.arange(1, places + 1)
    return hits


def hr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the hit rate: 1 for queries with a target among the first ``k`` ranks, else 0.

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
    """Return the number of targets among the first ``k`` ranks, divided by ``k`` even for shorter rankings.

    >>> precision(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    shares: Doubles = hits[:, :k].sum(axis=1) / np.float64(k)
    return shares


def ndcg(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return NDCG: the sum of ``1 / log2(rank + 1)`` over the hits in the first ``k`` ranks / its maximum.

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
    """Return the reciprocal rank of the first hit among the first ``k`` ranks; 0 without a hit.

    The mean over queries is MRR (Voorhees, TREC-8, 1999).

    >>> mrr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    first = hits[:, :k].argmax(axis=1)
    return np.where(hits[:, :k].any(axis=1), 1.0 / (first + 1), 0.0)


def mean_average_precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the average precision: the sum of the precisions at the hits / the number of all targets.

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
"""Accuracy metrics by name."""
