"""Items on a plane, near each other where their vectors are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from openTSNE import TSNE

from item2vec.arrays import Doubles, Floats, Offsets, Rows
from item2vec.items import Items
from item2vec.vectors import ItemVectors

__all__ = ["Map", "draw_map"]

MOST_ITEMS = 2000
FEWEST_ITEMS = 5
PERPLEXITY = 30
MOST_VALUES = 20
COLORS = 12
ENOUGH = 0.5


@dataclass(frozen=True, eq=False)
class Map:
    """Points on a plane (``places``, n items × 2), and what to show of each.

    ``names`` are the values of the ``attribute`` that colours stand for, ``None`` for all others, and
    ``groups`` says which one each item has; both are empty without an attribute of any use.
    """

    titles: list[str]
    places: Floats
    attribute: str | None
    names: list[str | None]
    groups: Offsets
    log_popularity: Doubles


def draw_map(vectors: ItemVectors, items: Items | None, *, seed: int) -> Map:
    """Lay out items by t-SNE of their unit input vectors; of over 2,000, some drawn by popularity.

    Items without an input vector are left out.

    Source: van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008; openTSNE: Poličar, Stražar &
    Zupan, Journal of Statistical Software 2024.
    """
    rows = _drawn(vectors, seed)
    ids = vectors.vocabulary.decode(rows)
    about = [items.about(id_) for id_ in ids] if items else []
    attribute, values = _telling(about)
    common = [value for value, _ in Counter(filter(None, values)).most_common(COLORS)]
    names: list[str | None] = [*common, None] if set(values) - set(common) else [*common]
    number_of = {value: number for number, value in enumerate(common)}
    return Map(
        titles=[items.title(id_) if items else id_ for id_ in ids],
        places=_laid_out(vectors.unit_input[rows], seed),
        attribute=attribute,
        names=names if attribute else [],
        groups=np.array([number_of.get(value or "", len(common)) for value in values], dtype=np.int64),
        log_popularity=np.log10(np.maximum(vectors.counts[rows], 1)),
    )


def _drawn(vectors: ItemVectors, seed: int) -> Rows:
    rows = np.flatnonzero(vectors.has_input)
    if len(rows) <= MOST_ITEMS:
        return rows
    chances = vectors.counts[rows] + 1
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, MOST_ITEMS, replace=False, p=chances / chances.sum()))


def _laid_out(unit: Floats, seed: int) -> Floats:
    """Return places on a plane: from the two directions of most variance, moved by t-SNE.

    Source of the start: Kobak & Berens, The art of using t-SNE for single-cell transcriptomics, 2019.
    """
    n_items = len(unit)
    left, spread, _ = np.linalg.svd(unit - unit.mean(axis=0), full_matrices=False)
    start = np.pad(left * spread, ((0, 0), (0, 1)))[:, :2]
    if n_items < FEWEST_ITEMS:
        return start
    # Equal vectors must not start at the same place: nothing would move them apart.
    start = start / max(start[:, 0].std(), 1e-6) + np.random.default_rng(seed).normal(0, 0.01, start.shape)
    tsne = TSNE(
        perplexity=min(PERPLEXITY, (n_items - 1) / 3),
        initialization=1e-4 * start,
        metric="cosine",
        neighbors="exact",
        n_jobs=1,
        random_state=seed,
    )
    return np.asarray(tsne.fit(unit), dtype=np.float32)


def _telling(about: list[dict[str, Any]]) -> tuple[str | None, list[str | None]]:
    """Return the attribute that tells most about items by a few colours, and its value for each.

    Of those that at least half of the items have, one of 2 to 20 values; among several the one whose values
    are spread most evenly. Else one whose 12 most frequent values cover half of the items.
    """
    best: tuple[tuple[bool, float], str | None, list[str | None]] = ((False, 0.0), None, [])
    for name in sorted({name for row in about for name in row}):
        values = [_first(row.get(name)) for row in about]
        counts = np.array([count for _, count in Counter(filter(None, values)).most_common()])
        few = 2 <= len(counts) <= MOST_VALUES
        covered = counts[:COLORS].sum() >= ENOUGH * len(values)
        if len(counts) < 2 or not covered:
            continue
        shares = counts / counts.sum()
        rank = (few, float(-(shares * np.log(shares)).sum()))
        if rank > best[0]:
            best = (rank, name, values)
    return best[1], best[2]


def _first(value: Any) -> str | None:
    """Return an attribute's value as text; of several values the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None or value == "" else str(value)
