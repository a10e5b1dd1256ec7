"""Items that stand in the same sentences: how alike they are, and what a history's items add up to.

A row of neighbours is ``items[starts[i]:ends[i]]`` with as many ``scores``, best first; equal scores stand in
order of the item's number. Nothing here is larger than its answer plus one number an item.
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


class SparseRows(NamedTuple):
    """Scored items, row by row: row ``i`` is at ``starts[i]`` to ``ends[i]``."""

    items: Codes
    scores: npt.NDArray[np.floating]
    starts: Offsets
    ends: Offsets


@compiled
def sentences_of_items(tokens: Codes, offsets: Offsets, n_items: int) -> tuple[Offsets, Codes]:
    """Return for each item the sentences that hold it, each once and in order: offsets, and sentences.

    Turned around a second time, it gives the distinct items of each sentence.

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
    place = item_offsets[:-1].copy()
    last[:] = -1
    for sentence in range(len(offsets) - 1):
        for item in tokens[offsets[sentence] : offsets[sentence + 1]]:
            if last[item] != sentence:
                last[item] = sentence
                item_sentences[place[item]] = sentence
                place[item] += 1
    return item_offsets, item_sentences


@compiled
def newest_items(tokens: Codes, offsets: Offsets, n_items: int, most: int) -> tuple[Codes, Offsets]:
    """Return sentences (tokens and offsets) cut to their ends that hold ``most`` distinct items at most.

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
    """Return up to ``k`` other items for each, by the cosine of the sentences that hold them.

    The cosine is n_ij / sqrt(n_i · n_j), n counting sentences; items that never meet are no neighbours.

    Scores are float32, so that a sum of them in float64 is exact: equal sums are then equal numbers, in
    whatever order they are made.

    Examples
    --------
    >>> rows = nearest(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 1)
    >>> rows.items[rows.starts], rows.scores[rows.starts]
    (array([1, 0, 0], dtype=int32), array([1.        , 1.        , 0.70710677], dtype=float32))
    """
    held_by = np.diff(sentences_of_items(tokens, offsets, n_items)[0])
    root = np.sqrt(np.maximum(held_by, 1))
    return _best_products(tokens, offsets, n_items, k, _Scales(np.ones(len(offsets) - 1), root, root))


def links(tokens: Codes, offsets: Offsets, n_items: int, k: int) -> SparseRows:
    """Return up to ``k`` other items for each, by one round of link propagation.

    The score of j for i is ``d_i**-.5 · Σ_u d_u**-.75 · d_j**-.25`` over the sentences u that hold both; d is
    the number of distinct items of a sentence, or of sentences that hold an item. Scores are float32.

    Examples
    --------
    >>> rows = links(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 1)
    >>> rows.items, rows.scores.round(3)
    (array([1, 0, 0], dtype=int32), array([0.614, 0.614, 0.369], dtype=float32))
    """
    item_offsets, item_sentences = sentences_of_items(tokens, offsets, n_items)
    holds = np.maximum(np.bincount(item_sentences, minlength=len(offsets) - 1), 1)
    held_by = np.maximum(np.diff(item_offsets), 1)
    # In float32, so that a sum of them in float64 is exact, in whatever order it is made.
    of_sentences = (holds**-0.75).astype(np.float32).astype(np.float64)
    return _best_products(tokens, offsets, n_items, k, _Scales(of_sentences, held_by**0.5, held_by**0.25))


class _Scales(NamedTuple):
    """The weight of each sentence, added to each pair of its items; the divisors of rows and of columns."""

    sentences: Doubles
    rows: Doubles
    columns: Doubles


def _best_products(tokens: Codes, offsets: Offsets, n_items: int, k: int, scales: _Scales) -> SparseRows:
    item_offsets, item_sentences = sentences_of_items(tokens, offsets, n_items)
    sentence_offsets, sentence_items = sentences_of_items(item_sentences, item_offsets, len(offsets) - 1)
    starts = _room_for_neighbours(item_offsets, item_sentences, sentence_offsets, k)
    lists = item_offsets, item_sentences, sentence_offsets, sentence_items
    return SparseRows(*_best_pairs(*lists, scales, starts, k))


@compiled
def _room_for_neighbours(
    item_offsets: Offsets, item_sentences: Codes, sentence_offsets: Offsets, k: int
) -> Offsets:
    """Return where to write each item's neighbours: ``k`` of them at most, and no more than it ever met."""
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
    together = np.zeros(n_items, np.float64)
    met = np.empty(n_items, np.int32)
    best = empty_heap()
    for item in range(n_items):
        n_met = 0
        for sentence in item_sentences[item_offsets[item] : item_offsets[item + 1]]:
            for other in sentence_items[sentence_offsets[sentence] : sentence_offsets[sentence + 1]]:
                if together[other] == 0:
                    met[n_met] = other
                    n_met += 1
                together[other] += scales.sentences[sentence]
        together[item] = 0
        for other in met[:n_met]:
            if together[other] > 0:
                score = together[other] / (scales.rows[item] * scales.columns[other])
                keep_best(best, k, np.float64(np.float32(score)), other)
                together[other] = 0
        ends[item] = write_down(best, items, scores, starts[item])
    return items, scores, starts[:-1], ends


