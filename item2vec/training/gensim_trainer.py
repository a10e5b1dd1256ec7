"""Training by gensim's word2vec. The only module that imports gensim.

gensim's words are the row numbers of the items in decimal digits, so that training does not depend on the
ids. Sentences of more than 10,000 tokens are split (``split_long``), because gensim would silently truncate
them. Each piece of an epoch is one call of gensim's ``train``, and the token counts that gensim reports are
checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from queue import Queue
from typing import Any

import numpy as np
import numpy.typing as npt
from gensim.models import Word2Vec

from item2vec.arrays import Codes, Doubles, Floats, Offsets
from item2vec.config import CBOW, SkipGram
from item2vec.errors import Remedy, TrainingError
from item2vec.training.checks import check_tokens_read
from item2vec.training.corpus import MAX_SENTENCE_TOKENS, Corpus, Piece, Reading, split_long
from item2vec.training.sampled_loss import Sample, Terms, loss_of
from item2vec.training.trainer import Arrays, Loss, WordVectorTrainer

__all__ = ["GensimTrainer"]

TOKENS_PER_BLOCK = 1 << 20


class GensimTrainer(WordVectorTrainer):
    """Trains a corpus with gensim, a piece per call; ``input`` and ``output`` are gensim's own matrices."""

    def __init__(self, corpus: Corpus, config: SkipGram | CBOW) -> None:
        self._words = np.array([str(row) for row in range(corpus.n_items)], dtype=object)
        self._model = _untrained(corpus, config, self._words)
        self._sample: tuple[Sample, Terms | None, Terms | None] | None = None
        self._config = config
        self._corpus = corpus

    @property
    def input(self) -> Floats:
        """Input vectors."""
        matrix: Floats = self._model.wv.vectors
        return matrix

    @property
    def output(self) -> Floats | None:
        """Output vectors; ``None`` if ``negative`` is 0."""
        return self._model.syn1neg if self._config.negative else None

    @property
    def scored(self) -> Floats | None:
        """The output vectors, because scores of word2vec are inner products; ``None`` if there are none."""
        return self.output

    @property
    def state(self) -> Arrays:
        """The matrices, and the state of gensim's random generator (Mersenne Twister: words and position)."""
        model, (_, words, position, *_) = self._model, self._model.random.get_state()
        random = np.append(words, np.uint32(position))
        matrices = {"input": self.input, "output": self.output, "nodes": model.syn1 if model.hs else None}
        return {"random": random} | {n: matrix for n, matrix in matrices.items() if matrix is not None}

    def restore(self, state: Arrays) -> None:
        """Set the matrices and the state of gensim's random generator."""
        super().restore(state)
        *words, position = state["random"].tolist()
        self._model.random.set_state(("MT19937", words, position))

    def train_piece(self, piece: Piece) -> Loss:
        """Train each sentence once, with a linearly falling learning rate; check that gensim read all tokens.

        Return the mean loss of a fixed random sample of predictions after the piece. gensim's own sum of
        losses is not used, because this sum varies between runs with several workers, and is a float32, which
        stops growing near 2**27.

        Raises
        ------
        TrainingError
            If a thread of gensim raised an exception, or gensim received or trained an unexpected number of
            tokens (see ``check_tokens_read``).
        """
        model, config = self._model, self._config
        model.min_alpha = config.alpha - config.alpha_step * (piece.epoch + piece.end)
        if not len(piece.tokens):
            return Loss(0.0, 0)
        trained, received = model.train(
            _Words(self._words, piece.tokens, split_long(piece.offsets)),
            total_words=len(piece.tokens),
            epochs=1,
            start_alpha=config.alpha - config.alpha_step * piece.position,
        )
        number = piece.epoch + 1
        if model.fault is not None:
            raise TrainingError(
                f"gensim failed in epoch {number}: {model.fault!r}; train again",
                remedies=[Remedy("backend", "numba", "or set {}")],
            ) from model.fault
        keep = model.wv.expandos["sample_int"] / float(2**32 - 1)
        check_tokens_read("gensim", number, piece.tokens, keep, trained=trained, received=received)
        return Loss(self._loss(keep), 1)

    def _loss(self, keep: Doubles) -> float:
        sample, negatives, paths = self._sample or self._draw(keep)
        self._sample = sample, negatives, paths
        parts = [(self._model.syn1neg, negatives)] if negatives else []
        parts += [(self._model.syn1, paths)] if paths else []
        return loss_of(sample.sources(self.input), parts)

    def _draw(self, keep: Doubles) -> tuple[Sample, Terms | None, Terms | None]:
        config, corpus = self._config, self._corpus
        piece = next(Reading(corpus, config.seed).pieces(1))
        sample = Sample.of(piece.tokens, split_long(piece.offsets), keep, config)
        negatives = Terms.of_negatives(sample.targets, corpus.frequency, config) if config.negative else None
        return sample, negatives, _paths(self._model, self._words, sample.targets) if config.hs else None


