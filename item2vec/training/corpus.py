"""What a trainer reads: sentences reduced to the items that can be learned, most frequent item first."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from item2vec.config import TrainConfig
from item2vec.errors import NothingToTrainError
from item2vec.sentences import Sentences
from item2vec.types import Codes, Offsets, Vocabulary

__all__ = ["MAX_SENTENCE_TOKENS", "Corpus", "prepare"]

MAX_SENTENCE_TOKENS = 10_000
"""Where word2vec cuts a sentence (gensim reads no longer ones), and how far back any trainer looks."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """The tokens that are trained, as rows of the future matrices.

    ``counts`` (float64, by row) are the tokens in the sentences as they were given, weighted where they were;
    ``frequency`` (int64, by row) the tokens that are trained. ``keep`` (float64, one a token, or ``None``) is
    the chance of a token to be read in an epoch.
    """

    vocabulary: Vocabulary
    tokens: Codes
    offsets: Offsets
    counts: npt.NDArray[np.float64]
    frequency: npt.NDArray[np.int64]
    keep: npt.NDArray[np.float64] | None
    ordered: bool

    def epochs(self, n: int, seed: int) -> Iterator[tuple[Codes, Offsets]]:
        """Yield the tokens and offsets of each epoch.

        Tokens of lower weight are left out at random, so that over many epochs each is read in proportion to
        its weight (a click of weight 1 is read a fifth as often as a purchase of weight 5). Unordered
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
    """Drop rare items and what is then alone in its sentence; number the rest by falling frequency."""
    if sentences.weights is not None and not sentences.weights.all():
        sentences = sentences.keep(sentences.weights > 0)
    occurrences = sentences.counts()
    frequent = (
        sentences
        if config.min_count == 1
        else sentences.keep(occurrences[sentences.tokens] >= config.min_count)
    )
    together = frequent.take(frequent.lengths >= 2)
    frequency = together.counts()
    if len(together) == 0 or np.count_nonzero(frequency) < 2:
        raise NothingToTrainError(_why(sentences, frequent, config))
    by_frequency = np.argsort(-frequency, kind="stable")[: np.count_nonzero(frequency)]
    row_of = np.full(len(frequency), -1, dtype=np.int32)
    row_of[by_frequency] = np.arange(len(by_frequency), dtype=np.int32)
    counts = np.bincount(sentences.tokens, sentences.weights, minlength=len(frequency)).astype(np.float64)
    return Corpus(
        together.vocabulary.take(by_frequency),
        row_of[together.tokens],
        together.offsets,
        counts[by_frequency],
        frequency[by_frequency],
        _chances(together),
        sentences.ordered,
    )


def _chances(sentences: Sentences) -> npt.NDArray[np.float64] | None:
    if sentences.weights is None or sentences.weights.min() == sentences.weights.max():
        return None
    return sentences.weights / np.float64(sentences.weights.max())


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
