"""One step of next_item: a block of predictions against negatives that all of them share.

For a token x_t, the taste is the weighted mean of the ``window`` items before it,

    h = Σ_j s_j W[x_{t-j}],   s_j = exp(θ_j) m_j / Σ_i exp(θ_i) m_i,

where m_j is 0 if dropout drops the item. The weights exp(θ_j) of the positions are fixed, such as
decay ** (j - 1), or learned. The logit of item i is cos(h, C_i) / temperature (``unit``), or h · C_i. A
*tied* part has one matrix in both roles, C = W.

The loss is sampled softmax (Jean et al., ACL 2015) over x_t and negatives drawn with probability q; negatives
equal to x_t are left out. With inner products, every logit is corrected by - log(n q_x). With cosines, only
those of the negatives are: the target occurs once whatever its q, so that its logit needs no correction.

Gradients pass through both norms. For a unit vector ĉ = C / |C|, dC = (dĉ - ĉ (ĉ · dĉ)) / |C|; the same holds
for h. Further, dW_j = s_j dh and dθ_j = s_j (W_j - h) · dh. All gradients of a block are those at its start.
Rows learn by Adagrad with one accumulator a row (Duchi et al., JMLR 2011), positions by plain Adagrad; rows
that learn shrink by ``weight_decay``.

Since the negatives are shared, scores and gradients are three products of small matrices, which are laid out
so that LLVM turns them into vector instructions. Every draw is a hash of the seed, the block and a counter
(splitmix64), so that threads do not change it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Words
from item2vec.kernels.alias import drawn_item
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
"""Predictions in a block."""

_TINY = np.float32(1e-10)


class Part(NamedTuple):
    """One part of the vectors: both matrices (n items × parts × dimensions) and its place in them.

    ``input_squares`` and ``output_squares`` (n items) are Adagrad's accumulators. In a tied part, ``output``
    is ``input`` and both accumulators are the same array. ``positions`` holds θ, the logarithm of the weight
    of each step back, the last item's first; ``position_squares`` its accumulators.
    """

    number: int
    input: Floats
    output: Floats
    input_squares: Floats
    output_squares: Floats
    positions: Floats
    position_squares: Floats


class Draws(NamedTuple):
    """How negatives are drawn: an alias table, and log(n q_x) by item; without a table, all are taken."""

    table: Words
    log_expected: Floats
    negative: int


class Rules(NamedTuple):
    """The settings of a step.

    ``unit`` compares by cosine, ``scale`` (1 / temperature) multiplies the cosines, and ``position_rate`` is
    the learning rate of the positions; 0 keeps them.
    """

    dropout: float
    weight_decay: float
    unit: bool
    scale: float
    position_rate: float


class _Memory(NamedTuple):
    """Working memory of a block, allocated once."""

    weights: Floats  # of each step back, window
    share: Floats  # of each item before, block × window
    taste: Floats  # block × dimensions; unit vectors times the scale, or plain means
    lengths: Floats  # of the means
    error: Floats  # the gradient of the tastes, block × dimensions
    targets: Floats  # output rows of the targets, block × dimensions; then the direction of their gradient
    target_lengths: Floats
    negatives: Codes
    rows: Floats  # output rows of the negatives, negatives × dimensions
    row_lengths: Floats
    columns: Floats  # the same rows, dimensions × negatives
    change: Floats  # the gradient of the negatives, negatives × dimensions
    scores: Floats  # block × negatives; then the probability of each negative
    missing: Floats  # probability of each target, less 1
    powers: Codes  # powers of two as the bits of a float32


@compiled
def train_blocks(
    part: Part,
    draws: Draws,
    rules: Rules,
    tokens: Codes,
    before: Codes,
    order: Codes,
    first: int,
    last: int,
    seed: np.uint64,
    alpha: float,
    fall: float,
) -> float:
    """Train the blocks from first to last of those that ``order`` is cut into; return the sum of the losses.

    ``order`` holds the places of the tokens to predict, ``before`` how many items of its sentence stand
    before each token. The learning rate is ``alpha`` less ``fall`` for each block before.
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
    )
    loss = 0.0
    for block in range(first, last):
        places = order[block * BLOCK : (block + 1) * BLOCK]
        key = mix(seed + GOLDEN * np.uint64(block + 1))
        rate = np.float32(alpha - fall * block)
        loss += _train_block(part, draws, rules, memory, tokens, before, places, key, rate)
    return loss


