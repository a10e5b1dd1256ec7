"""Training of word2vec by the compiled loops of ``kernels.word2vec``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from item2vec.arrays import Doubles, Floats, Offsets, Words
from item2vec.config import CBOW, SkipGram
from item2vec.interactions import read_only
from item2vec.kernels.alias import item_alias_table
from item2vec.kernels.word2vec import Model, Rules, padded, train_sentences
from item2vec.training.checks import check_tokens_read
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Corpus, Piece, split_long
from item2vec.training.trainer import Arrays, Loss, WordVectorTrainer

__all__ = ["NumbaTrainer"]

TOKENS_PER_TASK = 20_000
TOKENS_PER_MEASURED = 500
MAX_MEASURED = 64


class NumbaTrainer(WordVectorTrainer):
    """Trains ``input`` and ``output`` (float32, n items × dimensions) in place, one piece per call.

    Sentences of more than 10,000 tokens are split, as for gensim. With one worker, the same corpus and
    settings give the same bytes in every run. Several workers update the matrices without locks (Niu et al.,
    Hogwild!, NeurIPS 2011).
    """

    def __init__(self, corpus: Corpus, config: SkipGram | CBOW) -> None:
        n, size = corpus.n_items, config.vector_size
        random = np.random.default_rng([config.seed, 2])
        inputs, outputs = _aligned_zeros(n, size), _aligned_zeros(n, size)
        self.input: Floats = inputs[:, :size]
        self.output: Floats = outputs[:, :size]
        step = max(1, (1 << 20) // size)
        for start in range(0, n, step):
            block = self.input[start : start + step]
            block[:] = (random.random(block.shape, np.float32) - np.float32(0.5)) / np.float32(size)
        self._config = config
        self._model = Model(
            inputs.reshape(-1),
            outputs.reshape(-1),
            inputs.shape[1],
            item_alias_table(_noise(corpus, config)),
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
            min(max(corpus.n_tokens // TOKENS_PER_MEASURED, 1), MAX_MEASURED),
        )

    @property
    def scored(self) -> Floats:
        """The output vectors, because scores of word2vec are inner products."""
        return self.output

    @property
    def state(self) -> Arrays:
        """The matrices of the input and output vectors, not copied."""
        return {"input": self.input, "output": self.output}

    def train_piece(self, piece: Piece) -> Loss:
        """Train each sentence once, with a linearly falling learning rate; check the number of tokens.

        Return the losses of pairs of centre and context (for CBOW, of windows) before their updates. The
        losses of every n-th centre of a sentence are measured, beginning with a random centre; n is the
        number of tokens of the corpus / 500, rounded down, but at least 1 and at most 64.

        Raises
        ------
        TrainingError
            If subsampling kept an unexpected number of tokens (see ``check_tokens_read``).
        """
        config = self._config
        tokens = read_only(piece.tokens, np.int32)
        offsets = read_only(split_long(piece.offsets), np.int64)
        alpha = config.alpha - config.alpha_step * piece.position
        alpha_step = config.alpha_step * (piece.end - piece.start) / max(1, len(tokens))
        seed = np.random.SeedSequence(piece.entropy(config.seed, 3, piece.epoch)).generate_state(
            1, np.uint64
        )[0]
        ends = np.searchsorted(offsets, np.arange(0, len(tokens), TOKENS_PER_TASK)[1:], side="left")
        bounds = [0, *np.unique(ends).tolist(), len(offsets) - 1]

        def train(task: int) -> tuple[int, float, int]:
            first, last = bounds[task], bounds[task + 1]
            return train_sentences(
                self._model, self._rules, tokens, offsets, first, last, seed, alpha, alpha_step
            )

        with ThreadPoolExecutor(config.workers) as threads:
            measured = list(threads.map(train, range(len(bounds) - 1)))
        n_read, loss, n_measured = map(sum, zip(*measured, strict=True))
        keep = self._model.keep / 2.0**32 if len(self._model.keep) else np.ones(len(self.input))
        check_tokens_read("numba", piece.epoch + 1, tokens, keep, trained=n_read, received=len(tokens))
        return Loss(loss, n_measured)


def _aligned_zeros(n: int, vector_size: int) -> Floats:
    """Return ``n`` rows of zeros, padded to a multiple of 16 numbers, and each aligned to a cache line."""
    size = padded(vector_size)
    buffer = np.zeros(n * size + 16, np.float32)
    skip = -buffer.ctypes.data % 64 // 4
    return buffer[skip : skip + n * size].reshape(n, size)


def _noise(corpus: Corpus, config: SkipGram | CBOW) -> Doubles:
    """Return the weight of each item in the distribution of negatives: its frequency ** ``ns_exponent``.

    With ``forward_only``, the first token of a sentence is never predicted. An item that occurs only as the
    first token of sentences, such as the item of a pair of ``adapters.pairs``, therefore has the weight 0.
    """
    weights: Doubles = corpus.frequency.astype(np.float64) ** config.ns_exponent
    if config.forward_only:
        n_predicted = corpus.frequency.copy()
        for shard in corpus.shards:
            n_predicted -= np.bincount(shard.tokens[shard.offsets[:-1]], minlength=len(weights))
        weights[n_predicted == 0] = 0
    return weights


def _keep(frequency: Offsets, sample: float) -> Words:
    """Return, per item, 2**32 times the probability that subsampling keeps a token (gensim's formula).

    The array is empty for ``sample=0``.
    """
    if sample == 0:
        return np.empty(0, np.uint64)
    ratio = sample * frequency.sum() / frequency
    probability: Doubles = np.minimum(np.sqrt(ratio) + ratio, 1)
    return (probability * 2.0**32).astype(np.uint64)
