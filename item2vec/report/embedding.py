"""Two-dimensional map of the item vectors, by t-SNE."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from item2vec.arrays import Doubles, Floats, Offsets, Rows
from item2vec.items import Items
from item2vec.mapping.tsne import tsne
from item2vec.vectors import ItemVectors

__all__ = ["Map", "draw_map"]

MAX_ITEMS = 2000
MAX_VALUES = 20
COLORS = 12
MIN_COVERED = 0.5


@dataclass(frozen=True, eq=False)
class Map:
    """Positions of items on a plane (``positions``, float32, n items × 2), their titles and colour groups.

    ``names`` lists the values of ``attribute`` that have a separate colour. If items have other values, or
    have no value, the last name is ``None``, which denotes these items. ``groups`` (int64, n items) are
    indices into ``names``. If no attribute is suitable, ``attribute`` is ``None``, and ``names`` and
    ``groups`` are empty. ``log_popularity`` is log10 of the counts in training; counts below 1 are treated
    as 1.
    """

    titles: list[str]
    positions: Floats
    attribute: str | None
    names: list[str | None]
    groups: Offsets
    log_popularity: Doubles


def draw_map(vectors: ItemVectors, items: Items | None, *, seed: int) -> Map:
    """Compute a map of the items by t-SNE of their unit input vectors.

    Items without an input vector are excluded. If there are more than 2,000 items, 2,000 are sampled in
    proportion to their counts in training plus 1.

    Source: van der Maaten & Hinton, Visualizing Data using t-SNE, JMLR 2008; openTSNE: Poličar, Stražar &
    Zupan, Journal of Statistical Software 2024.
    """
    rows = _sampled_rows(vectors, seed)
    ids = vectors.vocabulary.decode(rows)
    attributes = [items.about(id_) for id_ in ids] if items else []
    attribute, values = _colour_attribute(attributes)
    common = [value for value, _ in Counter(filter(None, values)).most_common(COLORS)]
    names: list[str | None] = [*common, None] if set(values) - set(common) else [*common]
    number_of = {value: number for number, value in enumerate(common)}
    return Map(
        titles=[items.title(id_) if items else id_ for id_ in ids],
        positions=tsne(vectors.unit_input[rows], seed).astype(np.float32),
        attribute=attribute,
        names=names if attribute else [],
        groups=np.array([number_of.get(value or "", len(common)) for value in values], dtype=np.int64),
        log_popularity=np.log10(np.maximum(vectors.counts[rows], 1)),
    )


def _sampled_rows(vectors: ItemVectors, seed: int) -> Rows:
    rows = np.flatnonzero(vectors.has_input)
    if len(rows) <= MAX_ITEMS:
        return rows
    weights = vectors.counts[rows] + 1
    random = np.random.default_rng(seed)
    return np.sort(random.choice(rows, MAX_ITEMS, replace=False, p=weights / weights.sum()))


def _colour_attribute(attributes: list[dict[str, Any]]) -> tuple[str | None, list[str | None]]:
    """Return a pair: the attribute that determines the colours; and the value of the attribute per item.

    Candidates are attributes with at least two distinct values, whose 12 most frequent values cover at least
    half of the items. Candidates with at most 20 distinct values are preferred to candidates with more.
    Among equally preferred candidates, the attribute whose values have the highest entropy is chosen. Values
    are converted to text; of a list, the first element is the value. If there is no candidate, return the
    pair of ``None`` and an empty list.
    """
    best: tuple[tuple[bool, float], str | None, list[str | None]] = ((False, 0.0), None, [])
    for name in sorted({name for row in attributes for name in row}):
        values = [_first(row.get(name)) for row in attributes]
        counts = np.array([count for _, count in Counter(filter(None, values)).most_common()])
        few = 2 <= len(counts) <= MAX_VALUES
        covered = counts[:COLORS].sum() >= MIN_COVERED * len(values)
        if len(counts) < 2 or not covered:
            continue
        shares = counts / counts.sum()
        rank = (few, float(-(shares * np.log(shares)).sum()))
        if rank > best[0]:
            best = (rank, name, values)
    return best[1], best[2]


def _first(value: Any) -> str | None:
    """Return a value, or the first element of a list, as text; ``None`` if it is missing or empty text."""
    if isinstance(value, list):
        value = value[0] if value else None
    return None if value is None or value == "" else str(value)
