"""Co-occurrence counts of items in sparse matrices of SciPy, for LSA and GloVe."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
from scipy.sparse import coo_array, csr_array, hstack

from item2vec.arrays import Codes, Doubles, Offsets
from item2vec.training.corpus import Corpus, Shard, split_long

__all__ = ["in_sentences", "in_windows", "linear", "uniform"]

PAIRS_PER_BLOCK = 1 << 22
"""Pairs are collected until their number exceeds this limit, and are then added to the matrix together."""


def uniform(step: int) -> float:  # noqa: ARG001
    """Return the weight 1 for each distance."""
    return 1.0


def linear(window: int) -> Callable[[int], float]:
    """Return a function that maps a distance to the share of the window widths 1 to ``window`` that reach it.

    This share is the expected count of a pair if the width of each window is drawn uniformly, as in word2vec.

    >>> [linear(4)(step) for step in (1, 2, 4)]
    [1.0, 0.75, 0.25]
    """
    return lambda step: (window + 1 - step) / window


def in_windows(
    corpus: Corpus, seed: int, window: int | None, weight_of: Callable[[int], float], *, forward_only: bool
) -> csr_array:
    """Return the weighted co-occurrence counts of pairs of items (float64, n items × n items).

    The entry [i, j] is a sum over all pairs of a token of item i and a later token of item j in the same
    sentence, at most ``window`` steps apart (``None``: at any distance). A pair adds ``weight_of(distance)``,
    multiplied by the probability that an epoch reads the first token, and by the probability that an epoch
    reads the second token. Unless ``forward_only``, the transpose of this matrix is added, which counts the
    pairs with j before i. Unordered sentences are shuffled once. Sentences of more than 10,000 tokens are
    split, as for skip-gram.

    Examples
    --------
    >>> from item2vec import SkipGram
    >>> from item2vec.sentences import Sentences
    >>> from item2vec.training.corpus import prepare
    >>> corpus = prepare(Sentences.of([["a", "b", "c"], ["a", "b"]]), SkipGram())
    >>> in_windows(corpus, 1, None, lambda step: 1 / step, forward_only=True).toarray()
    array([[0. , 2. , 0.5],
           [0. , 0. , 1. ],
           [0. , 0. , 0. ]])
    """
    n_items, random = corpus.n_items, np.random.default_rng([seed, 1])
    counts = csr_array((n_items, n_items), dtype=np.float64)
    for shard in corpus.shards:
        tokens, keep = (_in_order if corpus.ordered else _shuffled)(shard, random)
        counts += _after(tokens, split_long(shard.offsets), keep, window, weight_of, n_items)
    return csr_array(counts if forward_only else counts + counts.T)


def in_sentences(corpus: Corpus) -> csr_array:
    """Return the expected number of tokens that an epoch reads, for each item and sentence.

    The matrix is float64, n items × n sentences.
    """
    return csr_array(hstack([_in_sentences(shard, corpus.n_items) for shard in corpus.shards]))


def _in_sentences(shard: Shard, n_items: int) -> csr_array:
    keep = np.ones(len(shard.tokens)) if shard.keep is None else shard.keep
    n_sentences = len(shard.offsets) - 1
    sentences = np.repeat(np.arange(n_sentences, dtype=np.int32), np.diff(shard.offsets))
    return coo_array((keep, (shard.tokens, sentences)), (n_items, n_sentences)).tocsr()


def _in_order(shard: Shard, _random: np.random.Generator) -> tuple[Codes, Doubles]:
    """Return a pair of arrays: the tokens; and the probability that an epoch reads each token."""
    return shard.tokens, np.ones(len(shard.tokens)) if shard.keep is None else shard.keep


def _shuffled(shard: Shard, random: np.random.Generator) -> tuple[Codes, Doubles]:
    """Return the pair of ``_in_order``, with both arrays in the same random order within each sentence."""
    tokens, keep = _in_order(shard, random)
    sentence = np.repeat(np.arange(len(shard.offsets) - 1), np.diff(shard.offsets))
    order = np.argsort(sentence + random.random(len(sentence)))
    return tokens[order], keep[order]


def _after(
    tokens: Codes,
    offsets: Offsets,
    keep: Doubles,
    window: int | None,
    weight_of: Callable[[int], float],
    n_items: int,
) -> csr_array:
    """Return the counts of ``in_windows`` with ``forward_only``; rows are the earlier items of the pairs."""
    ends = np.repeat(offsets[1:], np.diff(offsets))
    total = csr_array((n_items, n_items), dtype=np.float64)
    block: list[tuple[Codes, Codes, Doubles]] = []
    first = np.arange(len(tokens))
    for step in count(1) if window is None else range(1, window + 1):
        first = first[first + step < ends[first]]
        if not len(first):
            break
        weights = weight_of(step) * keep[first] * keep[first + step]
        block.append((tokens[first], tokens[first + step], weights))
        if sum(len(pairs[0]) for pairs in block) > PAIRS_PER_BLOCK:
            total, block = total + _sums(block, n_items), []
    return total + _sums(block, n_items)


def _sums(block: list[tuple[Codes, Codes, Doubles]], n_items: int) -> csr_array:
    if not block:
        return csr_array((n_items, n_items), dtype=np.float64)
    rows, columns, weights = map(np.concatenate, zip(*block, strict=True))
    return coo_array((weights, (rows, columns)), (n_items, n_items)).tocsr()
