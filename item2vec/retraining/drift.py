"""Drift: how a new model differs from the served model in its items, neighbours, vectors and popularity.

In the names of fields, ``live`` denotes the served model. The count of an item is its ``ItemVectors.counts``:
the number of its tokens or, if the training sentences have weights, the sum of the positive weights of its
tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Doubles, Floats, Rows
from item2vec.index.building import build
from item2vec.index.search import find_many
from item2vec.matrices import row_products, sample_rows
from item2vec.ranking import top_k
from item2vec.recommender import Recommender
from item2vec.shaping import check_least
from item2vec.types import check_k

__all__ = ["Drift", "Mover", "PopularityChange", "compare_models"]


MAX_QUERIES = 5000
MIN_QUERIES = 200
MAX_SCORES = 200_000_000
"""Approximate maximum number of scores per comparison: above 40,000 common items, fewer items than
``MAX_QUERIES`` are sampled, but never fewer than ``MIN_QUERIES``."""
MAX_ALIGNED = 20_000
"""Maximum number of items in the alignment and in the search for movers."""
LISTED = 20
NEIGHBOURS = 5
MIN_COUNT = 10
"""Minimum count of a mover in each of the two models: the vectors of rarer items are noisy."""


@dataclass(frozen=True)
class Mover:
    """An item whose vector has moved relative to the vectors of the other items.

    >>> Mover("a", 0.25, 30.0, 28.0, ("b",), ("c",)).live_neighbours
    ('c',)
    """

    item: str
    cosine: float
    """Cosine of the item's vectors in the two models after alignment."""
    count: float
    """Count of the item in the new model."""
    live_count: float
    """Count of the item in the served model."""
    neighbours: tuple[str, ...]
    """Up to five items that are most similar to the item in the new model, most similar first."""
    live_neighbours: tuple[str, ...]
    """Up to five items that are most similar to the item in the served model, most similar first."""


@dataclass(frozen=True)
class PopularityChange:
    """An item's share of the sum of all counts, in each model; 0 in a model that does not contain the item.

    >>> PopularityChange("a", share=0.5, live_share=0.25).share
    0.5
    """

    item: str
    share: float
    live_share: float


@dataclass(frozen=True)
class Drift:
    """Result of ``compare_models``. ``dataclasses.asdict`` converts it to JSON values."""

    n_items: int
    """Number of items in the new model."""
    n_live_items: int
    """Number of items in the served model."""
    n_common: int
    """Number of items in both models."""
    new_share: float
    """Share of the new model's items that the served model does not contain."""
    gone_share: float
    """Share of the served model's items that the new model does not contain."""
    k: int
    """Number of nearest items that ``overlap`` compares. If at most ``k`` common items have input vectors in
    both models, ``overlap`` compares all of these items except the item itself."""
    overlap: float | None
    """Share of an item's ``k`` nearest common items that are the same in both models, averaged over the
    sampled items; 0 to 1. ``None`` if fewer than two common items have input vectors in both models."""
    overlap_by_popularity: tuple[float, ...]
    """``overlap`` in each decile of the sampled items, most frequent items first. Empty if fewer than ten
    items are sampled."""
    cosine: float | None
    """Mean cosine of an aligned item's vectors in the two models, after alignment; -1 to 1. Independent
    random vectors reach 0.85 √(dimensions / aligned items). ``None`` if no common item has input vectors in
    both models, or if the models have different numbers of dimensions."""
    movers: tuple[Mover, ...]
    """Up to 20 items with the lowest cosine after alignment, among items with a count of at least 10 in both
    models. Empty if ``cosine`` is ``None``."""
    popularity_shift: float
    """Total variation distance between the items' shares of the counts in the two models; 0 to 1."""
    popularity_changes: tuple[PopularityChange, ...]
    """Up to 20 items whose share of the counts has changed most, largest change first."""


