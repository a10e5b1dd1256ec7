"""Health: statistics that distinguish a sound model from an untrained, diverged or collapsed model.

No single statistic detects all three faults. No statistic detects a model that was trained on a shuffled
corpus, in which the items are in random order: its vectors have the same lengths, spread and distinctness as
the vectors of a good model. Such a model usually scores below the popularity baseline on held-out
interactions. ``gates.of_health`` defines the bounds of the statistics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Doubles, Floats, Rows
from item2vec.config import CBOW, NextItem, SkipGram
from item2vec.config.relatives import OneStep
from item2vec.errors import TrainingError
from item2vec.index.building import build
from item2vec.index.recall import recall_per_query
from item2vec.index.search import Index, find_many
from item2vec.matrices import row_norms, row_products, sample_rows, unit_rows
from item2vec.prior import queries_of
from item2vec.recommender import Recommender
from item2vec.taste import read_tastes
from item2vec.vectors import ItemVectors

__all__ = ["Health", "measure_health"]


SAMPLED_ROWS = 2000
MAX_QUERIES = 500
MIN_QUERIES = 100
MAX_SCORES = 100_000_000
"""Approximate maximum number of scores per measurement: above 200,000 items, there are fewer queries than
``MAX_QUERIES``, but never fewer than ``MIN_QUERIES``."""
ROUNDING = 1e-6
"""Singular values up to this share of √(number of rows) are rounding errors, and count as 0."""
EQUAL_COSINE = 1e-6
"""Tolerance for float32 rounding: two rows are equal if their cosine is above 1 minus this value."""
ELEMENTS_PER_BLOCK = 1 << 20
K = 10


@dataclass(frozen=True)
class Health:
    """Statistics of a model that are computed without held-out data.

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
    """Median norm of the input rows; above 0, because items without an input vector are excluded."""
    norm_max: float
    """Largest norm of an input row. In a diverged model it is in the thousands, but rarely infinite."""
    norm_growth: float | None
    """``norm_median`` divided by the root mean square norm of a randomly initialised row; about 1 for
    untrained vectors. Vectors are initialised uniformly within ±1 / dimensions (gensim) or ±0.5 / dimensions
    (other trainers; next_item uses the dimensions of each part). Vectors of unknown settings are treated as
    gensim's. ``None`` for LSA and tables of neighbours, which have no initial vectors, and for next_item with
    similarity="cosine": each part of an initial vector then has norm 1, and only an evaluation detects
    missing training."""
    output_norm: float | None
    """Median norm of the output rows; ``None`` without output vectors. A value of 0 shows that the training
    of skip-gram, CBOW, or next_item with similarity="inner" is missing: these initialise output vectors with
    0. Other objectives do not."""
    effective_rank: float
    """Number of directions over which the input rows spread: exp(-Σ p ln p), p = σ / Σσ, with the singular
    values σ of the centred unit rows. 0 if all rows point in the same direction. The rows are scaled to unit
    norm so that a few long rows do not dominate. They are centred because ``mean_cosine`` measures their
    common direction. Source: Roy & Vetterli, The effective rank: a measure of effective dimensionality,
    EUSIPCO 2007."""
    effective_rank_share: float
    """``effective_rank`` divided by its maximum, min(dimensions, sampled rows - 1); 0 to 1. 1 for a single
    row."""
    mean_cosine: float
    """Mean cosine of the input rows of two different items; near 1 if all rows have collapsed into one
    direction, 0 for a single item."""
    duplicate_share: float
    """Share of the input rows whose elements all equal the elements of an earlier row; 0 to 1."""
    self_retrieval: float
    """Share of sampled items whose nearest neighbour is the item itself or an item with an equal vector; 0 to
    1. The model's index is searched if it holds the unit input vectors; otherwise, all items are scanned."""
    index_recall: float
    """Recall@10 of the model's index relative to exact search, for histories of one item sampled by
    popularity; 0 to 1. If there is an index for similar items as well, the lower of the two recalls; that of
    similar items is measured for the sampled items. An item with at least the score of the tenth best item
    counts as retrieved. 1 for an exact index; otherwise 0 if no history has a user vector."""


