"""Models that learn no vectors. One that does not beat them is not worth serving."""

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
    "Asked",
    "Baseline",
    "ItemKNN",
    "MarkovChain",
    "Popularity",
    "Random",
    "RecentPopularity",
]


class Asked(NamedTuple):
    """The known items of each history, and how many candidates are enough to leave ``k`` unseen ones."""

    codes: Codes
    offsets: Offsets
    enough: Offsets


class _Excluded(NamedTuple):
    """Items that may not answer: those of history ``i`` are ``codes[offsets[i]:offsets[i + 1]]``."""

    codes: Codes
    offsets: Offsets


class Baseline(ABC):
    """What all baselines share: their items, and how scores become an answer.

    ``vocabulary`` holds the items that occur in the training part, most frequent first (equally frequent
    ones in the order of their codes), and ``counts`` (int64) how often each occurs. Equal scores are answered
    in this order. Items that score nothing follow the others, in this order too, with ``source="popular"``
    and scores that fall from just below 0 to -1.

    ``ties`` tells ``evaluate`` how ties count: as answered, since this order among equals is a part of it.
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
        """Return the ``k`` best items for each history, best first; with ``filter_seen`` none that it holds.

        Exactly ``k``, as long as so many are left. Items that never occurred in training are skipped.
        ``exclude`` holds further items per history that are not to be returned.
        """
        n_items = len(self.vocabulary)
        k = min(check_k(k), n_items)
        codes, offsets = encode_histories(self.vocabulary, histories)[:2]
        excluded = [_Excluded(codes, offsets)] if filter_seen else []
        if exclude is not None:
            excluded.append(_Excluded(*encode_histories(self.vocabulary, exclude)[:2]))
        out = _merged(excluded, len(offsets) - 1)
        enough = np.minimum(k + np.diff(out.offsets), n_items)
        candidates = self._candidates(Asked(codes, offsets, enough))
        items, scores = fill_up(candidates, *out, n_items, k)
        return self._listed(items, scores)

    @abstractmethod
    def _candidates(self, asked: Asked) -> SparseRows:
        """Return items of positive score for each history, best first: all, or as many as are enough."""

    def _numbered(self, sentences: Sentences) -> Sentences:
        """Return the training part over the codes of ``vocabulary``."""
        numbers = self._number_of[sentences.tokens]
        return Sentences(self.vocabulary, numbers, sentences.offsets, ordered=sentences.ordered)

    def _listed(self, items: Codes, scores: Doubles) -> list[list[Recommendation]]:
        found = items >= 0
        sources = ["popular" if score < 0 else self.source for score in scores[found].tolist()]
        ids = self.vocabulary.decode(items[found])
        answers = list(map(Recommendation, ids, scores[found].tolist(), sources))
        ends = offsets_of(found.sum(axis=1)).tolist()
        return [answers[start:end] for start, end in pairwise(ends)]


class _SameForAll(Baseline):
    """Ranks all items by one score each, whoever asks."""

    source = "popular"

    def _rank(self, scores: Doubles) -> None:
        best = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        self._ranking = best.astype(np.int32)
        self._scores = scores[best]

    def _candidates(self, asked: Asked) -> SparseRows:
        starts = np.zeros(len(asked.enough), dtype=np.int64)
        return SparseRows(self._ranking, self._scores, starts, starts + len(self._ranking))


class Popularity(_SameForAll):
    """Recommends to everybody what occurs most often, except what they had.

    The score is an item's number of tokens. Ties count for it, which is the most that it can claim.

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
    """Recommends to everybody what occurs most often of late, except what they had.

    The score is the sum of an item's tokens, each weighing ``0.5 ** (age / half_life)``, where the newest
    token of all has age 0. Without timestamps a token weighs ``decay ** steps``: the number of tokens between
    it and the end of its sentence.

    Parameters
    ----------
    sentences
        What to count.
    half_life
        Days after which a token counts half.
    decay
        Weight per step back, where there are no timestamps.

    Raises
    ------
    InputError
        If ``half_life`` or ``decay`` is out of range.

    Examples
    --------
    >>> from dataclasses import replace
    >>> lists = Sentences.of([["a", "a", "b"]])
    >>> weeks = np.array([0, 0, 3]) * 7 * 86_400_000_000
    >>> trending = RecentPopularity(replace(lists, timestamps=weeks))
    >>> [tuple(one) for one in trending.recommend_many([[]])[0]]
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
    """Recommends the neighbours of the items of a history: items that stand in the same sentences.

    Two items are as alike as the cosine of the sentences that hold them, n_ij / sqrt(n_i · n_j); an item
    counts once in a sentence, and has the ``k`` items most like it as neighbours. The score is the sum of
    a candidate's likeness to the distinct items of the history that have it as a neighbour.

    Of a sentence with more than ``max_items`` distinct items, such as a crawler's, only its end with so many
    is counted, because the work grows with the square of their number. Shorter sentences count whole.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; Linden et
    al., Amazon.com recommendations: item-to-item collaborative filtering, IEEE Internet Computing 2003. The
    limit: Schelter, Boden & Markl, Scalable similarity-based neighborhood methods with MapReduce, RecSys 2012
    (who draw the items that count at random).

    Parameters
    ----------
    sentences
        What to count.
    k
        Neighbours of an item, at most.
    max_items
        Distinct items of a sentence that count, its last ones.

    Examples
    --------
    >>> alike = ItemKNN(Sentences.of([["a", "b"], ["b", "a"], ["c", "a"]]))
    >>> [(one.item, round(one.score, 2), one.source) for one in alike.recommend_many([["b"]])[0]]
    [('a', 0.82, 'model'), ('c', -1.0, 'popular')]
    """

    def __init__(self, sentences: Sentences, *, k: int = 100, max_items: int = 2000) -> None:
        super().__init__(sentences)
        if max_items < 2:
            raise InputError(f"max_items is {max_items}; expected at least 2 items, which are a pair")
        n_items = len(self.vocabulary)
        numbers = self._number_of[sentences.tokens]
        counted = newest_items(numbers, sentences.offsets, n_items, max_items)
        self._neighbours = nearest(*counted, n_items, check_k(k))

    def _candidates(self, asked: Asked) -> SparseRows:
        weights = first_occurrences(asked.codes, asked.offsets, len(self.vocabulary))
        return best_sums(asked.codes, asked.offsets, weights, self._neighbours, asked.enough)


class MarkovChain(Baseline):
    """Recommends what came directly after the last known item of a history (a first-order Markov chain).

    The score is P(next | last), the share of the last item's transitions.

    Examples
    --------
    >>> chain = MarkovChain(Sentences.of([["a", "b"], ["a", "b"], ["a", "c", "b"]]))
    >>> [(one.item, round(one.score, 2), one.source) for one in chain.recommend_many([["c", "a"]])[0]]
    [('b', 0.67, 'model')]
    """

    def __init__(self, sentences: Sentences) -> None:
        super().__init__(sentences)
        n_items = len(self.vocabulary)
        numbers = self._number_of[sentences.tokens].astype(np.int64)
        is_last = np.zeros(len(numbers) + 1, dtype=bool)
        is_last[sentences.offsets - 1] = True
        before = np.flatnonzero(~is_last[: len(numbers)])
        pairs, times = np.unique(numbers[before] * n_items + numbers[before + 1], return_counts=True)
        first, next_ = np.divmod(pairs, max(n_items, 1))
        order = np.lexsort((next_, -times, first))
        n_after = np.bincount(first, times, minlength=n_items)
        offsets = np.searchsorted(first, np.arange(n_items + 1))
        scores = times[order] / n_after[first[order]]
        self._transitions = SparseRows(next_[order].astype(np.int32), scores, offsets[:-1], offsets[1:])

    def _candidates(self, asked: Asked) -> SparseRows:
        items, scores, starts, ends = self._transitions
        known = np.diff(asked.offsets) > 0
        last = asked.codes[asked.offsets[1:][known] - 1]
        own_starts = np.zeros(len(known), dtype=np.int64)
        own_ends = np.zeros(len(known), dtype=np.int64)
        own_starts[known], own_ends[known] = starts[last], ends[last]
        return SparseRows(items, scores, own_starts, own_ends)


class Random(Baseline):
    """Recommends items of the training part drawn evenly: what no knowledge at all is worth.

    The same history gets the same answer, alone or among others; the score at rank r is 1 / r, or less
    where items of the history were drawn before.

    Examples
    --------
    >>> chance = Random(Sentences.of([["a", "b", "c"]]), seed=7)
    >>> len(chance.recommend_many([["a"]])[0])
    2
    """

    def __init__(self, sentences: Sentences, *, seed: int = 1) -> None:
        super().__init__(sentences)
        self.seed = seed

    def _candidates(self, asked: Asked) -> SparseRows:
        return draw(asked.codes, asked.offsets, asked.enough, len(self.vocabulary), self.seed)


def _merged(parts: list[_Excluded], n: int) -> _Excluded:
    """Return what several lists of items exclude together, for each of ``n`` histories."""
    codes = np.concatenate([np.empty(0, np.int32), *(part.codes for part in parts)])
    owners = [np.repeat(np.arange(n), np.diff(part.offsets)) for part in parts]
    owner = np.concatenate([np.empty(0, np.intp), *owners])
    order = np.argsort(owner, kind="stable")
    return _Excluded(codes[order], offsets_of(np.bincount(owner, minlength=n)))
