"""The training loop: validation, callbacks, early stopping, and a final sanity check of the vectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np

from item2vec.arrays import Mask
from item2vec.config import CBOW, NextItem, SkipGram, TrainConfig
from item2vec.errors import TrainingError
from item2vec.progress import progress_bar
from item2vec.training.attributes import NewItems
from item2vec.training.averaging import Exchange
from item2vec.training.checkpoint import Checkpoint
from item2vec.training.checks import log_items_left_out
from item2vec.training.corpus import Corpus
from item2vec.training.initial import Initial
from item2vec.training.state import NO_LOSS, Best, State
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
    checkpoint: Checkpoint | None = None,
    exchange: Exchange | None = None,
) -> ItemVectors:
    """Run all epochs, or stop early; return the vectors of the last epoch or, with ``patience``, of the best.

    ``frozen`` rows are reset to their initial vectors after each piece of an epoch. With a ``checkpoint``,
    training continues from the saved state, if there is one, and the state is saved after each piece. After
    each epoch, an ``exchange`` merges the arrays of several processes. Then ``after_epoch`` is called, and
    the metrics of ``validation`` are computed.

    An item is kept if ``warm`` marks the item as started from trained vectors, or if an epoch has read the
    item in a sentence of two or more tokens, and training has changed the item's input vector or, if
    ``_keeps_targets`` returns ``True``, its output vector. All other items are left out, and their number is
    logged. New items (see ``NewItems``) are appended.

    If only the output vector of a kept item has changed, the item's own input vector is set to zero, unless
    ``warm`` marks the item. Such items occur in two cases. First, an item may occur only at the end of
    sentences, if only earlier items are context. Second, in training of a single epoch, an item may be a
    context only in the first windows (in next_item: in the first block): the gradients of input vectors are
    proportional to the output vectors, which start at zero.

    Raises
    ------
    TrainingError
        If the trainer or another process fails, a vector is not finite, or no input vector changed.
        Unchanged input vectors raise no error with ``frozen`` rows, or in training from scratch if
        ``_only_earlier_context`` and ``_has_outputs`` return ``True``.
    ConfigError
        If the checkpoint belongs to a training run with other inputs.
    CorruptBundleError
        If the checkpoint is damaged.
    WriteError
        If the checkpoint, or the folder of the exchange, cannot be written.
    """
    initial = Initial.of(trainer, config)
    vectors = partial(_vectors, trainer, corpus, config, initial, warm, frozen)
    state = State.at_start(corpus, config)
    if checkpoint is not None:
        checkpoint.restore(state, trainer, corpus, config)
    with progress_bar("training", config.epochs - len(state.curve)) as advance:
        for piece in () if state.is_over(config) else state.reading.pieces(config.epochs):
            loss = trainer.train_piece(piece)
            if frozen is not None:
                frozen.restore(trainer)
            _check_finite(trainer, piece.epoch + 1, config)
            state.add(piece, loss)
            if piece.is_last and exchange is not None:
                exchange(state, trainer)
            if piece.is_last:
                advance(_end_epoch(state, trainer, config, vectors, validation, after_epoch))
            if checkpoint is not None:
                checkpoint.save(state, trainer)
            if piece.is_last and state.is_over(config):
                break
            del piece  # frees its memory before the next one is read
    best = state.best
    learned, new_items = (best.vectors, best.new_items) if best else (vectors(copy=False), trainer.new_items)
    learned = replace(
        learned, curve=tuple(state.curve), tokens_read=state.tokens_read, read_share=corpus.read_share
    )
    moved = state.read & learned.has_input & initial.input_moved(learned.input).any(axis=1)
    kept = moved if warm is None else moved | warm
    if _keeps_targets(config):
        kept = kept | (state.read & initial.output_moved(trainer).any(axis=1))
    outputs_suffice = frozen is not None or (
        _only_earlier_context(config) and warm is None and _has_outputs(trainer, config)
    )
    if not moved.any() and not outputs_suffice:
        raise TrainingError(f"no vector changed in {config.epochs} epochs: {_why_unchanged(config)}")
    log_items_left_out(corpus, state.read, kept, config.epochs)
    learned = learned if kept.all() else learned.take(np.flatnonzero(kept))
    return learned if new_items is None else _with_new_items(learned, new_items)


def _end_epoch(
    state: State,
    trainer: Trainer,
    config: TrainConfig,
    vectors: Callable[[], ItemVectors],
    validation: Validation | None,
    after_epoch: AfterEpoch | None,
) -> str:
    """Call the callback, and add the loss and the validation metrics to the curve.

    With ``patience``, the vectors are kept as the best ones if the epoch has the highest NDCG so far. The
    function returns a text for the progress bar.
    """
    number, loss = len(state.curve) + 1, state.loss.mean
    state.loss = NO_LOSS
    if after_epoch is not None:
        after_epoch(number, vectors())
    point = Epoch(number, loss=loss if np.isfinite(loss) else None)
    if validation is None:
        state.curve.append(point)
        return f"loss {loss:.4f}"
    current = vectors()
    measured = replace(validation.measure(current, number), loss=point.loss)
    state.curve.append(measured)
    if config.patience is not None and state.leader() is measured:
        state.best = Best(number, current, trainer.new_items)
    return f"loss {loss:.4f} HR@10 {measured.hr:.4f} NDCG@10 {measured.ndcg:.4f}"


def _only_earlier_context(config: TrainConfig) -> bool:
    """For word2vec, return whether only items before the target are its context; otherwise, return ``True``.

    If only earlier items are context, an item at the end of all its sentences has a trained output vector,
    but no trained input vector.
    """
    return config.forward_only if isinstance(config, SkipGram | CBOW) else True


def _keeps_targets(config: TrainConfig) -> bool:
    """Return whether an item is kept if only its output vector changed.

    Such an item is not kept if word2vec subsamples tokens, and later items are context, too. The item may
    then have been only a negative, and its output vector contains no information about the item.
    """
    return not isinstance(config, SkipGram | CBOW) or config.forward_only or config.sample == 0


def _has_outputs(trainer: Trainer, config: TrainConfig) -> bool:
    """Return whether output vectors have become large enough to change the input vectors.

    The largest absolute value in the output matrix must exceed the largest absolute value in the input
    matrix, multiplied by the machine epsilon of float32. In word2vec, and in next_item with inner products,
    output vectors start at zero, and the gradients of input vectors are proportional to the output vectors.
    If an epoch is a single block, input vectors therefore change only after the first epoch.

    The result is ``False`` if the trainer has no output vectors, and for next_item with cosines, in which
    input and output vectors start at random and change together.
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


