"""Accuracy metrics of rankings with known targets.

``hits`` (bool, n queries × ranks, best first) marks the ranks of the targets. ``n_targets`` (one integer of
at least 1 per query) is the number of targets. Every metric returns one value per query (float64). With one
target per query, recall equals the hit rate, and MAP equals MRR.

The metrics are defined as in trec_eval: MAP and recall divide by the number of all targets, even if a query
has more than ``k`` targets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Mask
from item2vec.errors import InputError, short_repr
from item2vec.types import check_k

__all__ = ["ACCURACY", "hits_of_ranks", "hr", "mean_average_precision", "mrr", "ndcg", "precision", "recall"]

Counts = npt.NDArray[Any]


@checked
def hits_of_ranks(ranks: npt.NDArray[Any], places: int) -> Mask:
    """Convert the rank of one target per query to hits (queries × places).

    Rank 1 is best. The rank ``inf`` denotes a target that is not ranked.

    >>> hits_of_ranks(np.array([2, np.inf]), places=3)
    array([[False,  True, False],
           [False, False, False]])
    """
    if ranks.ndim != 1:
        raise InputError(f"ranks has shape {ranks.shape}; expected one dimension, with one rank per query")
    hits: Mask = ranks[:, None] == np.arange(1, check_k(places) + 1)
    return hits


@checked
def hr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the hit rate: 1 for queries with a target among the first ``k`` ranks, else 0.

    >>> hr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([1., 0.])
    """
    return np.asarray(first_ranks(hits, k).any(axis=1), dtype=np.float64)


@checked
def recall(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the share of the targets that are among the first ``k`` ranks.

    >>> recall(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    shares: Doubles = first_ranks(hits, k).sum(axis=1) / _checked_targets(n_targets, hits)
    return shares


@checked
def precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the number of targets among the first ``k`` ranks, divided by ``k`` even for shorter rankings.

    >>> precision(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    shares: Doubles = first_ranks(hits, k).sum(axis=1) / np.float64(k)
    return shares


@checked
def ndcg(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return NDCG: the DCG of the first ``k`` ranks, divided by the ideal DCG.

    DCG is the sum of ``1 / log2(rank + 1)`` over the ranks with a hit (binary relevance). The ideal DCG is
    that of hits at the ranks 1 to ``min(n_targets, k)``. Source: Järvelin & Kekäläinen, Cumulated gain-based
    evaluation of IR techniques, TOIS 2002.

    >>> ndcg(np.array([[False, True, True], [True, False, False]]), np.array([2, 1]), k=3).round(3)
    array([0.693, 1.   ])
    """
    within = first_ranks(hits, k)
    n_targets = np.minimum(_checked_targets(n_targets, hits), k).astype(np.intp)
    gains = 1.0 / np.log2(np.arange(2, max(within.shape[1], n_targets.max(initial=0)) + 2))
    normalised: Doubles = within @ gains[: within.shape[1]] / np.cumsum(gains)[n_targets - 1]
    return normalised


@checked
def mrr(hits: Mask, n_targets: Counts, k: int) -> Doubles:  # noqa: ARG001
    """Return the reciprocal rank of the first hit among the first ``k`` ranks; 0 without a hit.

    The mean over queries is MRR (Voorhees, TREC-8, 1999).

    >>> mrr(np.array([[False, True, True], [False, False, True]]), np.array([2, 1]), k=2)
    array([0.5, 0. ])
    """
    within = first_ranks(hits, k)
    return np.where(within.any(axis=1), 1.0 / (within.argmax(axis=1) + 1), 0.0)


@checked
def mean_average_precision(hits: Mask, n_targets: Counts, k: int) -> Doubles:
    """Return the average precision: the sum of the precisions at the hits, divided by the number of targets.

    Only hits among the first ``k`` ranks are counted. The mean over queries is MAP (Buckley & Voorhees, SIGIR
    2000).

    >>> mean_average_precision(np.array([[False, True, True], [True, False, False]]), np.array([2, 1]), k=3)
    array([0.58333333, 1.        ])
    """
    within = first_ranks(hits, k)
    precisions = np.cumsum(within, axis=1) / np.arange(1, within.shape[1] + 1)
    averaged: Doubles = (precisions * within).sum(axis=1) / _checked_targets(n_targets, hits)
    return averaged


def first_ranks(table: npt.NDArray[Any], k: int) -> npt.NDArray[Any]:
    """Return the first ``k`` ranks of a table (queries × ranks)."""
    if table.ndim != 2:
        raise InputError(f"found an array of shape {table.shape}; expected two dimensions, queries × ranks")
    return table[:, : check_k(k)]


def _checked_targets(n_targets: Counts, hits: Mask) -> Counts:
    if n_targets.shape != hits.shape[:1] or not (n_targets >= 1).all():
        raise InputError(
            f"n_targets is {short_repr(n_targets)}; expected {len(hits)} numbers of at least 1, one per query"
        )
    return n_targets


ACCURACY: dict[str, Callable[[Mask, Counts, int], Doubles]] = {
    "hr": hr,
    "recall": recall,
    "precision": precision,
    "ndcg": ndcg,
    "mrr": mrr,
    "map": mean_average_precision,
}
"""Accuracy metrics by name."""
