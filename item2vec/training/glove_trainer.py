"""Training of GloVe by the compiled loop of ``kernels.glove``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from item2vec.arrays import Floats
from item2vec.config import GloVe
from item2vec.kernels.glove import Pairs, State, fit_pairs
from item2vec.training.cooccurrence import in_windows
from item2vec.training.corpus import Corpus, Piece
from item2vec.training.trainer import Arrays, Loss, WordVectorTrainer

__all__ = ["GloVeTrainer"]


class GloVeTrainer(WordVectorTrainer):
    """Fits ``input`` and ``output`` (float32, n items × dimensions) in place, one piece per call.

    Co-occurrences are counted once, with the weight 1 / distance. Vectors and biases start at random within
    ±0.5 / dimensions. The input vector and bias of an item without any context start at 0, and so do the
    output vector and bias of an item that is the context of no item. The authors' program adds the input and
    output vectors by default. Here they are not added, because the inner product of an input and an output
    vector is the score of the next item. The biases are dropped after training: the bias of an input vector
    does not change the order of the scores, and the bias of an output vector is approximately the logarithm
    of the item's frequency. The setting ``popularity`` of the taste can add such a term to the scores.

    With one worker, the same corpus and settings give the same bytes in every run. Several workers update the
    matrices without locks.
    """

    def __init__(self, corpus: Corpus, config: GloVe) -> None:
        window = None if config.window == "full" else config.window
        counts = in_windows(
            corpus, config.seed, window, lambda step: 1 / step, forward_only=config.forward_only
        ).tocoo()
        items, contexts = counts.coords
        weights = np.minimum(counts.data / config.x_max, 1) ** config.x_exponent
        self._pairs = Pairs(
            items.astype(np.int32),
            contexts.astype(np.int32),
            np.log(counts.data).astype(np.float32),
            weights.astype(np.float32),
        )
        n, size = corpus.n_items, config.vector_size
        random = np.random.default_rng([config.seed, 2])
        initial = (random.random((2, n, size + 1), np.float32) - np.float32(0.5)) / np.float32(size)
        for matrix, codes in zip(initial, (items, contexts), strict=True):
            matrix[np.bincount(codes, minlength=n) == 0] = 0
        self.input: Floats = np.ascontiguousarray(initial[0, :, :size])
        self.output: Floats = np.ascontiguousarray(initial[1, :, :size])
        squares = np.ones((2, n, size), np.float32)
        self._state = State(
            self.input,
            self.output,
            initial[0, :, size].copy(),
            initial[1, :, size].copy(),
            *squares,
            *np.ones((2, n), np.float32),
        )
        self._config = config

    @property
    def scored(self) -> Floats:
        """The output vectors, because scores of GloVe are inner products."""
        return self.output

    @property
    def state(self) -> Arrays:
        """The matrices, the biases and the Adagrad accumulators of both."""
        return self._state._asdict()

    def train_piece(self, piece: Piece) -> Loss:
        """Fit the pairs that belong to the piece, and return their losses.

        An epoch fits each pair once, in random order. If there are n pairs, those from ``piece.start * n`` to
        ``piece.end * n`` in this order belong to the piece. The losses are computed before the updates. The
        tokens of the piece are not read, because the constructor has counted the pairs.
        """
        config, n = self._config, len(self._pairs.items)
        order = np.random.default_rng([config.seed, 3, piece.epoch]).permutation(n)
        order = order[round(piece.start * n) : round(piece.end * n)]
        parts = np.array_split(order, config.workers)
        with ThreadPoolExecutor(config.workers) as threads:
            losses = list(
                threads.map(lambda part: fit_pairs(self._state, self._pairs, part, config.alpha), parts)
            )
        return Loss(float(sum(losses)), len(order))
