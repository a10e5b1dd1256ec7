"""Training by gensim's compiled word2vec: the one door to gensim.

gensim is handed decimal row numbers as words, most frequent first, in sentences of at most 10,000 tokens,
because it ends longer ones there without a word, and because no decimal can break a parser. One call of its
``train`` is one epoch, so that what it reads is made anew for each, and what it trained is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from queue import Queue
from typing import Any

import numpy as np
import numpy.typing as npt
from gensim.models import Word2Vec

from item2vec.config import TrainConfig
from item2vec.errors import TrainingError
from item2vec.progress import progress_bar
from item2vec.training.corpus import Corpus
from item2vec.training.validation import Validation
from item2vec.types import Codes, Offsets
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["train_gensim"]

MAX_SENTENCE_TOKENS = 10_000
TOKENS_A_BLOCK = 1 << 20


def train_gensim(
    corpus: Corpus,
    config: TrainConfig,
    validation: Validation | None,
    after_epoch: Callable[[int, ItemVectors], None] | None,
) -> ItemVectors:
    """Train a corpus with gensim; validate after each epoch, and keep the best one where patience is set."""
    words = np.array([str(row) for row in range(len(corpus.vocabulary))], dtype=object)
    model = _untrained(corpus, config, words)
    initial = model.wv.vectors.copy()
    curve: list[Epoch] = []
    best: ItemVectors | None = None
    with progress_bar("training", config.epochs) as advance:
        for number, (tokens, offsets) in enumerate(corpus.epochs(config.epochs, config.seed)):
            _train_epoch(model, _Epoch(words, tokens, offsets), config, number)
            if after_epoch is not None:
                after_epoch(number + 1, _vectors(model, corpus, config))
            if validation is None:
                advance("")
                continue
            now = _vectors(model, corpus, config)
            curve.append(validation.measure(now, number + 1))
            advance(f"HR@10 {curve[-1].hr:.4f} NDCG@10 {curve[-1].ndcg:.4f}")
            leader = max(curve, key=lambda epoch: epoch.ndcg)
            if config.patience is not None and leader is curve[-1]:
                best = now
            if config.patience is not None and number + 1 - leader.epoch >= config.patience:
                break
    learned = replace(best or _vectors(model, corpus, config), curve=tuple(curve))
    moved = (learned.input != initial).any(axis=1)
    if not moved.any():
        raise TrainingError(
            f"no vector moved in {config.epochs} epochs: sample={config.sample} skipped nearly every token, "
            f"or alpha={config.alpha} is too low; set sample=0 for little data, or raise epochs or alpha"
        )
    return learned if moved.all() else learned.take(np.flatnonzero(moved))


class _Word2Vec(Word2Vec):
    """gensim's word2vec, whose threads do not leave ``train`` waiting for ever after an exception."""

    fault: Exception | None = None

    def _job_producer(self, data_iterator: Any, job_queue: Queue[Any], **progress: Any) -> None:
        try:
            super()._job_producer(data_iterator, job_queue, **progress)
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self.fault = error
            for _ in range(self.workers):
                job_queue.put(None)

    def _worker_loop(self, job_queue: Queue[Any], progress_queue: Queue[Any]) -> None:
        try:
            super()._worker_loop(job_queue, progress_queue)
        except Exception as error:  # noqa: BLE001 - raised again by the thread that waits
            self.fault = error
            while job_queue.get() is not None:
                pass
            progress_queue.put(None)


@dataclass(frozen=True, eq=False)
class _Epoch:
    """One epoch's sentences, as lists of decimal words."""

    words: npt.NDArray[np.object_]
    tokens: Codes
    offsets: Offsets

    def __iter__(self) -> Iterator[list[str]]:
        start = 0
        while start < len(self.offsets) - 1:
            end = int(np.searchsorted(self.offsets, self.offsets[start] + TOKENS_A_BLOCK, side="right")) - 1
            end = max(end, start + 1)
            block = self.words[self.tokens[self.offsets[start] : self.offsets[end]]].tolist()
            bounds = (self.offsets[start : end + 1] - self.offsets[start]).tolist()
            for left, right in pairwise(bounds):
                for cut in range(left, right, MAX_SENTENCE_TOKENS):
                    yield block[cut : min(cut + MAX_SENTENCE_TOKENS, right)]
            start = end


def _untrained(corpus: Corpus, config: TrainConfig, words: npt.NDArray[np.object_]) -> _Word2Vec:
    full = config.window == "full"
    model = _Word2Vec(
        vector_size=config.vector_size,
        window=int(np.diff(corpus.offsets).max()) if full else config.window,
        min_count=1,
        sample=config.sample,
        negative=config.negative,
        ns_exponent=config.ns_exponent,
        hs=int(config.hs),
        sg=int(config.objective == "skipgram"),
        cbow_mean=int(config.cbow_mean),
        shrink_windows=config.shrink_windows and not full,
        alpha=config.alpha,
        min_alpha=config.min_alpha,
        workers=config.workers,
        seed=config.seed,
        sorted_vocab=0,
        batch_words=MAX_SENTENCE_TOKENS,
    )
    model.build_vocab_from_freq(dict(zip(words.tolist(), corpus.frequency.tolist(), strict=True)))
    return model


def _train_epoch(model: _Word2Vec, sentences: _Epoch, config: TrainConfig, number: int) -> None:
    """Train one epoch at its part of the falling learning rate; check that every token was trained."""
    fall = (config.alpha - config.min_alpha) / config.epochs
    model.min_alpha = config.alpha - fall * (number + 1)
    expected = len(sentences.tokens)
    if not expected:
        return
    trained, handed = model.train(
        sentences, total_words=expected, epochs=1, start_alpha=config.alpha - fall * number
    )
    if model.fault is not None:
        raise TrainingError(f"epoch {number + 1} stopped: {model.fault!r}") from model.fault
    read = np.bincount(sentences.tokens, minlength=len(model.wv))
    chance = model.wv.expandos["sample_int"] / float(2**32 - 1)
    mean, spread = read @ chance, np.sqrt(read @ (chance * (1 - chance)))
    if handed != expected or abs(trained - mean) > 1 + 8 * spread:
        raise TrainingError(
            f"epoch {number + 1} trained {trained:,} of {handed:,} tokens handed over; expected "
            f"{mean:,.0f} ± {8 * spread:,.0f} of {expected:,}; the vectors are not to be used"
        )


def _vectors(model: _Word2Vec, corpus: Corpus, config: TrainConfig) -> ItemVectors:
    output = model.syn1neg if config.negative else None
    for matrix in (model.wv.vectors, output):
        if matrix is not None and not bool(np.isfinite(matrix).all()):
            raise TrainingError("training diverged: a vector is not finite; lower alpha")
    return ItemVectors(
        corpus.vocabulary,
        model.wv.vectors.copy(),
        None if output is None else output.copy(),
        corpus.counts,
        config,
    )
