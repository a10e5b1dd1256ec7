"""Tastes: the taste of a history is the weighted mean of the vectors of its items."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Floats, Mask, Offsets, Rows
from item2vec.config import PLAIN_DECAY, NextItem, TasteConfig
from item2vec.config.settings import Learned
from item2vec.durations import DAY
from item2vec.errors import ConfigError
from item2vec.vectors import ItemVectors

__all__ = [
    "Tastes",
    "cosine_divisor",
    "decays",
    "history_weights",
    "read_tastes",
    "scored_matrix",
    "taste_matrix",
    "token_scores",
]

SMALLEST_NORM = 1e-6
TOKENS_PER_BLOCK = 1 << 10


@dataclass(frozen=True, eq=False)
class Tastes:
    """Taste vectors of several histories, and the weights that produced them.

    ``vectors`` (float32, n histories × dimensions) are, per part of the vectors::

        weights @ matrix[history] * scale

    ``weights`` (float64, n history tokens × parts) sum to 1 per history. ``scales`` (float64, n histories ×
    parts) are ``part_weights`` for inner products, divided by the norm of the whole taste for
    ``score="cosine"``. For output vectors that were trained by cosine, they make a score the weighted mean of
    the cosines of the parts, divided by the temperature. ``empty`` (bool, n histories) marks histories
    without a taste: no known item, no weight, or vectors that cancel out.
    """

    vectors: Floats
    weights: Doubles
    scales: Doubles
    empty: Mask


def taste_matrix(vectors: ItemVectors, taste: TasteConfig) -> Floats:
    """Return the vectors that a taste averages: unit input vectors for cosine, input vectors for output."""
    return vectors.unit_input if _read_by(taste, vectors).score == "cosine" else vectors.input


def scored_matrix(vectors: ItemVectors, taste: TasteConfig) -> Floats:
    """Return the rows whose inner product with a taste is the score: unit input vectors, or output vectors.

    Raises
    ------
    ConfigError
        If the score is "output" and there are no output vectors, or the number of decays does not divide the
        dimensions.
    """
    taste = _read_by(taste, vectors)
    _check_parts(vectors, taste)
    if taste.score == "cosine":
        return vectors.unit_input
    if vectors.output is None:
        raise ConfigError(
            "score='output' needs output vectors, and these vectors have none (hierarchical softmax and "
            "word2vec files have input vectors only); set score='cosine', or train with negative sampling"
        )
    return vectors.output


def decays(taste: TasteConfig) -> tuple[float | Learned, ...]:
    """Return the decay of each part of the vectors.

    >>> decays(TasteConfig(decay=0.5))
    (0.5,)
    """
    decay = taste.decay or PLAIN_DECAY
    return decay if isinstance(decay, tuple) else (decay,)


def history_weights(
    offsets: Offsets,
    taste: TasteConfig,
    *,
    weights: Doubles | None = None,
    timestamps: Offsets | None = None,
    positions: Floats | None = None,
) -> Doubles:
    """Return the weight of each history token in its taste (n tokens × decays).

    Weights sum to 1 per history, or are all 0 if no token has a positive weight. The weight of a token is
    proportional to ``decay ** steps_back * 0.5 ** (age / half_life) * weight``, where the newest token of a
    history is 0 steps back and has age 0. Tokens older than the newest ``last_n`` have weight 0. For a
    learned decay, ``positions[part, steps_back]`` replaces the power, and is 0 beyond the last position.

    >>> import numpy as np
    >>> history_weights(np.array([0, 3]), TasteConfig(decay=(0.5, 1.0))).round(3)
    array([[0.143, 0.333],
           [0.286, 0.333],
           [0.571, 0.333]])
    """
    lengths = np.diff(offsets)
    steps_back = np.repeat(offsets[1:], lengths) - 1 - np.arange(offsets[-1])
    part = np.column_stack(
        [
            _learned_weights(positions, number, steps_back)
            if decay == "learned"
            else np.power(decay, steps_back.astype(np.float64))
            for number, decay in enumerate(decays(taste))
        ]
    )
    if taste.last_n is not None:
        part[steps_back >= taste.last_n] = 0.0
    if timestamps is not None and taste.half_life is not None:
        newest = np.repeat(_reduce(np.maximum, timestamps, offsets, 0), lengths)
        part *= np.exp2((timestamps - newest) / (taste.half_life * DAY))[:, None]
    if weights is not None:
        part *= weights[:, None]
    total = np.repeat(_reduce(np.add, part, offsets, 0.0), lengths, axis=0)
    shares: Doubles = np.divide(part, total, out=np.zeros_like(part), where=total > 0)
    return shares


def read_tastes(
    vectors: ItemVectors,
    taste: TasteConfig,
    rows: Codes,
    offsets: Offsets,
    *,
    weights: Doubles | None = None,
    timestamps: Offsets | None = None,
) -> Tastes:
    """Return the tastes of histories ``rows[offsets[i]:offsets[i + 1]]``, each oldest first.

    The taste of a history is the same in every batch, to the last bit.
    """
    taste = _read_by(taste, vectors)
    _check_parts(vectors, taste)
    matrix = taste_matrix(vectors, taste)
    parts = history_weights(
        offsets, taste, weights=weights, timestamps=timestamps, positions=vectors.positions
    )
    sums = _weighted_sums(matrix, rows, parts, offsets)
    typical = np.sqrt(np.mean(np.square(matrix[:64]), dtype=np.float64) * matrix.shape[1])
    smallest = SMALLEST_NORM * typical
    empty = np.sqrt(np.einsum("ij,ij->i", sums, sums)) < smallest
    divided = sums.reshape(len(sums), parts.shape[1], sums.shape[1] // parts.shape[1])
    scales = _scales(divided, taste, cosine_divisor(vectors, taste), smallest)
    scaled = (divided * scales[:, :, None]).reshape(sums.shape).astype(np.float32)
    return Tastes(scaled, parts, scales, empty | ~scaled.any(axis=1))


def token_scores(vectors: ItemVectors, taste: TasteConfig, rows: Codes, tastes: Tastes, item: int) -> Doubles:
    """Return the contribution of each token of one history to the score of an item (float64, n tokens).

    ``tastes`` is the result of ``read_tastes`` for the history ``rows``.
    """
    inputs = taste_matrix(vectors, taste)[rows].astype(np.float64)
    products = inputs * scored_matrix(vectors, taste)[item].astype(np.float64)
    by_part = products.reshape(len(rows), tastes.weights.shape[1], -1).sum(axis=2)
    scores: Doubles = (tastes.weights * by_part * tastes.scales[0]).sum(axis=1)
    return scores


def cosine_divisor(vectors: ItemVectors, taste: TasteConfig) -> float | None:
    """Return the number by which a score divides the weighted sum of the cosines of the parts.

    It is 1 for ``score="cosine"``, and ``None`` for inner products.
    """
    taste, trained = _read_by(taste, vectors), vectors.config
    if taste.score == "cosine":
        return 1.0
    if isinstance(trained, NextItem) and trained.similarity == "cosine":
        return float(_part_weights(taste).sum()) * trained.temperature
    return None


def _part_weights(taste: TasteConfig) -> Doubles:
    return np.ones(len(decays(taste))) if taste.part_weights is None else np.array(taste.part_weights)


def _scales(sums: Doubles, taste: TasteConfig, divisor: float | None, smallest: float) -> Doubles:
    """Return the factors of the parts of weighted sums (n histories × parts × dimensions): see ``Tastes``."""
    weights = _part_weights(taste)
    if divisor is None:
        return np.broadcast_to(weights, sums.shape[:2])
    squares = np.einsum("ijk,ijk->ij", sums, sums)
    if taste.score == "cosine":
        squares = (squares * weights**2).sum(axis=1, keepdims=True)
    lengths = np.sqrt(squares)
    return weights / (np.where(lengths < smallest, 1.0, lengths) * divisor)


def _read_by(taste: TasteConfig, vectors: ItemVectors) -> TasteConfig:
    return taste.as_trained(vectors.config, has_output=vectors.output is not None)


def _check_parts(vectors: ItemVectors, taste: TasteConfig) -> None:
    size, n_parts = vectors.input.shape[1], len(decays(taste))
    n_learned = 0 if vectors.positions is None else len(vectors.positions)
    if "learned" in decays(taste) and n_learned != n_parts:
        raise ConfigError(
            f"decay={taste.decay} needs learned weights of {n_parts} parts, and these vectors have "
            f"{n_learned}; set decay to numbers, or train next_item with {n_parts} learned parts"
        )
    if size % n_parts:
        raise ConfigError(
            f"decay={taste.decay} reads {n_parts} equal parts of the vectors, which have {size} dimensions; "
            f"expected a number of decays that divides {size}, such as one"
        )


def _learned_weights(positions: Floats | None, part: int, steps_back: Rows) -> Doubles:
    """Return the learned weight of each step back, 0 beyond the last position."""
    assert positions is not None, "_check_parts"
    padded = np.append(positions[part].astype(np.float64), 0.0)
    weights: Doubles = padded[np.minimum(steps_back, len(padded) - 1)]
    return weights


def _weighted_sums(matrix: Floats, rows: Codes, parts: Doubles, offsets: Offsets) -> Doubles:
    """Return, per history, the sum of its rows, each part times its weight (n histories × dimensions)."""
    n_parts, size = parts.shape[1], matrix.shape[1]
    sums = np.zeros((len(offsets) - 1, size))
    counted = np.flatnonzero(parts.any(axis=1))
    starts = np.searchsorted(counted, offsets)
    filled = np.flatnonzero(np.diff(starts))
    block_of = starts[filled] // TOKENS_PER_BLOCK
    for block in np.split(filled, np.flatnonzero(np.diff(block_of)) + 1) if len(filled) else ():
        tokens = counted[starts[block[0]] : starts[block[-1] + 1]]
        terms = matrix[rows[tokens]].reshape(len(tokens), n_parts, -1) * parts[tokens, :, None]
        sums[block] = np.add.reduceat(terms.reshape(-1, size), starts[block] - starts[block[0]], axis=0)
    return sums


def _reduce(
    operation: np.ufunc, values: npt.NDArray[Any], offsets: Offsets, of_none: float
) -> npt.NDArray[Any]:
    result = np.full((len(offsets) - 1, *values.shape[1:]), of_none, dtype=values.dtype)
    filled = np.flatnonzero(np.diff(offsets))
    if len(filled):
        result[filled] = operation.reduceat(values, offsets[filled])
    return result
