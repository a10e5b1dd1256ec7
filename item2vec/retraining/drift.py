"""How far a new model is from the one that is served: what came and went, and what moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Doubles, Floats, Rows
from item2vec.index import build, find_many
from item2vec.ranking import top_k
from item2vec.recommender import Recommender
from item2vec.types import check_k

__all__ = ["Drift", "Mover", "PopularityChange", "compare_models"]


MAX_QUERIES = 5000
MIN_QUERIES = 200
SCORES_A_COMPARISON = 200_000_000
ALIGNED_ROWS = 20_000
LISTED = 20
NEIGHBOURS = 5
FREQUENT = 10
"""Tokens from which an item's vector is trusted to move for a reason."""


@dataclass(frozen=True)
class Mover:
    """An item that keeps other company than before.

    >>> Mover("a", 0.25, 30.0, 28.0, ("b",), ("c",)).live_neighbours
    ('c',)
    """

    item: str
    cosine: float
    """Cosine of its new and its live vector, after alignment."""
    count: float
    """Its tokens in the new model."""
    live_count: float
    neighbours: tuple[str, ...]
    """Its nearest items, nearest first, in the new model."""
    live_neighbours: tuple[str, ...]


@dataclass(frozen=True)
class PopularityChange:
    """An item's share of all tokens, then and now; 0 where a model does not know it.

    >>> PopularityChange("a", share=0.5, live_share=0.25).share
    0.5
    """

    item: str
    share: float
    live_share: float


@dataclass(frozen=True)
class Drift:
    """What ``compare_models`` found; ``dataclasses.asdict`` makes JSON of it."""

    n_items: int
    n_live_items: int
    n_common: int
    new_share: float
    """Share of the new model's items that the live one does not know."""
    gone_share: float
    """Share of the live model's items that the new one does not know."""
    k: int
    overlap: float | None
    """Mean share of an item's ``k`` nearest common items that are the same in both models; 0 to 1. ``None``
    where fewer than two items are common."""
    overlap_by_popularity: tuple[float, ...]
    """The same by tenths of the items, most frequent first; empty where fewer than ten were looked at."""
    cosine: float | None
    """Mean cosine of new and live vectors of the common items after alignment; -1 to 1. Unrelated vectors
    reach 0.85 √(dimensions / items aligned), at most 20,000 items; ``None`` where nothing is common, or the
    models have vectors of different sizes."""
    movers: tuple[Mover, ...]
    """Of the items with 10 tokens or more in both models the 20 that moved most after alignment."""
    popularity_shift: float
    """Share of all tokens that would have to go to other items to turn the live shares into the new ones
    (total variation); 0 to 1."""
    popularity_changes: tuple[PopularityChange, ...]
    """The 20 biggest changes of a share, up or down."""


def compare_models(new: Recommender, live: Recommender, *, k: int = 10, seed: int = 1) -> Drift:
    """Compare a new model with the live one over the items that both know.

    Two trainings differ by a rotation that means nothing. So neighbours are compared, which no rotation
    changes; and vectors after the best rotation of the new unit rows onto the live ones. Items that lack an
    input vector in one of the models are left out of both comparisons. Where there are many items, neighbours
    are compared of 5,000 sampled ones (fewer from 40,000 items on), and movers looked for among the 20,000
    most frequent.

    Source: Schönemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31, 1966;
    Hamilton, Leskovec & Jurafsky, Diachronic word embeddings reveal statistical laws of semantic change, ACL
    2016.

    Examples
    --------
    >>> from item2vec import ItemVectors, Vocabulary
    >>> rows = np.random.default_rng(7).normal(size=(4, 2))
    >>> live = Recommender(ItemVectors(Vocabulary(("a", "b", "c", "d")), rows, None, [4, 3, 2, 1]))
    >>> turned = rows[:3] @ [[0, 1], [-1, 0]]
    >>> new = Recommender(ItemVectors(Vocabulary(("a", "b", "c")), turned, None, [4, 3, 2]))
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
        overlap_by_popularity=_tenths(overlaps[order]),
        cosine=cosine,
        movers=() if rotation is None else _movers(common, rotation),
        popularity_shift=shift,
        popularity_changes=changes,
    )


@dataclass(frozen=True, eq=False)
class _Common:
    """The items that have an input vector in both models, and the row of each in either."""

    new: Recommender
    live: Recommender
    rows: Rows
    live_rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def counts(self) -> Doubles:
        """The smaller of an item's two counts."""
        both: Doubles = np.minimum(
            self.new.vectors.counts[self.rows], self.live.vectors.counts[self.live_rows]
        )
        return both

    def units(self, items: Rows) -> tuple[Floats, Floats]:
        """Return the unit rows of some items in both models."""
        return (
            self.new.vectors.unit_input[self.rows[items]],
            self.live.vectors.unit_input[self.live_rows[items]],
        )