def measure_health(model: Recommender, *, seed: int = 1) -> Health:
    """Compute the health statistics of a model.

    Norms and duplicates are computed on all rows, and ``self_retrieval`` and ``index_recall`` on at most 500
    queries. The other statistics are computed on at most 2,000 rows. Rows and queries are sampled with the
    seed. Items without an input vector contribute their output vector only. Unless all counts are 0, items
    with a count of 0 are excluded from the statistics of input vectors and from ``self_retrieval``, because
    new items with the same attributes have equal vectors.

    Raises
    ------
    TrainingError
        If no item with a count above 0 has an input vector, although a new item has one.
    """
    vectors = model.vectors
    random = np.random.default_rng(seed)
    trained = vectors.counts > 0
    rows = np.flatnonzero(vectors.has_input & trained if trained.any() else vectors.has_input)
    if not len(rows):
        raise TrainingError(
            f"none of the {np.count_nonzero(trained):,} items with a count above 0 has an input vector; "
            "expected at least one"
        )
    matrix = vectors.input if len(rows) == len(vectors) else vectors.input[rows]
    sample = unit_rows(matrix[sample_rows(random, len(rows), SAMPLED_ROWS)]).astype(np.float64)
    norms = row_norms(matrix)
    max_rank = min(sample.shape[1], len(sample) - 1)
    rank = _effective_rank(sample)
    n_queries = int(np.clip(MAX_SCORES // len(vectors), MIN_QUERIES, MAX_QUERIES))
    return Health(
        n_items=len(vectors),
        vector_size=vectors.input.shape[1],
        norm_median=float(np.median(norms)),
        norm_max=float(norms.max()),
        norm_growth=_growth(float(np.median(norms)), vectors),
        output_norm=None if vectors.output is None else float(np.median(row_norms(vectors.output))),
        effective_rank=rank,
        effective_rank_share=rank / max_rank if max_rank else 1.0,
        mean_cosine=_mean_cosine(sample),
        duplicate_share=_duplicate_share(matrix, random),
        self_retrieval=_self_retrieval(model, rows[sample_rows(random, len(rows), n_queries)]),
        index_recall=_index_recall(model, n_queries, random),
    )


def _growth(norm: float, vectors: ItemVectors) -> float | None:
    """Return a norm divided by the root mean square norm of randomly initialised rows.

    Return ``None`` in the cases in which ``Health.norm_growth`` is ``None``.
    """
    size, config = vectors.input.shape[1], vectors.config
    if config is None or (isinstance(config, SkipGram | CBOW) and config.backend == "gensim"):
        return norm * float((3 * size) ** 0.5)
    if isinstance(config, OneStep):
        return None
    if isinstance(config, NextItem) and config.similarity == "cosine":
        return None
    n_parts = len(config.context_decay) if isinstance(config, NextItem) else 1
    return norm * float((12 * size) ** 0.5 / n_parts)


def _effective_rank(units: Doubles) -> float:
    centred = units - units.mean(axis=0)
    gram = centred @ centred.T if len(centred) < centred.shape[1] else centred.T @ centred
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))
    values = values[values > ROUNDING * len(units) ** 0.5]
    shares = values / values.sum()
    return float(np.exp(-(shares @ np.log(shares)))) if len(values) else 0.0


def _mean_cosine(units: Doubles) -> float:
    n_pairs = len(units) * (len(units) - 1)
    total = np.square(units.sum(axis=0)).sum() - np.square(units).sum()
    return float(total / n_pairs) if n_pairs else 0.0


def _duplicate_share(matrix: Floats, random: np.random.Generator) -> float:
    """Return the share of duplicate rows, detected by a multilinear hash of their bits modulo 2**64."""
    factors = random.integers(1 << 64, size=matrix.shape[1], dtype=np.uint64) | np.uint64(1)
    hashes = np.empty(len(matrix), np.uint64)
    step = max(1, ELEMENTS_PER_BLOCK // matrix.shape[1])
    for start in range(0, len(matrix), step):
        block = np.ascontiguousarray(matrix[start : start + step]) + np.float32(0)  # -0.0 becomes 0.0
        hashes[start : start + step] = (block.view(np.uint32) * factors).sum(axis=1)
    return 1 - len(np.unique(hashes)) / len(matrix)


def _self_retrieval(model: Recommender, rows: Rows) -> float:
    units = model.vectors.unit_input
    # The recall of an index for similar items is part of ``_index_recall``.
    holds_units = model.parts.unit_index is model.index
    index = model.index if holds_units else build(units, kind="exact")
    nearest = np.array([result.rows[0] for result in find_many(index, units[rows], k=1)])
    cosines = row_products(units[nearest], units[rows])
    return float(np.mean((nearest == rows) | (cosines > 1 - EQUAL_COSINE)))


def _index_recall(model: Recommender, n_queries: int, random: np.random.Generator) -> float:
    if model.index.kind == "exact":
        return 1.0
    weights = np.where(model.vectors.has_input, model.vectors.counts + 1, 0)
    rows = random.choice(len(weights), size=n_queries, p=weights / weights.sum()).astype(np.int32)
    tastes = read_tastes(model.vectors, model.taste, rows, np.arange(n_queries + 1))
    queries = queries_of(tastes.vectors[~tastes.empty], model.vectors, model.taste)
    similar = model.parts.similar_index
    recall = _recall(model.index, queries)
    return recall if similar is None else min(recall, _recall(similar, similar.matrix[rows]))


def _recall(index: Index, queries: Floats) -> float:
    if not len(queries):
        return 0.0
    exact = find_many(build(index.matrix, kind="exact"), queries, k=K)
    return float(recall_per_query(index, queries, exact, K).mean())
