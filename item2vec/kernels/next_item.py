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
summed over the block. Targets are updated once per occurrence. Gradients of a history item are summed over a
*run*, which is a sequence of successive targets of a sentence (``kernels.histories``). With cosines, the
target's logit is not corrected, because the target is always a candidate, independently of its q.

Because negatives are shared, scores and gradients are three products of small matrices. Each random number
is a hash of the seed, the block and a counter (splitmix64), and therefore does not depend on threads.
``tests/test_kernels_next_item.py`` compares these loops with the same step in NumPy.
"""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes, Doubles
from item2vec.kernels.alias import drawn_item
from item2vec.kernels.attributes import add_gradient, has_own, learn, learn_attributes, read_row
from item2vec.kernels.blocks import BLOCK, Draws, Memory, Part, Rules, memory_of
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.dense import (
    add,
    dot,
    exponentials,
    maximum,
    mean_square,
    product,
    project,
    to_length,
    vectorised,
)
from item2vec.kernels.histories import learn_histories, learn_positions, read_tastes
from item2vec.kernels.random import GOLDEN, mix

__all__ = ["train_blocks"]


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
    memory = memory_of(part, draws)
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
    memory: Memory,
    tokens: Codes,
    n_before: Codes,
    indices: Codes,
    key: np.uint64,
    rate: np.float32,
) -> float:
    n = len(indices)
    taste, taste_gradient = memory.taste[:n], memory.taste_gradient[:n]
    scores = memory.scores[:n]
    read_tastes(part, rules, memory, tokens, n_before, indices, key)
    _read_outputs(part, draws, rules, memory, tokens, indices, key)
    product(taste, memory.columns, memory.panel, scores)
    loss = 0.0
    for i in range(n):
        loss += _predict(draws, rules, memory, i, tokens[indices[i]])
    product(scores, memory.rows, memory.panel, taste_gradient)
    product(scores.T, taste, memory.panel, memory.row_gradient)
    for i in range(n):
        add(taste_gradient[i], memory.targets[i], memory.slopes[i])
    if rules.cosine:
        _pass_norms(draws, rules, memory, n)
    if rules.position_rate > 0:
        learn_positions(part, rules, memory, tokens, n_before, indices, key)
    _learn_outputs(part, draws, rules, memory, tokens, indices, key, rate)
    learn_histories(part, rules, memory, tokens, n_before, indices, key, rate)
    return loss


@inlined
def _read_outputs(
    part: Part, draws: Draws, rules: Rules, memory: Memory, tokens: Codes, indices: Codes, key: np.uint64
) -> None:
    """Draw the negatives; copy the output rows of negatives and targets, scaled to length 1 for cosines."""
    output, shared, number = part.output, part.attributes, part.number
    for k in range(draws.negative):
        if len(draws.table) > 0:
            bits = mix(key - GOLDEN * np.uint64(k + 1))
            memory.negatives[k] = np.int32(drawn_item(draws.table, len(draws.table), bits))
            memory.log_expected[k] = draws.log_expected[memory.negatives[k]]
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
def _predict(draws: Draws, rules: Rules, memory: Memory, i: int, target: int) -> float:
    """Replace scores by probabilities of negatives, store the slope of the target, and return the loss."""
    scores, taste, row = memory.scores[i], memory.taste[i], memory.targets[i]
    logit = np.float32(0)
    for d in range(len(taste)):
        logit += taste[d] * row[d]
    if not rules.cosine:
        logit -= draws.log_expected[target]
    for k in range(draws.negative):
        scores[k] -= memory.log_expected[k]
    highest = maximum(scores, memory.maxima, logit)
    total = exponentials(scores, memory.negatives, target, highest, memory.powers)
    power = np.exp(logit - highest)
    total += power
    for k in range(draws.negative):
        scores[k] /= total
    memory.slopes[i] = power / total - np.float32(1)
    return float(np.log(total) - (logit - highest))


@inlined
def _pass_norms(draws: Draws, rules: Rules, memory: Memory, n: int) -> None:
    """Convert gradients with respect to normalised vectors into gradients with respect to the originals.

    The gradients of the tastes (``taste_gradient``) are converted completely. The gradients of the negatives
    (``row_gradient``) still have to be divided by the norms of their output rows. So do those of the targets,
    which overwrite ``memory.targets``, and lack the factor ``slopes``. ``_learn_outputs`` does both.
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
def _learn_outputs(
    part: Part,
    draws: Draws,
    rules: Rules,
    memory: Memory,
    tokens: Codes,
    indices: Codes,
    key: np.uint64,
    rate: np.float32,
) -> None:
    """Take one Adagrad step for each negative and for each target."""
    shared, gradients = part.attributes, memory.gradients
    shrink = rate * np.float32(rules.weight_decay)
    for k in range(draws.negative):
        item, gradient = memory.negatives[k], memory.row_gradient[k]
        square, factor = mean_square(gradient), np.float32(1) / memory.row_lengths[k]
        row, kept = part.output[item, part.number], np.float32(has_own(shared, item, key))
        learn(row, part.output_squares, item, gradient, square, kept * factor, rate, shrink)
        add_gradient(gradients, shared, item, gradient, factor)
    for i in range(len(indices)):
        item, gradient = tokens[indices[i]], memory.targets[i] if rules.cosine else memory.taste[i]
        square, factor = mean_square(gradient), memory.slopes[i] / memory.target_lengths[i]
        row, kept = part.output[item, part.number], np.float32(has_own(shared, item, key))
        learn(row, part.output_squares, item, gradient, square, kept * factor, rate, shrink)
        add_gradient(gradients, shared, item, gradient, factor)
    learn_attributes(shared.output, shared.output_squares, part.number, gradients, rate, shrink)
