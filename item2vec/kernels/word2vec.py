"""Skip-gram and CBOW with negative sampling (Mikolov et al., NeurIPS 2013); a window shares its negatives.

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

Each random number is a hash of the seed, the index of the sentence and a counter (splitmix64). Therefore, it
depends neither on threads nor on the order in which the sentences are processed.
``tests/test_kernels_word2vec.py`` contains the loop in NumPy.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets, Words
from item2vec.kernels.alias import drawn_item
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.lanes import LANES, fma, load, pointer, prefetch, splat, store
from item2vec.kernels.random import GOLDEN, HALF, below, mix
from item2vec.kernels.windows import TILE, Memory, add, learn, loss_of, score, update_targets

__all__ = ["Model", "Rules", "padded", "train_sentences"]


TOKENS_PER_CHUNK = 12

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
    """Settings of ``SkipGram`` and ``CBOW``. With ``forward``, only earlier tokens are contexts.

    The loss is measured for every ``measured``-th centre of a sentence; with 0, for none.
    """

    window: int
    shrink: bool
    forward: bool
    negative: int
    cbow: bool
    mean: bool
    measured: int = 0


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
) -> tuple[int, float, int]:
    """Train on the sentences from ``first`` to ``last`` (exclusive).

    Return a triple: the number of tokens that remain after subsampling, the sum of the measured losses, and
    the number of measured losses. The learning rate of a sentence that starts at token t is
    ``alpha - alpha_step * t``. A measured loss is the loss of one context or, for CBOW, of all contexts of a
    window: ``-sum(log(sigmoid(np.where(label, 1, -1) * (rows @ source))))``. It is computed from the scores
    before the update, which the update needs anyway.
    """
    longest = 0
    for number in range(first, last):
        longest = max(longest, offsets[number + 1] - offsets[number])
    tiles = (rules.negative + TILE) // TILE
    label = np.zeros(tiles * LANES, np.float32)
    label[0] = 1
    scratch = _Scratch(
        np.empty(longest, np.int32),
        np.zeros(2 * tiles * TILE, np.int64),
        label,
        np.zeros_like(label),
        np.zeros_like(label),
        np.zeros(model.size, np.float32),
        np.zeros(model.size, np.float32),
        np.zeros(tiles * TILE * model.size, np.float32),
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
) -> tuple[int, float, int]:
    """Train through pointers to the arrays.

    The caller must keep references to the arrays, because numba frees an array after its last use.
    """
    memory = Memory(
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
    n_read, loss, n_measured = 0, 0.0, 0
    for number in range(first, last):
        key = mix(seed + GOLDEN * np.uint64(number + 1))
        n = _read(memory, subsampled, token_pointer, offsets[number], offsets[number + 1], key)
        measured = _train_sentence(memory, rules, n, key, np.float32(alpha - alpha_step * offsets[number]))
        n_read += n
        loss += measured[0]
        n_measured += measured[1]
    return n_read, loss, n_measured


@inlined
def _bits(key: np.uint64, stream: np.uint64, count: int) -> np.uint64:
    return mix(mix(key + stream) + GOLDEN * np.uint64(count))


@inlined
def _read(memory: Memory, subsampled: bool, tokens: Any, start: int, end: int, key: np.uint64) -> int:
    """Copy the tokens kept by subsampling into ``memory.sentence``; return their number."""
    n = 0
    for i in range(start, end):
        token = tokens[i]
        if not subsampled or (_bits(key, _SKIP, i - start) >> HALF) < memory.keep[token]:
            memory.sentence[n] = token
            n += 1
    return n


@inlined
def _first_measured(rules: Rules, key: np.uint64, alpha: np.float32) -> int:
    """Return the first centre whose loss is measured, drawn at random; -1 if no loss is measured.

    At a learning rate of 0, all gradients are 0, and the loss cannot be computed from them.
    """
    if rules.measured == 0 or alpha <= 0:
        return -1
    return int((key >> HALF) % np.uint64(rules.measured))


@compiled
def _train_sentence(
    memory: Memory, rules: Rules, n: int, key: np.uint64, alpha: np.float32
) -> tuple[float, int]:
    """Train on ``n`` tokens; return the sum of the measured losses, and the number of these losses."""
    chunk, loss, n_measured = 0, 0.0, 0
    next_measured = _first_measured(rules, key, alpha)
    _draw(memory, rules, 0, key)
    for i in range(n):
        width = rules.window
        if rules.shrink:
            width = 1 + below(_bits(key, _WIDTH, i), width)
        begin, end = max(0, i - width), i if rules.forward else min(n, i + width + 1)
        _prefetch_rows(memory, n, i + 1, i + 1 + rules.window)
        is_measured = i == next_measured
        next_measured += is_measured * rules.measured
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
                if is_measured:
                    loss += loss_of(memory, rules.negative)
                    n_measured += 1
            else:
                for j in range(start, stop):
                    if j != i:
                        _train_context(memory, at, memory.sentence[j] * memory.size)
                        if is_measured:
                            loss += loss_of(memory, rules.negative)
                            n_measured += 1
            update_targets(memory, at, rules.negative)
    return loss, n_measured


@inlined
def _draw(memory: Memory, rules: Rules, chunk: int, key: np.uint64) -> None:
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
def _prefetch_rows(memory: Memory, n: int, centre: int, context: int) -> None:
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
def _set_targets(memory: Memory, at: int, centre: int, negative: int, alpha: np.float32) -> None:
    """Store the centre as the first target, and a learning rate per target.

    The rate of a negative that equals the centre is 0.
    """
    memory.targets[at] = centre
    memory.rate[0] = alpha
    for k in range(1, negative + 1):
        lane = k // TILE * LANES + k % TILE
        memory.rate[lane] = 0 if memory.targets[at + k] == centre else alpha


@inlined
def _train_context(memory: Memory, at: int, row: int) -> None:
    if memory.n_targets == TILE:
        score(memory, memory.input, row, at, 0)
        learn(memory, memory.input, row, memory.input, row, at, 0)
    else:
        for d in range(0, memory.size, LANES):
            store(memory.source, d, load(memory.input, row + d))
        _train_source(memory, at, memory.input, row)


@compiled
def _train_mean(memory: Memory, mean: bool, at: int, centre: int, start: int, stop: int) -> None:
    """Train on the mean or the sum of the n contexts from ``start`` to ``stop``, without the centre.

    As in gensim, the update of a mean is added to each context as a whole; of the update of a sum, 1 / n is
    added to each context.
    """
    one, zero = splat(1.0), splat(0.0)
    for d in range(0, memory.size, LANES):
        store(memory.source, d, zero)
        store(memory.error, d, zero)
    n = 0
    for j in range(start, stop):
        if j != centre:
            add(memory, memory.source, 0, memory.input, memory.sentence[j] * memory.size, one)
            n += 1
    share = splat(np.float32(1 / n))
    for d in range(0, memory.size, LANES):
        store(memory.source, d, fma(load(memory.source, d), share if mean else one, zero))
    _train_source(memory, at, memory.error, 0)
    for j in range(start, stop):
        if j != centre:
            row = memory.sentence[j] * memory.size
            add(memory, memory.input, row, memory.error, 0, one if mean else share)


@compiled
def _train_source(memory: Memory, at: int, changed: Any, row: int) -> None:
    for tile in range(memory.n_targets // TILE):
        score(memory, memory.source, 0, at + tile * TILE, tile)
    for tile in range(memory.n_targets // TILE):
        learn(memory, memory.source, 0, changed, row, at + tile * TILE, tile)
