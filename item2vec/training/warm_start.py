"""Warm start: initialise vectors with the vectors of an earlier training run."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Mask, Rows
from item2vec.config import NextItem, TrainConfig
from item2vec.config.relatives import OneStep
from item2vec.errors import ConfigError, InputTypeError
from item2vec.interactions import read_only
from item2vec.training.corpus import Corpus
from item2vec.training.trainer import Trainer
from item2vec.vectors import ItemVectors

__all__ = ["Frozen", "check_start", "initialise"]


REACH = 3
"""Maximum distance, in positions, between a token of a new item and a known item. The mean of the vectors of
these known items initialises the new item."""


def check_start(start: object, config: TrainConfig) -> None:
    """Check that training with these settings can continue from ``start``.

    If the training settings of ``start`` are unknown, only ``vector_size`` is compared.

    Raises
    ------
    InputTypeError
        If ``start`` is not ``ItemVectors``.
    ConfigError
        If ``vector_size``, objective, number of parts, ``similarity`` or ``tied`` differ, or the objective is
        computed in one step (LSA, and tables of neighbours).
    """
    if not isinstance(start, ItemVectors):
        raise InputTypeError(
            f"start is of type {type(start).__name__}; expected ItemVectors, such as "
            "item2vec.load(path).vectors"
        )
    if isinstance(config, OneStep):
        raise ConfigError(
            f"objective={config.objective!r} is computed in one step, without initial vectors; omit start, "
            "or set another objective"
        )
    size = start.input.shape[1]
    if size != config.vector_size:
        raise ConfigError(
            f"start has vectors of {size} dimensions; expected vector_size={config.vector_size}; set "
            f"vector_size={size}, or train without start"
        )
    if start.config is None:
        return
    if start.config.objective != config.objective:
        raise ConfigError(
            f"start was trained with objective={start.config.objective!r}; expected {config.objective!r}, "
            "because vectors of different objectives are not comparable; set the same objective, or train "
            "without start"
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
        found, expected = getattr(start.config, name), getattr(config, name)
        if found != expected:
            raise ConfigError(
                f"start was trained with {name}={found!r}; expected {expected!r}; set the same {name}, or "
                "train without start"
            )


def check_freeze(start: ItemVectors | None, config: TrainConfig, *, freeze: bool) -> None:
    """Raise ``ConfigError`` if ``freeze`` is set without ``start``, or together with attributes.

    With attributes, known vectors cannot be kept, because the vector of an item contains the vectors of its
    attributes, which training changes.
    """
    if freeze and start is None:
        raise ConfigError("freeze=True without start: no vectors to keep; pass start, or omit freeze")
    if freeze and isinstance(config, NextItem) and config.attributes:
        raise ConfigError(
            f"freeze=True cannot be combined with attributes={list(config.attributes)}: the vector of an "
            "item contains the vectors of its attributes, which training changes; omit freeze or attributes"
        )


class Frozen(NamedTuple):
    """The vectors of known items, which training does not change, and their rows in the trainer's matrices.

    ``input_rows`` and ``input`` are the rows and the vectors of items with an input vector in ``start``;
    ``output_rows`` and ``output`` are the rows and the vectors of items with an output vector in ``start``.
    An input or output vector that is missing in ``start`` is trained.
    """

    input_rows: Rows
    input: Floats
    output_rows: Rows
    output: Floats

    @classmethod
    def of(cls, start: ItemVectors, corpus: Corpus) -> Frozen:
        """Return the rows of the known items of a corpus, and their vectors in ``start``."""
        row_of: Codes = start.vocabulary.encode(corpus.vocabulary.ids)
        output = np.zeros_like(start.input) if start.output is None else start.output
        return cls(*_known_rows(start.input, row_of), *_known_rows(output, row_of))

    def restore(self, trainer: Trainer) -> None:
        """Write the known vectors into the matrices of a trainer."""
        trainer.input[self.input_rows] = self.input
        if trainer.output is not None:
            trainer.output[self.output_rows] = self.output

    def written(self, vectors: ItemVectors) -> ItemVectors:
        """Return ``vectors`` with the known vectors replaced by the vectors of ``start``.

        The known vectors are then equal to those in ``start``, bit for bit. The replacement is necessary,
        because a trainer may have scaled the output vectors.
        """
        input_ = vectors.input.copy()
        input_[self.input_rows] = self.input
        if vectors.output is None:
            return replace(vectors, input=input_)
        output = vectors.output.copy()
        output[self.output_rows] = self.output
        return replace(vectors, input=input_, output=output)


def _known_rows(matrix: Floats, row_of: Codes) -> tuple[Rows, Floats]:
    known = np.flatnonzero(row_of >= 0)
    known = known[matrix[row_of[known]].any(axis=1)]
    return known, matrix[row_of[known]]


def initialise(trainer: Trainer, corpus: Corpus, config: TrainConfig, start: ItemVectors) -> Mask:
    """Write initial vectors into the matrices of a trainer; return the mask of the rows that were written.

    A known item is initialised with its vectors in ``start``. A new item is initialised with the mean vectors
    of the known items within three positions of its tokens (or within ``window`` positions, if ``window`` is
    less than three). If there are no such items, the new item keeps the initial vectors of the trainer. The
    matrices are initialised separately: for each matrix, an item whose vector in ``start`` is zero is new. If
    ``start`` has no output matrix, output vectors do not change. If only the output vector of an item is
    initialised, the input vector of this item is set to zero.

    All other state of the trainer is initialised as in training from scratch, including the Adagrad
    accumulators of next_item. (In an experiment, accumulators were computed in an epoch without updates; new
    items then learned too slowly.)
    """
    row_of: Codes = start.vocabulary.encode(corpus.vocabulary.ids)
    warm = _initialise_matrix(trainer.input, start.input, row_of, corpus, config)
    if trainer.output is None or start.output is None:
        return warm
    only_output = _initialise_matrix(trainer.output, start.output, row_of, corpus, config) & ~warm
    trainer.input[only_output] = 0
    return warm | only_output


def _initialise_matrix(
    matrix: Floats, rows: Floats, row_of: Codes, corpus: Corpus, config: TrainConfig
) -> Mask:
    """Initialise one matrix of a trainer, and return the mask of the rows that were written.

    ``rows`` is the matrix of ``start``, and ``row_of`` holds the row of each item in ``rows``; -1 for a new
    item. An item whose row in ``rows`` is zero counts as new, too. The rows of known items are copied into
    ``matrix``. The row of a new item is set to the mean of the rows of the known items near its tokens.
    """
    has_vector = np.append(rows.any(axis=1), False)  # row_of = -1 selects the appended False
    row_of = np.where(has_vector[row_of], row_of, np.int32(-1))
    known = row_of >= 0
    matrix[known] = rows[row_of[known]]
    means, near = _means_near(corpus, row_of, rows, config)
    matrix[near] = means
    return known | near


def _means_near(corpus: Corpus, row_of: Codes, rows: Floats, config: TrainConfig) -> tuple[Floats, Mask]:
    """Return a pair of arrays: the means of known rows near new items; and the mask of these new items."""
    # Imported here, because only a warm start needs this loop.
    from item2vec.kernels.neighbours import add_near

    new = row_of < 0
    slot_of = np.where(new, np.cumsum(new) - 1, -1).astype(np.int32)
    sums = np.zeros((np.count_nonzero(new), rows.shape[1]), np.float32)
    reach = REACH if config.window == "full" else min(REACH, config.window)
    n_added = np.zeros(len(sums), np.int64)
    for shard in corpus.shards:
        tokens, offsets = read_only(shard.tokens, np.int32), read_only(shard.offsets, np.int64)
        n_added += add_near(tokens, offsets, row_of, slot_of, read_only(rows, np.float32), sums, reach)
    has_near = n_added > 0
    near = new.copy()
    near[new] = has_near
    means: Floats = np.divide(sums[has_near], n_added[has_near, None].astype(np.float32))
    return means, near
