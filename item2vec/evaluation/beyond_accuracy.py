"""Beyond-accuracy metrics of rankings, computed with statistics of the training part."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import numpy as np

from item2vec.arrays import Codes, Doubles, Mask, Offsets
from item2vec.evaluation.rankings import Rankings
from item2vec.evaluation.split import Split
from item2vec.evaluation.targets import liked_counts
from item2vec.kernels.cooccurrence import pair_cosines, sentences_of_items
from item2vec.metrics.beyond_accuracy import (
    coverage,
    diversity,
    gini,
    novelty,
    popularity_bias,
    serendipity,
)
from item2vec.neighbours import sampled_shards
from item2vec.sentences import joined

__all__ = ["BEYOND_ACCURACY", "BeyondAccuracy"]

BEYOND_ACCURACY = ("coverage", "novelty", "diversity", "gini", "popularity-bias", "serendipity")
"""Names of the metrics of this module."""

PAIRS_PER_BLOCK = 1 << 20


class BeyondAccuracy:
    """Metrics of rankings relative to a training part. Statistics that metrics share are computed once."""

    def __init__(self, rankings: Rankings, split: Split) -> None:
        self._rankings = rankings
        self._split = split
        counts = liked_counts(split.train)
        self._counts = np.concatenate(
            (counts, np.zeros(len(rankings.vocabulary) - len(counts), dtype=np.int64))
        )

    def measure(self, name: str, k: int) -> Doubles | float:
        """Return the metric ``name`` of ``BEYOND_ACCURACY``, computed from the first ``k`` ranks.

        The result is an array with one value per query; for coverage and gini, a single number.
        """
        items, counts = self._rankings.items, self._counts
        if name == "coverage":
            return coverage(items, k, counts)
        if name == "gini":
            return gini(items, k, counts)
        if name == "novelty":
            return novelty(items, k, self._n_holders, len(self._split.train))
        if name == "popularity-bias":
            return popularity_bias(items, k, counts, self._history_popularity)
        if name == "diversity":
            return diversity(items, k, self._similarity)
        return serendipity(self._rankings.hits, self._is_popular(k)[items], k)

    def _is_popular(self, k: int) -> Mask:
        """Return a mask of the ``k`` most frequent items. The last element, for code -1, is False."""
        popular = np.zeros(len(self._counts) + 1, dtype=bool)
        popular[np.argsort(-self._counts, kind="stable")[: min(k, np.count_nonzero(self._counts))]] = True
        return popular

    @cached_property
    def _history_popularity(self) -> float:
        """The mean count of the liked items of a history, averaged over histories.

        The count of an item is its number of tokens in the training part. Items of count 0, and histories
        without other items, are left out. If no history is left, the result is the mean of all counts above
        0, or 1 if the training part is empty.
        """
        histories = self._split.histories.liked
        code_of = histories.vocabulary.codes_in(self._rankings.vocabulary)
        counts = np.append(self._counts, 0)[code_of[histories.tokens]]
        owners = np.repeat(np.arange(len(histories)), histories.lengths)
        sums = np.bincount(owners, counts, minlength=len(histories))
        n_trained = np.bincount(owners[counts > 0], minlength=len(histories))
        if n_trained.any():
            return float((sums[n_trained > 0] / n_trained[n_trained > 0]).mean())
        trained = self._counts[self._counts > 0]
        return float(trained.mean()) if len(trained) else 1.0

    @cached_property
    def _holders(self) -> tuple[Offsets, Codes]:
        """Indices of the training sentences that contain each item, as a pair of arrays: offsets; indices.

        Of more than 100 million tokens in shards, only some evenly spaced shards are read.
        """
        shards = sampled_shards(self._split.train)
        train = joined([dataclasses.replace(shard, weights=None, timestamps=None) for shard in shards])
        return sentences_of_items(train.tokens, train.offsets, len(self._counts))

    @cached_property
    def _n_holders(self) -> Offsets:
        """Number of training sentences that contain each item."""
        n_items = len(self._counts)
        n_holders = np.zeros(n_items, dtype=np.int64)
        for shard in self._split.train.shards:
            n_holders += np.diff(sentences_of_items(shard.tokens, shard.offsets, n_items)[0])
        return n_holders

    @cached_property
    def _similarity(self) -> Doubles:
        """Sum of the cosines of the item at each rank with the items of better rank (n queries × ranks).

        The cosine of two items is the cosine of the binary vectors of the training sentences that contain
        them. The cosine of each distinct pair of items is computed once per block of queries, because the
        rankings of queries overlap.
        """
        items, n_items = self._rankings.items, len(self._counts)
        place, before = np.tril_indices(items.shape[1], -1)
        starts = np.searchsorted(place, np.arange(1, items.shape[1]))
        similarity = np.zeros(items.shape)
        step = max(1, PAIRS_PER_BLOCK // max(len(place), 1))
        for start in range(0, len(items) if len(place) else 0, step):
            first, second = items[start : start + step, place], items[start : start + step, before]
            filled = (first >= 0) & (second >= 0)
            key = np.minimum(first, second)[filled] * np.int64(n_items) + np.maximum(first, second)[filled]
            pairs, at = np.unique(key, return_inverse=True)
            low, high = (half.astype(np.int32) for half in np.divmod(pairs, n_items))
            cosines = np.zeros(first.shape)
            cosines[filled] = pair_cosines(low, high, *self._holders)[at]
            similarity[start : start + step, 1:] = np.add.reduceat(cosines, starts, axis=1)
        return similarity
