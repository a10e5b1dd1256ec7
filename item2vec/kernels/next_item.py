"""One step of next_item: a block of predictions against negatives that all of them share.

For a token x_t, the taste before it is h = Σ a_j m_j W[x_{t-j}] / Σ a_j m_j over the ``window`` items before,
with a_j = decay ** (j - 1) and m_j = 0 where dropout overlooks the item. The loss is that of a softmax over
x_t and the negatives, of logits h · C[x] - log(n q_x): sampled softmax (Jean et al., ACL 2015; q_x is the
chance of a draw to be x), negatives equal to x_t left out. Rows learn by Adagrad with one accumulator a row
(Duchi et al., JMLR 2011), and shrink by ``weight_decay`` as they do.

Since the negatives are shared, scores and gradients are three products of small matrices, which are laid out
so that LLVM turns them into vector instructions. Every draw is a hash of the seed, the block and a counter
(splitmix64), so that threads do not change it.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from item2vec.kernels.alias import drawn_item
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.random import GOLDEN, HALF, mix

__all__ = ["BLOCK", "Draws", "Part", "Rules", "train_blocks"]

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int32]
Tables = npt.NDArray[np.uint64]

BLOCK = 256
"""Predictions in a block."""

_LEAST = np.float32(-87.0)
_TINY = np.float32(1e-10)

# Inlined, so that there is one version of each in the machine code: sums are reordered in each version in its
# own way, and a process that compiles would link others than one that reads them from the disk.
vectorised = partial(inlined, fastmath={"reassoc", "contract", "nsz", "arcp"})


class Part(NamedTuple):
    """One part of the vectors: both matrices (n items × parts × dimensions) and its place in them.

    ``input_squares`` and ``output_squares`` (n items) are Adagrad's accumulators, ``steps_back`` is the
    weight of the item so many steps before, the last one's first.
    """

    number: int
    input: Floats
    output: Floats
    input_squares: Floats
    output_squares: Floats
    steps_back: Floats


class Draws(NamedTuple):
    """How negatives are drawn: an alias table, and log(n q_x) by item; without a table, all are taken."""

    table: Tables
    log_expected: Floats
    negative: int


class Rules(NamedTuple):
    """What ``TrainConfig`` says of a step."""

    dropout: float
    weight_decay: float


class _Memory(NamedTuple):
    """What a block works with, allocated once."""

    share: Floats  # of each item before, block × window
    taste: Floats  # block × dimensions
    error: Floats  # the tastes' gradient, block × dimensions
    negatives: Codes
    rows: Floats  # the negatives' output rows, negatives × dimensions
    columns: Floats  # the same, dimensions × negatives
    change: Floats  # the negatives' gradient, negatives × dimensions
    scores: Floats  # block × negatives; then each negative's chance
    missing: Floats  # what each target's chance lacks of 1, negative
    powers: npt.NDArray[np.int32]  # powers of two as the bits of a float32


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
    size, n = part.input.shape[2], draws.negative
    memory = _Memory(
        np.empty((BLOCK, len(part.steps_back)), np.float32),
        np.empty((BLOCK, size), np.float32),
        np.empty((BLOCK, size), np.float32),
        np.arange(n, dtype=np.int32),
        np.empty((n, size), np.float32),
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
    input_, output, one = part.input, part.output, np.float32(1)
    taste, error, scores = memory.taste[:n], memory.error[:n], memory.scores[:n]
    _read_tastes(part, memory, tokens, before, places, key, rules.dropout)
    _draw(part, draws, memory, key)
    _product(taste, memory.columns, scores)
    loss = 0.0
    for i in range(n):
        loss += _predict(part, draws, memory, i, tokens[places[i]])
    _product(scores, memory.rows, error)
    _product(scores.T, taste, memory.change)
    for i in range(n):
        _add(error[i], part.output[tokens[places[i]], part.number], memory.missing[i])
    shrink = rate * np.float32(rules.weight_decay)
    for k in range(draws.negative):
        row, change = memory.negatives[k], memory.change[k]
        square = _mean_square(change)
        _learn(output[row, part.number], part.output_squares, row, change, square, one, rate, shrink)
    for i in range(n):
        row, square, missing = tokens[places[i]], _mean_square(taste[i]), memory.missing[i]
        _learn(output[row, part.number], part.output_squares, row, taste[i], square, missing, rate, shrink)
    for i in range(n):
        square = _mean_square(error[i])
        for j in range(min(before[places[i]], len(part.steps_back))):
            row, share = tokens[places[i] - 1 - j], memory.share[i, j]
            _learn(input_[row, part.number], part.input_squares, row, error[i], square, share, rate, shrink)
    return loss


@inlined
def _read_tastes(
    part: Part,
    memory: _Memory,
    tokens: Codes,
    before: Codes,
    places: Codes,
    key: np.uint64,
    dropout: float,
) -> None:
    """Write the taste before each place, and the share of each item in it."""
    overlooked = np.uint64(dropout * 2.0**32)
    for i in range(len(places)):
        share, taste = memory.share[i], memory.taste[i]
        n = min(before[places[i]], len(part.steps_back))
        state = mix(key + GOLDEN * np.uint64(i + 1))
        total = np.float32(0)
        for j in range(n):
            state += GOLDEN
            share[j] = part.steps_back[j] if (mix(state) >> HALF) >= overlooked else np.float32(0)
            total += share[j]
        taste[:] = 0
        for j in range(n):
            if share[j] > 0:
                share[j] /= total
                _add(taste, part.input[tokens[places[i] - 1 - j], part.number], share[j])


@inlined
def _draw(part: Part, draws: Draws, memory: _Memory, key: np.uint64) -> None:
    """Draw the negatives and copy their rows; where there is no table, they are all items."""
    for k in range(draws.negative):
        if len(draws.table) > 0:
            bits = mix(key - GOLDEN * np.uint64(k + 1))
            memory.negatives[k] = np.int32(drawn_item(draws.table, len(draws.table), bits))
        memory.rows[k] = part.output[memory.negatives[k], part.number]
    for start in range(0, draws.negative, 16):  # a cache line of a column at a time
        end = min(start + 16, draws.negative)
        for d in range(memory.rows.shape[1]):
            for k in range(start, end):
                memory.columns[d, k] = memory.rows[k, d]


@vectorised
def _predict(part: Part, draws: Draws, memory: _Memory, i: int, target: int) -> float:
    """Turn a prediction's scores into chances, note what the target's lacks of 1, and return the loss."""
    scores, taste, row = memory.scores[i], memory.taste[i], part.output[target, part.number]
    logit = np.float32(0)
    for d in range(len(taste)):
        logit += taste[d] * row[d]
    logit -= draws.log_expected[target]
    highest = logit
    for k in range(draws.negative):
        scores[k] -= draws.log_expected[memory.negatives[k]]
        highest = max(highest, scores[k])
    total = _exponentials(scores, memory.negatives, target, highest, memory.powers)
    chance = np.exp(logit - highest)
    total += chance
    for k in range(draws.negative):
        scores[k] /= total
    memory.missing[i] = chance / total - np.float32(1)
    return float(np.log(total) - (logit - highest))


@vectorised
def _exponentials(
    scores: Floats, items: Codes, target: int, highest: np.float32, powers: Codes
) -> np.float32:
    """Replace scores by exp(score - highest), 0 at the target; return their sum.

    exp(x) = 2**n exp(f): n goes into the exponent's bits, and exp(f), with f within ± log(2) / 2, is its
    Taylor polynomial, right to 3e-6.
    """
    for k in range(len(scores)):
        x = max(scores[k] - highest, _LEAST)
        n = np.int32(x * np.float32(1.44269504) - np.float32(0.5))
        f = x - np.float32(n) * np.float32(0.69314718)
        power = np.float32(1 / 120) * f + np.float32(1 / 24)
        power = power * f + np.float32(1 / 6)
        power = power * f + np.float32(0.5)
        power = power * f + np.float32(1)
        scores[k] = power * f + np.float32(1)
        powers[k] = (n + np.int32(127)) << np.int32(23)
    factors = powers.view(np.float32)
    total = np.float32(0)
    for k in range(len(scores)):
        scores[k] *= factors[k] if items[k] != target else np.float32(0)
        total += scores[k]
    return total


@vectorised
def _product(a: Floats, b: Floats, product: Floats) -> None:
    """Write a × b, four rows of each at a time, so that every number read is used four times."""
    product[:] = 0
    rows, inner = len(a) // 4 * 4, len(b) // 4 * 4
    for i in range(0, rows, 4):
        p0, p1, p2, p3 = product[i], product[i + 1], product[i + 2], product[i + 3]
        for k in range(0, inner, 4):
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            a00, a01, a02, a03 = a[i, k], a[i, k + 1], a[i, k + 2], a[i, k + 3]
            a10, a11, a12, a13 = a[i + 1, k], a[i + 1, k + 1], a[i + 1, k + 2], a[i + 1, k + 3]
            a20, a21, a22, a23 = a[i + 2, k], a[i + 2, k + 1], a[i + 2, k + 2], a[i + 2, k + 3]
            a30, a31, a32, a33 = a[i + 3, k], a[i + 3, k + 1], a[i + 3, k + 2], a[i + 3, k + 3]
            for j in range(product.shape[1]):
                p0[j] += a00 * b0[j] + a01 * b1[j] + a02 * b2[j] + a03 * b3[j]
                p1[j] += a10 * b0[j] + a11 * b1[j] + a12 * b2[j] + a13 * b3[j]
                p2[j] += a20 * b0[j] + a21 * b1[j] + a22 * b2[j] + a23 * b3[j]
                p3[j] += a30 * b0[j] + a31 * b1[j] + a32 * b2[j] + a33 * b3[j]
    for i in range(len(a)):
        for k in range(inner if i < rows else 0, len(b)):
            _add(product[i], b[k], a[i, k])


@vectorised
def _add(to: Floats, row: Floats, factor: np.float32) -> None:
    for d in range(len(to)):
        to[d] += factor * row[d]


@vectorised
def _mean_square(row: Floats) -> np.float32:
    total = np.float32(0)
    for d in range(len(row)):
        total += row[d] * row[d]
    return total / np.float32(len(row))


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
