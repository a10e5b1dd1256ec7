"""What a trainer reads: sentences reduced to the items that can be learned, most frequent item first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets
from item2vec.config import TrainConfig
from item2vec.errors import NothingToTrainError
from item2vec.sentences import Sentences
from item2vec.types import Vocabulary

__all__ = ["MAX_SENTENCE_TOKENS", "Corpus", "prepare"]

MAX_SENTENCE_TOKENS = 10_000
"""Where word2vec cuts a sentence (gensim reads no longer ones), and how far back any trainer looks."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """The tokens that are trained, as rows of the future matrices.

    ``counts`` (float64, by row) are the tokens in the sentences as they were given, weighted where they were;
    ``frequency`` (int64, by row) the tokens that are trained. ``keep`` (float64, one a token, or ``None``
    where each epoch reads all tokens) is the probability that an epoch reads a token. ``read_share`` is the
    share of tokens that an epoch is expected to read, of those that it would read without weights.
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
        """Yield the tokens and offsets of each epoch.

        Each epoch reads all tokens of the median weight or a higher one, and each lighter token with a
        probability in proportion to its weight: at half the median, in half of the epochs. Unordered
        sentences are shuffled within.
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
    """Drop tokens of weight 0, rare items, then sentences of one token; number items by falling frequency."""
    positive = sentences
    if sentences.weights is not None and not sentences.weights.all():
        positive = sentences.keep(sentences.weights > 0)
    frequent = _frequent(positive, config.min_count)
    together = _together(frequent)
    frequency = together.counts()
    if len(together) == 0 or np.count_nonzero(frequency) < 2:
        raise NothingToTrainError(_why(positive, frequent, config))
    by_frequency = np.argsort(-frequency, kind="stable")[: np.count_nonzero(frequency)]
    row_of = np.full(len(frequency), -1, dtype=np.int32)
    row_of[by_frequency] = np.arange(len(by_frequency), dtype=np.int32)
    counts = np.bincount(positive.tokens, positive.weights, minlength=len(frequency)).astype(np.float64)
    keep = _keep(together.weights)
    n_read = len(together.tokens) if keep is None else float(keep.sum())
    unweighted = together if positive is sentences else _together(_frequent(sentences, config.min_count))
    return Corpus(
        together.vocabulary.take(by_frequency),
        row_of[together.tokens],
        together.offsets,
        counts[by_frequency],
        frequency[by_frequency],
        keep,
        n_read / len(unweighted.tokens),
        sentences.ordered,
    )


def _frequent(sentences: Sentences, min_count: int) -> Sentences:
    return sentences if min_count == 1 else sentences.keep(sentences.counts()[sentences.tokens] >= min_count)


def _together(sentences: Sentences) -> Sentences:
    return sentences.take(sentences.lengths >= 2)


def _keep(weights: Floats | None) -> Doubles | None:
    """Return the probability of each token to be read in an epoch; ``None`` if it is 1 for all of them.

    The median is the reference, since no single weight can move it: relative to the maximum, one token of
    weight 1,000 among ordinary ones would make all epochs skip nearly everything else. It is the lower one
    of two, so that most tokens are always read.
    """
    if weights is None:
        return None
    median = np.quantile(weights.astype(np.float64), 0.5, method="lower")
    keep = np.minimum(weights / median, 1.0)
    return None if keep.min() == 1 else keep


def _why(sentences: Sentences, frequent: Sentences, config: TrainConfig) -> str:
    found = f"nothing to train on: {sentences!r}"
    if not len(sentences.tokens):
        return f"{found} holds no tokens; check the input and its filters"
    if not len(frequent.tokens):
        most = int(sentences.counts().max())
        return (
            f"{found}, and no item occurs min_count={config.min_count} times (most: {most}); lower min_count"
        )
    return (
        f"{found}, and no sentence has two different items to tell apart; expected sentences of two or more"
    )
