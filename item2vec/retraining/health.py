"""Is a model sound? Numbers that tell a healthy one from one that is untrained, diverged or collapsed.

No single number finds all three, and none finds a model that has learned thoroughly from a corpus whose order
was lost: its vectors are as long, as spread and as distinct as those of a good one. That one loses to
popularity on held-out events. Within which bounds the numbers must lie is said by the gates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Doubles, Floats, Rows
from item2vec.config import NextItem
from item2vec.index import Index, build, find_many
from item2vec.prior import queries_of
from item2vec.recommender import Recommender
from item2vec.taste import read_tastes
from item2vec.vectors import ItemVectors, unit_rows

__all__ = ["Health", "measure_health"]


SAMPLED_ROWS = 2000
MAX_QUERIES = 500
MIN_QUERIES = 100
SCORES_A_MEASUREMENT = 100_000_000
ROUNDING = 1e-6
SAME_PLACE = 1e-6
"""Cosines apart by less than this are of rows in the same place, as far as float32 can tell."""
ELEMENTS_AT_ONCE = 1 << 20
K = 10


@dataclass(frozen=True)
class Health:
    """What is known of a model without asking it about anyone's future.

    Examples
    --------
    >>> from item2vec import adapters, fit
    >>> health = measure_health(fit(adapters.playlists([["a", "b", "c"], ["b", "c", "d"]] * 20)))
    >>> health.n_items, health.duplicate_share, health.self_retrieval
    (4, 0.0, 1.0)
    """

    n_items: int
    vector_size: int
    norm_median: float
    """Median length of the input rows; above 0."""
    norm_max: float
    """Length of the longest input row. Divergence drives it into the thousands, seldom to infinity."""
    norm_growth: float | None
    """``norm_median`` over the length of a row of the random start, which training leaves far behind: 1 of
    untrained vectors. The start is uniform: ±1 / dimensions with gensim, half of that with numba, and with
    next_item by the dimensions of each part of the vectors. ``None`` where vectors are compared by cosine:
    these start at length 1, and only their answers show whether they were trained."""
    output_norm: float | None
    """Median length of the output rows, which start at zero; ``None`` without output vectors."""
    effective_rank: float
    """How many directions the input rows spread over: exp(-Σ p ln p), p = σ / Σσ, over the singular values σ
    of the unit rows less their mean; 0 where all rows point the same way. Unit rows, so that a few long ones
    do not decide; less their mean, so that what they have in common is left to ``mean_cosine``. Source: Roy &
    Vetterli, The effective rank: a measure of effective dimensionality, EUSIPCO 2007."""
    effective_rank_share: float
    """``effective_rank`` over the most that it can be, min(dimensions, rows looked at - 1); 0 to 1."""
    mean_cosine: float
    """Mean cosine of two different items' input rows; near 1 where all have collapsed into one direction. 0
    of a single item."""
    duplicate_share: float
    """Share of the input rows that equal another one before them, bit for bit; 0 to 1."""
    self_retrieval: float
    """Share of sampled items which the index behind ``similar_items`` finds, or an item in the same place,
    as the nearest of all to their own vector; 0 to 1."""
    index_recall: float
    """Recall@10 of the model's index against exact search, for histories of one item drawn by popularity,
    where an item as good as the tenth best counts as found; 0 to 1."""


def measure_health(model: Recommender, *, seed: int = 1) -> Health:
    """Measure how sound a model is, on samples where there are many items.

    Lengths and duplicates are those of all rows; the rest is measured on at most 2,000 rows and 500
    questions, the same ones for the same seed. Items without an input vector are measured by their output
    vector only.
    """
    vectors = model.vectors
    random = np.random.default_rng(seed)
    rows = np.flatnonzero(vectors.has_input)
    matrix = vectors.input if len(rows) == len(vectors) else vectors.input[rows]
    sample = unit_rows(matrix[_sample(random, len(rows), SAMPLED_ROWS)]).astype(np.float64)
    norms = _norms(matrix)
    most = min(sample.shape[1], len(sample) - 1)
    rank = _effective_rank(sample)
    n_queries = int(np.clip(SCORES_A_MEASUREMENT // len(vectors), MIN_QUERIES, MAX_QUERIES))
    return Health(
        n_items=len(vectors),
        vector_size=vectors.input.shape[1],
        norm_median=float(np.median(norms)),
        norm_max=float(norms.max()),
        norm_growth=_growth(float(np.median(norms)), vectors),
        output_norm=None if vectors.output is None else float(np.median(_norms(vectors.output))),
        effective_rank=rank,
        effective_rank_share=rank / most if most else 1.0,
        mean_cosine=_mean_cosine(sample),
        duplicate_share=_duplicate_share(matrix, random),
        self_retrieval=_self_retrieval(model, rows[_sample(random, len(rows), n_queries)]),
        index_recall=_index_recall(model, n_queries, random),
    )


def _sample(random: np.random.Generator, n: int, most: int) -> Rows:
    return random.choice(n, size=min(n, most), replace=False)


def _norms(matrix: Floats) -> Doubles:
    norms: Doubles = np.sqrt(np.einsum("ij,ij->i", matrix, matrix, dtype=np.float64))
    return norms


def _growth(norm: float, vectors: ItemVectors) -> float | None:
    """Return a length over the root mean square length of the rows that such a training starts from."""
    size, config = vectors.input.shape[1], vectors.config
    if config is None or config.backend == "gensim":
        return norm * float((3 * size) ** 0.5)
    if isinstance(config, NextItem) and config.similarity == "cosine":
        return None
    n_parts = len(config.context_decay) if isinstance(config, NextItem) else 1
    return norm * float((12 * size) ** 0.5 / n_parts)


def _effective_rank(units: Doubles) -> float:
    spread = units - units.mean(axis=0)
    gram = spread @ spread.T if len(spread) < spread.shape[1] else spread.T @ spread
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    values = values[values > ROUNDING * len(units) ** 0.5]
    shares = values / values.sum()
    return float(np.exp(-(shares @ np.log(shares)))) if len(values) else 0.0


def _mean_cosine(units: Doubles) -> float:
    n_pairs = len(units) * (len(units) - 1)
    total = np.square(units.sum(axis=0)).sum() - np.square(units).sum()
    return float(total / n_pairs) if n_pairs else 0.0


def _duplicate_share(matrix: Floats, random: np.random.Generator) -> float:
    """Compare rows by a random linear hash of their bits (multilinear hashing modulo 2**64)."""
    factors = random.integers(1 << 64, size=matrix.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(matrix), np.uint64)
    step = max(1, ELEMENTS_AT_ONCE // matrix.shape[1])
    for start in range(0, len(matrix), step):
        block = np.ascontiguousarray(matrix[start : start + step]) + np.float32(0)  # makes -0.0 a 0.0
        hashes[start : start + step] = (block.view(np.uint32) * factors).sum(axis=1)
    return 1 - len(np.unique(hashes)) / len(matrix)


def _self_retrieval(model: Recommender, rows: Rows) -> float:
    units = model.vectors.unit_input
    searched = model.taste.score == "cosine" and not model.taste.popularity
    alike = model.index if searched else build(units, kind="exact")
    nearest = np.array([found.rows[0] for found in find_many(alike, units[rows], k=1)])
    cosines = np.einsum("ij,ij->i", units[nearest], units[rows], dtype=np.float64)
    return float(np.mean((nearest == rows) | (cosines > 1 - SAME_PLACE)))


def _index_recall(model: Recommender, n_queries: int, random: np.random.Generator) -> float:
    if model.exact is model:
        return 1.0
    chances = np.where(model.vectors.has_input, model.vectors.counts + 1, 0)
    rows = random.choice(len(chances), size=n_queries, p=chances / chances.sum()).astype(np.int32)
    tastes = read_tastes(model.vectors, model.taste, rows, np.arange(n_queries + 1))
    asked = queries_of(tastes.vectors[~tastes.empty], model.vectors, model.taste)
    return _recall(model.index, model.exact.index, asked) if len(asked) else 0.0


def _recall(index: Index, exact: Index, queries: Floats) -> float:
    slack = ROUNDING * exact.largest_norm * _norms(queries)
    pairs = zip(find_many(index, queries, k=K), find_many(exact, queries, k=K), slack, strict=True)
    return float(np.mean([np.mean(found.scores >= best.scores[-1] - near) for found, best, near in pairs]))
