"""Baselines: recommendation models without vectors, with which a trained model is compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Codes, Doubles, Mask, Offsets
from item2vec.dislikes import split_dislikes
from item2vec.durations import DAY
from item2vec.errors import InputError
from item2vec.evaluation.rankings import Ties
from item2vec.evaluation.targets import liked_counts
from item2vec.histories import encode_histories
from item2vec.kernels.candidates import draw, fill_up
from item2vec.kernels.compiled import view_of
from item2vec.kernels.cooccurrence import SparseRows, best_sums, first_occurrences, nearest, newest_items
from item2vec.neighbours import known_sentences
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.types import Recommendation, Vocabulary, check_k

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
    """The liked items of each history that are in the vocabulary of a baseline.

    The items of history ``i`` are ``codes[offsets[i]:offsets[i + 1]]``. ``n_needed`` holds, for each history,
    the number of candidates that suffices for ``k`` items after the exclusions: ``k`` plus the number of
    excluded items, or the number of all items if this is smaller.
    """

    codes: Codes
    offsets: Offsets
    n_needed: Offsets


class _Excluded(NamedTuple):
    """The items to exclude from the ranking of history ``i``: ``codes[offsets[i]:offsets[i + 1]]``."""

    codes: Codes
    offsets: Offsets


class Baseline(ABC):
    """Base class of the baselines. Subclasses select and score candidates.

    Training tokens of negative weight (dislikes) are left out; other weights have no effect. ``vocabulary``
    contains the items of the other training tokens, most frequent first. Equally frequent items are in the
    order of their codes in the training part. ``counts`` (int64) holds the number of these tokens of each
    item of ``vocabulary``. Items of equal score are ranked in the order of ``vocabulary``. Items without a
    positive score are ranked last, in the order of ``vocabulary``, with ``source="popular"`` and negative
    scores of at least -1.

    ``vocabulary`` and ``counts`` refer to all shards of ``ShardedSentences``. Baselines that count pairs of
    items keep all tokens that they read in memory. Of more than 100 million tokens, they therefore read only
    some evenly spaced shards, with about 100 million tokens in total.

    ``ties`` is the tie rule of ``evaluate``. The default is ``"as answered"``, because the order of equal
    scores is part of the definition of a baseline.
    """

    ties: ClassVar[Ties] = "as answered"
    source: ClassVar[str] = "model"

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences) -> None:
        counts = liked_counts(sentences)
        self._set_vocabulary(sentences.vocabulary, counts, counts > 0)

    def _set_vocabulary(self, vocabulary: Vocabulary, counts: Offsets, known: Mask) -> None:
        """Set ``vocabulary`` and ``counts`` to those of the known items, most frequent item first."""
        codes = np.argsort(-counts, kind="stable")
        codes = codes[known[codes]]
        self.vocabulary = vocabulary.take(codes)
        self.counts = counts[codes]
        self._number_of = np.full(len(counts), -1, dtype=np.int32)
        self._number_of[codes] = np.arange(len(codes))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self.vocabulary):,} items)"

    @checked
    def recommend_many(
        self,
        histories: Sentences | Iterable[Iterable[str]],
        *,
        k: int = 10,
        filter_seen: bool = True,
        exclude: Sentences | Iterable[Iterable[str]] | None = None,
    ) -> list[list[Recommendation]]:
        """Return the ``k`` items with the highest scores for each history, best first.

        If ``filter_seen`` is true, the items of the history are excluded. ``exclude`` contains further items
        to exclude, one sentence per history; ``None``: no further items. History items of negative weight
        (dislikes) are always excluded, and have no effect on scores. Items that are not in ``vocabulary`` are
        ignored. A ranking has fewer than ``k`` items only if fewer items remain after the exclusions.

        Raises
        ------
        InputError
            If ``k`` is below 1, or ``exclude`` does not have one sentence per history.
        """
        n_items = len(self.vocabulary)
        k = min(check_k(k), n_items)
        encoded = encode_histories(self.vocabulary, histories)
        liked, disliked = split_dislikes(encoded)
        codes, offsets = liked.codes, liked.offsets
        parts = [_Excluded(*(encoded if filter_seen else disliked)[:2])]
        if exclude is not None:
            parts.append(_Excluded(*encode_histories(self.vocabulary, exclude)[:2]))
            if len(parts[1].offsets) != len(offsets):
                raise InputError(
                    f"exclude has {len(parts[1].offsets) - 1:,} lists; expected one per history "
                    f"({len(offsets) - 1:,})"
                )
        excluded = _merged(parts, len(offsets) - 1)
        n_needed = np.minimum(k + np.diff(excluded.offsets), n_items)
        candidates = self._candidates(Histories(view_of(codes), view_of(offsets), n_needed))
        items, scores = fill_up(candidates, *excluded, n_items, k)
        return self._recommendations(items, scores)

    @abstractmethod
    def _candidates(self, histories: Histories) -> SparseRows:
        """Return items of positive score for each history, best first.

        At least ``n_needed`` items are returned or, if fewer items have a positive score, all of these.
        """

    def _numbered(self, sentences: Sentences | ShardedSentences) -> Sentences:
        """Return the training sentences without dislikes, encoded with ``vocabulary``, in memory.

        Of more than 100 million tokens in shards, a sample is returned; see ``neighbours.sampled_shards``.
        """
        return known_sentences(sentences, self.vocabulary)

    def _recommendations(self, items: Codes, scores: Doubles) -> list[list[Recommendation]]:
        filled = items >= 0
        sources = ["popular" if score < 0 else self.source for score in scores[filled].tolist()]
        ids = self.vocabulary.decode(items[filled])
        flat = list(map(Recommendation, ids, scores[filled].tolist(), sources))
        ends = offsets_of(filled.sum(axis=1)).tolist()
        return [flat[start:end] for start, end in pairwise(ends)]


class _SameForAll(Baseline):
    """Base class of baselines in which the score of an item is the same for all histories."""

    source = "popular"

    def _rank(self, scores: Doubles) -> None:
        best = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
        self._ranking = best.astype(np.int32)
        self._scores = scores[best]

    def _candidates(self, histories: Histories) -> SparseRows:
        starts = np.zeros(len(histories.n_needed), dtype=np.int64)
        return SparseRows(self._ranking, self._scores, starts, starts + len(self._ranking))


class Popularity(_SameForAll):
    """Recommend the most frequent items of the training part.

    The score of an item is its number of tokens. By default, ``evaluate`` ranks the targets first among items
    of equal score, so the accuracy metrics are upper bounds over all orders of these items.

    Examples
    --------
    >>> popularity = Popularity(Sentences.of([["a", "b"], ["b", "c"], ["b"]]))
    >>> [item for item, count in popularity.recommend_many([["c"]], k=2)[0]]
    ['b', 'a']
    """

    ties: ClassVar[Ties] = "for"

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences) -> None:
        super().__init__(sentences)
        self._rank(self.counts.astype(np.float64))


class RecentPopularity(_SameForAll):
    """Recommend the items of the training part with the highest counts, where older tokens count less.

    A token counts ``0.5 ** (age / half_life)``, where age is the time in days from the token to the newest
    token of the training part. If the training part has no timestamps, a token counts ``decay ** steps``,
    where ``steps`` is the number of later tokens in the sentence. The score of an item is the sum of the
    counts of its tokens.

    Parameters
    ----------
    sentences
        The training part.
    half_life
        Age in days at which a token counts one half.
    decay
        Factor by which the count of a token is multiplied for each later token in the sentence, if there are
        no timestamps.

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

    @checked
    def __init__(
        self, sentences: Sentences | ShardedSentences, *, half_life: float = 7.0, decay: float = 0.9
    ) -> None:
        super().__init__(sentences)
        if not 0 < half_life < np.inf:
            raise InputError(f"half_life is {half_life}; expected a finite number of days above 0")
        if not 0 < decay <= 1:
            raise InputError(f"decay is {decay}; expected a number above 0 and at most 1")
        newest = _newest(sentences)
        scores = np.zeros(len(self.vocabulary))
        for shard in sentences.shards:
            liked = shard.liked
            if liked.timestamps is None:
                last = np.repeat(liked.offsets[1:] - 1, liked.lengths)
                weights = decay ** (last - np.arange(len(last), dtype=np.float64))
            else:
                weights = 0.5 ** ((newest - liked.timestamps) / (DAY * half_life))
            # Token by token, so that the rounding of a sum does not depend on the number of shards.
            np.add.at(scores, self._number_of[liked.tokens], weights)
        self._rank(scores)


