"""What answers are like, apart from being right: how wide, how new, how varied, how much of the same.

``items`` (int32, n questions × places, best first) holds item codes, -1 where an answer is shorter;
``counts`` (one an item) how often each occurs in the training part.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Mask, Rows

__all__ = ["coverage", "diversity", "gini", "novelty", "popularity_bias", "serendipity"]

Counts = npt.NDArray[Any]


def coverage(items: Codes, k: int, counts: Counts) -> float:
    """Return the share of the training part's items that stand within the first ``k`` of any answer.

    Items that the training part does not have add nothing.

    Catalogue coverage of Ge, Delgado-Battenfeld & Jannach, Beyond accuracy, RecSys 2010.

    >>> coverage(np.array([[0, 1], [0, 2]]), 1, np.array([5, 4, 3, 2]))
    0.25
    """
    exposure = _exposure(items, k, counts)
    return float(np.count_nonzero(exposure) / max(len(exposure), 1))


def gini(items: Codes, k: int, counts: Counts) -> float:
    """Return how unevenly the first ``k`` places are spread over the training part's items.

    0: every item is shown as often as any other; near 1: one item has nearly all places. The Gini coefficient
    of exposure, as in Fleder & Hosanagar, Management Science 2009.

    >>> gini(np.array([[0, 1], [2, 3]]), 2, np.array([5, 4, 3, 2]))
    0.0
    """
    exposure = np.sort(_exposure(items, k, counts))
    n = len(exposure)
    rank = np.arange(1, n + 1)
    return float(((2 * rank - n - 1) @ exposure) / max(n * exposure.sum(), 1))


def novelty(items: Codes, k: int, n_holding: Counts, n_sentences: int) -> Doubles:
    """Return the mean self-information of the first ``k``: ``-log2`` of the share of sentences with the item.

    ``n_holding`` (one an item) counts the training sentences that hold an item, however often each does; with
    a sentence per user these are its users. An item that no training sentence holds counts as if one held it;
    an empty answer has 0. Source: Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender
    systems, PNAS 2010.

    Examples
    --------
    Of four users, all have item 0 (0 bits), and one has item 1 (2 bits).

    >>> novelty(np.array([[0, 1], [1, -1]]), 2, np.array([4, 1]), 4)
    array([1., 2.])
    """
    surprise = np.log2(max(n_sentences, 1)) - np.log2(np.maximum(n_holding, 1))
    return _mean(surprise, items, k)


def popularity_bias(items: Codes, k: int, counts: Counts, of_histories: float) -> Doubles:
    """Return by how much the first ``k`` are more popular than what users chose themselves: 0.5 is half more.

    ``of_histories`` is the mean count of the items in histories, over users. An empty answer is as popular as
    items that never occur: -1. The mean over questions is the popularity lift of Abdollahpouri et al., The
    connection between popularity bias, calibration, and fairness in recommendation, RecSys 2020.

    >>> popularity_bias(np.array([[0, 1]]), 2, np.array([5, 1]), of_histories=2.0)
    array([0.5])
    """
    return _mean(counts.astype(np.float64), items, k) / of_histories - 1


def diversity(items: Codes, k: int, likeness: npt.NDArray[np.floating[Any]]) -> Doubles:
    """Return one minus the mean cosine over all pairs of the first ``k``; 0 where there is no pair.

    ``likeness`` (n questions × places) tells of each place the sum of its cosines with the places before it.
    Intra-list diversity of Ziegler et al., Improving recommendation lists through topic diversification,
    WWW 2005.

    >>> diversity(np.array([[0, 1, 2]]), 3, np.array([[0, 0.25, 0.5]]))
    array([0.75])
    """
    n_filled = (items[:, :k] >= 0).sum(axis=1)
    n_pairs = n_filled * (n_filled - 1) // 2
    return np.where(n_pairs > 0, 1 - likeness[:, :k].sum(axis=1) / np.maximum(n_pairs, 1), 0.0)


def serendipity(hits: Mask, expected: Mask, k: int) -> Doubles:
    """Return the share of the first ``k`` places that are right and were not to be expected.

    ``expected`` (like ``hits``, n questions × places) marks what is among the ``k`` most popular items, and
    would have been named without a model. Source: Ge, Delgado-Battenfeld & Jannach, Beyond accuracy, RecSys
    2010, section 3.2.

    >>> serendipity(np.array([[True, True]]), np.array([[True, False]]), k=2)
    array([0.5])
    """
    found: Doubles = (hits[:, :k] & ~expected[:, :k]).sum(axis=1) / np.float64(k)
    return found


def _exposure(items: Codes, k: int, counts: Counts) -> Rows:
    """Return how often each item of the training part stands within the first ``k``."""
    shown = items[:, :k]
    return np.bincount(shown[shown >= 0], minlength=len(counts))[counts > 0]


def _mean(of_item: Doubles, items: Codes, k: int) -> Doubles:
    """Return the mean over the filled ones of the first ``k`` places; 0 for an empty answer."""
    shown = items[:, :k]
    total = np.append(of_item, 0.0)[shown].sum(axis=1)
    mean: Doubles = total / np.maximum((shown >= 0).sum(axis=1), 1)
    return mean
