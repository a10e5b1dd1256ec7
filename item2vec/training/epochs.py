"""The training loop: validation, callbacks, early stopping, and a final sanity check of the vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Mask, Offsets
from item2vec.config import CBOW, NextItem, SkipGram, TrainConfig
from item2vec.errors import TrainingError
from item2vec.progress import progress_bar
from item2vec.training.attributes import NewItems
from item2vec.training.checks import log_items_left_out
from item2vec.training.corpus import Corpus
from item2vec.training.trainer import Trainer
from item2vec.training.validation import Validation
from item2vec.training.warm_start import Frozen
from item2vec.types import Vocabulary
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["AfterEpoch", "run_epochs"]

AfterEpoch = Callable[[int, ItemVectors], None]


def run_epochs(
    trainer: Trainer,
    corpus: Corpus,
    config: TrainConfig,
    validation: Validation | None,
    after_epoch: AfterEpoch | None,
    warm: Mask | None = None,
    frozen: Frozen | None = None,
) -> ItemVectors:
    """Train; return the vectors of the last epoch, or of the best epoch if ``patience`` is set.

    ``frozen`` rows have their initial vectors again after each epoch.

    Rows that did not change are left out, except ``warm`` rows, which started from trained vectors; their
    number is logged. Rows of items that have attributes only are appended. A row with a trained output vector
    and no trained input vector is kept, and its own input vector is set to zero. Such a row belongs to an
    item that occurs only at the end of sentences, if only earlier items are context; or to an item that
    occurs only in the first windows of a single epoch, because gradients of input vectors are proportional to
    output vectors, which start at zero.

    Raises
    ------
    TrainingError
        If a vector is not finite, or no vector changed.
    """
    initial = _Start.of(trainer, config)
    vectors = partial(_vectors, trainer, corpus, config, initial, warm, frozen)
    read = np.zeros(len(corpus.vocabulary), np.bool_)
    tokens_read = 0
    curve: list[Epoch] = []
    best: tuple[ItemVectors, NewItems | None] | None = None
    with progress_bar("training", config.epochs) as advance:
        for number, (tokens, offsets) in enumerate(corpus.epochs(config.epochs, config.seed)):
            loss = trainer.train_epoch(number, tokens, offsets)
            if frozen is not None:
                frozen.restore(trainer)
            _check_finite(trainer, number + 1, config)
            read[_with_context(tokens, offsets)] = True
            tokens_read += len(tokens)
            if after_epoch is not None:
                after_epoch(number + 1, vectors())
            point = Epoch(number + 1, loss=loss if np.isfinite(loss) else None)
            curve.append(point)
            if validation is None:
                advance(f"loss {loss:.4f}")
                continue
            current = vectors()
            curve[-1] = replace(validation.measure(current, number + 1), loss=point.loss)
            advance(f"loss {loss:.4f} HR@10 {curve[-1].hr:.4f} NDCG@10 {curve[-1].ndcg:.4f}")
            leader = max(curve, key=attrgetter("ndcg"))
            if config.patience is not None and leader is curve[-1]:
                best = current, trainer.new_items
            if config.patience is not None and number + 1 - leader.epoch >= config.patience:
                break
    learned, new_items = best or (vectors(copy=False), trainer.new_items)
    learned = replace(learned, curve=tuple(curve), tokens_read=tokens_read, read_share=corpus.read_share)
    moved = read & learned.has_input & (learned.input != initial.input).any(axis=1)
    kept = moved if warm is None else moved | warm
    if _keeps_targets(config):
        kept = kept | (read & initial.output_moved(trainer).any(axis=1))
    outputs_suffice = frozen is not None or (
        _only_earlier_context(config) and warm is None and _has_outputs(trainer, config)
    )
    if not moved.any() and not outputs_suffice:
        raise TrainingError(f"no vector changed in {config.epochs} epochs: {_why_unchanged(config)}")
    log_items_left_out(corpus, read, kept, config.epochs)
    learned = learned if kept.all() else learned.take(np.flatnonzero(kept))
    return learned if new_items is None else _with_new_items(learned, new_items)


def _only_earlier_context(config: TrainConfig) -> bool:
    """Return whether the context of an item is only the items before it."""
    return config.forward_only if isinstance(config, SkipGram | CBOW) else True


def _keeps_targets(config: TrainConfig) -> bool:
    """Return whether an item is kept if only its output vector changed.

    With subsampling, the item may have been a negative only: then its output vector says nothing about it.
    """
    return not isinstance(config, SkipGram | CBOW) or config.forward_only or config.sample == 0


def _with_context(tokens: Codes, offsets: Offsets) -> Codes:
    """Return the tokens of sentences of two or more tokens; a token alone is not trained."""
    lengths = np.diff(offsets)
    return tokens if lengths.min(initial=2) >= 2 else tokens[np.repeat(lengths >= 2, lengths)]


def _has_outputs(trainer: Trainer, config: TrainConfig) -> bool:
    """Return whether output vectors, which start at zero, are large enough to change the input vectors.

    The gradients of input vectors are proportional to output vectors. With little data, input vectors change
    only after the first epoch. With cosines, both kinds of vectors start at random and change together, and
    the result is ``False``.
    """
    if trainer.output is None or (isinstance(config, NextItem) and config.similarity == "cosine"):
        return False
    longest = max(trainer.output.max(), -trainer.output.min())
    return bool(longest > np.finfo(np.float32).eps * np.abs(trainer.input).max())


def _why_unchanged(config: TrainConfig) -> str:
    if not isinstance(config, SkipGram | CBOW):
        return f"alpha={config.alpha} is too low; raise epochs or alpha"
    return (
        f"sample={config.sample} skipped nearly every token, or alpha={config.alpha} is too low; "
        "set sample=0, or raise epochs or alpha"
    )


def _check_finite(trainer: Trainer, epoch: int, config: TrainConfig) -> None:
    for matrix in (trainer.input, trainer.output):
        # min and max propagate NaN, and allocate no array of the size of the matrix
        if matrix is not None and not bool(np.isfinite([matrix.min(), matrix.max()]).all()):
            raise TrainingError(
                f"training diverged in epoch {epoch}: a vector is not finite; lower alpha ({config.alpha})"
            )


class _Start(NamedTuple):
    """Copies of the matrices before training (n items × dimensions), to detect the rows that change.

    ``output`` is ``None`` if there is no output matrix, or if it starts at zero.
    """

    input: Floats
    output: Floats | None
    n_parts: int

    @classmethod
    def of(cls, trainer: Trainer, config: TrainConfig) -> _Start:
        output = None if trainer.output is None or not trainer.output.any() else trainer.output.copy()
        n_parts = len(config.context_decay) if isinstance(config, NextItem) else 1
        return cls(trainer.input.copy(), output, n_parts)

    def output_moved(self, trainer: Trainer) -> Mask:
        """Return a mask of the parts of output rows that training changed (n items × parts)."""
        if trainer.output is None:
            return np.zeros((len(self.input), self.n_parts), np.bool_)
        return ~self._equal(trainer.output, 0 if self.output is None else self.output)

    def input_unmoved(self, trainer: Trainer) -> Mask:
        """Return a mask of the parts of input rows that training did not change (n items × parts)."""
        return self._equal(trainer.input, self.input)

    def _equal(self, matrix: Floats, start: Floats | int) -> Mask:
        equal: Mask = (matrix == start).reshape(len(matrix), self.n_parts, -1).all(axis=2)
        return equal


def _vectors(
    trainer: Trainer,
    corpus: Corpus,
    config: TrainConfig,
    initial: _Start,
    warm: Mask | None,
    frozen: Frozen | None,
    *,
    copy: bool = True,
) -> ItemVectors:
    """Return the current vectors. With ``copy=False``, later epochs modify them.

    A part of an input row that equals its random start is set to zero if the output row has changed. If this
    holds for all rows, none is set to zero, because a first epoch of one block changes output vectors only.
    """
    input_ = trainer.input.copy() if copy else trainer.input
    output = trainer.scored
    if copy and output is trainer.output and output is not None:
        output = output.copy()
    if output is not None and _keeps_targets(config):
        unread = initial.input_unmoved(trainer) & initial.output_moved(trainer)
        if not unread.all():
            if warm is not None:
                unread &= ~warm[:, None]
            input_.reshape(*unread.shape, -1)[unread] = 0
    if trainer.input_of_attributes is not None:
        input_ = input_ + trainer.input_of_attributes
    found = ItemVectors(corpus.vocabulary, input_, output, corpus.counts, config, positions=trainer.positions)
    return found if frozen is None else frozen.written(found)


def _with_new_items(vectors: ItemVectors, new: NewItems) -> ItemVectors:
    """Append rows with a count of 0. Items are left out if training has changed none of their attributes."""
    assert vectors.output is not None
    rows = np.flatnonzero(new.input.any(axis=1) | new.output.any(axis=1))
    return replace(
        vectors,
        vocabulary=Vocabulary((*vectors.vocabulary.ids, *(new.ids[row] for row in rows))),
        input=np.concatenate((vectors.input, new.input[rows])),
        output=np.concatenate((vectors.output, new.output[rows])),
        counts=np.append(vectors.counts, np.zeros(len(rows))),
    )