class ItemKNN(Baseline):
    """Recommend items that occur in the same sentences as the items of a history.

    The similarity of two items i and j is the cosine n_ij / sqrt(n_i · n_j), where n_i is the number of
    sentences that contain i, and n_ij the number of sentences that contain both. The neighbours of an item
    are its ``k`` most similar items. The score of a candidate is the sum of its similarities to the distinct
    history items of which it is a neighbour.

    The computation time grows with the square of the number of items in a sentence. In a sentence with more
    than ``max_items`` distinct items, such as the history of a crawler, only the newest ``max_items``
    distinct items are counted.

    Source: Sarwar et al., Item-based collaborative filtering recommendation algorithms, WWW 2001; Linden et
    al., Amazon.com recommendations: item-to-item collaborative filtering, IEEE Internet Computing 2003.
    Source of the limit: Schelter, Boden & Markl, Scalable similarity-based neighborhood methods with
    MapReduce, RecSys 2012, where the counted items are sampled at random.

    Parameters
    ----------
    sentences
        The training part.
    k
        Maximum number of neighbours per item.
    max_items
        Maximum number of distinct items that are counted per sentence: the newest items. At least 2.

    Raises
    ------
    InputError
        If ``k`` is below 1, or ``max_items`` is below 2.

    Examples
    --------
    >>> knn = ItemKNN(Sentences.of([["a", "b"], ["b", "a"], ["c", "a"]]))
    >>> [(item.item, round(item.score, 2), item.source) for item in knn.recommend_many([["b"]])[0]]
    [('a', 0.82, 'model'), ('c', -1.0, 'popular')]
    """

    @checked
    def __init__(
        self, sentences: Sentences | ShardedSentences, *, k: int = 100, max_items: int = 2000
    ) -> None:
        super().__init__(sentences)
        if max_items < 2:
            raise InputError(
                f"max_items is {max_items}; expected at least 2, because similarities are computed for pairs"
            )
        n_items = len(self.vocabulary)
        numbered = self._numbered(sentences)
        counted = newest_items(numbered.tokens, numbered.offsets, n_items, max_items)
        self._neighbours = SparseRows(*map(view_of, nearest(*counted, n_items, check_k(k))))

    def _candidates(self, histories: Histories) -> SparseRows:
        weights = first_occurrences(histories.codes, histories.offsets, len(self.vocabulary))
        return best_sums(histories.codes, histories.offsets, weights, self._neighbours, histories.n_needed)


