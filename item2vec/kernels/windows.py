"""Scores, updates and loss of the rows of one window of word2vec, for the loops of ``kernels.word2vec``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.lanes import LANES, fma, load, sigmoid, splat, store, sums

__all__ = ["TILE", "Memory", "add", "learn", "loss_of", "score", "update_targets"]

TILE = 6

_LEAST = 1e-7  # precision of the sigmoid


class Memory(NamedTuple):
    """Pointers to the arrays of ``Model`` and ``_Scratch``, with their sizes."""

    input: Any
    output: Any
    size: int
    table: Any
    n_items: int
    keep: Any
    sentence: Any
    targets: Any
    n_targets: int
    label: Any
    rate: Any
    gradient: Any
    source: Any
    error: Any
    change: Any


@compiled
def loss_of(memory: Memory, negative: int) -> float:
    """Return the loss of the last scores: the sum of -log(1 - abs(label - sigmoid(score))) over the targets.

    The argument of the logarithm is at least 1e-7. ``gradient / rate`` is the difference of label and
    sigmoid. A negative that equals the centre is not used, and its rate is 0.
    """
    loss = 0.0
    for start in range(0, negative + 1, TILE):
        likelihood = 1.0
        for lane in range(min(TILE, negative + 1 - start)):
            place = start // TILE * LANES + lane
            if memory.rate[place] > 0:
                error = abs(np.float64(memory.gradient[place]) / memory.rate[place])
                likelihood *= max(1 - error, _LEAST)
        loss -= np.log(likelihood)
    return loss


@inlined
def add(memory: Memory, to: Any, row: int, source: Any, start: int, factor: Any) -> None:
    """Add ``factor`` times the row of ``source`` at index ``start`` to the row of ``to`` at index ``row``."""
    for d in range(0, memory.size, LANES):
        store(to, row + d, fma(load(source, start + d), factor, load(to, row + d)))


@inlined
def score(memory: Memory, source: Any, start: int, at: int, tile: int) -> None:
    """Store the gradient of each of the six targets of a tile: rate * (label - sigmoid(output · source))."""
    targets, output, lane = memory.targets, memory.output, tile * LANES
    t0, t1, t2 = targets[at], targets[at + 1], targets[at + 2]
    t3, t4, t5 = targets[at + 3], targets[at + 4], targets[at + 5]
    zero = splat(0.0)
    a0, a1, a2, a3, a4, a5 = zero, zero, zero, zero, zero, zero
    for d in range(0, memory.size, LANES):
        x = load(source, start + d)
        a0 = fma(x, load(output, t0 + d), a0)
        a1 = fma(x, load(output, t1 + d), a1)
        a2 = fma(x, load(output, t2 + d), a2)
        a3 = fma(x, load(output, t3 + d), a3)
        a4 = fma(x, load(output, t4 + d), a4)
        a5 = fma(x, load(output, t5 + d), a5)
    probability = sigmoid(sums(a0, a1, a2, a3, a4, a5))
    error = fma(probability, splat(-1.0), load(memory.label, lane))
    store(memory.gradient, lane, fma(error, load(memory.rate, lane), zero))


@inlined
def learn(memory: Memory, source: Any, start: int, changed: Any, row: int, at: int, tile: int) -> None:
    """Compute the updates of the source and of the six targets of a tile from the stored gradients.

    The update of the source is added to a row of ``changed``. The updates of the targets are added to
    ``memory.change``.
    """
    targets, output, change = memory.targets, memory.output, memory.change
    gradient, lane, size = memory.gradient, tile * LANES, memory.size
    t0, t1, t2 = targets[at], targets[at + 1], targets[at + 2]
    t3, t4, t5 = targets[at + 3], targets[at + 4], targets[at + 5]
    c0 = tile * TILE * size
    c1, c2, c3, c4, c5 = c0 + size, c0 + 2 * size, c0 + 3 * size, c0 + 4 * size, c0 + 5 * size
    g0, g1, g2 = splat(gradient[lane]), splat(gradient[lane + 1]), splat(gradient[lane + 2])
    g3, g4, g5 = splat(gradient[lane + 3]), splat(gradient[lane + 4]), splat(gradient[lane + 5])
    for d in range(0, size, LANES):
        x = load(source, start + d)
        a = fma(g0, load(output, t0 + d), load(changed, row + d))
        b = fma(g1, load(output, t1 + d), splat(0.0))
        a = fma(g2, load(output, t2 + d), a)
        b = fma(g3, load(output, t3 + d), b)
        a = fma(g4, load(output, t4 + d), a)
        b = fma(g5, load(output, t5 + d), b)
        store(changed, row + d, fma(a, splat(1.0), b))
        store(change, c0 + d, fma(g0, x, load(change, c0 + d)))
        store(change, c1 + d, fma(g1, x, load(change, c1 + d)))
        store(change, c2 + d, fma(g2, x, load(change, c2 + d)))
        store(change, c3 + d, fma(g3, x, load(change, c3 + d)))
        store(change, c4 + d, fma(g4, x, load(change, c4 + d)))
        store(change, c5 + d, fma(g5, x, load(change, c5 + d)))


@inlined
def update_targets(memory: Memory, at: int, negative: int) -> None:
    """Add the updates of the targets to their rows, and set the updates to zero."""
    for k in range(negative + 1):
        add(memory, memory.output, memory.targets[at + k], memory.change, k * memory.size, splat(1.0))
    for d in range(0, memory.n_targets * memory.size, LANES):
        store(memory.change, d, splat(0.0))