@inlined
def _train_block(
    part: Part,
    draws: Draws,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    before: Codes,
    places: Codes,
    key: np.uint64,
    rate: np.float32,
) -> float:
    n = len(places)
    taste, error, scores = memory.taste[:n], memory.error[:n], memory.scores[:n]
    _read_tastes(part, rules, memory, tokens, before, places, key)
    _read_outputs(part, draws, rules, memory, tokens, places, key)
    product(taste, memory.columns, scores)
    loss = 0.0
    for i in range(n):
        loss += _predict(draws, rules, memory, i, tokens[places[i]])
    product(scores, memory.rows, error)
    product(scores.T, taste, memory.change)
    for i in range(n):
        add(error[i], memory.targets[i], memory.missing[i])
    if rules.unit:
        _pass_norms(draws, rules, memory, n)
    if rules.position_rate > 0:
        _learn_positions(part, rules, memory, tokens, before, places)
    _learn_rows(part, draws, rules, memory, tokens, before, places, rate)
    return loss


@inlined
def _read_tastes(
    part: Part,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    before: Codes,
    places: Codes,
    key: np.uint64,
) -> None:
    """Write the taste before each place, and the share of each item in it."""
    dropped = np.uint64(rules.dropout * 2.0**32)
    weights = memory.weights
    for j in range(len(weights)):
        weights[j] = np.exp(part.positions[j])
    for i in range(len(places)):
        share, taste = memory.share[i], memory.taste[i]
        n = min(before[places[i]], len(weights))
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
                add(taste, part.input[tokens[places[i] - 1 - j], part.number], share[j])
        if rules.unit:
            memory.lengths[i] = to_length(taste, np.float32(rules.scale))


@inlined
def _read_outputs(
    part: Part, draws: Draws, rules: Rules, memory: _Memory, tokens: Codes, places: Codes, key: np.uint64
) -> None:
    """Draw the negatives, and copy their output rows and those of the targets, of length 1 if ``unit``.

    Without an alias table, the negatives are all items.
    """
    for k in range(draws.negative):
        if len(draws.table) > 0:
            bits = mix(key - GOLDEN * np.uint64(k + 1))
            memory.negatives[k] = np.int32(drawn_item(draws.table, len(draws.table), bits))
        memory.rows[k] = part.output[memory.negatives[k], part.number]
        if rules.unit:
            memory.row_lengths[k] = to_length(memory.rows[k], np.float32(1))
    for start in range(0, draws.negative, 16):  # a cache line of a column at a time
        end = min(start + 16, draws.negative)
        for d in range(memory.rows.shape[1]):
            for k in range(start, end):
                memory.columns[d, k] = memory.rows[k, d]
    for i in range(len(places)):
        memory.targets[i] = part.output[tokens[places[i]], part.number]
        if rules.unit:
            memory.target_lengths[i] = to_length(memory.targets[i], np.float32(1))


@vectorised
def _predict(draws: Draws, rules: Rules, memory: _Memory, i: int, target: int) -> float:
    """Replace scores by probabilities, write that of the target less 1, and return the loss.

    The target's row becomes the direction of its gradient, which ``missing`` multiplies in ``_learn_rows``.
    """
    scores, taste, row = memory.scores[i], memory.taste[i], memory.targets[i]
    logit = np.float32(0)
    for d in range(len(taste)):
        logit += taste[d] * row[d]
    if not rules.unit:
        logit -= draws.log_expected[target]
    highest = logit
    for k in range(draws.negative):
        scores[k] -= draws.log_expected[memory.negatives[k]]
        highest = max(highest, scores[k])
    total = exponentials(scores, memory.negatives, target, highest, memory.powers)
    chance = np.exp(logit - highest)
    total += chance
    for k in range(draws.negative):
        scores[k] /= total
    memory.missing[i] = chance / total - np.float32(1)
    return float(np.log(total) - (logit - highest))


