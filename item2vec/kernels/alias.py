"""Alias tables: samples from a discrete distribution, with one table look-up per sample.

An index ``i`` is drawn uniformly from ``0 .. n-1``. The result is ``i`` with probability ``keep[i]``, and
``alias[i]`` otherwise. For every ``i``, ``(keep[i] + (1 - keep)[alias == i].sum()) / n`` equals
``weights[i] / weights.sum()``.

Source: Vose, A linear algorithm for generating random numbers with a given distribution, 1991.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets, Words
from item2vec.kernels.compiled import compiled, inlined
from item2vec.kernels.random import HALF, LOW_HALF

__all__ = ["drawn_item", "edge_alias_tables", "item_alias_table"]


def item_alias_table(weights: Doubles) -> Words:
    """Return the alias table of items with these weights (uint64, n items).

    The upper 32 bits of an entry hold the alias; the lower 32 bits hold ``min(keep * 2**32, 2**32 - 1)``.

    >>> [int(entry) >> 32 for entry in item_alias_table(np.array([3.0, 1.0]))]
    [0, 0]
    """
    bounds = np.array([0, len(weights)])
    _, keep, alias = edge_alias_tables(bounds, (weights / weights.max()).astype(np.float32))
    chance = np.minimum(keep.astype(np.float64) * 2.0**32, 2.0**32 - 1).astype(np.uint64)
    return alias.astype(np.uint64) << HALF | chance


@inlined
def drawn_item(table: Any, n_items: int, bits: np.uint64) -> np.uint64:
    """Return the item that 64 random bits select from a table of ``item_alias_table``.

    ``table`` is the array, or a pointer to its first element.

    >>> table = item_alias_table(np.array([3.0, 1.0]))
    >>> [int(drawn_item(table, 2, np.uint64(bits))) for bits in (0, 1 << 63, 1 << 63 | 0xFFFFFFFF)]
    [0, 1, 0]
    """
    item = (bits >> HALF) * np.uint64(n_items) >> HALF
    entry = table[item]
    if (bits & LOW_HALF) >= (entry & LOW_HALF):
        item = entry >> HALF
    return item


@compiled
def edge_alias_tables(offsets: Offsets, weights: Floats) -> tuple[Doubles, Floats, Codes]:
    """Return three arrays: the total edge weight per node; ``keep`` per edge; and ``alias`` per edge.

    Each node ``i`` has a separate alias table of its edges ``offsets[i]`` to ``offsets[i + 1]`` (exclusive).
    An alias is the index of an edge among the edges of the same node.
    """
    strength = np.zeros(len(offsets) - 1, np.float64)
    keep = np.ones(len(weights), np.float32)
    alias = np.zeros(len(weights), np.int32)
    for node in range(len(strength)):
        edges = slice(offsets[node], offsets[node + 1])
        share = weights[edges].astype(np.float64)
        if len(share) == 0:
            continue
        strength[node] = share.sum()
        share *= len(share) / strength[node]
        _fill_alias_row(share, keep[edges], alias[edges])
    return strength, keep, alias


@compiled
def _fill_alias_row(share: Doubles, keep: Floats, alias: Codes) -> None:
    """Fill the alias table of one node by Vose's method; ``share`` holds edge weights divided by their mean.

    Each entry below 1 is filled up to 1 from an entry above 1. One array holds two stacks: the entries below
    1 grow from the left, all other entries from the right.
    """
    stack = np.empty(len(share), np.int32)
    n_low, high = 0, len(share)
    for i in range(len(share)):
        if share[i] < 1:
            stack[n_low] = i
            n_low += 1
        else:
            high -= 1
            stack[high] = i
    while n_low > 0 and high < len(share):
        low, donor = stack[n_low - 1], stack[high]
        keep[low], alias[low] = share[low], donor
        share[donor] -= 1 - share[low]
        n_low -= 1
        if share[donor] < 1:
            high += 1
            stack[n_low] = donor
            n_low += 1
