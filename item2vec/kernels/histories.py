"""The histories of next_item: tastes are computed, and history items are updated, run by run.

A run consists of up to ``RUN`` successive targets of a sentence in a block. The tokens that precede at least
one of them are the tokens of the run. Each token's row is read once per run instead of once per target, and
is updated once, with the sum of its gradients over the targets of the run. Tastes and gradients of a run are
therefore products of small matrices.
"""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes
from item2vec.kernels.attributes import TINY, add_gradient, has_own, learn, learn_attributes, read_row
from item2vec.kernels.blocks import RUN, Memory, Part, Rules
from item2vec.kernels.compiled import inlined
from item2vec.kernels.dense import dot, mean_square, product, to_length
from item2vec.kernels.random import GOLDEN, HALF, mix

__all__ = ["learn_histories", "learn_positions", "read_tastes"]


@inlined
def _run_from(start: int, indices: Codes, n_before: Codes, window: int) -> tuple[int, int, int]:
    """Return (end of the run that starts at ``start``, index of its first token, number of its tokens)."""
    end, first = start, int(indices[start])
    while end < len(indices) and end - start < RUN and indices[end] == indices[start] + end - start:
        first = min(first, int(indices[end]) - min(n_before[indices[end]], window))
        end += 1
    return end, first, int(indices[end - 1]) - first


@inlined
def read_tastes(
    part: Part, rules: Rules, memory: Memory, tokens: Codes, n_before: Codes, indices: Codes, key: np.uint64
) -> None:
    """Compute the taste of each history, and the weight of each token of a run in the taste."""
    window = len(memory.weights)
    for j in range(window):
        memory.weights[j] = np.exp(part.positions[j])
    start = 0
    while start < len(indices):
        end, first, n = _run_from(start, indices, n_before, window)
        _read_run(part, memory, tokens[first : first + n], key)
        for i in range(start, end):
            n_items = min(n_before[indices[i]], window)
            _draw_shares(memory, i, indices[i] - 1 - first, n_items, n, rules, key)
        share, taste = memory.share[start:end, :n], memory.taste[start:end]
        product(share, memory.history[:n], memory.panel, taste)
        if rules.cosine:
            for i in range(start, end):
                memory.lengths[i] = to_length(memory.taste[i], np.float32(rules.scale))
        start = end


@inlined
def _read_run(part: Part, memory: Memory, tokens: Codes, key: np.uint64) -> None:
    """Copy the input rows of the tokens of a run."""
    shared = part.attributes
    for c in range(len(tokens)):
        read_row(memory.history[c], part.input, shared.input, shared, part.number, tokens[c], key)


@inlined
def _draw_shares(
    memory: Memory, i: int, newest: int, n_items: int, n: int, rules: Rules, key: np.uint64
) -> None:
    """Compute the weights of the n tokens of a run in the taste of target i.

    The target's history is the token at place ``newest`` of the run, and the ``n_items - 1`` tokens before.
    """
    share, dropped = memory.share[i], np.uint64(rules.dropout * 2.0**32)
    state, total = mix(key + GOLDEN * np.uint64(i + 1)), np.float32(0)
    for c in range(n):
        share[c] = np.float32(0)
    for j in range(n_items):
        state += GOLDEN
        if (mix(state) >> HALF) >= dropped:
            share[newest - j] = memory.weights[j]
            total += memory.weights[j]
    if total > 0:
        for c in range(n):
            share[c] /= total


@inlined
def learn_positions(
    part: Part, rules: Rules, memory: Memory, tokens: Codes, n_before: Codes, indices: Codes, key: np.uint64
) -> None:
    """Take an Adagrad step of theta. ``memory.weights`` is reused for the gradient of theta."""
    gradient, rate = memory.weights, np.float32(rules.position_rate)
    gradient[:] = 0
    start = 0
    while start < len(indices):
        end, first, n = _run_from(start, indices, n_before, len(gradient))
        _read_run(part, memory, tokens[first : first + n], key)
        for i in range(start, end):
            taste_gradient = memory.taste_gradient[i]
            # for cosines, mean @ dmean is 0
            mean = np.float32(0) if rules.cosine else dot(memory.taste[i], taste_gradient)
            newest = indices[i] - 1 - first
            for j in range(min(n_before[indices[i]], len(gradient))):
                along = dot(memory.history[newest - j], taste_gradient)
                gradient[j] += memory.share[i, newest - j] * (along - mean)
        start = end
    for j in range(len(gradient)):
        part.position_squares[j] += gradient[j] * gradient[j]
        part.positions[j] -= rate * gradient[j] / np.sqrt(part.position_squares[j] + TINY)


@inlined
def learn_histories(
    part: Part,
    rules: Rules,
    memory: Memory,
    tokens: Codes,
    n_before: Codes,
    indices: Codes,
    key: np.uint64,
    rate: np.float32,
) -> None:
    """Take one Adagrad step for each token of each run, and one for each attribute."""
    shared, one, shrink = part.attributes, np.float32(1), rate * np.float32(rules.weight_decay)
    start = 0
    while start < len(indices):
        end, first, n = _run_from(start, indices, n_before, len(part.positions))
        share, gradients = memory.share[start:end, :n], memory.history[:n]
        product(share.T, memory.taste_gradient[start:end], memory.panel, gradients)
        for c in range(n):
            item, gradient = tokens[first + c], gradients[c]
            row, square = part.input[item, part.number], mean_square(gradient)
            kept = np.float32(has_own(shared, item, key))
            learn(row, part.input_squares, item, gradient, square, kept, rate, shrink)
            add_gradient(memory.gradients, shared, item, gradient, one)
        start = end
    learn_attributes(shared.input, shared.input_squares, part.number, memory.gradients, rate, shrink)
