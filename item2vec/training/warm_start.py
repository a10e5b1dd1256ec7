"""Starting from vectors that were trained before, on other sentences of mostly the same items."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes, Floats, Mask
from item2vec.config import NextItem, TrainConfig
from item2vec.errors import ConfigError, InputTypeError
from item2vec.interactions import read_only
from item2vec.training.corpus import Corpus
from item2vec.training.epochs import Trainer
from item2vec.vectors import ItemVectors

__all__ = ["begin", "check_start"]


REACH = 3
"""How many places around an item its neighbours stand."""


def check_start(start: object, config: TrainConfig) -> None:
    """Refuse vectors that training with these settings cannot go on from.

    Raises
    ------
    InputTypeError
        If they are no ``ItemVectors``.
    ConfigError
        If they have another size, were trained for another objective, or are cut into other parts.
    """
    if not isinstance(start, ItemVectors):
        raise InputTypeError(
            f"start is {type(start).__name__}; expected ItemVectors, such as item2vec.load(path).vectors"
        )
    size = start.input.shape[1]
    if size != config.vector_size:
        raise ConfigError(
            f"start has vectors of {size} numbers; expected vector_size={config.vector_size}; set "
            f"vector_size={size}, or train without start"
        )
    if start.config is None:
        return
    if start.config.objective != config.objective:
        raise ConfigError(
            f"start was trained with objective={start.config.objective!r}; expected {config.objective!r}, "
            "because what a vector says depends on it; set the same objective, or train without start"
        )
    if not isinstance(config, NextItem) or not isinstance(start.config, NextItem):
        return
    if len(start.config.context_decay) != len(config.context_decay):
        raise ConfigError(
            f"start was trained with context_decay={start.config.context_decay}; expected "
            f"{len(config.context_decay)} parts, as in {config.context_decay}; set the same context_decay, "
            "or train without start"
        )
    for name in ("similarity", "tied"):
        theirs, ours = getattr(start.config, name), getattr(config, name)
        if theirs != ours:
            raise ConfigError(
                f"start was trained with {name}={theirs!r}; expected {ours!r}; set the same {name}, or train "
                "without start"
            )


def begin(trainer: Trainer, corpus: Corpus, config: TrainConfig, start: ItemVectors) -> Mask:
    """Write what ``start`` knows into the trainer's matrices; return which rows begin at something learned.

    An item of which a matrix of ``start`` has no vector begins at the mean of the items within three places
    of it that have one; where there are none, as the trainer made it, or with an input vector of zero if its
    output vector begins at something learned.

    Whatever else a trainer keeps is as if nothing had been trained. So are the sums of squares of
    next_item's Adagrad, which lets rows move as far as at first: with sums estimated by an epoch without a
    step, what is new tonight is learned too slowly.
    """
    row_of: Codes = start.vocabulary.encode(corpus.vocabulary.ids)
    begun = _begin_matrix(trainer.input, start.input, row_of, corpus, config)
    if trainer.output is None or start.output is None:
        return begun
    only_output = _begin_matrix(trainer.output, start.output, row_of, corpus, config) & ~begun
    trainer.input[only_output] = 0
    return begun | only_output


def _begin_matrix(matrix: Floats, rows: Floats, row_of: Codes, corpus: Corpus, config: TrainConfig) -> Mask:
    """Write the known rows, and for other items the means near them; return which rows were written."""
    learned = np.append(rows.any(axis=1), False)  # an item that start does not know has row -1, the last one
    row_of = np.where(learned[row_of], row_of, np.int32(-1))
    known = row_of >= 0
    matrix[known] = rows[row_of[known]]
    means, near = _means_near(corpus, row_of, rows, config)
    matrix[near] = means
    return known | near


def _means_near(corpus: Corpus, row_of: Codes, rows: Floats, config: TrainConfig) -> tuple[Floats, Mask]:
    """Return the mean of the rows of the known items near each unknown one, and which items have one."""
    from item2vec.kernels.neighbours import add_near  # compiled loops are not for those who only load a model

    unknown = row_of < 0
    place_of = np.where(unknown, np.cumsum(unknown) - 1, -1).astype(np.int32)
    sums = np.zeros((np.count_nonzero(unknown), rows.shape[1]), np.float32)
    reach = REACH if config.window == "full" else min(REACH, config.window)
    tokens, offsets = read_only(corpus.tokens, np.int32), read_only(corpus.offsets, np.int64)
    n_added = add_near(tokens, offsets, row_of, place_of, read_only(rows, np.float32), sums, reach)
    found = n_added > 0
    near = unknown.copy()
    near[unknown] = found
    means: Floats = np.divide(sums[found], n_added[found, None].astype(np.float32))
    return means, near
