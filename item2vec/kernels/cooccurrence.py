"""Items that stand in the same sentences: how alike they are, and what a history's items add up to.

A row of neighbours is ``items[starts[i]:ends[i]]`` with as many ``scores``, best first; equal scores stand in
order of the item's number. Nothing here is larger than its answer plus one number an item.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from item2vec.kernels.compiled import compiled

__all__ = ["Rows", "best_sums", "nearest", "newest_items", "pair_cosines", "sentences_of_items"]

Items = npt.NDArray[np.int32]
Places = npt.NDArray[np.int64]
Best = list[tuple[float, int]]


class Rows(NamedTuple):
    """Scored items, row by row: row ``i`` is at ``starts[i]`` to ``ends[i]``."""

    items: Items
    scores: npt.NDArray[np.floating]
    starts: Places
    ends: Places


@compiled
def sentences_of_items(tokens: Items, offsets: Places, n_items: int) -> tuple[Places, Items]:
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
def newest_items(tokens: Items, offsets: Places, n_items: int, most: int) -> tuple[Items, Places]:
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


def nearest(tokens: Items, offsets: Places, n_items: int, k: int) -> Rows:
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
    item_offsets, item_sentences = sentences_of_items(tokens, offsets, n_items)
    sentence_offsets, sentence_items = sentences_of_items(item_sentences, item_offsets, len(offsets) - 1)
    starts = _room_for_neighbours(item_offsets, item_sentences, sentence_offsets, k)
    return Rows(*_nearest(item_offsets, item_sentences, sentence_offsets, sentence_items, starts, k))


@compiled
def _room_for_neighbours(
    item_offsets: Places, item_sentences: Items, sentence_offsets: Places, k: int
) -> Places:
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
def _nearest(
    item_offsets: Places,
    item_sentences: Items,
    sentence_offsets: Places,
    sentence_items: Items,
    starts: Places,
    k: int,
) -> tuple[Items, npt.NDArray[np.float32], Places, Places]:
    n_items = len(item_offsets) - 1
    items = np.empty(starts[n_items], np.int32)
    scores = np.empty(starts[n_items], np.float32)
    ends = np.empty(n_items, np.int64)
    held_by = np.diff(item_offsets)
    together = np.zeros(n_items, np.int64)
    met = np.empty(n_items, np.int32)
    best = [(0.0, 0)]
    best.pop()
    for item in range(n_items):
        n_met = 0
        for sentence in item_sentences[item_offsets[item] : item_offsets[item + 1]]:
            for other in sentence_items[sentence_offsets[sentence] : sentence_offsets[sentence + 1]]:
                if together[other] == 0:
                    met[n_met] = other
                    n_met += 1
                together[other] += 1
        together[item] = 0
        for other in met[:n_met]:
            if together[other] > 0:
                cosine = together[other] / np.sqrt(np.float64(held_by[item]) * np.float64(held_by[other]))
                _keep(best, k, np.float64(np.float32(cosine)), other)
                together[other] = 0
        ends[item] = _write_down(best, items, scores, starts[item])
    return items, scores, starts[:-1], ends


@compiled
def best_sums(histories: Items, offsets: Places, rows: Rows, sizes: Places) -> Rows:
    """Return for each history the ``sizes`` best items by the sum over the rows of its distinct items.

    ``rows`` holds positive scores, a row for each item; items of no row are left out.

    Examples
    --------
    >>> alike = nearest(np.array([0, 1, 0, 1, 2], np.int32), np.array([0, 2, 5]), 3, 2)
    >>> sums = best_sums(np.array([0, 2, 0], np.int32), np.array([0, 3]), alike, np.array([1]))
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
    counted_in = np.full(n_items, -1, np.int64)
    best = [(0.0, 0)]
    best.pop()
    for history in range(len(sizes)):
        n_reached = 0
        for item in histories[offsets[history] : offsets[history + 1]]:
            if counted_in[item] == history:
                continue
            counted_in[item] = history
            for place in range(rows.starts[item], rows.ends[item]):
                other = rows.items[place]
                if sums[other] == 0:
                    reached[n_reached] = other
                    n_reached += 1
                sums[other] += rows.scores[place]
        for other in reached[:n_reached]:
            _keep(best, sizes[history], sums[other], other)
            sums[other] = 0
        ends[history] = _write_down(best, items, scores, starts[history])
    return Rows(items, scores, starts[:-1], ends)


@compiled
def _keep(best: Best, size: int, score: float, item: int) -> None:
    """Add an item to a heap of the ``size`` best, whose first is the worst."""
    if len(best) < size:
        heapq.heappush(best, (score, int(-item)))
    elif size > 0:
        heapq.heappushpop(best, (score, int(-item)))


@compiled
def _write_down(best: Best, items: Items, scores: npt.NDArray[np.floating], start: int) -> int:
    """Empty the heap into two arrays from ``start`` on, best first; return where the row ends."""
    end = start + len(best)
    for place in range(end - 1, start - 1, -1):
        score, item = heapq.heappop(best)
        items[place] = -item
        scores[place] = score
    return end


@compiled
def pair_cosines(
    rows_a: Items, rows_b: Items, item_offsets: Places, item_sentences: Items
) -> npt.NDArray[np.float64]:
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
def _n_common(short: Items, long: Items) -> int:
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
