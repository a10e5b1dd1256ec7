"""Drift: how a new model differs from the live one, in items, neighbours, vectors and popularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Doubles, Floats, Rows
from item2vec.index.building import build
from item2vec.index.search import find_many
from item2vec.matrices import row_products, sample_rows
from item2vec.ranking import top_k
from item2vec.recommender import Recommender
from item2vec.types import check_k

__all__ = ["Drift", "Mover", "PopularityChange", "compare_models"]


MAX_QUERIES = 5000
MIN_QUERIES = 200
MAX_SCORES = 200_000_000
"""Scores computed per comparison; limits the queries where there are many items."""
MAX_ALIGNED = 20_000
"""Items used for the alignment, and searched for movers."""
LISTED = 20
NEIGHBOURS = 5
MIN_COUNT = 10
"""Movers have at least this many tokens in both models; the vectors of rarer items are noisy."""


@dataclass(frozen=True)
class Mover:
    """An item whose vector moved relative to those of the other items.

    >>> Mover("a", 0.25, 30.0, 28.0, ("b",), ("c",)).live_neighbours
    ('c',)
    """

    item: str
    cosine: float
    """Cosine of its new and its live vector after alignment."""
    count: float
    """Tokens of the item in the new model."""
    live_count: float
    neighbours: tuple[str, ...]
    """The most similar items in the new model, most similar first."""
    live_neighbours: tuple[str, ...]


@dataclass(frozen=True)
class PopularityChange:
    """An item's share of all tokens in both models; 0 in a model that does not contain the item.

    >>> PopularityChange("a", share=0.5, live_share=0.25).share
    0.5
    """

    item: str
    share: float
    live_share: float


@dataclass(frozen=True)
class Drift:
    """Result of ``compare_models``; ``dataclasses.asdict`` converts it to JSON values."""

    n_items: int
    n_live_items: int
    n_common: int
    new_share: float
    """Share of the new model's items that are not in the live one."""
    gone_share: float
    """Share of the live model's items that are not in the new one."""
    k: int
    overlap: float | None
    """Mean share of an item's ``k`` nearest common items that are the same in both models; 0 to 1. ``None``
    if fewer than two items are common."""
    overlap_by_popularity: tuple[float, ...]
    """``overlap`` by deciles of the sampled items, most frequent first; empty for fewer than ten items."""
    cosine: float | None
    """Mean cosine of the new and live vectors of common items after alignment; -1 to 1. Independent random
    vectors reach 0.85 √(dimensions / aligned items). ``None`` if no item is common, or the numbers of
    dimensions differ."""
    movers: tuple[Mover, ...]
    """The 20 items with the lowest cosine after alignment, of those with 10 or more tokens in both models."""
    popularity_shift: float
    """Total variation distance between the two models' token shares; 0 to 1."""
    popularity_changes: tuple[PopularityChange, ...]
    """The 20 largest absolute changes of an item's share of tokens."""


def compare_models(new: Recommender, live: Recommender, *, k: int = 10, seed: int = 1) -> Drift:
    """Compare a new model with the live one on their common items.

    Two trainings on the same data differ by an arbitrary rotation. Neighbours are therefore compared, which
    are invariant to rotation; and vectors after alignment, the rotation of the new unit vectors that fits the
    live ones best. Items without an input vector in one of the models are excluded from both comparisons.
    Large models are sampled: neighbours are compared for 5,000 items (fewer above 40,000 items), the
    alignment uses 20,000 items, and movers are among the 20,000 most frequent.

    Source: Schönemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31, 1966;
    Hamilton, Leskovec & Jurafsky, Diachronic word embeddings reveal statistical laws of semantic change, ACL
    2016.

    Examples
    --------
    >>> from item2vec import ItemVectors, Vocabulary
    >>> rows = np.random.default_rng(7).normal(size=(4, 2))
    >>> live = Recommender(ItemVectors(Vocabulary(("a", "b", "c", "d")), rows, None, [4, 3, 2, 1]))
    >>> rotated = rows[:3] @ [[0, 1], [-1, 0]]
    >>> new = Recommender(ItemVectors(Vocabulary(("a", "b", "c")), rotated, None, [4, 3, 2]))
    >>> drift = compare_models(new, live, k=1)
    >>> drift.gone_share, drift.overlap, round(drift.cosine, 5)
    (0.25, 1.0, 1.0)
    """
    check_k(k)
    codes = new.vocabulary.encode(live.vocabulary.ids).astype(np.intp)
    n_common = int(np.count_nonzero(codes >= 0))
    live_rows = np.flatnonzero((codes >= 0) & new.vectors.has_input[codes] & live.vectors.has_input)
    common = _Common(new, live, codes[live_rows], live_rows)
    random = np.random.default_rng(seed)
    overlaps, order = _overlaps(common, k, random)
    rotation, cosine = _alignment(common, random)
    shift, changes = _popularity(new, live)
    return Drift(
        n_items=len(new.vectors),
        n_live_items=len(live.vectors),
        n_common=n_common,
        new_share=1 - n_common / len(new.vectors),
        gone_share=1 - n_common / len(live.vectors),
        k=k,
        overlap=float(overlaps.mean()) if len(overlaps) else None,
        overlap_by_popularity=_decile_means(overlaps[order]),
        cosine=cosine,
        movers=() if rotation is None else _movers(common, rotation),
        popularity_shift=shift,
        popularity_changes=changes,
    )


