"""Skip-gram and CBOW with negative sampling (Mikolov et al., NeurIPS 2013), negatives shared in a window.

gensim draws negatives anew for each pair of a window. Here all pairs of one share them (Ji et al.,
Parallelizing Word2Vec in Shared and Distributed Memory, 2016), so that a window is a small dense product
whose rows stay in the nearest cache: contexts × (their centre and its negatives). The contexts are trained
one after another against the targets' rows as they were before, and what these learn is added to them at
the end. A window of more than 12 tokens is trained in such chunks, each with negatives of its own.

Every draw is a hash of the seed, the sentence and a counter (splitmix64), so that neither threads nor the
order in which sentences are trained change it.
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


TOKENS_A_CHUNK = 12

_TILE = 6

_SKIP, _WIDTH, _NEGATIVES = np.uint64(1), np.uint64(2), np.uint64(3)


class Model(NamedTuple):
    """What is trained, and how items are drawn.

    ``input`` and ``output`` hold one row after another, ``size`` numbers each (``padded``; those past the
    vector's end are zero and stay so). ``table`` draws negatives; ``keep`` is the chance of each item to be
    read, of 2**32, or empty where all are.
    """

    input: Floats
    output: Floats
    size: int
    table: Words
    keep: Words


class Rules(NamedTuple):
    """What is trained against what: ``TrainConfig``'s words, and forward: only with what came before."""

    window: int
    shrink: bool
    forward: bool
    negative: int
    cbow: bool
    mean: bool


class _Scratch(NamedTuple):
    """What a call works with, allocated once.

    ``sentence`` are the tokens read; ``targets`` the rows of this chunk's centre and negatives, and of the
    next's; ``label``, ``rate`` and ``gradient`` hold sixteen lanes for each six targets; ``source`` and
    ``error`` are a mean's vector and what it learned; ``change`` is what the targets learned.
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
    """Pointers to all of it, and sizes."""

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
    """Return how many numbers a row takes.

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
    fall: float,
) -> int:
    """Train the sentences from first to last; return how many tokens were not skipped.

    The learning rate is ``alpha`` less ``fall`` for each token before a sentence.
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
    return _train_with(model, rules, scratch, tokens, offsets, first, last, seed, alpha, fall)


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
    fall: float,
) -> int:
    """Train with pointers into arrays that the caller keeps: numba frees its own after their last mention."""
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
    text, skips = pointer(tokens), len(model.keep) > 0
    n_read = 0
    for number in range(first, last):
        key = mix(seed + GOLDEN * np.uint64(number + 1))
        n = _read(memory, skips, text, offsets[number], offsets[number + 1], key)
        _train_sentence(memory, rules, n, key, np.float32(alpha - fall * offsets[number]))
        n_read += n
    return n_read


@inlined
def _bits(key: np.uint64, stream: np.uint64, count: int) -> np.uint64:
    return mix(mix(key + stream) + GOLDEN * np.uint64(count))


@inlined
def _read(memory: _Memory, skips: bool, tokens: Any, start: int, end: int, key: np.uint64) -> int:
    """Copy the tokens that are not skipped; return how many."""
    n = 0
    for place in range(start, end):
        token = tokens[place]
        if not skips or (_bits(key, _SKIP, place - start) >> HALF) < memory.keep[token]:
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
        _fetch(memory, n, i + 1, i + 1 + rules.window)
        step = max(1, end - begin) if rules.cbow else TOKENS_A_CHUNK
        for start in range(begin, end, step):
            stop = min(end, start + step)
            if stop - start == 1 and start == i:
                continue
            at = (chunk & 1) * memory.n_targets
            chunk += 1
            _draw(memory, rules, chunk, key)
            _aim(memory, at, memory.sentence[i] * memory.size, rules.negative, alpha)
            if rules.cbow:
                _train_mean(memory, rules.mean, at, i, start, stop)
            else:
                for j in range(start, stop):
                    if j != i:
                        _train_context(memory, at, memory.sentence[j] * memory.size)
            _settle(memory, at, rules.negative)


@inlined
def _draw(memory: _Memory, rules: Rules, chunk: int, key: np.uint64) -> None:
    """Draw a chunk's negatives, into one half of the targets in turn, and fetch their rows."""
    start = (chunk & 1) * memory.n_targets
    for k in range(rules.negative):
        bits = _bits(key, _NEGATIVES, chunk * rules.negative + k)
        row = np.int64(drawn_item(memory.table, memory.n_items, bits)) * memory.size
        memory.targets[start + 1 + k] = row
        for d in range(0, memory.size, LANES):
            prefetch(memory.output, row + d)


