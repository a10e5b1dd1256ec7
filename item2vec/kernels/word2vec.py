"""Skip-gram and CBOW with negative sampling (Mikolov et al., NeurIPS 2013), shared per window.

gensim draws negatives for each pair of a window. Here all pairs of a window share negatives (Ji et al.,
Parallelizing Word2Vec in Shared and Distributed Memory, 2016), so that a window is a product of small
matrices, whose rows stay in the L1 cache. One window in NumPy, with ``x`` and ``y`` the input and output
matrices::

    targets = [centre, *negatives]                        # without negatives equal to the centre
    label = np.array([1, 0, 0, ...])
    rows = y[targets]                                     # a copy
    if cbow:
        divisor = len(contexts) if mean else 1
        source = x[contexts].sum(axis=0) / divisor
        g = alpha * (label - sigmoid(rows @ source))
        np.add.at(y, targets, np.outer(g, source))
        np.add.at(x, contexts, g @ rows * divisor / len(contexts))    # as in gensim
    else:
        for context in contexts:
            g = alpha * (label - sigmoid(rows @ x[context]))
            np.add.at(y, targets, np.outer(g, x[context]))
            x[context] += g @ rows

Skip-gram splits a window of more than 12 tokens into chunks of 12, each with different negatives.

Each random number is a hash of the seed, the sentence and a counter (splitmix64), and so depends neither on
threads nor on the order of the sentences. ``tests/test_kernels_word2vec.py`` contains the loop in NumPy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets, Words
from item2vec.kernels.alias import drawn_item
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.lanes import LANES, fma, load, pointer, prefetch, sigmoid, splat, store, sums
from item2vec.kernels.random import GOLDEN, HALF, below, mix

__all__ = ["Model", "Rules", "padded", "train_sentences"]


TOKENS_PER_CHUNK = 12

_TILE = 6

_SKIP, _WIDTH, _NEGATIVES = np.uint64(1), np.uint64(2), np.uint64(3)


class Model(NamedTuple):
    """The matrices and the sampling tables.

    ``input`` and ``output`` are flat, with ``size`` numbers per row (``padded``; the padding is always zero).
    ``table`` is the alias table of negatives. ``keep`` holds, per item, 2**32 times the probability that
    subsampling keeps a token; it is empty without subsampling.
    """

    input: Floats
    output: Floats
    size: int
    table: Words
    keep: Words


class Rules(NamedTuple):
    """Settings of ``SkipGram`` and ``CBOW``. With ``forward``, only earlier tokens are contexts."""

    window: int
    shrink: bool
    forward: bool
    negative: int
    cbow: bool
    mean: bool


class _Scratch(NamedTuple):
    """Working memory of a call, allocated once.

    ``sentence`` holds the tokens kept by subsampling. ``targets`` holds the row offsets of the centre and the
    negatives, for the current chunk and for the next one. ``label``, ``rate`` and ``gradient`` hold sixteen
    lanes per tile of six targets. ``source`` is the context vector, ``error`` its update, and ``change``
    holds the updates of the targets.
    """

    sentence: Codes
    targets: Offsets
    label: Floats
    rate: Floats
    gradient: Floats
    source: Floats
    error: Floats
    change: Floats


class _Memory(NamedTuple):
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


def padded(vector_size: int) -> int:
    """Return the length of a row: ``vector_size``, rounded up to a multiple of 16.

    >>> padded(100)
    112
    """
    return -(-vector_size // LANES) * LANES


@compiled
def train_sentences(
    model: Model,
    rules: Rules,
    tokens: Codes,
    offsets: Offsets,
    first: int,
    last: int,
    seed: np.uint64,
    alpha: float,
    alpha_step: float,
) -> int:
    """Train on the sentences from ``first`` to ``last`` (exclusive); return the number of tokens read.

    The learning rate of a sentence that starts at token t is ``alpha - alpha_step * t``.
    """
    longest = 0
    for number in range(first, last):
        longest = max(longest, offsets[number + 1] - offsets[number])
    tiles = (rules.negative + _TILE) // _TILE
    label = np.zeros(tiles * LANES, np.float32)
    label[0] = 1
    scratch = _Scratch(
        np.empty(longest, np.int32),
        np.zeros(2 * tiles * _TILE, np.int64),
        label,
        np.zeros_like(label),
        np.zeros_like(label),
        np.zeros(model.size, np.float32),
        np.zeros(model.size, np.float32),
        np.zeros(tiles * _TILE * model.size, np.float32),
    )
    return _train_with(model, rules, scratch, tokens, offsets, first, last, seed, alpha, alpha_step)


@compiled
def _train_with(
    model: Model,
    rules: Rules,
    scratch: _Scratch,
    tokens: Codes,
    offsets: Offsets,
    first: int,
    last: int,
    seed: np.uint64,
    alpha: float,
    alpha_step: float,
) -> int:
    """Train through pointers to the arrays.

    The caller must keep references to the arrays, because numba frees an array after its last use.
    """
    memory = _Memory(
        pointer(model.input),
        pointer(model.output),
        model.size,
        pointer(model.table),
        len(model.table),
        pointer(model.keep),
        pointer(scratch.sentence),
        pointer(scratch.targets),
        len(scratch.targets) >> 1,
        pointer(scratch.label),
        pointer(scratch.rate),
        pointer(scratch.gradient),
        pointer(scratch.source),
        pointer(scratch.error),
        pointer(scratch.change),
    )
    token_pointer, subsampled = pointer(tokens), len(model.keep) > 0
    n_read = 0
    for number in range(first, last):
        key = mix(seed + GOLDEN * np.uint64(number + 1))
        n = _read(memory, subsampled, token_pointer, offsets[number], offsets[number + 1], key)
        _train_sentence(memory, rules, n, key, np.float32(alpha - alpha_step * offsets[number]))
        n_read += n
    return n_read


@inlined
def _bits(key: np.uint64, stream: np.uint64, count: int) -> np.uint64:
    return mix(mix(key + stream) + GOLDEN * np.uint64(count))


@inlined
def _read(memory: _Memory, subsampled: bool, tokens: Any, start: int, end: int, key: np.uint64) -> int:
    """Copy the tokens kept by subsampling into ``memory.sentence``; return their number."""
    n = 0
    for i in range(start, end):
        token = tokens[i]
        if not subsampled or (_bits(key, _SKIP, i - start) >> HALF) < memory.keep[token]:
            memory.sentence[n] = token
            n += 1
    return n


@compiled
def _train_sentence(memory: _Memory, rules: Rules, n: int, key: np.uint64, alpha: np.float32) -> None:
    chunk = 0
    _draw(memory, rules, 0, key)
    for i in range(n):
        width = rules.window
        if rules.shrink:
            width = 1 + below(_bits(key, _WIDTH, i), width)
        begin, end = max(0, i - width), i if rules.forward else min(n, i + width + 1)
        _prefetch_rows(memory, n, i + 1, i + 1 + rules.window)
        step = max(1, end - begin) if rules.cbow else TOKENS_PER_CHUNK
        for start in range(begin, end, step):
            stop = min(end, start + step)
            if stop - start == 1 and start == i:
                continue
            at = (chunk & 1) * memory.n_targets
            chunk += 1
            _draw(memory, rules, chunk, key)
            _set_targets(memory, at, memory.sentence[i] * memory.size, rules.negative, alpha)
            if rules.cbow:
                _train_mean(memory, rules.mean, at, i, start, stop)
            else:
                for j in range(start, stop):
                    if j != i:
                        _train_context(memory, at, memory.sentence[j] * memory.size)
            _update_targets(memory, at, rules.negative)


@inlined
def _draw(memory: _Memory, rules: Rules, chunk: int, key: np.uint64) -> None:
    """Draw the negatives of a chunk, and prefetch their rows.

    Consecutive chunks use the two halves of ``targets`` in turn.
    """
    start = (chunk & 1) * memory.n_targets
    for k in range(rules.negative):
        bits = _bits(key, _NEGATIVES, chunk * rules.negative + k)
        row = np.int64(drawn_item(memory.table, memory.n_items, bits)) * memory.size
        memory.targets[start + 1 + k] = row
        for d in range(0, memory.size, LANES):
            prefetch(memory.output, row + d)


@inlined
def _prefetch_rows(memory: _Memory, n: int, centre: int, context: int) -> None:
    """Prefetch the output row of the next centre and the input row of the next context."""
    if centre < n:
        row = memory.sentence[centre] * memory.size
        for d in range(0, memory.size, LANES):
            prefetch(memory.output, row + d)
    if context < n:
        row = memory.sentence[context] * memory.size
        for d in range(0, memory.size, LANES):
            prefetch(memory.input, row + d)


@inlined
def _set_targets(memory: _Memory, at: int, centre: int, negative: int, alpha: np.float32) -> None:
    """Store the centre as the first target, and a learning rate per target.

    The rate of a negative that equals the centre is 0.
    """
    memory.targets[at] = centre
    memory.rate[0] = alpha
    for k in range(1, negative + 1):
        lane = k // _TILE * LANES + k % _TILE
        memory.rate[lane] = 0 if memory.targets[at + k] == centre else alpha


@inlined
def _train_context(memory: _Memory, at: int, row: int) -> None:
    if memory.n_targets == _TILE:
        _score(memory, memory.input, row, at, 0)
        _learn(memory, memory.input, row, memory.input, row, at, 0)
    else:
        for d in range(0, memory.size, LANES):
            store(memory.source, d, load(memory.input, row + d))
        _train_source(memory, at, memory.input, row)


@compiled
def _train_mean(memory: _Memory, mean: bool, at: int, centre: int, start: int, stop: int) -> None:
    """Train on the mean or the sum of the n contexts.

    As in gensim, each context is updated by the whole update of a mean, but by 1 / n of the update of a sum.
    """
    one, zero = splat(1.0), splat(0.0)
    for d in range(0, memory.size, LANES):
        store(memory.source, d, zero)
        store(memory.error, d, zero)
    n = 0
    for j in range(start, stop):
        if j != centre:
            _add(memory, memory.source, 0, memory.input, memory.sentence[j] * memory.size, one)
            n += 1
    share = splat(np.float32(1 / n))
    for d in range(0, memory.size, LANES):
        store(memory.source, d, fma(load(memory.source, d), share if mean else one, zero))
    _train_source(memory, at, memory.error, 0)
    for j in range(start, stop):
        if j != centre:
            row = memory.sentence[j] * memory.size
            _add(memory, memory.input, row, memory.error, 0, one if mean else share)


@compiled
def _train_source(memory: _Memory, at: int, changed: Any, row: int) -> None:
    for tile in range(memory.n_targets // _TILE):
        _score(memory, memory.source, 0, at + tile * _TILE, tile)
    for tile in range(memory.n_targets // _TILE):
        _learn(memory, memory.source, 0, changed, row, at + tile * _TILE, tile)


@inlined
def _add(memory: _Memory, to: Any, row: int, source: Any, start: int, factor: Any) -> None:
    """Add ``factor`` times a row of ``source`` to a row of ``to``."""
    for d in range(0, memory.size, LANES):
        store(to, row + d, fma(load(source, start + d), factor, load(to, row + d)))


@inlined
def _score(memory: _Memory, source: Any, start: int, at: int, tile: int) -> None:
    """Store the gradient rate * (label - sigmoid(output · source)) of each of the six targets of a tile."""
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
def _learn(memory: _Memory, source: Any, start: int, changed: Any, row: int, at: int, tile: int) -> None:
    """Learn from the six targets of a tile.

    The update of the source is added to a row of ``changed``, the updates of the targets to ``change``.
    """
    targets, output, change = memory.targets, memory.output, memory.change
    gradient, lane, size = memory.gradient, tile * LANES, memory.size
    t0, t1, t2 = targets[at], targets[at + 1], targets[at + 2]
    t3, t4, t5 = targets[at + 3], targets[at + 4], targets[at + 5]
    c0 = tile * _TILE * size
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
def _update_targets(memory: _Memory, at: int, negative: int) -> None:
    """Add the updates of the targets to their rows, and reset them."""
    for k in range(negative + 1):
        _add(memory, memory.output, memory.targets[at + k], memory.change, k * memory.size, splat(1.0))
    for d in range(0, memory.n_targets * memory.size, LANES):
        store(memory.change, d, splat(0.0))