@checked
def compare_models(new: Recommender, served: Recommender, *, k: int = 10, seed: int = 1) -> Drift:
    """Compare a new model with the served model.

    Neighbours and vectors are compared for the common items that have an input vector in both models.
    Popularity is compared for all items. Two models trained on the same data may differ by a rotation of all
    vectors. Neighbours do not depend on a rotation. Before vectors are compared, the models are aligned: the
    orthogonal matrix (rotation or reflection) that fits the new unit vectors best to the served unit vectors
    is applied to the new unit vectors.

    Large models are sampled, with the seed ``seed``. The ``k`` nearest items are compared for a sample of at
    most 5,000 items. If there are more than 40,000 common items, the sample is smaller, but has at least 200
    items. The alignment uses a sample of at most 20,000 items. Movers are searched among the at most 20,000
    common items with the highest counts, by the lower of the two counts of an item.

    Source: Schönemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31, 1966;
    Hamilton, Leskovec & Jurafsky, Diachronic word embeddings reveal statistical laws of semantic change, ACL
    2016.

    Raises
    ------
    InputTypeError, InputError
        If ``new`` or ``served`` is not a ``Recommender``, or ``k`` is not an integer of at least 1.
    ConfigError
        If ``seed`` is below 0.

    Examples
    --------
    >>> from item2vec import ItemVectors, Vocabulary
    >>> rows = np.random.default_rng(7).normal(size=(4, 2))
    >>> served = Recommender(ItemVectors(Vocabulary(("a", "b", "c", "d")), rows, None, [4, 3, 2, 1]))
    >>> rotated = rows[:3] @ [[0, 1], [-1, 0]]
    >>> new = Recommender(ItemVectors(Vocabulary(("a", "b", "c")), rotated, None, [4, 3, 2]))
    >>> drift = compare_models(new, served, k=1)
    >>> drift.gone_share, drift.overlap, round(drift.cosine, 5)
    (0.25, 1.0, 1.0)
    """
    check_k(k)
    check_least("seed", seed, 0)
    codes = new.vocabulary.encode(served.vocabulary.ids).astype(np.intp)
    n_common = int(np.count_nonzero(codes >= 0))
    served_rows = np.flatnonzero((codes >= 0) & new.vectors.has_input[codes] & served.vectors.has_input)
    common = _Common(new, served, codes[served_rows], served_rows)
    random = np.random.default_rng(seed)
    overlaps, order = _overlaps(common, k, random)
    rotation, cosine = _alignment(common, random)
    shift, changes = _popularity(new, served)
    return Drift(
        n_items=len(new.vectors),
        n_live_items=len(served.vectors),
        n_common=n_common,
        new_share=1 - n_common / len(new.vectors),
        gone_share=1 - n_common / len(served.vectors),
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
    """The common items with an input vector in both models: the rows of these items in each model."""

    new: Recommender
    served: Recommender
    rows: Rows
    served_rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def counts(self) -> Doubles:
        """The smaller of the two counts of each item."""
        counts: Doubles = np.minimum(
            self.new.vectors.counts[self.rows], self.served.vectors.counts[self.served_rows]
        )
        return counts

    def units(self, items: Rows) -> tuple[Floats, Floats]:
        """Return the unit vectors of items (positions in ``rows``) in the new and in the served model."""
        return (
            self.new.vectors.unit_input[self.rows[items]],
            self.served.vectors.unit_input[self.served_rows[items]],
        )


def _overlaps(common: _Common, k: int, random: np.random.Generator) -> tuple[Doubles, Rows]:
    """Return the overlap of each sampled item, and the order of these items by descending count."""
    k = min(k, len(common) - 1)
    if k < 1:
        return np.empty(0), np.empty(0, np.intp)
    n = int(np.clip(MAX_SCORES // len(common), MIN_QUERIES, MAX_QUERIES))
    items = sample_rows(random, len(common), n)
    neighbours = [
        _neighbours(model, rows, items, k)
        for model, rows in ((common.new, common.rows), (common.served, common.served_rows))
    ]
    # After the two joined lists have been sorted, an item of both lists occupies two adjacent columns.
    merged = np.sort(np.concatenate(neighbours, axis=1), axis=1)
    overlaps: Doubles = (merged[:, 1:] == merged[:, :-1]).sum(axis=1) / k
    return overlaps, np.argsort(-common.counts[items], kind="stable")


def _neighbours(model: Recommender, rows: Rows, items: Rows, k: int) -> Rows:
    """Return the ``k`` nearest common items of each query item, as positions in ``rows`` (queries × ``k``).

    The query items are the positions ``items`` in ``rows``. A query item is not its own neighbour.
    """
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
    """Return the orthogonal matrix that aligns the new unit vectors, and the mean cosine after alignment.

    Both are ``None`` if there are no common items, or if the models have different numbers of dimensions.
    """
    sizes = {model.vectors.input.shape[1] for model in (common.new, common.served)}
    if not len(common) or len(sizes) > 1:
        return None, None
    units, served_units = common.units(sample_rows(random, len(common), MAX_ALIGNED))
    left, _, right = np.linalg.svd(units.T.astype(np.float64) @ served_units)
    rotation: Floats = (left @ right).astype(np.float32)
    return rotation, float(row_products(units @ rotation, served_units).mean())


def _movers(common: _Common, rotation: Floats) -> tuple[Mover, ...]:
    items = top_k(np.where(common.counts >= MIN_COUNT, common.counts, -np.inf), MAX_ALIGNED)
    if not len(items):
        return ()
    units, served_units = common.units(items)
    cosines = row_products(units @ rotation, served_units)
    return tuple(
        _mover(common, int(items[position]), float(cosines[position])) for position in top_k(-cosines, LISTED)
    )


def _mover(common: _Common, item: int, cosine: float) -> Mover:
    row, served_row = int(common.rows[item]), int(common.served_rows[item])
    id_ = common.new.vocabulary.ids[row]
    neighbours, live_neighbours = (
        tuple(similar.item for similar in model.similar_items(id_, k=NEIGHBOURS))
        for model in (common.new, common.served)
    )
    counts = float(common.new.vectors.counts[row]), float(common.served.vectors.counts[served_row])
    return Mover(id_, cosine, *counts, neighbours, live_neighbours)


def _popularity(new: Recommender, served: Recommender) -> tuple[float, tuple[PopularityChange, ...]]:
    """Return the total variation distance between the shares of the counts, and the largest changes."""
    served_codes = served.vocabulary.encode(new.vocabulary.ids)
    is_gone = np.ones(len(served.vectors), dtype=bool)
    is_gone[served_codes[served_codes >= 0]] = False
    gone = np.flatnonzero(is_gone)
    of_new, of_served = (model.vectors.counts / max(model.vectors.counts.sum(), 1) for model in (new, served))
    # All items of the new model, followed by the items that only the served model contains.
    shares = np.concatenate((of_new, np.zeros(len(gone))))
    served_shares = np.concatenate((np.where(served_codes >= 0, of_served[served_codes], 0), of_served[gone]))
    change = np.abs(shares - served_shares)

    def id_of(item: int) -> str:
        is_new = item < len(of_new)
        return new.vocabulary.ids[item] if is_new else served.vocabulary.ids[gone[item - len(of_new)]]

    return float(change.sum() / 2), tuple(
        PopularityChange(id_of(item), float(shares[item]), float(served_shares[item]))
        for item in top_k(np.where(change > 0, change, -np.inf), LISTED).tolist()
    )