def _vectors(
    trainer: Trainer,
    corpus: Corpus,
    config: TrainConfig,
    initial: Initial,
    warm: Mask | None,
    frozen: Frozen | None,
    *,
    copy: bool = True,
) -> ItemVectors:
    """Return the current vectors, including the vectors of attributes.

    With ``copy=False``, the result may share memory with the trainer, so that later epochs modify the result.

    If ``_keeps_targets`` returns ``True``, a part of an input row is set to zero if training has not changed
    this part, but has changed the same part of the output row. ``warm`` rows are never set to zero. If the
    condition holds for all parts of all rows, no row is set to zero, because a first epoch of one block
    changes output vectors only. If ``frozen`` is not ``None``, known vectors are replaced by those of
    ``start``.
    """
    input_ = trainer.input.copy() if copy else trainer.input
    output = trainer.scored
    if copy and output is trainer.output and output is not None:
        output = output.copy()
    if output is not None and _keeps_targets(config):
        unread = ~initial.input_moved(trainer.input) & initial.output_moved(trainer)
        if not unread.all():
            if warm is not None:
                unread &= ~warm[:, None]
            input_.reshape(*unread.shape, -1)[unread] = 0
    if trainer.input_of_attributes is not None:
        input_ = input_ + trainer.input_of_attributes
    found = ItemVectors(corpus.vocabulary, input_, output, corpus.counts, config, positions=trainer.positions)
    return found if frozen is None else frozen.written(found)


def _with_new_items(vectors: ItemVectors, new: NewItems) -> ItemVectors:
    """Append the new items, with a count of 0, except those whose vectors are all zero.

    The vectors of an item are zero if training has changed the vectors of none of its attributes.
    """
    assert vectors.output is not None
    rows = np.flatnonzero(new.input.any(axis=1) | new.output.any(axis=1))
    return replace(
        vectors,
        vocabulary=Vocabulary((*vectors.vocabulary.ids, *(new.ids[row] for row in rows))),
        input=np.concatenate((vectors.input, new.input[rows])),
        output=np.concatenate((vectors.output, new.output[rows])),
        counts=np.append(vectors.counts, np.zeros(len(rows))),
    )