@dataclass(frozen=True, eq=False)
class _Common:
    """Items with an input vector in both models, and their row numbers in each."""

    new: Recommender
    live: Recommender
    rows: Rows
    live_rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def counts(self) -> Doubles:
        """The smaller of each item's two token counts."""
        counts: Doubles = np.minimum(
            self.new.vectors.counts[self.rows], self.live.vectors.counts[self.live_rows]
        )
        return counts

    def units(self, items: Rows) -> tuple[Floats, Floats]:
        """Return the unit vectors of some of the items (positions in ``rows``) in both models."""
        return (
            self.new.vectors.unit_input[self.rows[items]],
            self.live.vectors.unit_input[self.live_rows[items]],
        )


def _overlaps(common: _Common, k: int, random: np.random.Generator) -> tuple[Doubles, Rows]:
    """Return the overlap of each sampled item, and the order of these items by count, highest first."""
    k = min(k, len(common) - 1)
    if k < 1:
        return np.empty(0), np.empty(0, np.intp)
    n = int(np.clip(MAX_SCORES // len(common), MIN_QUERIES, MAX_QUERIES))
    items = sample_rows(random, len(common), n)
    neighbours = [
        _neighbours(model, rows, items, k)
        for model, rows in ((common.new, common.rows), (common.live, common.live_rows))
    ]
    # An item that is in both lists is next to itself once the joined lists are sorted.
    merged = np.sort(np.concatenate(neighbours, axis=1), axis=1)
    overlaps: Doubles = (merged[:, 1:] == merged[:, :-1]).sum(axis=1) / k
    return overlaps, np.argsort(-common.counts[items], kind="stable")


def _neighbours(model: Recommender, rows: Rows, items: Rows, k: int) -> Rows:
    """Return the ``k`` nearest common items of each item (n items × k), as positions in ``rows``."""
    units = model.vectors.unit_input
    item_of = np.full(len(units), -1, np.intp)
    item_of[rows] = np.arange(len(rows))
    query_rows = rows[items]
    results = find_many(
        build(units, kind="exact"),
        units[query_rows],
        k=k,
        excluded=query_rows[:, None].tolist(),
        allowed=rows,
    )
    nearest: Rows = item_of[np.array([result.rows for result in results])]
    return nearest


def _decile_means(overlaps: Doubles) -> tuple[float, ...]:
    if len(overlaps) < 10:
        return ()
    return tuple(float(part.mean()) for part in np.array_split(overlaps, 10))


def _alignment(common: _Common, random: np.random.Generator) -> tuple[Floats | None, float | None]:
    """Return the rotation of the new unit vectors onto the live ones, and the mean cosine after it."""
    sizes = {model.vectors.input.shape[1] for model in (common.new, common.live)}
    if not len(common) or len(sizes) > 1:
        return None, None
    units, live_units = common.units(sample_rows(random, len(common), MAX_ALIGNED))
    left, _, right = np.linalg.svd(units.T.astype(np.float64) @ live_units)
    rotation: Floats = (left @ right).astype(np.float32)
    return rotation, float(row_products(units @ rotation, live_units).mean())


def _movers(common: _Common, rotation: Floats) -> tuple[Mover, ...]:
    items = top_k(np.where(common.counts >= MIN_COUNT, common.counts, -np.inf), MAX_ALIGNED)
    if not len(items):
        return ()
    units, live_units = common.units(items)
    cosines = row_products(units @ rotation, live_units)
    return tuple(
        _mover(common, int(items[position]), float(cosines[position])) for position in top_k(-cosines, LISTED)
    )


def _mover(common: _Common, item: int, cosine: float) -> Mover:
    row, live_row = int(common.rows[item]), int(common.live_rows[item])
    id_ = common.new.vocabulary.ids[row]
    neighbours, live_neighbours = (
        tuple(similar.item for similar in model.similar_items(id_, k=NEIGHBOURS))
        for model in (common.new, common.live)
    )
    counts = float(common.new.vectors.counts[row]), float(common.live.vectors.counts[live_row])
    return Mover(id_, cosine, *counts, neighbours, live_neighbours)


def _popularity(new: Recommender, live: Recommender) -> tuple[float, tuple[PopularityChange, ...]]:
    """Return the total variation distance between the shares of all items, and the largest changes."""
    live_codes = live.vocabulary.encode(new.vocabulary.ids)
    is_gone = np.ones(len(live.vectors), dtype=bool)
    is_gone[live_codes[live_codes >= 0]] = False
    gone = np.flatnonzero(is_gone)
    of_new, of_live = (model.vectors.counts / max(model.vectors.counts.sum(), 1) for model in (new, live))
    # All items of the new model, then those that only the live model contains.
    shares = np.concatenate((of_new, np.zeros(len(gone))))
    live_shares = np.concatenate((np.where(live_codes >= 0, of_live[live_codes], 0), of_live[gone]))
    change = np.abs(shares - live_shares)

    def id_of(item: int) -> str:
        is_new = item < len(of_new)
        return new.vocabulary.ids[item] if is_new else live.vocabulary.ids[gone[item - len(of_new)]]

    return float(change.sum() / 2), tuple(
        PopularityChange(id_of(item), float(shares[item]), float(live_shares[item]))
        for item in top_k(np.where(change > 0, change, -np.inf), LISTED).tolist()
    )