@compiled
def pair_counts(tokens: Codes, offsets: Offsets, n_items: int) -> Doubles:
    """Return how many sentences hold each pair of items (n items × n items), on the diagonal each item.

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
            for place in range(sentence_offsets[sentence], sentence_offsets[sentence + 1]):
                counts[item, items[place]] += 1
    return counts


@compiled
def first_occurrences(histories: Codes, offsets: Offsets, n_items: int) -> Doubles:
    """Return 1.0 for the first token of each item in a history, 0.0 for the others.

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
    """Return for each history the ``sizes`` best items by the weighted sum over the rows of its tokens.

    ``weights`` (one per token) are not negative. ``rows`` holds positive scores, a row for each item; items
    of no row are left out.

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
    """Return for each history the items of its rows, ascending, their ``log(1 + p / floor)``, and offsets.

    p is an item's share of the weighted sum of the rows; the shares of a history add up to 1.

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
        found = np.sort(reached[: _add_rows(histories[own], weights[own], rows, sums, reached)])
        start, end = ends[history], ends[history] + len(found)
        if end > len(items):
            items = np.concatenate((items, np.empty(end, np.int32)))
            logs = np.concatenate((logs, np.empty(end, np.float64)))
        total = sums[found].sum()
        for place in range(len(found)):
            items[start + place] = found[place]
            logs[start + place] = np.log1p(sums[found[place]] / total / floor)
            sums[found[place]] = 0
        ends[history + 1] = end
    return items[: ends[-1]], logs[: ends[-1]], ends


@compiled
def _add_rows(
    history: Codes,
    weights: Doubles,
    rows: SparseRows,
    sums: Doubles,
    reached: Codes,
) -> int:
    """Add the rows of a history's tokens, times their weights, to ``sums``; return how many are above 0.

    ``reached`` is filled with their items. ``sums`` must hold zeros before.
    """
    n_reached = 0
    for token in range(len(history)):
        for place in range(rows.starts[history[token]], rows.ends[history[token]]):
            other, term = rows.items[place], weights[token] * rows.scores[place]
            if term > 0:  # a decay underflows after a thousand steps
                if sums[other] == 0:
                    reached[n_reached] = other
                    n_reached += 1
                sums[other] += term
    return n_reached


@compiled
def pair_cosines(rows_a: Codes, rows_b: Codes, item_offsets: Offsets, item_sentences: Codes) -> Doubles:
    """Return the cosine of each pair of items, as in ``nearest``; 0 where one of them is in no sentence.

    ``item_offsets`` and ``item_sentences`` are those of ``sentences_of_items``. Walks the shorter list and
    gallops through the longer (Bentley & Yao, An almost optimal algorithm for unbounded searching, 1976).

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
            together = _n_common(short, long)
            cosines[pair] = together / np.sqrt(np.float64(len(short)) * np.float64(len(long)))
    return cosines


@compiled
def _n_common(short: Codes, long: Codes) -> int:
    """Return how many numbers two ascending lists share."""
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