def _overlaps(common: _Common, k: int, random: np.random.Generator) -> tuple[Doubles, Rows]:
    """Return the overlap of each item of a sample, and their order by count, highest first."""
    k = min(k, len(common) - 1)
    if k < 1:
        return np.empty(0), np.empty(0, np.intp)
    n = int(np.clip(SCORES_A_COMPARISON // len(common), MIN_QUERIES, MAX_QUERIES))
    asked = _sample(random, len(common), n)
    of_both = [
        _neighbours(model, rows, asked, k)
        for model, rows in ((common.new, common.rows), (common.live, common.live_rows))
    ]
    merged = np.sort(np.concatenate(of_both, axis=1), axis=1)
    overlaps: Doubles = (merged[:, 1:] == merged[:, :-1]).sum(axis=1) / k
    return overlaps, np.argsort(-common.counts[asked], kind="stable")


def _neighbours(model: Recommender, rows: Rows, asked: Rows, k: int) -> Rows:
    """Return the ``k`` nearest common items of each item asked for (n asked × k), numbered as they are."""
    units = model.vectors.unit_input
    item_of = np.full(len(units), -1, np.intp)
    item_of[rows] = np.arange(len(rows))
    own = rows[asked]
    found = find_many(
        build(units, kind="exact"), units[own], k=k, excluded=own[:, None].tolist(), allowed=rows
    )
    nearest: Rows = item_of[np.array([one.rows for one in found])]
    return nearest


def _tenths(overlaps: Doubles) -> tuple[float, ...]:
    if len(overlaps) < 10:
        return ()
    return tuple(float(part.mean()) for part in np.array_split(overlaps, 10))


def _alignment(common: _Common, random: np.random.Generator) -> tuple[Floats | None, float | None]:
    """Return the rotation of the new unit rows onto the live ones, and the mean cosine after it."""
    sizes = {model.vectors.input.shape[1] for model in (common.new, common.live)}
    if not len(common) or len(sizes) > 1:
        return None, None
    units, live_units = common.units(_sample(random, len(common), ALIGNED_ROWS))
    left, _, right = np.linalg.svd(units.T.astype(np.float64) @ live_units)
    rotation: Floats = (left @ right).astype(np.float32)
    return rotation, float(_cosines(units @ rotation, live_units).mean())


def _movers(common: _Common, rotation: Floats) -> tuple[Mover, ...]:
    items = top_k(np.where(common.counts >= FREQUENT, common.counts, -np.inf), ALIGNED_ROWS)
    if not len(items):
        return ()
    units, live_units = common.units(items)
    cosines = _cosines(units @ rotation, live_units)
    return tuple(
        _mover(common, int(items[place]), float(cosines[place])) for place in top_k(-cosines, LISTED)
    )


def _mover(common: _Common, item: int, cosine: float) -> Mover:
    row, live_row = int(common.rows[item]), int(common.live_rows[item])
    id_ = common.new.vocabulary.ids[row]
    near, live_near = (
        tuple(one.item for one in model.similar_items(id_, k=NEIGHBOURS))
        for model in (common.new, common.live)
    )
    counts = float(common.new.vectors.counts[row]), float(common.live.vectors.counts[live_row])
    return Mover(id_, cosine, *counts, near, live_near)


def _popularity(new: Recommender, live: Recommender) -> tuple[float, tuple[PopularityChange, ...]]:
    """Return the total variation between the shares of all items, and the biggest changes."""
    codes = live.vocabulary.encode(new.vocabulary.ids)
    gone = np.ones(len(live.vectors), dtype=bool)
    gone[codes[codes >= 0]] = False
    own, lives = (model.vectors.counts / max(model.vectors.counts.sum(), 1) for model in (new, live))
    shares = np.concatenate((own, np.zeros(np.count_nonzero(gone))))
    live_shares = np.concatenate((np.where(codes >= 0, lives[codes], 0), lives[gone]))
    change = np.abs(shares - live_shares)
    gone_rows = np.flatnonzero(gone)

    def id_of(place: int) -> str:
        known = place < len(own)
        return new.vocabulary.ids[place] if known else live.vocabulary.ids[gone_rows[place - len(own)]]

    return float(change.sum() / 2), tuple(
        PopularityChange(id_of(place), float(shares[place]), float(live_shares[place]))
        for place in top_k(np.where(change > 0, change, -np.inf), LISTED).tolist()
    )


def _cosines(units: Floats, others: Floats) -> Doubles:
    cosines: Doubles = np.einsum("ij,ij->i", units, others, dtype=np.float64)
    return cosines


def _sample(random: np.random.Generator, n: int, most: int) -> Rows:
    return np.sort(random.choice(n, size=min(n, most), replace=False))