class _Word2Vec(Word2Vec):
    """gensim's word2vec, except that ``train`` returns after an exception in a thread instead of hanging.

    ``fault`` is the exception; ``None`` if there was none.
    """

    fault: Exception | None = None

    def _job_producer(self, data_iterator: Any, job_queue: Queue[Any], **progress: Any) -> None:
        try:
            super()._job_producer(data_iterator, job_queue, **progress)
        except Exception as error:  # noqa: BLE001 - train_piece raises a TrainingError
            self.fault = error
            for _ in range(self.workers):
                job_queue.put(None)

    def _worker_loop(self, job_queue: Queue[Any], progress_queue: Queue[Any]) -> None:
        try:
            super()._worker_loop(job_queue, progress_queue)
        except Exception as error:  # noqa: BLE001 - train_piece raises a TrainingError
            self.fault = error
            while job_queue.get() is not None:
                pass
            progress_queue.put(None)


@dataclass(frozen=True, eq=False)
class _Words:
    """An iterable of the sentences of a piece, as lists of gensim's words."""

    words: npt.NDArray[np.object_]
    tokens: Codes
    offsets: Offsets

    def __iter__(self) -> Iterator[list[str]]:
        start = 0
        while start < len(self.offsets) - 1:
            end = int(np.searchsorted(self.offsets, self.offsets[start] + TOKENS_PER_BLOCK, side="right")) - 1
            end = max(end, start + 1)
            block = self.words[self.tokens[self.offsets[start] : self.offsets[end]]].tolist()
            bounds = (self.offsets[start : end + 1] - self.offsets[start]).tolist()
            for left, right in pairwise(bounds):
                yield block[left:right]
            start = end


def _paths(model: _Word2Vec, words: npt.NDArray[np.object_], targets: Codes) -> Terms:
    """Return the terms of hierarchical softmax: the inner nodes on the path from the root to each target."""
    nodes = [model.wv.get_vecattr(word, "point") for word in words[targets]]
    signs = [1 - 2 * model.wv.get_vecattr(word, "code").astype(np.float32) for word in words[targets]]
    owners = np.repeat(np.arange(len(targets)), [len(path) for path in nodes])
    return Terms(owners, np.concatenate(nodes).astype(np.intp), np.concatenate(signs))


def _untrained(corpus: Corpus, config: SkipGram | CBOW, words: npt.NDArray[np.object_]) -> _Word2Vec:
    full = config.window == "full"
    model = _Word2Vec(
        vector_size=config.vector_size,
        window=corpus.longest if full else config.window,
        min_count=1,
        sample=config.sample,
        negative=config.negative,
        ns_exponent=config.ns_exponent,
        hs=int(config.hs),
        sg=int(isinstance(config, SkipGram)),
        cbow_mean=int(isinstance(config, CBOW) and config.cbow_mean),
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
