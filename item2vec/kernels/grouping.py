"""Group row numbers by code (counting sort), and sort each group by timestamp."""

from __future__ import annotations

import numpy as np

from item2vec.arrays import Codes, Offsets
from item2vec.kernels.compiled import compiled

__all__ = ["group_rows", "label_pairs", "sort_groups"]


_SHORT = 32


@compiled
def group_rows(group: Codes, n_groups: int) -> tuple[Offsets, Offsets]:
    """Return a pair: ``np.argsort(group, kind="stable")``, by counting sort; and the offsets of the groups.

    Examples
    --------
    >>> group_rows(np.array([1, 0, 1], np.int32), 2)
    (array([1, 0, 2]), array([0, 1, 3]))
    """
    offsets = np.zeros(n_groups + 1, np.int64)
    for row in range(len(group)):
        offsets[group[row] + 1] += 1
    for g in range(n_groups):
        offsets[g + 1] += offsets[g]
    next_slot = offsets[:-1].copy()
    rows = np.empty(len(group), np.int64)
    for row in range(len(group)):
        rows[next_slot[group[row]]] = row
        next_slot[group[row]] += 1
    return rows, offsets


@compiled
def sort_groups(rows: Offsets, offsets: Offsets, timestamp: Offsets) -> None:
    """Sort the rows of each group by timestamp, in place and stably.

    For each group: ``rows = rows[np.argsort(timestamp[rows], kind="stable")]``. A group that is
    already sorted takes one pass.
    """
    short = np.empty(_SHORT, np.int64)
    for g in range(len(offsets) - 1):
        group = rows[offsets[g] : offsets[g + 1]]
        if len(group) > _SHORT:
            times = timestamp[group]
            if np.any(times[1:] < times[:-1]):
                order = group[np.argsort(times, kind="mergesort")]
                for i in range(len(group)):  # an assignment of arrays takes seconds to compile
                    group[i] = order[i]
            continue
        for i in range(len(group)):
            short[i] = timestamp[group[i]]
        for i in range(1, len(group)):
            row, time, j = group[i], short[i], i
            while j > 0 and short[j - 1] > time:
                group[j], short[j] = group[j - 1], short[j - 1]
                j -= 1
            group[j], short[j] = row, time


@compiled
def label_pairs(offsets: Offsets, label: Codes, n_labels: int) -> Codes:
    """Return, for each row, the index of its pair (group, label) among the distinct pairs.

    The distinct pairs are in order of first appearance.

    Group ``g`` consists of the rows from ``offsets[g]`` to ``offsets[g + 1]`` (exclusive).

    Examples
    --------
    >>> label_pairs(np.array([0, 3, 4]), np.array([5, 2, 5, 5], np.int32), 6)
    array([0, 1, 0, 2], dtype=int32)
    """
    last_group = np.full(n_labels, -1, np.int64)
    number = np.empty(n_labels, np.int32)
    pairs = np.empty(len(label), np.int32)
    n_pairs = 0
    for g in range(len(offsets) - 1):
        for row in range(offsets[g], offsets[g + 1]):
            if last_group[label[row]] != g:
                last_group[label[row]] = g
                number[label[row]] = n_pairs
                n_pairs += 1
            pairs[row] = number[label[row]]
    return pairs
