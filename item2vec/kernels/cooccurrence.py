"""Item co-occurrence in sentences: item–item similarities, and their weighted sums over a history.

``A`` is the binary matrix of sentences × items. ``(A.T @ A)[i, j]`` is the number of sentences that contain
items i and j. Such products are computed row by row; except in ``pair_counts``, only the best entries of each
row are kept.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Floats, Offsets
from item2vec.kernels.compiled import compiled
from item2vec.kernels.heaps import empty_heap, keep_best, write_down

__all__ = [
    "SparseRows",
    "best_sums",
    "first_occurrences",
    "links",
    "log_shares",
    "nearest",
    "newest_items",
    "pair_cosines",
    "pair_counts",
    "sentences_of_items",
]

CANCELLED = -1e-300


class SparseRows(NamedTuple):
    """Sparse rows: the items of each row with their scores, best first; equal scores are sorted by item.

    Row ``i`` consists of ``items[starts[i]:ends[i]]`` and ``scores[starts[i]:ends[i]]``.
    """

    items: Codes
    scores: npt.NDArray[np.floating]
    starts: Offsets
    ends: Offsets


@compiled
def sentences_of_items(tokens: Codes, offsets: Offsets, n_items: int) -> tuple[Offsets, Codes]:
    """Return the columns of ``A``: for each item, the sentences that contain it, ascending.

    The sentences of item ``i`` are ``sentences[offsets[i]:offsets[i + 1]]`` of the result
    ``(offsets, sentences)``. Applied to this result, the function returns the rows of ``A``: the distinct
    items of each sentence.

    Examples
    --------
    >>> sentences_of_items(np.array([1, 0, 1, 1], np.int32), np.array([0, 3, 4]), 2)
    (array([0, 1, 3]), array([0, 0, 1], dtype=int32))
    """
    item_offsets = np.zeros(n_items + 1, np.int64)
    last = np.full(n_items, -1, np.int64)
    for sentence in range(len(offsets) - 1):
        for item in tokens[offsets[sentence] : offsets[sentence + 1]]:
            if last[item] != sentence:
                last[item] = sentence
                item_offsets[item + 1] += 1
    for item in range(n_items):
        item_offsets[item + 1] += item_offsets[item]
    item_sentences = np.empty(item_offsets[n_items], np.int32)
    next_slot = item_offsets[:-1].copy()
    last[:] = -1
    for sentence in range(len(offsets) - 1):
        for item in tokens[offsets[sentence] : offsets[sentence + 1]]:
            if last[item] != sentence:
                last[item] = sentence
                item_sentences[next_slot[item]] = sentence
                next_slot[item] += 1
    return item_offsets, item_sentences


@compiled
def newest_items(tokens: Codes, offsets: Offsets, n_items: int, most: int) -> tuple[Codes, Offsets]:
    """Cut sentences to their longest suffixes of at most ``most`` distinct items; return tokens and offsets.

    Examples
    --------
    >>> newest_items(np.array([3, 0, 1, 1, 2], np.int32), np.array([0, 4, 5]), 4, 2)
    (array([0, 1, 1, 2], dtype=int32), array([0, 3, 4]))
    """
    newest = np.empty(len(tokens), np.int32)
    newest_offsets = np.zeros(len(offsets), np.int64)
    last = np.full(n_items, -1, np.int64)
    for sentence in range(len(offsets) - 1):
        start, n_distinct = offsets[sentence + 1], 0
        while start > offsets[sentence]:
            item = tokens[start - 1]
            if last[item] != sentence:
                if n_distinct == most:
                    break
                last[item] = sentence
                n_distinct += 1
            start -= 1
        kept = tokens[start : offsets[sentence + 1]]
        end = newest_offsets[sentence] + len(kept)
        newest[newest_offsets[sentence] : end] = kept
        newest_offsets[sentence + 1] = end
    return newest[: newest_offsets[-1]], newest_offsets


def nearest(tokens: Codes, offsets: Offsets, n_items: int, k: int) -> SparseRows:
    """Return up to ``k`` nearest other items of each item, by cosine of the columns of ``A``.

    The cosine is ``(A.T @ A)[i, j] / sqrt(n[i] * n[j])`` with ``n = A.sum(axis=0)``. Items with cosine 0 are
    left out. Scores are rounded to float32, so that their sums in float64 are exact and do not depend on the
    order of the terms.

    Examples
    --------
    >>> rows = nearest(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 1)
    >>> rows.items[rows.starts], rows.scores[rows.starts]
    (array([1, 0, 0], dtype=int32), array([1.        , 1.        , 0.70710677], dtype=float32))
    """
    n_sentences = np.diff(sentences_of_items(tokens, offsets, n_items)[0])
    root = np.sqrt(np.maximum(n_sentences, 1))
    return _best_products(tokens, offsets, n_items, k, _Scales(np.ones(len(offsets) - 1), root, root))


def links(tokens: Codes, offsets: Offsets, n_items: int, k: int) -> SparseRows:
    """Return, for each item, the ``k`` other items with the highest scores of one round of link propagation.

    The matrix of scores is ``D_i**-.5 @ A.T @ D_s**-.75 @ A @ D_i**-.25``, where D_i and D_s are diagonal
    matrices of the column and row sums of ``A``. Items with score 0 are left out. Scores are float32.

    Examples
    --------
    >>> rows = links(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 1)
    >>> rows.items, rows.scores.round(3)
    (array([1, 0, 0], dtype=int32), array([0.614, 0.614, 0.369], dtype=float32))
    """
    item_offsets, item_sentences = sentences_of_items(tokens, offsets, n_items)
    n_distinct = np.maximum(np.bincount(item_sentences, minlength=len(offsets) - 1), 1)
    degree = np.maximum(np.diff(item_offsets), 1)
    # Weights are rounded to float32, so that their sums in float64 are exact in any order of the terms.
    sentence_weights = (n_distinct**-0.75).astype(np.float32).astype(np.float64)
    return _best_products(tokens, offsets, n_items, k, _Scales(sentence_weights, degree**0.5, degree**0.25))


class _Scales(NamedTuple):
    """Scales of ``_best_products``: a weight per sentence, and a divisor per row and per column."""

    sentences: Doubles
    rows: Doubles
    columns: Doubles


def _best_products(tokens: Codes, offsets: Offsets, n_items: int, k: int, scales: _Scales) -> SparseRows:
    """Return the ``k`` largest entries per row of ``A.T @ diag(sentences) @ A / np.outer(rows, columns)``.

    ``sentences``, ``rows`` and ``columns`` are fields of ``scales``. Diagonal and zero entries are left out.
    """
    item_offsets, item_sentences = sentences_of_items(tokens, offsets, n_items)
    sentence_offsets, sentence_items = sentences_of_items(item_sentences, item_offsets, len(offsets) - 1)
    starts = _row_starts(item_offsets, item_sentences, sentence_offsets, k)
    lists = item_offsets, item_sentences, sentence_offsets, sentence_items
    return SparseRows(*_best_pairs(*lists, scales, starts, k))


@compiled
def _row_starts(item_offsets: Offsets, item_sentences: Codes, sentence_offsets: Offsets, k: int) -> Offsets:
    """Return the index at which each row of the result starts.

    A row has space for ``k`` neighbours, or fewer if the item cannot have ``k``.
    """
    n_items = len(item_offsets) - 1
    starts = np.zeros(n_items + 1, np.int64)
    for item in range(n_items):
        met = 0
        for sentence in item_sentences[item_offsets[item] : item_offsets[item + 1]]:
            met += sentence_offsets[sentence + 1] - sentence_offsets[sentence] - 1
        starts[item + 1] = starts[item] + min(k, met, n_items - 1)
    return starts


@compiled
def _best_pairs(
    item_offsets: Offsets,
    item_sentences: Codes,
    sentence_offsets: Offsets,
    sentence_items: Codes,
    scales: _Scales,
    starts: Offsets,
    k: int,
) -> tuple[Codes, Floats, Offsets, Offsets]:
    n_items = len(item_offsets) - 1
    items = np.empty(starts[n_items], np.int32)
    scores = np.empty(starts[n_items], np.float32)
    ends = np.empty(n_items, np.int64)
    sums = np.zeros(n_items, np.float64)
    met = np.empty(n_items, np.int32)
    best = empty_heap()
    for item in range(n_items):
        n_met = 0
        for sentence in item_sentences[item_offsets[item] : item_offsets[item + 1]]:
            for other in sentence_items[sentence_offsets[sentence] : sentence_offsets[sentence + 1]]:
                if sums[other] == 0:
                    met[n_met] = other
                    n_met += 1
                sums[other] += scales.sentences[sentence]
        sums[item] = 0
        for other in met[:n_met]:
            if sums[other] > 0:
                score = sums[other] / (scales.rows[item] * scales.columns[other])
                keep_best(best, k, np.float64(np.float32(score)), other)
                sums[other] = 0
        ends[item] = write_down(best, items, scores, starts[item])
    return items, scores, starts[:-1], ends


@compiled
def pair_counts(tokens: Codes, offsets: Offsets, n_items: int) -> Doubles:
    """Return ``A.T @ A``: the number of sentences that contain each pair of items (n items × n items).

    Examples
    --------
    >>> pair_counts(np.array([0, 1, 1, 0], np.int32), np.array([0, 3, 4]), 2)
    array([[2., 1.],
           [1., 1.]])
    """
    counts = np.zeros((n_items, n_items), np.float64)
    item_offsets, item_sentences = sentences_of_items(tokens, offsets, n_items)
    sentence_offsets, items = sentences_of_items(item_sentences, item_offsets, len(offsets) - 1)
    for item in range(n_items):
        for sentence in item_sentences[item_offsets[item] : item_offsets[item + 1]]:
            for i in range(sentence_offsets[sentence], sentence_offsets[sentence + 1]):
                counts[item, items[i]] += 1
    return counts


@compiled
def first_occurrences(histories: Codes, offsets: Offsets, n_items: int) -> Doubles:
    """Return 1.0 for the first token of each item in each history, and 0.0 for all other tokens.

    Examples
    --------
    >>> first_occurrences(np.array([0, 2, 0, 0], np.int32), np.array([0, 3, 4]), 3)
    array([1., 1., 0., 1.])
    """
    first = np.zeros(len(histories), np.float64)
    counted_in = np.full(n_items, -1, np.int64)
    for history in range(len(offsets) - 1):
        for token in range(offsets[history], offsets[history + 1]):
            if counted_in[histories[token]] != history:
                counted_in[histories[token]] = history
                first[token] = 1.0
    return first


@compiled
def best_sums(
    histories: Codes, offsets: Offsets, weights: Doubles, rows: SparseRows, sizes: Offsets
) -> SparseRows:
    """Return, for each history, the ``sizes[history]`` items with the largest sums ``weights @ T[history]``.

    ``T`` (n items × n items) is the matrix with the sparse ``rows``, whose scores must be positive.
    ``weights`` (one per token) must not be negative. Items with sum 0 are left out, so that a history may
    have fewer items.

    Examples
    --------
    >>> alike = nearest(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 2)
    >>> sums = best_sums(np.array([0, 2], np.int32), np.array([0, 2]), np.ones(2), alike, np.array([1]))
    >>> sums.items, sums.scores
    (array([1], dtype=int32), array([1.70710677]))
    """
    n_items = len(rows.starts)
    starts = np.zeros(len(sizes) + 1, np.int64)
    starts[1:] = np.cumsum(sizes)
    items = np.empty(starts[-1], np.int32)
    scores = np.empty(starts[-1], np.float64)
    ends = np.empty(len(sizes), np.int64)
    sums = np.zeros(n_items, np.float64)
    reached = np.empty(n_items, np.int32)
    best = empty_heap()
    for history in range(len(sizes)):
        own = slice(offsets[history], offsets[history + 1])
        n_reached = _add_rows(histories[own], weights[own], rows, sums, reached)
        for other in reached[:n_reached]:
            keep_best(best, sizes[history], sums[other], other)
            sums[other] = 0
        ends[history] = write_down(best, items, scores, starts[history])
    return SparseRows(items, scores, starts[:-1], ends)


@compiled
def log_shares(
    histories: Codes, offsets: Offsets, weights: Doubles, rows: SparseRows, floor: float
) -> tuple[Codes, Doubles, Offsets]:
    """Return, for each history, the items with p > 0, and ``log(1 + p / floor)`` for each of these items.

    With ``T`` as in ``best_sums``, ``sums = maximum(weights @ T[history], 0)`` and ``p = sums / sums.sum()``.
    The scores of ``T`` may be negative. The result is ``(items, logarithms, offsets)``, and the items of a
    history are ascending.

    Examples
    --------
    >>> alike = nearest(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 2)
    >>> log_shares(np.array([2], np.int32), np.array([0, 1]), np.ones(1), alike, 0.5)
    (array([0, 1], dtype=int32), array([0.69314718, 0.69314718]), array([0, 2]))
    """
    n_items = len(rows.starts)
    ends = np.zeros(len(offsets), np.int64)
    sums = np.zeros(n_items, np.float64)
    reached = np.empty(n_items, np.int32)
    items = np.empty(1024, np.int32)
    logs = np.empty(1024, np.float64)
    for history in range(len(offsets) - 1):
        own = slice(offsets[history], offsets[history + 1])
        near = np.sort(reached[: _add_rows(histories[own], weights[own], rows, sums, reached)])
        end, most = ends[history], ends[history] + len(near)
        if most > len(items):
            items = np.concatenate((items, np.empty(most, np.int32)))
            logs = np.concatenate((logs, np.empty(most, np.float64)))
        total = np.maximum(sums[near], 0.0).sum()
        for other in near:
            if sums[other] > 0:
                items[end], logs[end] = other, np.log1p(sums[other] / total / floor)
                end += 1
            sums[other] = 0
        ends[history + 1] = end
    return items[: ends[-1]], logs[: ends[-1]], ends


@compiled
def _add_rows(history: Codes, weights: Doubles, rows: SparseRows, sums: Doubles, reached: Codes) -> int:
    """Add ``weights @ T[history]`` to ``sums``, which must be all zero; return the number of items reached.

    An item is reached if one of its terms is not 0. The reached items are written to ``reached``. If the
    terms of an item cancel out, the sum of the item is ``CANCELLED`` instead of 0.
    """
    n_reached = 0
    for token in range(len(history)):
        for i in range(rows.starts[history[token]], rows.ends[history[token]]):
            other, term = rows.items[i], weights[token] * rows.scores[i]
            if term != 0:  # the weight of an old token may underflow to 0
                if sums[other] == 0:
                    reached[n_reached] = other
                    n_reached += 1
                sums[other] += term
                if sums[other] == 0:  # terms cancel out: a mark that the item is reached
                    sums[other] = CANCELLED
    return n_reached


@compiled
def pair_cosines(rows_a: Codes, rows_b: Codes, item_offsets: Offsets, item_sentences: Codes) -> Doubles:
    """Return the cosine of each pair of items, as in ``nearest``, in float64; 0 if an item is in no sentence.

    ``item_offsets`` and ``item_sentences`` are the result of ``sentences_of_items``. Each sentence of the
    item with fewer sentences is located among the sentences of the other item by exponential search (Bentley
    & Yao, An almost optimal algorithm for unbounded searching, 1976).

    Examples
    --------
    >>> lists = sentences_of_items(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3)
    >>> pair_cosines(np.array([0, 0], np.int32), np.array([1, 2], np.int32), *lists)
    array([1.        , 0.70710678])
    """
    cosines = np.zeros(len(rows_a), np.float64)
    for pair in range(len(rows_a)):
        a, b = rows_a[pair], rows_b[pair]
        short = item_sentences[item_offsets[a] : item_offsets[a + 1]]
        long = item_sentences[item_offsets[b] : item_offsets[b + 1]]
        if len(short) > len(long):
            short, long = long, short
        if len(short) > 0:
            n_common = _n_common(short, long)
            cosines[pair] = n_common / np.sqrt(np.float64(len(short)) * np.float64(len(long)))
    return cosines


@compiled
def _n_common(short: Codes, long: Codes) -> int:
    """Return ``len(np.intersect1d(short, long))`` of two ascending lists without duplicates."""
    n_common, low = 0, 0
    for sentence in short:
        step = 1
        while low + step < len(long) and long[low + step] < sentence:
            step *= 2
        high = min(low + step + 1, len(long))
        low += step // 2
        while low < high:
            middle = (low + high) // 2
            if long[middle] < sentence:
                low = middle + 1
            else:
                high = middle
        if low == len(long):
            break
        n_common += long[low] == sentence
    return n_common
