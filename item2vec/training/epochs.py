"""Runs a trainer epoch by epoch: validates, calls back, keeps the best epoch, refuses what is no result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple, Protocol

import numpy as np

from item2vec.arrays import Codes, Floats, Mask, Offsets
from item2vec.config import CBOW, NextItem, SkipGram, TrainConfig
from item2vec.errors import TrainingError
from item2vec.progress import progress_bar
from item2vec.training.corpus import Corpus
from item2vec.training.validation import Validation
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["AfterEpoch", "Trainer", "run_epochs"]

AfterEpoch = Callable[[int, ItemVectors], None]


class Trainer(Protocol):
    """Two matrices (float32, n items × dimensions) that an epoch changes in place.

    ``output`` and ``scored`` are ``None`` where hierarchical softmax alone is trained.
    """

    @property
    def input(self) -> Floats:
        """What an item is like."""
        ...

    @property
    def output(self) -> Floats | None:
        """What an item follows."""
        ...

    @property
    def scored(self) -> Floats | None:
        """Output vectors as they are scored, by their inner product with a taste."""
        ...

    @property
    def positions(self) -> Floats | None:
        """Learned weights of a history's positions (parts × steps back), if there are any."""
        ...

    def train_epoch(self, number: int, tokens: Codes, offsets: Offsets) -> None:
        """Train all sentences once; ``number`` counts from 0."""
        ...


def run_epochs(
    trainer: Trainer,
    corpus: Corpus,
    config: TrainConfig,
    validation: Validation | None,
    after_epoch: AfterEpoch | None,
    begun: Mask | None = None,
) -> ItemVectors:
    """Train, and return the last epoch's vectors, or the best one's where patience is set.

    Rows that did not move are left out, but for those that had ``begun`` at something learned. Where only
    what comes before counts, an item that only ever stood last stays for its output vector, without an input
    vector: the random start of one says nothing.
    """
    initial = _Start.of(trainer, config)
    vectors = partial(_vectors, trainer, corpus, config, initial, begun)
    read = np.zeros(len(corpus.vocabulary), np.bool_)
    tokens_read = 0
    curve: list[Epoch] = []
    best: ItemVectors | None = None
    with progress_bar("training", config.epochs) as advance:
        for number, (tokens, offsets) in enumerate(corpus.epochs(config.epochs, config.seed)):
            trainer.train_epoch(number, tokens, offsets)
            _check_finite(trainer, number + 1, config)
            read[tokens] = True
            tokens_read += len(tokens)
            if after_epoch is not None:
                after_epoch(number + 1, vectors())
            if validation is None:
                advance("")
                continue
            now = vectors()
            curve.append(validation.measure(now, number + 1))
            advance(f"HR@10 {curve[-1].hr:.4f} NDCG@10 {curve[-1].ndcg:.4f}")
            leader = max(curve, key=lambda epoch: epoch.ndcg)
            if config.patience is not None and leader is curve[-1]:
                best = now
            if config.patience is not None and number + 1 - leader.epoch >= config.patience:
                break
    learned = best or vectors(copy=False)
    learned = replace(learned, curve=tuple(curve), tokens_read=tokens_read, read_share=corpus.read_share)
    moved = read & learned.has_input & (learned.input != initial.input).any(axis=1)
    kept = moved if begun is None else moved | begun
    looks_back = _looks_back_only(config)
    if looks_back:
        kept = kept | (read & initial.output_moved(trainer).any(axis=1))
    if not moved.any() and not (looks_back and begun is None and _has_outputs(trainer, config)):
        raise TrainingError(f"no vector moved in {config.epochs} epochs: {_why_nothing_moved(config)}")
    return learned if kept.all() else learned.take(np.flatnonzero(kept))


def _looks_back_only(config: TrainConfig) -> bool:
    """Return whether only the items before an item count: those by input, the item by output vector."""
    return config.forward_only if isinstance(config, SkipGram | CBOW) else True


def _has_outputs(trainer: Trainer, config: TrainConfig) -> bool:
    """Return whether output vectors, which start at zero, count beside the input vectors in float32.

    Input vectors learn from output vectors, and so do not move before these have: on little data, after the
    first epoch. For cosines, both start at random and move together.
    """
    if trainer.output is None or (isinstance(config, NextItem) and config.similarity == "cosine"):
        return False
    longest = max(trainer.output.max(), -trainer.output.min())
    return bool(longest > np.finfo(np.float32).eps * np.abs(trainer.input).max())


def _why_nothing_moved(config: TrainConfig) -> str:
    if not isinstance(config, SkipGram | CBOW):
        return f"alpha={config.alpha} is too low; raise epochs or alpha"
    return (
        f"sample={config.sample} skipped nearly every token, or alpha={config.alpha} is too low; "
        "set sample=0 for little data, or raise epochs or alpha"
    )


def _check_finite(trainer: Trainer, epoch: int, config: TrainConfig) -> None:
    for matrix in (trainer.input, trainer.output):
        # NaN is its own minimum and maximum; nothing as large as the matrix is made
        if matrix is not None and not bool(np.isfinite([matrix.min(), matrix.max()]).all()):
            raise TrainingError(
                f"training diverged in epoch {epoch}: a vector is not finite; lower alpha ({config.alpha})"
            )


class _Start(NamedTuple):
    """The matrices before training (n items × dimensions), to see which parts of rows move."""

    input: Floats
    output: Floats | None
    n_parts: int

    @classmethod
    def of(cls, trainer: Trainer, config: TrainConfig) -> _Start:
        compared = trainer.output if _looks_back_only(config) else None
        output = None if compared is None else compared.copy()
        n_parts = len(config.context_decay) if isinstance(config, NextItem) else 1
        return cls(trainer.input.copy(), output, n_parts)

    def output_moved(self, trainer: Trainer) -> Mask:
        """Return which parts of the output rows differ from the start (n items × parts)."""
        if self.output is None or trainer.output is None:
            return np.zeros((len(self.input), self.n_parts), np.bool_)
        return ~self._equal(trainer.output, self.output)

    def input_unmoved(self, trainer: Trainer) -> Mask:
        """Return which parts of the input rows are still the start (n items × parts)."""
        return self._equal(trainer.input, self.input)

    def _equal(self, matrix: Floats, start: Floats) -> Mask:
        equal: Mask = (matrix == start).reshape(len(start), self.n_parts, -1).all(axis=2)
        return equal


def _vectors(
    trainer: Trainer,
    corpus: Corpus,
    config: TrainConfig,
    initial: _Start,
    begun: Mask | None,
    *,
    copy: bool = True,
) -> ItemVectors:
    """Return the vectors as they are; further epochs change them, unless they are a copy.

    A part of an input row that is still the random start becomes zero where the output row has learned;
    unless that is so of all rows, as after a first epoch of one block, which moves output vectors alone.
    """
    input_ = trainer.input.copy() if copy else trainer.input
    output = trainer.scored
    if copy and output is trainer.output and output is not None:
        output = output.copy()
    if output is not None and _looks_back_only(config):
        unread = initial.input_unmoved(trainer) & initial.output_moved(trainer)
        if not unread.all():
            if begun is not None:
                unread &= ~begun[:, None]
            input_.reshape(*unread.shape, -1)[unread] = 0
    return ItemVectors(corpus.vocabulary, input_, output, corpus.counts, config, positions=trainer.positions)
