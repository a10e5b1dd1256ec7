"""Metrics that describe which items are recommended, beyond the accuracy of the rankings.

``items`` (int32, n queries × ranks, best first) contains item codes. A ranking with fewer items than ranks is
padded with -1. ``counts`` (one per item) is the number of occurrences of the item in the training part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arguments import checked
from item2vec.arrays import Codes, Doubles, Mask, Rows
from item2vec.errors import InputError
from item2vec.metrics.accuracy import first_ranks

__all__ = ["coverage", "diversity", "gini", "novelty", "popularity_bias", "serendipity"]

Counts = npt.NDArray[Any]


@checked
def coverage(items: Codes, k: int, counts: Counts) -> float:
    """Return the catalogue coverage: the share of items in the first ``k`` ranks of at least one ranking.

    Only items that occur in the training part (count above 0) are counted. Source: Ge, Delgado-Battenfeld &
    Jannach, Beyond accuracy, RecSys 2010.

    >>> coverage(np.array([[0, 1], [0, 2]]), 1, np.array([5, 4, 3, 2]))
    0.25
    """
    exposure = _exposure(items, k, counts)
    return float(np.count_nonzero(exposure) / max(len(exposure), 1))


@checked
def gini(items: Codes, k: int, counts: Counts) -> float:
    """Return the Gini coefficient of the exposure of items.

    The exposure of an item is the number of rankings that contain the item in the first ``k`` ranks. The
    coefficient is 0 if all items of the training part are recommended equally often, and near 1 if one item
    takes nearly all ranks. Source: Fleder & Hosanagar, Management Science 2009.

    >>> gini(np.array([[0, 1], [2, 3]]), 2, np.array([5, 4, 3, 2]))
    0.0
    """
    exposure = np.sort(_exposure(items, k, counts))
    n = len(exposure)
    rank = np.arange(1, n + 1)
    return float(((2 * rank - n - 1) @ exposure) / max(n * exposure.sum(), 1))


@checked
def novelty(items: Codes, k: int, n_holding: Counts, n_sentences: int) -> Doubles:
    """Return the mean self-information of the first ``k`` items.

    The self-information of an item is ``-log2`` of the share of training sentences that contain the item.
    ``n_holding`` (one per item) is the number of training sentences that contain the item; a number of 0 is
    replaced by 1. ``n_sentences`` is the number of all training sentences. An empty ranking has novelty 0.
    Source: Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 2010.

    Examples
    --------
    Item 0 is in all of four sentences (0 bits), item 1 in one of them (2 bits).

    >>> novelty(np.array([[0, 1], [1, -1]]), 2, np.array([4, 1]), 4)
    array([1., 2.])
    """
    surprise = np.log2(max(n_sentences, 1)) - np.log2(np.maximum(n_holding, 1))
    return _mean(surprise, items, k)


@checked
def popularity_bias(items: Codes, k: int, counts: Counts, of_histories: float) -> Doubles:
    """Return the mean count of the first ``k`` items, divided by the mean count of history items, minus 1.

    ``of_histories`` is the mean count of the items of a history, averaged over histories. The value of an
    empty ranking is -1. The mean over queries is the popularity lift of Abdollahpouri et al., The connection
    between popularity bias, calibration, and fairness in recommendation, RecSys 2020.

    >>> popularity_bias(np.array([[0, 1]]), 2, np.array([5, 1]), of_histories=2.0)
    array([0.5])
    """
    return _mean(counts.astype(np.float64), items, k) / of_histories - 1


@checked
def diversity(items: Codes, k: int, similarity: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Return the intra-list diversity: 1 minus the mean cosine of all pairs of the first ``k`` items.

    ``similarity`` (n queries × ranks) is the sum of the cosines of the item at a rank with all items of
    better rank. If the first ``k`` ranks contain fewer than two items, the diversity is 0. Source: Ziegler et
    al., Improving recommendation lists through topic diversification, WWW 2005.

    >>> diversity(np.array([[0, 1, 2]]), 3, np.array([[0, 0.25, 0.5]]))
    array([0.75])
    """
    n_filled = (first_ranks(items, k) >= 0).sum(axis=1)
    n_pairs = n_filled * (n_filled - 1) // 2
    return np.where(n_pairs > 0, 1 - first_ranks(similarity, k).sum(axis=1) / np.maximum(n_pairs, 1), 0.0)


@checked
def serendipity(hits: Mask, expected: Mask, k: int) -> Doubles:
    """Return the share of the first ``k`` ranks that contain an unexpected target.

    ``hits`` (n queries × ranks) marks the ranks of targets. ``expected`` (n queries × ranks) marks the ranks
    of the ``k`` most popular items, which can be recommended without a model. Source: Ge, Delgado-Battenfeld
    & Jannach, Beyond accuracy, RecSys 2010, section 3.2.

    >>> serendipity(np.array([[True, True]]), np.array([[True, False]]), k=2)
    array([0.5])
    """
    shares: Doubles = (first_ranks(hits, k) & ~first_ranks(expected, k)).sum(axis=1) / np.float64(k)
    return shares


def _exposure(items: Codes, k: int, counts: Counts) -> Rows:
    """Return, for each item of the training part, the number of rankings with the item in the first ``k``."""
    if counts.ndim != 1:
        raise InputError(f"counts has shape {counts.shape}; expected one dimension, with one count per item")
    shown = first_ranks(items, k)
    return np.bincount(shown[shown >= 0], minlength=len(counts))[counts > 0]


def _mean(of_item: Doubles, items: Codes, k: int) -> Doubles:
    """Return the mean of ``of_item`` over the items at the first ``k`` ranks; 0 for an empty ranking."""
    shown = first_ranks(items, k)
    total = np.append(of_item, 0.0)[shown].sum(axis=1)
    mean: Doubles = total / np.maximum((shown >= 0).sum(axis=1), 1)
    return mean
