"""The training corpus: filtered sentences, with items numbered by descending frequency."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets
from item2vec.config import TrainConfig
from item2vec.errors import NothingToTrainError
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = ["MAX_SENTENCE_TOKENS", "Corpus", "prepare", "split_long"]

MAX_SENTENCE_TOKENS = 10_000
"""Maximum length of a sentence in word2vec (gensim's limit; longer ones are split), and of a window."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """The training tokens, as row numbers of the vectors.

    ``counts`` (float64, per row) is the total weight of an item's tokens in the input, including sentences
    of one token. ``frequency`` (int64, per row) is the number of an item's tokens in the corpus. ``keep``
    (float64, per token) is the probability that an epoch reads a token, or ``None`` if every epoch reads all
    tokens. ``read_share`` is the expected number of tokens read per epoch, divided by the number of tokens
    that an epoch would read without weights.
    """

    vocabulary: Vocabulary
    tokens: Codes
    offsets: Offsets
    counts: Doubles
    frequency: Offsets
    keep: Doubles | None
    read_share: float
    ordered: bool

    def epochs(self, n: int, seed: int) -> Iterator[tuple[Codes, Offsets]]:
        """Yield the tokens and offsets of ``n`` epochs.

        Each epoch contains every token of at least the median weight, and a token of lower weight with the
        probability weight / median. The tokens of unordered sentences are shuffled within their sentence.
        """
        random = np.random.default_rng([seed, 1])
        for _ in range(n):
            tokens, offsets = self.tokens, self.offsets
            if self.keep is not None:
                kept = random.random(len(tokens)) < self.keep
                offsets = np.concatenate(([0], np.cumsum(kept, dtype=np.int64)))[offsets]
                tokens = tokens[kept]
            if not self.ordered:
                sentence = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
                tokens = tokens[np.argsort(sentence + random.random(len(tokens)))]
            yield tokens, offsets


def prepare(sentences: Sentences, config: TrainConfig) -> Corpus:
    """Drop tokens without a positive weight, rare items, and sentences of one token; number the other items.

    Items are numbered by frequency. Tokens of weight 0 count in ``read_share``, and dislikes do not.

    Raises
    ------
    NothingToTrainError
        If fewer than two items are left.
    """
    positive = sentences = sentences.liked
    if sentences.weights is not None and not sentences.weights.all():
        positive = sentences.keep(sentences.weights > 0)
    frequent = _frequent(positive, config.min_count)
    trained = _with_pairs(frequent)
    frequency = trained.counts()
    if len(trained) == 0 or np.count_nonzero(frequency) < 2:
        raise NothingToTrainError(_why(positive, frequent, config))
    by_frequency = np.argsort(-frequency, kind="stable")[: np.count_nonzero(frequency)]
    row_of = np.full(len(frequency), -1, dtype=np.int32)
    row_of[by_frequency] = np.arange(len(by_frequency), dtype=np.int32)
    counts = np.bincount(positive.tokens, positive.weights, minlength=len(frequency)).astype(np.float64)
    keep = _keep(trained.weights)
    n_read = len(trained.tokens) if keep is None else float(keep.sum())
    unweighted = trained if positive is sentences else _with_pairs(_frequent(sentences, config.min_count))
    return Corpus(
        trained.vocabulary.take(by_frequency),
        row_of[trained.tokens],
        trained.offsets,
        counts[by_frequency],
        frequency[by_frequency],
        keep,
        n_read / len(unweighted.tokens),
        sentences.ordered,
    )


def split_long(offsets: Offsets, longest: int = MAX_SENTENCE_TOKENS) -> Offsets:
    """Return the offsets of the same sentences, split into the fewest pieces of at most ``longest`` tokens.

    The pieces of a sentence differ in length by at most one token. A cut at every 10,000th token could leave
    a piece of one token, which has no context and is not trained.

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


def _frequent(sentences: Sentences, min_count: int) -> Sentences:
    return sentences if min_count == 1 else sentences.keep(sentences.counts()[sentences.tokens] >= min_count)


def _with_pairs(sentences: Sentences) -> Sentences:
    return sentences.take(sentences.lengths >= 2)


def _keep(weights: Floats | None) -> Doubles | None:
    """Return the probability that an epoch reads each token, or ``None`` if all are 1.

    The probability is weight / median, and at most 1. No single weight can change the median much. Relative
    to the maximum weight, a single token of weight 1,000 would cause epochs to skip nearly all other tokens.
    The median is the lower of two middle weights, so that every epoch reads more than half of the tokens.
    """
    if weights is None:
        return None
    median = np.quantile(weights.astype(np.float64), 0.5, method="lower")
    keep = np.minimum(weights / median, 1.0)
    return None if keep.min() == 1 else keep


def _why(sentences: Sentences, frequent: Sentences, config: TrainConfig) -> str:
    message = f"nothing to train on: {sentences!r}"
    if not len(sentences.tokens):
        return f"{message} has no tokens; check the input and its filters"
    if not len(frequent.tokens):
        most = int(sentences.counts().max())
        return (
            f"{message}; the most frequent item occurs {most} times; expected at least "
            f"min_count={config.min_count}; lower min_count"
        )
    return f"{message}; no sentence has two different items; pass sentences of two or more"
