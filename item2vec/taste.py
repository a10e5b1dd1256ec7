"""Taste vectors: the taste of a history is the weighted mean of the vectors of its items."""

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
    "TasteReader",
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

    ``vectors`` (float32, n histories × dimensions) are computed per part of the vectors::

        weights @ matrix[history] * scale

    ``weights`` (float64, n history tokens × parts) sum to 1 per history. ``scales`` (float64, n histories ×
    parts) are ``part_weights``. For ``score="cosine"``, they are divided by the norm of the whole taste. For
    output vectors that were trained by cosine, they are divided by the norm of each part, so that a score is
    the weighted mean of the cosines of the parts, divided by the temperature. ``empty`` (bool, n histories)
    marks histories without a taste: without a known item, without a positive weight, or with vectors that
    cancel out.
    """

    vectors: Floats
    weights: Doubles
    scales: Doubles
    empty: Mask


def taste_matrix(vectors: ItemVectors, taste: TasteConfig) -> Floats:
    """Return the matrix whose rows are averaged into a taste.

    It holds unit input vectors for ``score="cosine"``, and input vectors for ``score="output"``.
    """
    return vectors.unit_input if _with_trained_defaults(taste, vectors).score == "cosine" else vectors.input


def scored_matrix(vectors: ItemVectors, taste: TasteConfig) -> Floats:
    """Return the matrix whose inner products with a taste are the scores of the items.

    It holds unit input vectors for ``score="cosine"``, and output vectors for ``score="output"``.

    Raises
    ------
    ConfigError
        If the score is "output" and there are no output vectors, or the number of decays does not divide the
        dimensions.
    """
    taste = _with_trained_defaults(taste, vectors)
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
    """Return the weight of each history token in its taste (float64, n tokens × parts).

    Weights sum to 1 per history, or are all 0 if no token has a positive weight. The weight of a token is
    proportional to ``decay ** steps_back * 0.5 ** (age / half_life) * weight``, where the newest token of a
    history is 0 steps back and has age 0. Tokens older than the newest ``last_n`` have weight 0. For a
    learned decay, ``positions[part, steps_back]`` replaces the power; it is 0 beyond the last position.

    >>> import numpy as np
    >>> history_weights(np.array([0, 3]), TasteConfig(decay=(0.5, 1.0))).round(3)
    array([[0.143, 0.333],
           [0.286, 0.333],
           [0.571, 0.333]])
    """
    n, lengths = offsets[-1], offsets[1:] - offsets[:-1]
    is_one = len(lengths) == 1
    steps_back = np.arange(n - 1, -1, -1) if is_one else np.repeat(offsets[1:], lengths) - 1 - np.arange(n)
    parts = decays(taste)
    weights_by_part = np.empty((len(steps_back), len(parts)))
    for number, decay in enumerate(parts):
        if decay == "learned":
            weights_by_part[:, number] = _learned_weights(positions, number, steps_back)
        else:
            weights_by_part[:, number] = np.power(decay, steps_back.astype(np.float64))
    if taste.last_n is not None:
        weights_by_part[steps_back >= taste.last_n] = 0.0
    if timestamps is not None and taste.half_life is not None:
        newest = np.repeat(_reduce(np.maximum, timestamps, offsets, 0), lengths)
        weights_by_part *= np.exp2((timestamps - newest) / (taste.half_life * DAY))[:, None]
    if weights is not None:
        weights_by_part *= weights[:, None]
    total = _reduce(np.add, weights_by_part, offsets, 0.0)
    if not is_one:
        total = np.repeat(total, lengths, axis=0)
    shares: Doubles = np.divide(weights_by_part, total, out=np.zeros_like(weights_by_part), where=total > 0)
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
    reader = TasteReader.of(vectors, taste)
    return reader.read(rows, offsets, weights=weights, timestamps=timestamps)


@dataclass(frozen=True, eq=False)
class TasteReader:
    """The values that ``read_tastes`` derives from vectors and settings, for use with many histories.

    ``matrix`` is the result of ``taste_matrix``, and ``divisor`` the result of ``cosine_divisor``. A sum of
    vectors that is shorter than ``smallest`` counts as zero.
    """

    vectors: ItemVectors
    taste: TasteConfig
    matrix: Floats
    part_weights: Doubles
    divisor: float | None
    smallest: float

    @classmethod
    def of(cls, vectors: ItemVectors, taste: TasteConfig) -> TasteReader:
        """Return a reader; raise ``ConfigError`` as ``scored_matrix`` does."""
        taste = _with_trained_defaults(taste, vectors)
        _check_parts(vectors, taste)
        matrix = taste_matrix(vectors, taste)
        typical = np.sqrt(np.mean(np.square(matrix[:64]), dtype=np.float64) * matrix.shape[1])
        divisor, smallest = cosine_divisor(vectors, taste), SMALLEST_NORM * float(typical)
        return cls(vectors, taste, matrix, _part_weights(taste), divisor, smallest)

    def read(
        self,
        rows: Codes,
        offsets: Offsets,
        *,
        weights: Doubles | None = None,
        timestamps: Offsets | None = None,
    ) -> Tastes:
        """Return the result of ``read_tastes``."""
        weights_by_part = history_weights(
            offsets, self.taste, weights=weights, timestamps=timestamps, positions=self.vectors.positions
        )
        sums = _weighted_sums(self.matrix, rows, weights_by_part, offsets)
        empty = np.sqrt(np.einsum("ij,ij->i", sums, sums)) < self.smallest
        n_parts = weights_by_part.shape[1]
        sums_by_part = sums.reshape(len(sums), n_parts, sums.shape[1] // n_parts)
        scales = self._scales(sums_by_part)
        scaled = (sums_by_part * scales[:, :, None]).reshape(sums.shape).astype(np.float32)
        return Tastes(scaled, weights_by_part, scales, empty | ~scaled.any(axis=1))

    def _scales(self, sums: Doubles) -> Doubles:
        """Return ``Tastes.scales`` for the sums of histories (n histories × parts × dimensions of a part)."""
        weights, smallest = self.part_weights, self.smallest
        if self.divisor is None:
            return np.broadcast_to(weights, sums.shape[:2])
        squares = np.einsum("ijk,ijk->ij", sums, sums)
        if self.taste.score == "cosine":
            squares = (squares * weights**2).sum(axis=1, keepdims=True)
        lengths = np.sqrt(squares)
        return weights / (np.where(lengths < smallest, 1.0, lengths) * self.divisor)


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
    """Return the divisor of the weighted sum of the cosines of the parts in a score.

    It is 1 for ``score="cosine"``. It is ``None`` for inner products, which are not divided.
    """
    taste, trained = _with_trained_defaults(taste, vectors), vectors.config
    if taste.score == "cosine":
        return 1.0
    if isinstance(trained, NextItem) and trained.similarity == "cosine":
        return float(_part_weights(taste).sum()) * trained.temperature
    return None


def _part_weights(taste: TasteConfig) -> Doubles:
    return np.ones(len(decays(taste))) if taste.part_weights is None else np.array(taste.part_weights)


def _with_trained_defaults(taste: TasteConfig, vectors: ItemVectors) -> TasteConfig:
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
            f"decay={taste.decay} needs {n_parts} equal parts of the vectors, which have {size} dimensions; "
            f"expected a number of decays that divides {size}, such as one"
        )


def _learned_weights(positions: Floats | None, part: int, steps_back: Rows) -> Doubles:
    """Return the learned weight of each step back, 0 beyond the last position."""
    assert positions is not None, "_check_parts rejects a missing array"
    padded = np.append(positions[part].astype(np.float64), 0.0)
    weights: Doubles = padded[np.minimum(steps_back, len(padded) - 1)]
    return weights


def _weighted_sums(matrix: Floats, rows: Codes, weights_by_part: Doubles, offsets: Offsets) -> Doubles:
    """Return the weighted sum of the rows of each history, per part (float64, n histories × dimensions)."""
    n_parts, size = weights_by_part.shape[1], matrix.shape[1]
    is_counted = weights_by_part.any(axis=1)
    if 0 < len(rows) <= TOKENS_PER_BLOCK and (offsets[1:] > offsets[:-1]).all() and is_counted.all():
        terms = matrix[rows].reshape(len(rows), n_parts, -1) * weights_by_part[:, :, None]
        return _reduce(np.add, terms.reshape(-1, size), offsets, 0.0)
    sums = np.zeros((len(offsets) - 1, size))
    counted = np.flatnonzero(is_counted)
    starts = np.searchsorted(counted, offsets)
    filled = np.flatnonzero(np.diff(starts))
    block_of = starts[filled] // TOKENS_PER_BLOCK
    for block in np.split(filled, np.flatnonzero(np.diff(block_of)) + 1) if len(filled) else ():
        tokens = counted[starts[block[0]] : starts[block[-1] + 1]]
        terms = matrix[rows[tokens]].reshape(len(tokens), n_parts, -1) * weights_by_part[tokens, :, None]
        sums[block] = np.add.reduceat(terms.reshape(-1, size), starts[block] - starts[block[0]], axis=0)
    return sums


def _reduce(
    operation: np.ufunc, values: npt.NDArray[Any], offsets: Offsets, of_none: float
) -> npt.NDArray[Any]:
    starts = offsets[:-1]
    is_filled = starts < offsets[1:]
    if len(values) and is_filled.all():
        every: npt.NDArray[Any] = operation.reduceat(values, starts)
        return every
    result = np.full((len(starts), *values.shape[1:]), of_none, dtype=values.dtype)
    if len(values):
        result[is_filled] = operation.reduceat(values, starts[is_filled])
    return result
