"""One training step of next_item: a block of predictions with shared negatives.

The step of one prediction in NumPy is as follows. ``W`` and ``C`` are the input and output matrices (the same
matrix in a *tied* part), ``items`` the last ``window`` items before the target, newest first, and ``kept``
their dropout mask::

    share = np.exp(theta[: len(items)]) * kept            # theta: log weight of each position, newest first
    share /= share.sum()                                  # all shares stay 0 if no item is kept
    mean = share @ W[items]
    candidates = [target, *negatives]                     # without negatives equal to the target
    correction = np.log(n * q[candidates])                # n negatives, item x drawn with probability q[x]
    h, c = mean, C[candidates]
    if cosine:
        h, c = scale * mean / norm(mean), c / norm(c)     # scale is 1 / temperature
        correction[0] = 0
    logits = c @ h - correction

    p = softmax(logits)                                   # sampled softmax (Jean et al., ACL 2015)
    loss = -np.log(p[0])
    g = p - [1, 0, 0, ...]
    dmean, dC = g @ c, np.outer(g, h)
    if cosine:                                            # u is a row's direction: u = row / norm(row)
        dmean = scale * (dmean - u * (u @ dmean)) / norm(mean)
        dC = (dC - u * (u @ dC)) / norm(C)                # per row
    dW[items] = np.outer(share, dmean)
    dtheta = share * ((W[items] - mean) @ dmean)

    squares[row] += np.mean(gradient**2)                  # Adagrad (Duchi et al., JMLR 2011), a sum per row
    matrix[row] *= 1 - rate * weight_decay                # only rows with a gradient other than 0
    matrix[row] -= rate * gradient / np.sqrt(squares[row] + 1e-10)

All gradients of a block are computed from the matrices at its start. Gradients of negatives and of theta are
summed over the block; targets and history items are updated once per occurrence. With cosines, the target's
logit is not corrected, because the target is always a candidate, independently of its q.

Because negatives are shared, scores and gradients are three products of small matrices, which LLVM
vectorises. Each random number is a hash of the seed, the block and a counter (splitmix64), and therefore does
not depend on threads. ``tests/test_kernels_next_item.py`` compares these loops with the same step in NumPy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Words
from item2vec.kernels.alias import drawn_item
from item2vec.kernels.attributes import (
    TINY,
    Attributes,
    Gradients,
    add_gradient,
    add_row,
    dot_row,
    has_own,
    learn,
    learn_attributes,
    no_gradients,
    read_row,
)
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.dense import (
    add,
    dot,
    exponentials,
    mean_square,
    product,
    project,
    to_length,
    vectorised,
)
from item2vec.kernels.random import GOLDEN, HALF, mix

__all__ = ["BLOCK", "Draws", "Part", "Rules", "train_blocks"]


BLOCK = 256
"""Number of predictions per block."""


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
    ``log_expected`` is log(n q) per item, as in the module's docstring. If the table is empty, all items are
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


class _Memory(NamedTuple):
    """Working memory of a block, allocated once."""

    weights: Floats  # weight of each position before the target (window); later the gradient of theta
    share: Floats  # weight of each history item in its taste, block × window
    taste: Floats  # block × dimensions; for cosines, of norm ``scale``
    lengths: Floats  # norms of the means
    taste_gradient: Floats  # block × dimensions
    targets: Floats  # output rows of the targets, block × dimensions; later gradients (see ``_pass_norms``)
    target_lengths: Floats
    negatives: Codes
    rows: Floats  # output rows of the negatives, negatives × dimensions
    row_lengths: Floats
    columns: Floats  # ``rows``, transposed
    row_gradient: Floats  # negatives × dimensions
    scores: Floats  # block × negatives; later the probability of each negative
    slopes: Floats  # derivative of the loss by each target's logit: probability - 1
    powers: Codes  # powers of two, as the bits of a float32
    gradients: Gradients


@compiled
def train_blocks(
    part: Part,
    draws: Draws,
    rules: Rules,
    tokens: Codes,
    n_before: Codes,
    order: Codes,
    first: int,
    last: int,
    seed: np.uint64,
    alpha: float,
    alpha_step: float,
    losses: Doubles,
) -> None:
    """Train on the blocks ``first`` to ``last`` (exclusive) of ``order``.

    ``order`` holds the indices of the tokens to predict. ``n_before`` holds the history length of each token:
    its history consists of that many tokens directly before it. At most as many tokens as the window are
    used. The learning rate of block b is ``alpha - alpha_step * b``. The sum of the losses of block b is
    written to ``losses[b]``.
    """
    size, n, window = part.input.shape[2], draws.negative, len(part.positions)
    memory = _Memory(
        np.empty(window, np.float32),
        np.empty((BLOCK, window), np.float32),
        np.empty((BLOCK, size), np.float32),
        np.ones(BLOCK, np.float32),
        np.empty((BLOCK, size), np.float32),
        np.empty((BLOCK, size), np.float32),
        np.ones(BLOCK, np.float32),
        np.arange(n, dtype=np.int32),
        np.empty((n, size), np.float32),
        np.ones(n, np.float32),
        np.empty((size, n), np.float32),
        np.empty((n, size), np.float32),
        np.empty((BLOCK, n), np.float32),
        np.empty(BLOCK, np.float32),
        np.empty(n, np.int32),
        no_gradients(part.attributes),
    )
    for block in range(first, last):
        indices = order[block * BLOCK : (block + 1) * BLOCK]
        key = mix(seed + GOLDEN * np.uint64(block + 1))
        rate = np.float32(alpha - alpha_step * block)
        losses[block] = _train_block(part, draws, rules, memory, tokens, n_before, indices, key, rate)


@inlined
def _train_block(
    part: Part,
    draws: Draws,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    n_before: Codes,
    indices: Codes,
    key: np.uint64,
    rate: np.float32,
) -> float:
    n = len(indices)
    taste, taste_gradient = memory.taste[:n], memory.taste_gradient[:n]
    scores = memory.scores[:n]
    _read_tastes(part, rules, memory, tokens, n_before, indices, key)
    _read_outputs(part, draws, rules, memory, tokens, indices, key)
    product(taste, memory.columns, scores)
    loss = 0.0
    for i in range(n):
        loss += _predict(draws, rules, memory, i, tokens[indices[i]])
    product(scores, memory.rows, taste_gradient)
    product(scores.T, taste, memory.row_gradient)
    for i in range(n):
        add(taste_gradient[i], memory.targets[i], memory.slopes[i])
    if rules.cosine:
        _pass_norms(draws, rules, memory, n)
    if rules.position_rate > 0:
        _learn_positions(part, rules, memory, tokens, n_before, indices, key)
    _learn_rows(part, draws, rules, memory, tokens, n_before, indices, key, rate)
    return loss


@inlined
def _read_tastes(
    part: Part,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    n_before: Codes,
    indices: Codes,
    key: np.uint64,
) -> None:
    """Compute the taste of each history, and the weight of each history item in its taste."""
    dropped = np.uint64(rules.dropout * 2.0**32)
    weights, shared = memory.weights, part.attributes
    for j in range(len(weights)):
        weights[j] = np.exp(part.positions[j])
    for i in range(len(indices)):
        share, taste = memory.share[i], memory.taste[i]
        n = min(n_before[indices[i]], len(weights))
        state = mix(key + GOLDEN * np.uint64(i + 1))
        total = np.float32(0)
        for j in range(n):
            state += GOLDEN
            share[j] = weights[j] if (mix(state) >> HALF) >= dropped else np.float32(0)
            total += share[j]
        taste[:] = 0
        for j in range(n):
            if share[j] > 0:
                share[j] /= total
                item = tokens[indices[i] - 1 - j]
                add_row(taste, share[j], part.input, shared.input, shared, part.number, item, key)
        if rules.cosine:
            memory.lengths[i] = to_length(taste, np.float32(rules.scale))


@inlined
def _read_outputs(
    part: Part, draws: Draws, rules: Rules, memory: _Memory, tokens: Codes, indices: Codes, key: np.uint64
) -> None:
    """Draw the negatives; copy the output rows of negatives and targets, scaled to length 1 for cosines."""
    output, shared, number = part.output, part.attributes, part.number
    for k in range(draws.negative):
        if len(draws.table) > 0:
            bits = mix(key - GOLDEN * np.uint64(k + 1))
            memory.negatives[k] = np.int32(drawn_item(draws.table, len(draws.table), bits))
        read_row(memory.rows[k], output, shared.output, shared, number, memory.negatives[k], key)
        if rules.cosine:
            memory.row_lengths[k] = to_length(memory.rows[k], np.float32(1))
    for start in range(0, draws.negative, 16):  # transposes 16 rows at a time: one cache line per column
        end = min(start + 16, draws.negative)
        for d in range(memory.rows.shape[1]):
            for k in range(start, end):
                memory.columns[d, k] = memory.rows[k, d]
    for i in range(len(indices)):
        read_row(memory.targets[i], output, shared.output, shared, number, tokens[indices[i]], key)
        if rules.cosine:
            memory.target_lengths[i] = to_length(memory.targets[i], np.float32(1))


@vectorised
def _predict(draws: Draws, rules: Rules, memory: _Memory, i: int, target: int) -> float:
    """Replace scores by probabilities of negatives, store the slope of the target, and return the loss."""
    scores, taste, row = memory.scores[i], memory.taste[i], memory.targets[i]
    logit = np.float32(0)
    for d in range(len(taste)):
        logit += taste[d] * row[d]
    if not rules.cosine:
        logit -= draws.log_expected[target]
    highest = logit
    for k in range(draws.negative):
        scores[k] -= draws.log_expected[memory.negatives[k]]
        highest = max(highest, scores[k])
    total = exponentials(scores, memory.negatives, target, highest, memory.powers)
    power = np.exp(logit - highest)
    total += power
    for k in range(draws.negative):
        scores[k] /= total
    memory.slopes[i] = power / total - np.float32(1)
    return float(np.log(total) - (logit - highest))


@inlined
def _pass_norms(draws: Draws, rules: Rules, memory: _Memory, n: int) -> None:
    """Convert gradients with respect to normalised vectors into gradients with respect to the originals.

    The gradients of the tastes (``taste_gradient``) are converted completely. The gradients of the negatives
    (``row_gradient``) still have to be divided by the norms of their output rows. So do those of the targets,
    which overwrite ``memory.targets``, and lack the factor ``slopes``. ``_learn_rows`` does both.
    """
    scale = np.float32(rules.scale)
    for k in range(draws.negative):
        project(memory.row_gradient[k], memory.rows[k], np.float32(1))
    for i in range(n):
        taste, gradient, target = memory.taste[i], memory.taste_gradient[i], memory.targets[i]
        project(gradient, taste, scale * scale)
        for d in range(len(gradient)):
            gradient[d] *= scale / memory.lengths[i]
        logit = dot(taste, target)
        for d in range(len(target)):
            target[d] = taste[d] - logit * target[d]


@inlined
def _learn_positions(
    part: Part,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    n_before: Codes,
    indices: Codes,
    key: np.uint64,
) -> None:
    """Take an Adagrad step of theta. ``memory.weights`` is reused for the gradient of theta."""
    shared, gradient, rate = part.attributes, memory.weights, np.float32(rules.position_rate)
    gradient[:] = 0
    for i in range(len(indices)):
        taste_gradient = memory.taste_gradient[i]
        # for cosines, mean @ dmean is 0
        mean = np.float32(0) if rules.cosine else dot(memory.taste[i], taste_gradient)
        for j in range(min(n_before[indices[i]], len(gradient))):
            share = memory.share[i, j]
            if share > 0:
                item = tokens[indices[i] - 1 - j]
                along = dot_row(taste_gradient, part.input, shared.input, shared, part.number, item, key)
                gradient[j] += share * (along - mean)
    for j in range(len(gradient)):
        part.position_squares[j] += gradient[j] * gradient[j]
        part.positions[j] -= rate * gradient[j] / np.sqrt(part.position_squares[j] + TINY)


@inlined
def _learn_rows(
    part: Part,
    draws: Draws,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    n_before: Codes,
    indices: Codes,
    key: np.uint64,
    rate: np.float32,
) -> None:
    """Take one Adagrad step for each negative, each target and each history item."""
    shared, gradients = part.attributes, memory.gradients
    shrink = rate * np.float32(rules.weight_decay)
    for k in range(draws.negative):
        item, gradient = memory.negatives[k], memory.row_gradient[k]
        square, factor = mean_square(gradient), np.float32(1) / memory.row_lengths[k]
        if has_own(shared, item, key):
            row = part.output[item, part.number]
            learn(row, part.output_squares, item, gradient, square, factor, rate, shrink)
        add_gradient(gradients, shared, item, gradient, factor)
    for i in range(len(indices)):
        item, gradient = tokens[indices[i]], memory.targets[i] if rules.cosine else memory.taste[i]
        square, factor = mean_square(gradient), memory.slopes[i] / memory.target_lengths[i]
        if has_own(shared, item, key):
            row = part.output[item, part.number]
            learn(row, part.output_squares, item, gradient, square, factor, rate, shrink)
        add_gradient(gradients, shared, item, gradient, factor)
    learn_attributes(shared.output, shared.output_squares, part.number, gradients, rate, shrink)
    for i in range(len(indices)):
        gradient, square = memory.taste_gradient[i], mean_square(memory.taste_gradient[i])
        for j in range(min(n_before[indices[i]], len(part.positions))):
            item, share = tokens[indices[i] - 1 - j], memory.share[i, j]
            if share > 0:
                if has_own(shared, item, key):
                    row = part.input[item, part.number]
                    learn(row, part.input_squares, item, gradient, square, share, rate, shrink)
                add_gradient(gradients, shared, item, gradient, share)
    learn_attributes(shared.input, shared.input_squares, part.number, gradients, rate, shrink)