@inlined
def _pass_norms(draws: Draws, rules: Rules, memory: _Memory, n: int) -> None:
    """Turn gradients by unit vectors into gradients by the vectors, up to the factor 1 / length."""
    scale = np.float32(rules.scale)
    for k in range(draws.negative):
        project(memory.change[k], memory.rows[k], np.float32(1))
    for i in range(n):
        taste, error, target = memory.taste[i], memory.error[i], memory.targets[i]
        project(error, taste, scale * scale)
        for d in range(len(error)):
            error[d] *= scale / memory.lengths[i]
        logit = dot(taste, target)
        for d in range(len(target)):
            target[d] = taste[d] - logit * target[d]


@inlined
def _learn_positions(
    part: Part, rules: Rules, memory: _Memory, tokens: Codes, before: Codes, places: Codes
) -> None:
    """Take an Adagrad step of the positions; ``weights`` is used for their gradient."""
    gradient, rate = memory.weights, np.float32(rules.position_rate)
    gradient[:] = 0
    for i in range(len(places)):
        error = memory.error[i]
        mean = np.float32(0) if rules.unit else dot(memory.taste[i], error)  # h · dh is 0 for a unit vector
        for j in range(min(before[places[i]], len(gradient))):
            share = memory.share[i, j]
            if share > 0:
                row = part.input[tokens[places[i] - 1 - j], part.number]
                gradient[j] += share * (dot(row, error) - mean)
    for j in range(len(gradient)):
        part.position_squares[j] += gradient[j] * gradient[j]
        part.positions[j] -= rate * gradient[j] / np.sqrt(part.position_squares[j] + _TINY)


@inlined
def _learn_rows(
    part: Part,
    draws: Draws,
    rules: Rules,
    memory: _Memory,
    tokens: Codes,
    before: Codes,
    places: Codes,
    rate: np.float32,
) -> None:
    """Take the Adagrad steps of the negatives, the targets, and the items before them."""
    input_, output, one = part.input, part.output, np.float32(1)
    shrink = rate * np.float32(rules.weight_decay)
    for k in range(draws.negative):
        row, change = memory.negatives[k], memory.change[k]
        square, factor = mean_square(change), one / memory.row_lengths[k]
        _learn(output[row, part.number], part.output_squares, row, change, square, factor, rate, shrink)
    for i in range(len(places)):
        row, change = tokens[places[i]], memory.targets[i] if rules.unit else memory.taste[i]
        square, factor = mean_square(change), memory.missing[i] / memory.target_lengths[i]
        _learn(output[row, part.number], part.output_squares, row, change, square, factor, rate, shrink)
    for i in range(len(places)):
        error, square = memory.error[i], mean_square(memory.error[i])
        for j in range(min(before[places[i]], len(part.positions))):
            row, share = tokens[places[i] - 1 - j], memory.share[i, j]
            _learn(input_[row, part.number], part.input_squares, row, error, square, share, rate, shrink)


@vectorised
def _learn(
    learned: Floats,
    squares: Floats,
    row: int,
    gradient: Floats,
    square: np.float32,
    factor: np.float32,
    rate: np.float32,
    shrink: np.float32,
) -> None:
    """Take a row's Adagrad step against ``factor`` times a gradient of mean square ``square``."""
    if square * factor == 0:
        return
    squares[row] += square * factor * factor
    step = rate * factor / np.sqrt(squares[row] + _TINY)
    for d in range(len(learned)):
        learned[d] = learned[d] * (np.float32(1) - shrink) - step * gradient[d]