@inlined
def _fetch(memory: _Memory, n: int, centre: int, context: int) -> None:
    """Fetch the rows of the next centre, and of the next context to come into a window."""
    if centre < n:
        row = memory.sentence[centre] * memory.size
        for d in range(0, memory.size, LANES):
            prefetch(memory.output, row + d)
    if context < n:
        row = memory.sentence[context] * memory.size
        for d in range(0, memory.size, LANES):
            prefetch(memory.input, row + d)


@inlined
def _aim(memory: _Memory, at: int, centre: int, negative: int, alpha: np.float32) -> None:
    """Set the centre beside its negatives; those equal to it learn nothing."""
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
    """Train the contexts' mean or sum.

    As in gensim, each context gets the whole error of the mean, or its share of the sum's.
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
def _add(memory: _Memory, to: Any, row: int, what: Any, place: int, factor: Any) -> None:
    for d in range(0, memory.size, LANES):
        store(to, row + d, fma(load(what, place + d), factor, load(to, row + d)))


@inlined
def _score(memory: _Memory, source: Any, place: int, at: int, tile: int) -> None:
    """Write how far six targets' chances are from their labels, times the learning rate."""
    targets, output, lane = memory.targets, memory.output, tile * LANES
    t0, t1, t2 = targets[at], targets[at + 1], targets[at + 2]
    t3, t4, t5 = targets[at + 3], targets[at + 4], targets[at + 5]
    zero = splat(0.0)
    a0, a1, a2, a3, a4, a5 = zero, zero, zero, zero, zero, zero
    for d in range(0, memory.size, LANES):
        x = load(source, place + d)
        a0 = fma(x, load(output, t0 + d), a0)
        a1 = fma(x, load(output, t1 + d), a1)
        a2 = fma(x, load(output, t2 + d), a2)
        a3 = fma(x, load(output, t3 + d), a3)
        a4 = fma(x, load(output, t4 + d), a4)
        a5 = fma(x, load(output, t5 + d), a5)
    chance = sigmoid(sums(a0, a1, a2, a3, a4, a5))
    missing = fma(chance, splat(-1.0), load(memory.label, lane))
    store(memory.gradient, lane, fma(missing, load(memory.rate, lane), zero))


@inlined
def _learn(memory: _Memory, source: Any, place: int, changed: Any, row: int, at: int, tile: int) -> None:
    """Move one row by six targets' rows, and note what these learn from the source."""
    targets, output, change = memory.targets, memory.output, memory.change
    gradient, lane, size = memory.gradient, tile * LANES, memory.size
    t0, t1, t2 = targets[at], targets[at + 1], targets[at + 2]
    t3, t4, t5 = targets[at + 3], targets[at + 4], targets[at + 5]
    c0 = tile * _TILE * size
    c1, c2, c3, c4, c5 = c0 + size, c0 + 2 * size, c0 + 3 * size, c0 + 4 * size, c0 + 5 * size
    g0, g1, g2 = splat(gradient[lane]), splat(gradient[lane + 1]), splat(gradient[lane + 2])
    g3, g4, g5 = splat(gradient[lane + 3]), splat(gradient[lane + 4]), splat(gradient[lane + 5])
    for d in range(0, size, LANES):
        x = load(source, place + d)
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
def _settle(memory: _Memory, at: int, negative: int) -> None:
    """Add what the targets learned, and forget it."""
    for k in range(negative + 1):
        _add(memory, memory.output, memory.targets[at + k], memory.change, k * memory.size, splat(1.0))
    for d in range(0, memory.n_targets * memory.size, LANES):
        store(memory.change, d, splat(0.0))