class MarkovChain(Baseline):
    """Recommend by a first-order Markov chain: items that directly follow the last item of a history.

    The score of an item is P(item | last item): the relative frequency of the item among the successors of
    the last item in the training part. Disliked items, and items that are not in ``vocabulary``, are first
    removed from the history.

    Examples
    --------
    >>> chain = MarkovChain(Sentences.of([["a", "b"], ["a", "b"], ["a", "c", "b"]]))
    >>> [(item.item, round(item.score, 2), item.source) for item in chain.recommend_many([["c", "a"]])[0]]
    [('b', 0.67, 'model')]
    """

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences) -> None:
        super().__init__(sentences)
        n_items = len(self.vocabulary)
        numbered = self._numbered(sentences)
        numbers = numbered.tokens.astype(np.int64)
        is_last = np.zeros(len(numbers) + 1, dtype=bool)
        is_last[numbered.offsets - 1] = True
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
    """Recommend items of the training part, drawn uniformly at random.

    The ranking of a history depends on the history and on ``seed``, but not on the other histories of a
    batch. The score of the item that is drawn n-th is 1 / n. Excluded items are drawn too, but not returned.
    If an excluded item is drawn before the item at rank r, the score at rank r is therefore below 1 / r.

    Examples
    --------
    >>> chance = Random(Sentences.of([["a", "b", "c"]]), seed=7)
    >>> len(chance.recommend_many([["a"]])[0])
    2
    """

    @checked
    def __init__(self, sentences: Sentences | ShardedSentences, *, seed: int = 1) -> None:
        super().__init__(sentences)
        self.seed = seed

    def _candidates(self, histories: Histories) -> SparseRows:
        return draw(histories.codes, histories.offsets, histories.n_needed, len(self.vocabulary), self.seed)


def _newest(sentences: Sentences | ShardedSentences) -> int:
    """Return the latest timestamp of the tokens that are not dislikes; 0 if there are none."""
    times = (shard.liked.timestamps for shard in sentences.shards)
    return max((int(part.max()) for part in times if part is not None and len(part)), default=0)


def _merged(parts: list[_Excluded], n: int) -> _Excluded:
    """Return the excluded items of all parts together, which may repeat, for each of ``n`` histories."""
    codes = np.concatenate([np.empty(0, np.int32), *(part.codes for part in parts)])
    owners = [np.repeat(np.arange(n), np.diff(part.offsets)) for part in parts]
    owner = np.concatenate([np.empty(0, np.intp), *owners])
    order = np.argsort(owner, kind="stable")
    return _Excluded(codes[order], offsets_of(np.bincount(owner, minlength=n)))
