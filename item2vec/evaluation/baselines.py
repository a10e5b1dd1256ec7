"""Baselines: models without vectors. A model that does not beat them is not worth serving."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Offsets
from item2vec.durations import DAY
from item2vec.errors import InputError
from item2vec.evaluation.rankings import Ties
from item2vec.kernels.candidates import draw, fill_up
from item2vec.kernels.cooccurrence import SparseRows, best_sums, first_occurrences, nearest, newest_items
from item2vec.sentences import Sentences, encode_histories, offsets_of
from item2vec.types import Recommendation, check_k

__all__ = [
    "Baseline",
    "Histories",
    "ItemKNN",
    "MarkovChain",
    "Popularity",
    "Random",
    "RecentPopularity",
]


class Histories(NamedTuple):
    """The known items of each history, and the number of candidates that surely hold ``k`` eligible ones."""

    codes: Codes
    offsets: Offsets
    n_needed: Offsets


class _Excluded(NamedTuple):
    """Excluded items: those for history ``i`` are ``codes[offsets[i]:offsets[i + 1]]``."""

    codes: Codes
    offsets: Offsets


class Baseline(ABC):
    """The base of all baselines: their items, and rankings from the candidates of a subclass.

    ``vocabulary`` holds the items that occur in the training part, most frequent first (equally frequent
    items in the order of their codes), and ``counts`` (int64) the number of occurrences. Items of equal score
    are ranked in this order. Items without a score follow the others, also in this order, with
    ``source="popular"`` and scores that decrease from just below 0 to -1.

    ``ties`` is the rule that ``evaluate`` applies: as answered, because this order is a part of the baseline.
    """

    ties: ClassVar[Ties] = "as answered"
    source: ClassVar[str] = "model"

    def __init__(self, sentences: Sentences) -> None:
        counts = sentences.counts()
        codes = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
        self.vocabulary = sentences.vocabulary.take(codes)
        self.counts = counts[codes]
        self._number_of = np.full(len(counts), -1, dtype=np.int32)
        self._number_of[codes] = np.arange(len(codes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.vocabulary):,} items)"

    def recommend_many(
        self,
        histories: Sentences | Iterable[Iterable[str]],
        *,
        k: int = 10,
        filter_seen: bool = True,
        exclude: Sentences | Iterable[Iterable[str]] | None = None,
    ) -> list[list[Recommendation]]:
        """Return the ``k`` best items for each history, best first; ``filter_seen`` excludes its own items.

        Rankings are shorter than ``k`` only if there are fewer items. Unknown items of a history are ignored.
        ``exclude`` holds further items to exclude per history.
        """
        n_items = len(self.vocabulary)
        k = min(check_k(k), n_items)
        codes, offsets = encode_histories(self.vocabulary, histories)[:2]
        parts = [_Excluded(codes, offsets)] if filter_seen else []
        if exclude is not None:
            parts.append(_Excluded(*encode_histories(self.vocabulary, exclude)[:2]))
        excluded = _merged(parts, len(offsets) - 1)
        n_needed = np.minimum(k + np.diff(excluded.offsets), n_items)
        candidates = self._candidates(Histories(codes, offsets, n_needed))
        items, scores = fill_up(candidates, *excluded, n_items, k)
        return self._recommendations(items, scores)

    @abstractmethod
    def _candidates(self, histories: Histories) -> SparseRows:
        """Return items of positive score for each history, best first: all, or at least ``n_needed``."""

    def _numbered(self, sentences: Sentences) -> Sentences:
        """Return the training sentences encoded with ``vocabulary``."""
        numbers = self._number_of[sentences.tokens]
        return Sentences(self.vocabulary, numbers, sentences.offsets, ordered=sentences.ordered)

    def _recommendations(self, items: Codes, scores: Doubles) -> list[list[Recommendation]]:
        filled = items >= 0
        sources = ["popular" if score < 0 else self.source for score in scores[filled].tolist()]
        ids = self.vocabulary.decode(items[filled])
        flat = list(map(Recommendation, ids, scores[filled].tolist(), sources))
        ends = offsets_of(filled.sum(axis=1)).tolist()
        return [flat[start:end] for start, end in pairwise(ends)]


class _SameForAll(Baseline):
    """Ranks all items by one score per item, the same for every history."""

    source = "popular"

    def _rank(self, scores: Doubles) -> None:
        best = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        self._ranking = best.astype(np.int32)
        self._scores = scores[best]

    def _candidates(self, histories: Histories) -> SparseRows:
        starts = np.zeros(len(histories.n_needed), dtype=np.int64)
        return SparseRows(self._ranking, self._scores, starts, starts + len(self._ranking))


class Popularity(_SameForAll):
    """Recommends the most frequent items to every user, except those of the history.

    The score is an item's number of tokens. Ties count in its favour, which gives an upper bound.

    Examples
    --------
    >>> popularity = Popularity(Sentences.of([["a", "b"], ["b", "c"], ["b"]]))
    >>> [item for item, count in popularity.recommend_many([["c"]], k=2)[0]]
    ['b', 'a']
    """

    ties: ClassVar[Ties] = "for"

    def __init__(self, sentences: Sentences) -> None:
        super().__init__(sentences)
        self._rank(self.counts.astype(np.float64))


class RecentPopularity(_SameForAll):
    """Recommends the recently most frequent items to every user, except those of the history.

    The score is the sum of the weights of an item's tokens. A token has the weight
    ``0.5 ** (age / half_life)``, where the newest token of all has age 0. Without timestamps its weight is
    ``decay ** steps``, with the number of tokens after it in its sentence.

    Parameters
    ----------
    sentences
        The training part.
    half_life
        Days after which the weight of a token has halved.
    decay
        Factor of the weight per step back, if there are no timestamps.

    Raises
    ------
    InputError
        If ``half_life`` or ``decay`` is out of range.

    Examples
    --------
    >>> from dataclasses import replace
    >>> train = Sentences.of([["a", "a", "b"]])
    >>> weeks = np.array([0, 0, 3]) * 7 * 86_400_000_000
    >>> trending = RecentPopularity(replace(train, timestamps=weeks))
    >>> [tuple(entry) for entry in trending.recommend_many([[]])[0]]
    [('b', 1.0), ('a', 0.25)]
    """

    def __init__(self, sentences: Sentences, *, half_life: float = 7.0, decay: float = 0.9) -> None:
        super().__init__(sentences)
        if not 0 < half_life < np.inf:
            raise InputError(f"half_life is {half_life}; expected a number of days above 0")
        if not 0 < decay <= 1:
            raise InputError(f"decay is {decay}; expected a number above 0 and up to 1")
        if sentences.timestamps is None:
            last = np.repeat(sentences.offsets[1:] - 1, sentences.lengths)
            weights = decay ** (last - np.arange(len(last), dtype=np.float64))
        else:
            newest = np.max(sentences.timestamps) if len(sentences.tokens) else 0
            weights = 0.5 ** ((newest - sentences.timestamps) / (DAY * half_life))
        numbers = self._number_of[sentences.tokens]
        self._rank(np.bincount(numbers, weights, minlength=len(self.vocabulary)).astype(np.float64))


class ItemKNN(Baseline):
    """Recommends items that occur in the same sentences as the items of a history.

    The similarity of two items is the cosine of the sets of sentences that contain them,
    n_ij / sqrt(n_i · n_j); repetitions in a sentence do not count. Each item has its ``k`` most similar items
    as neighbours. The score is the sum of a candidate's similarities to the distinct items of the history
    that have it as a neighbour.

    The work grows with the square of the number of items in a sentence. Of a sentence with more than
    ``max_items`` distinct items, such as a crawler's, only the end with that many is counted.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; Linden et
    al., Amazon.com recommendations: item-to-item collaborative filtering, IEEE Internet Computing 2003. The
    limit: Schelter, Boden & Markl, Scalable similarity-based neighborhood methods with MapReduce, RecSys 2012
    (who sample the items at random).

    Parameters
    ----------
    sentences
        The training part.
    k
        Number of neighbours per item, at most.
    max_items
        Number of distinct items counted per sentence, from its end.

    Examples
    --------
    >>> knn = ItemKNN(Sentences.of([["a", "b"], ["b", "a"], ["c", "a"]]))
    >>> [(item.item, round(item.score, 2), item.source) for item in knn.recommend_many([["b"]])[0]]
    [('a', 0.82, 'model'), ('c', -1.0, 'popular')]
    """

    def __init__(self, sentences: Sentences, *, k: int = 100, max_items: int = 2000) -> None:
        super().__init__(sentences)
        if max_items < 2:
            raise InputError(f"max_items is {max_items}; expected at least 2, the items of a pair")
        n_items = len(self.vocabulary)
        numbers = self._number_of[sentences.tokens]
        counted = newest_items(numbers, sentences.offsets, n_items, max_items)
        self._neighbours = nearest(*counted, n_items, check_k(k))

    def _candidates(self, histories: Histories) -> SparseRows:
        weights = first_occurrences(histories.codes, histories.offsets, len(self.vocabulary))
        return best_sums(histories.codes, histories.offsets, weights, self._neighbours, histories.n_needed)


class MarkovChain(Baseline):
    """Recommends the items that directly follow the last known item of a history: a first-order Markov chain.

    The score is P(next | last), the relative frequency among the transitions from the last item.

    Examples
    --------
    >>> chain = MarkovChain(Sentences.of([["a", "b"], ["a", "b"], ["a", "c", "b"]]))
    >>> [(item.item, round(item.score, 2), item.source) for item in chain.recommend_many([["c", "a"]])[0]]
    [('b', 0.67, 'model')]
    """

    def __init__(self, sentences: Sentences) -> None:
        super().__init__(sentences)
        n_items = len(self.vocabulary)
        numbers = self._number_of[sentences.tokens].astype(np.int64)
        is_last = np.zeros(len(numbers) + 1, dtype=bool)
        is_last[sentences.offsets - 1] = True
        before = np.flatnonzero(~is_last[: len(numbers)])
        pairs, n_pairs = np.unique(numbers[before] * n_items + numbers[before + 1], return_counts=True)
        first, next_ = np.divmod(pairs, max(n_items, 1))
        order = np.lexsort((next_, -n_pairs, first))
        n_after = np.bincount(first, n_pairs, minlength=n_items)
        offsets = np.searchsorted(first, np.arange(n_items + 1))
        scores = n_pairs[order] / n_after[first[order]]
        self._transitions = SparseRows(next_[order].astype(np.int32), scores, offsets[:-1], offsets[1:])

    def _candidates(self, histories: Histories) -> SparseRows:
        items, scores, starts, ends = self._transitions
        filled = np.diff(histories.offsets) > 0
        last = histories.codes[histories.offsets[1:][filled] - 1]
        own_starts = np.zeros(len(filled), dtype=np.int64)
        own_ends = np.zeros(len(filled), dtype=np.int64)
        own_starts[filled], own_ends[filled] = starts[last], ends[last]
        return SparseRows(items, scores, own_starts, own_ends)


class Random(Baseline):
    """Recommends items of the training part drawn uniformly at random: the lower bound for any model.

    A history always gets the same ranking, whatever the other histories of a batch. The score at rank r is
    1 / r, or less if items of the history were drawn before.

    Examples
    --------
    >>> chance = Random(Sentences.of([["a", "b", "c"]]), seed=7)
    >>> len(chance.recommend_many([["a"]])[0])
    2
    """

    def __init__(self, sentences: Sentences, *, seed: int = 1) -> None:
        super().__init__(sentences)
        self.seed = seed

    def _candidates(self, histories: Histories) -> SparseRows:
        return draw(histories.codes, histories.offsets, histories.n_needed, len(self.vocabulary), self.seed)


def _merged(parts: list[_Excluded], n: int) -> _Excluded:
    """Return the union of several sets of excluded items, for each of ``n`` histories."""
    codes = np.concatenate([np.empty(0, np.int32), *(part.codes for part in parts)])
    owners = [np.repeat(np.arange(n), np.diff(part.offsets)) for part in parts]
    owner = np.concatenate([np.empty(0, np.intp), *owners])
    order = np.argsort(owner, kind="stable")
    return _Excluded(codes[order], offsets_of(np.bincount(owner, minlength=n)))
