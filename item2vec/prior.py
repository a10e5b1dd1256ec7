"""The popularity prior: one number per item. The number, times a weight, is added to the item's score.

The prior is an extra dimension of the inner product. If the setting ``popularity`` is not 0, each indexed row
ends with the prior of its item times a factor, and each query ends with the weight of the prior divided by
this factor. Every index and every filter therefore supports the prior.
"""

from __future__ import annotations

import math
import sys

import numpy as np

from item2vec.arrays import Doubles, Floats
from item2vec.config import TasteConfig
from item2vec.durations import DAY
from item2vec.errors import ConfigError
from item2vec.sentences import Sentences, ShardedSentences
from item2vec.taste import cosine_divisor, read_tastes, scored_matrix
from item2vec.types import Vocabulary
from item2vec.vectors import ItemVectors

__all__ = [
    "check_prior",
    "popularity_shares",
    "prior_for",
    "prior_of",
    "queries_of",
    "searched_matrix",
    "typical_queries",
]

FALLBACK_HALF_LIFE = 7.0
"""Default half-life, in days, of the prior of a model whose setting ``popularity`` is 0."""

COMPUTE = "compute the prior with item2vec.prior.prior_for(sentences, vectors.vocabulary)"


def prior_for(
    sentences: Sentences | ShardedSentences, vocabulary: Vocabulary, half_life: float | None = None
) -> Floats:
    """Return log(1 + c) for each item of a vocabulary (float32), where c is the count of the item's tokens.

    If ``half_life`` (in days) is given and the sentences have timestamps, a token counts
    ``0.5 ** (age / half_life)``; otherwise, a token counts 1. The newest token of non-negative weight has
    age 0, even if its item is not in ``vocabulary``. The count of a token is multiplied by the weight of the
    token, if there are weights. Tokens of negative weight are left out.

    >>> from dataclasses import replace
    >>> lists = replace(Sentences.of([["a", "a", "b"]]), timestamps=np.array([0, 0, 3]) * DAY)
    >>> np.expm1(prior_for(lists, Vocabulary(("a", "b", "c")), half_life=1.5)).round(3)
    array([0.5, 1. , 0. ], dtype=float32)
    """
    code_of = sentences.vocabulary.codes_in(vocabulary)
    newest = 0 if half_life is None else max(_newest(shard.liked) for shard in sentences.shards)
    counts = np.zeros(len(vocabulary))
    for shard in sentences.shards:
        liked = shard.liked
        codes = code_of[liked.tokens]
        tokens = np.ones(len(codes)) if liked.weights is None else liked.weights.astype(np.float64)
        if half_life is not None and liked.timestamps is not None:
            tokens *= np.exp2(-(newest - liked.timestamps) / (half_life * DAY))
        known = codes >= 0
        counts += np.bincount(codes[known], tokens[known], len(vocabulary))
    return np.log1p(counts).astype(np.float32)


def _newest(sentences: Sentences) -> int:
    times = sentences.timestamps
    return int(times.max()) if times is not None and len(times) else -(2**63)


def prior_of(
    sentences: Sentences | ShardedSentences, vocabulary: Vocabulary, taste: TasteConfig
) -> Floats | None:
    """Return the prior of a model that is trained on these sentences.

    The prior also ranks the items for histories without a user vector. If the setting ``popularity`` is 0,
    the prior is used only for such histories, and for requests with the rule ``popularity``. In this case,
    the default half-life is 7 days, and the result is ``None`` if the sentences have no timestamps. On
    movielens-100k, recent popularity predicts the first events of new users better than all-time popularity.
    """
    half_life = taste.popularity_half_life
    if not taste.popularity:
        if "timestamps" not in sentences.columns:
            return None
        half_life = half_life or FALLBACK_HALF_LIFE
    return prior_for(sentences, vocabulary, half_life)


def popularity_shares(vectors: ItemVectors, prior: Floats | None) -> Doubles:
    """Return the share of each item in the training tokens (float64).

    The shares rank the items for histories without a user vector. If there is a prior, tokens are counted as
    in the prior, even if the weight of the prior in scores is 0.
    """
    counts = vectors.counts if prior is None else np.expm1(prior, dtype=np.float64)
    shares: Doubles = counts / (counts.sum() or 1)
    return shares


def check_prior(prior: Floats | None, taste: TasteConfig, n_items: int) -> None:
    """Raise ``ConfigError`` if the prior is invalid, or if ``taste`` needs a prior and there is none."""
    if prior is None and taste.popularity:
        raise ConfigError(
            f"popularity={taste.popularity} needs a prior, and prior is None; pass prior=, or use fit, which "
            "computes a prior"
        )
    if prior is None:
        return
    if prior.shape != (n_items,):
        raise ConfigError(
            f"the prior has shape {prior.shape}; expected ({n_items},), one number per item; {COMPUTE}"
        )
    if not np.isfinite(prior).all():
        row = int(np.argmin(np.isfinite(prior)))
        raise ConfigError(f"prior[{row}] is {prior[row]}; expected a finite number for each item; {COMPUTE}")


def searched_matrix(vectors: ItemVectors, taste: TasteConfig, prior: Floats | None) -> Floats:
    """Return the matrix to index, whose inner products with a query are the scores, including the prior.

    Raise ``ConfigError`` as ``check_prior`` and ``taste.scored_matrix`` do.
    """
    check_prior(prior, taste, len(vectors))
    matrix = scored_matrix(vectors, taste)
    if prior is None or not taste.popularity:
        return matrix
    return np.column_stack((matrix, prior * np.float32(_factor_of_rows(vectors, taste))))


def queries_of(
    tastes: Floats, vectors: ItemVectors, taste: TasteConfig, popularity: float | None = None
) -> Floats:
    """Convert taste vectors (n histories × dimensions) to queries for the rows of ``searched_matrix``.

    ``popularity`` is the weight of the prior; ``None`` for the weight in ``taste``. If the weight in
    ``taste`` is 0, the rows of ``searched_matrix`` contain no prior, and the taste vectors are returned
    unchanged.
    """
    if not taste.popularity:
        return tastes
    factor = (taste.popularity if popularity is None else popularity) / _factor_of_rows(vectors, taste)
    return np.column_stack((tastes, np.full(len(tastes), factor, dtype=np.float32)))


def _factor_of_rows(vectors: ItemVectors, taste: TasteConfig) -> float:
    """Return the factor by which the prior is multiplied in indexed rows.

    In queries, the weight of the prior is divided by this factor.

    The factor gives the prior an equal share of the norms of rows and queries. With a larger share in the
    rows, an approximate index would separate the rows by popularity only, and the index would have to examine
    more rows for the same recall.
    """
    product = taste.popularity * (cosine_divisor(vectors, taste) or 1.0)
    return math.sqrt(max(product, sys.float_info.min))  # the product of tiny numbers underflows to 0


def typical_queries(vectors: ItemVectors, taste: TasteConfig, n: int = 256) -> Floats:
    """Return up to ``n`` queries to tune an index: histories of one item each, drawn by popularity."""
    random = np.random.default_rng(0)
    weights = vectors.counts + 1
    rows = random.choice(len(vectors), size=min(n, len(vectors)), p=weights / weights.sum())
    tastes = read_tastes(vectors, taste, rows.astype(np.int32), np.arange(len(rows) + 1))
    return queries_of(tastes.vectors[~tastes.empty], vectors, taste)
