"""Types of the loops of next_item: a part of the vectors, the draws, the rules, and working memory."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Words
from item2vec.kernels.attributes import Attributes, Gradients, no_gradients
from item2vec.kernels.compiled import inlined
from item2vec.kernels.dense import COLUMNS
from item2vec.kernels.lanes import LANES

__all__ = ["BLOCK", "RUN", "Draws", "Memory", "Part", "Rules", "memory_of"]


BLOCK = 256
"""Number of predictions per block."""

RUN = 8
"""Maximum number of predictions per run: successive targets of one sentence, whose histories overlap."""


class Part(NamedTuple):
    """One part of the vectors: part ``number`` of ``input`` and ``output`` (n items × parts × dimensions).

    ``input_squares`` and ``output_squares`` (n items) are Adagrad's accumulators. In a tied part, ``output``
    is ``input`` and both accumulators are the same array. ``positions`` holds theta: for each position before
    the target, newest first, the logarithm of the position's weight. ``position_squares`` holds the
    accumulators of theta. A row of ``input`` or ``output`` is an item's own vector; the vectors of the item's
    ``attributes`` are added to this vector.
    """

    number: int
    input: Floats
    output: Floats
    input_squares: Floats
    output_squares: Floats
    positions: Floats
    position_squares: Floats
    attributes: Attributes


class Draws(NamedTuple):
    """The distribution of negatives.

    ``negative`` is the number n of negatives that are drawn per block, and ``table`` is the alias table.
    ``log_expected`` is log(n q) per item, see ``kernels.next_item``. If the table is empty, all items are
    negatives, and ``log_expected`` is 0.
    """

    table: Words
    log_expected: Floats
    negative: int


class Rules(NamedTuple):
    """Hyperparameters of a training step.

    ``cosine`` selects cosines instead of inner products, and ``scale`` (1 / temperature) multiplies the
    cosines. ``dropout`` is the probability that a history item of a prediction is left out. ``position_rate``
    is the learning rate of theta; with 0, theta is not trained.
    """

    dropout: float
    weight_decay: float
    cosine: bool
    scale: float
    position_rate: float


class Memory(NamedTuple):
    """Working memory of a block, allocated once."""

    weights: Floats  # weight of each position before the target (window); later the gradient of theta
    share: Floats  # weight of each token of a run in the taste of each target, block × (window + run)
    history: Floats  # rows of the tokens of a run, (window + run) × dimensions; later their gradients
    taste: Floats  # block × dimensions; for cosines, of norm ``scale``
    lengths: Floats  # norms of the means
    taste_gradient: Floats  # block × dimensions
    targets: Floats  # output rows of the targets, block × dimensions; later gradients (see ``_pass_norms``)
    target_lengths: Floats
    negatives: Codes
    log_expected: Floats  # ``Draws.log_expected`` of each negative
    rows: Floats  # output rows of the negatives, negatives × dimensions
    row_lengths: Floats
    columns: Floats  # ``rows``, transposed
    row_gradient: Floats  # negatives × dimensions
    scores: Floats  # block × negatives; later the probability of each negative
    slopes: Floats  # derivative of the loss by each target's logit: probability - 1
    maxima: Floats  # for ``maximum``
    powers: Codes  # powers of two, as the bits of a float32
    panel: Floats  # columns of a matrix, for ``product``
    gradients: Gradients


@inlined
def memory_of(part: Part, draws: Draws) -> Memory:
    """Return working memory for a part."""
    size, n, window = part.input.shape[2], draws.negative, len(part.positions)
    return Memory(
        np.empty(window, np.float32),
        np.empty((BLOCK, window + RUN), np.float32),
        np.empty((window + RUN, size), np.float32),
        np.empty((BLOCK, size), np.float32),
        np.ones(BLOCK, np.float32),
        np.empty((BLOCK, size), np.float32),
        np.empty((BLOCK, size), np.float32),
        np.ones(BLOCK, np.float32),
        np.arange(n, dtype=np.int32),
        np.zeros(n, np.float32),
        np.empty((n, size), np.float32),
        np.ones(n, np.float32),
        np.empty((size, n), np.float32),
        np.empty((n, size), np.float32),
        np.empty((BLOCK, n), np.float32),
        np.empty(BLOCK, np.float32),
        np.empty(LANES, np.float32),
        np.empty(n, np.int32),
        np.empty((max(BLOCK, n, size, window + RUN), COLUMNS), np.float32),
        no_gradients(part.attributes),
    )
