"""The training corpus: filtered sentences, read shard by shard, with items numbered by frequency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Mask, Offsets
from item2vec.config import TrainConfig
from item2vec.errors import NothingToTrainError
from item2vec.sentences import Sentences, ShardedSentences, offsets_of
from item2vec.training.median import lower_median
from item2vec.types import Vocabulary

__all__ = ["MAX_SENTENCE_TOKENS", "Corpus", "Piece", "Reading", "Shard", "prepare", "split_long"]

T = TypeVar("T")
U = TypeVar("U")

MAX_SENTENCE_TOKENS = 10_000
"""Maximum length of a history of next_item, and of a sentence that is read in windows (gensim's limit).

Objectives with windows (word2vec, GloVe, LSA of co-occurrences) split longer sentences."""


class Shard(NamedTuple):
    """The training tokens of a shard, as row numbers of the vectors.

    ``keep`` (float64, per token) is the probability that an epoch reads a token, or ``None`` if every epoch
    reads all tokens.
    """

    tokens: Codes
    offsets: Offsets
    keep: Doubles | None


class Piece(NamedTuple):
    """The sentences of a shard in one epoch, without the tokens that the epoch skips.

    ``epoch`` is the number of the epoch, from 0. ``start`` and ``end`` are positions in the epoch, from 0
    to 1. They are fractions of all training tokens, including the tokens that the epoch skips.
    """

    tokens: Codes
    offsets: Offsets
    epoch: int = 0
    shard: int = 0
    start: float = 0.0
    end: float = 1.0

    @property
    def position(self) -> float:
        """Number of completed epochs, plus the fraction of the current epoch that precedes the piece."""
        return self.epoch + self.start

    @property
    def is_last(self) -> bool:
        """Whether the epoch ends with the piece."""
        return self.end == 1

    def entropy(self, *key: int) -> list[int]:
        """Return the seed of a random generator of this piece: ``key``, followed by the index of the shard.

        The index 0 is omitted, so that shard 0 has the same random numbers as sentences without shards.
        """
        return [*key, self.shard] if self.shard else [*key]


@dataclass(frozen=True, eq=False)
class Corpus:
    """The shards of the training tokens, and statistics of all shards.

    An element of ``shards`` is read and filtered at each access, except a single shard, which is kept in
    memory. ``sizes`` holds the number of training tokens of each shard, and ``longest`` is the length of the
    longest sentence. ``counts`` (float64, per row) is the total of the positive weights of an item's tokens
    in the input, including sentences of one token. Without weights, each token counts 1. ``frequency``
    (int64, per row) is the number of an item's tokens in the corpus. ``read_share`` is the expected number of
    tokens read per epoch, divided by the number of tokens that an epoch would read if all weights of at least
    0 were equal.
    """

    vocabulary: Vocabulary
    shards: Sequence[Shard]
    sizes: tuple[int, ...]
    longest: int
    counts: Doubles
    frequency: Offsets
    read_share: float
    ordered: bool

    @property
    def n_items(self) -> int:
        """Number of items, and of rows of the matrices."""
        return len(self.frequency)

    @property
    def n_tokens(self) -> int:
        """Number of training tokens."""
        return sum(self.sizes)


class Reading:
    """The pieces of all epochs, in the order of training.

    The order of the shards is drawn for each epoch; shards without training tokens are left out. Each epoch
    contains every token of at least the median weight, and a token of lower weight with the probability
    weight / median. The tokens of unordered sentences are shuffled within their sentence.

    ``state`` is a JSON value. After ``state`` is set, reading continues after the last piece that had been
    read when this value was taken.
    """

    def __init__(self, corpus: Corpus, seed: int) -> None:
        self._corpus = corpus
        self._random = np.random.default_rng([seed, 1])
        self._epoch = 0
        self._order: list[int] = []
        self._n_read = 0

    @property
    def state(self) -> dict[str, Any]:
        """The epoch, the order of its shards, the number of shards read, and the state of the generator."""
        random = self._random.bit_generator.state
        return {"epoch": self._epoch, "order": self._order, "n_read": self._n_read, "random": random}

    @state.setter
    def state(self, state: dict[str, Any]) -> None:
        self._epoch, self._order, self._n_read = state["epoch"], state["order"], state["n_read"]
        self._random.bit_generator.state = state["random"]

    def pieces(self, n_epochs: int) -> Iterator[Piece]:
        """Yield those pieces of the first ``n_epochs`` epochs that have not been read yet."""
        shards = [shard for shard, size in enumerate(self._corpus.sizes) if size]
        while self._epoch < n_epochs:
            if not self._order:
                self._order = self._random.permutation(shards).tolist() if len(shards) > 1 else shards
            while self._n_read < len(shards):
                self._n_read += 1
                yield self._piece(self._n_read - 1)
            self._epoch, self._order, self._n_read = self._epoch + 1, [], 0

    def _piece(self, place: int) -> Piece:
        corpus, random, shard = self._corpus, self._random, self._order[place]
        tokens, offsets, keep = corpus.shards[shard]
        if keep is not None:
            kept = random.random(len(tokens)) < keep
            offsets = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))[offsets]
            tokens = tokens[kept]
        if not corpus.ordered:
            sentence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
            tokens = tokens[np.argsort(sentence + random.random(len(tokens)))]
        ends = np.cumsum([corpus.sizes[number] for number in self._order]) / corpus.n_tokens
        start = ends[place - 1] if place else 0.0
        return Piece(tokens, offsets, self._epoch, shard, float(start), float(ends[place]))


def prepare(sentences: Sentences | ShardedSentences, config: TrainConfig) -> Corpus:
    """Return the training corpus, with items numbered by decreasing frequency.

    Tokens without a positive weight are dropped, then items that occur fewer than ``min_count`` times, then
    sentences with fewer than two remaining tokens. The denominator of ``read_share`` includes tokens of
    weight 0, but no tokens of negative weight. Several shards are read one after another, in two passes: one
    counts all items, the other the remaining tokens. With weights, there are four to seven further passes.

    Raises
    ------
    NothingToTrainError
        If fewer than two items are left.
    """
    n_items, sources = len(sentences.vocabulary), sentences.shards
    positive = _Tally.of(_Each(sources, _positive), n_items)
    filtered = _held(_Each(sources, lambda source: _trained(_positive(source), positive.counts, config)))
    trained = _Tally.of(filtered, n_items)
    n_rows = int(np.count_nonzero(trained.counts))
    if n_rows < 2:
        raise NothingToTrainError(_why(sentences, positive.counts, config))
    by_frequency = np.argsort(-trained.counts, kind="stable")[:n_rows]
    row_of = np.full(n_items, -1, dtype=np.int32)
    row_of[by_frequency] = np.arange(n_rows, dtype=np.int32)
    median = _median(filtered)
    shards = _held(
        _Each(filtered, lambda shard: Shard(row_of[shard.tokens], shard.offsets, shard.keep(median)))
    )
    n_trained = sum(trained.sizes)
    n_read = n_trained if median is None else sum(map(_n_expected, shards))
    return Corpus(
        sentences.vocabulary.take(by_frequency),
        shards,
        trained.sizes,
        trained.longest,
        positive.weights[by_frequency],
        trained.counts[by_frequency],
        n_read / _n_unweighted(sources, n_trained, n_items, config),
        sentences.ordered,
    )


def split_long(offsets: Offsets, longest: int = MAX_SENTENCE_TOKENS) -> Offsets:
    """Return the offsets of the same sentences, split into the fewest segments of at most ``longest`` tokens.

    The segments of a sentence differ in length by at most one token. A cut at every 10,000th token could
    leave a segment of one token, which has no context and is not trained.

    Examples
    --------
    >>> split_long(np.array([0, 3, 10]), longest=3)
    array([ 0,  3,  5,  7, 10])
    """
    lengths = np.diff(offsets)
    cuts = []
    for i in np.flatnonzero(lengths > longest):
        n_pieces = -(-lengths[i] // longest)
        cuts.append(offsets[i] + np.arange(1, n_pieces) * lengths[i] // n_pieces)
    return np.sort(np.concatenate([offsets, *cuts])) if cuts else offsets


class _Each(Sequence[U]):
    """The results of a function for the elements of a sequence, computed at each access."""

    def __init__(self, elements: Sequence[T], function: Callable[[T], U]) -> None:
        self._elements = elements
        self._function: Callable[[Any], U] = function

    def __len__(self) -> int:
        return len(self._elements)

    def __iter__(self) -> Iterator[U]:
        return map(self._function, self._elements)  # keeps no element while the next one is computed

    @overload
    def __getitem__(self, index: int) -> U: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[U]: ...
    def __getitem__(self, index: int | slice) -> U | Sequence[U]:
        if isinstance(index, slice):
            return _Each(self._elements[index], self._function)
        return self._function(self._elements[index])


def _held(shards: Sequence[T]) -> Sequence[T]:
    """Return the shards; compute a single shard once, and keep it in memory."""
    return (shards[0],) if len(shards) == 1 else shards


class _Tokens(NamedTuple):
    """The tokens of a shard and their weights."""

    tokens: Codes
    offsets: Offsets
    weights: Floats | None

    @classmethod
    def of(cls, sentences: Sentences) -> _Tokens:
        return cls(sentences.tokens, sentences.offsets, sentences.weights)

    def selected(self, mask: Mask) -> _Tokens:
        n_before = np.concatenate(([0], np.cumsum(mask, dtype=np.int64)))
        weights = None if self.weights is None else self.weights[mask]
        return _Tokens(self.tokens[mask], n_before[self.offsets], weights)

    def least_weight(self) -> float:
        return np.inf if self.weights is None else float(self.weights.min(initial=np.inf))

    def has_zeros(self) -> bool:
        """Return whether a weight is 0."""
        return self.weights is not None and not self.weights.all()

    def with_pairs(self) -> _Tokens:
        """Return the sentences of two or more tokens."""
        lengths = np.diff(self.offsets)
        paired = lengths >= 2
        if paired.all():
            return self
        tokens = self.selected(np.repeat(paired, lengths))
        return tokens._replace(offsets=offsets_of(lengths[paired]))

    def keep(self, median: np.float64 | None) -> Doubles | None:
        """Return the probability that an epoch reads each token; ``None`` if every epoch reads all tokens."""
        if median is None or self.weights is None:
            return None
        probability: Doubles = np.minimum(self.weights / median, 1.0)
        return probability


class _Tally(NamedTuple):
    """Statistics of all shards.

    ``counts`` holds the number of tokens of each item, and ``weights`` the sum of the weights of these tokens
    (each 1, if there are no weights). ``sizes`` holds the number of tokens of each shard, and ``longest`` is
    the length of the longest sentence.
    """

    counts: Offsets
    weights: Doubles
    sizes: tuple[int, ...]
    longest: int

    @classmethod
    def of(cls, shards: Sequence[_Tokens], n_items: int) -> _Tally:
        counts, weights = np.zeros(n_items, np.int64), np.zeros(n_items)
        sizes, longest = [], 0
        for shard in shards:
            found = np.bincount(shard.tokens, minlength=n_items)
            counts += found
            weights += found if shard.weights is None else np.bincount(shard.tokens, shard.weights, n_items)
            sizes.append(len(shard.tokens))
            longest = max(longest, int(np.diff(shard.offsets).max(initial=0)))
            del shard  # frees its memory before the next one is read
        return cls(counts, weights, tuple(sizes), longest)


def _positive(sentences: Sentences) -> _Tokens:
    """Return the tokens of positive weight."""
    tokens = _Tokens.of(sentences)
    if tokens.weights is None or tokens.weights.min(initial=np.inf) > 0:
        return tokens
    return tokens.selected(tokens.weights > 0)


def _trained(tokens: _Tokens, occurrences: Offsets, config: TrainConfig) -> _Tokens:
    """Keep items that occur at least ``min_count`` times, then sentences of two or more remaining tokens."""
    if config.min_count > 1:
        tokens = tokens.selected((occurrences >= config.min_count)[tokens.tokens])
    return tokens.with_pairs()


def _median(shards: Sequence[_Tokens]) -> np.float64 | None:
    """Return the median of the weights; ``None`` if there are no weights, or no weight is below the median.

    The probability that a token is read is relative to the median, because a single large weight hardly
    changes the median. Relative to the maximum, one token of weight 1,000 would cause epochs to skip nearly
    all other tokens. Of two middle weights, the lower one is the median: every epoch then reads more than
    half of the tokens.
    """
    if shards[0].weights is None:
        return None
    median = lower_median(lambda: map(attrgetter("weights"), shards))
    return median if min(map(_Tokens.least_weight, shards)) < median else None


def _n_expected(shard: Shard) -> float:
    """Return the expected number of tokens that an epoch reads."""
    return len(shard.tokens) if shard.keep is None else float(shard.keep.sum())


def _n_unweighted(sources: Sequence[Sentences], n_trained: int, n_items: int, config: TrainConfig) -> int:
    """Return the number of tokens that an epoch would read if all weights of at least 0 were equal."""
    if sources[0].weights is None:
        return n_trained
    liked = _Each(sources, lambda source: _Tokens.of(source.liked))
    if not any(map(_Tokens.has_zeros, liked)):
        return n_trained
    occurrences = _Tally.of(liked, n_items).counts
    return sum(_Tally.of(_Each(liked, lambda shard: _trained(shard, occurrences, config)), n_items).sizes)


def _why(sentences: Sentences | ShardedSentences, occurrences: Offsets, config: TrainConfig) -> str:
    message, most = f"nothing to train on: {sentences!r}", int(occurrences.max(initial=0))
    if not most:
        return f"{message} has no token of positive weight; check the input and its filters"
    if most < config.min_count:
        return (
            f"{message}; the most frequent item occurs {most} times; expected at least "
            f"min_count={config.min_count}; lower min_count"
        )
    return (
        f"{message}; no sentence has two different items that occur min_count={config.min_count} or more "
        "times; pass longer sentences, or check min_count"
    )
