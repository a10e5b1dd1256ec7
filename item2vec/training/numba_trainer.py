"""Training by our own compiled word2vec."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets, Words
from item2vec.config import CBOW, SkipGram
from item2vec.interactions import read_only
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.word2vec import Model, Rules, padded, train_sentences
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Corpus

__all__ = ["NumbaTrainer"]

TOKENS_A_TASK = 20_000


class NumbaTrainer:
    """Trains a corpus epoch by epoch; ``input`` and ``output`` (float32, n items × dimensions) are live.

    Sentences are cut at 10,000 tokens, as gensim's are. With one worker, the same corpus and settings give
    the same bytes in every process; several write into the matrices without waiting for each other (Niu et
    al., Hogwild!, NeurIPS 2011).
    """

    def __init__(self, corpus: Corpus, config: SkipGram | CBOW) -> None:
        n, size = len(corpus.vocabulary), config.vector_size
        random = np.random.default_rng([config.seed, 2])
        rows, results = _rows(n, size), _rows(n, size)
        self.input: Floats = rows[:, :size]
        self.output: Floats = results[:, :size]
        step = max(1, (1 << 20) // size)
        for start in range(0, n, step):
            block = self.input[start : start + step]
            block[:] = (random.random(block.shape, np.float32) - np.float32(0.5)) / np.float32(size)
        self._config = config
        self._model = Model(
            rows.reshape(-1),
            results.reshape(-1),
            rows.shape[1],
            item_alias_table(corpus.frequency.astype(np.float64) ** config.ns_exponent),
            _keep(corpus.frequency, config.sample),
        )
        full = config.window == "full"
        self._rules = Rules(
            MAX_SENTENCE_TOKENS if full else min(int(config.window), MAX_SENTENCE_TOKENS),
            config.shrink_windows and not full,
            config.forward_only,
            config.negative,
            isinstance(config, CBOW),
            isinstance(config, CBOW) and config.cbow_mean,
        )

    @property
    def scored(self) -> Floats:
        """The output vectors: word2vec's objectives score by inner products."""
        return self.output

    @property
    def positions(self) -> None:
        """``None``: no weights of positions are learned."""

    def train_epoch(self, number: int, tokens: Codes, offsets: Offsets) -> None:
        """Train each sentence once, at the epoch's part of the falling learning rate."""
        config = self._config
        offsets = _cut(offsets)
        tokens, offsets = read_only(tokens, np.int32), read_only(offsets, np.int64)
        fall = config.alpha_step
        start, per_token = config.alpha - fall * number, fall / max(1, len(tokens))
        seed = np.random.SeedSequence([config.seed, 3, number]).generate_state(1, np.uint64)[0]
        ends = np.searchsorted(offsets, np.arange(0, len(tokens), TOKENS_A_TASK)[1:], side="left")
        bounds = [0, *np.unique(ends).tolist(), len(offsets) - 1]

        def train(task: int) -> int:
            first, last = bounds[task], bounds[task + 1]
            return train_sentences(
                self._model, self._rules, tokens, offsets, first, last, seed, start, per_token
            )

        with ThreadPoolExecutor(config.workers) as threads:
            for _ in threads.map(train, range(len(bounds) - 1)):
                pass


def _rows(n: int, vector_size: int) -> Floats:
    """Return n rows of zeros, each from the start of a cache line on."""
    size = padded(vector_size)
    room = np.zeros(n * size + 16, np.float32)
    skip = -room.ctypes.data % 64 // 4
    return room[skip : skip + n * size].reshape(n, size)


def _keep(frequency: Offsets, sample: float) -> Words:
    """Return the chance of each item to be read, of 2**32 (gensim's formula); nothing if all are."""
    if sample == 0:
        return np.empty(0, np.uint64)
    ratio = sample * frequency.sum() / frequency
    chance: Doubles = np.minimum(np.sqrt(ratio) + ratio, 1)
    return (chance * 2.0**32).astype(np.uint64)


def _cut(offsets: Offsets) -> Offsets:
    """Return the offsets with further ones inside of sentences that are too long."""
    long = np.flatnonzero(np.diff(offsets) > MAX_SENTENCE_TOKENS)
    cuts = [np.arange(offsets[i], offsets[i + 1], MAX_SENTENCE_TOKENS)[1:] for i in long]
    return np.sort(np.concatenate([offsets, *cuts])) if cuts else offsets
