"""Taste vectors: the taste of a history is the weighted mean of the vectors of its items."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Codes, Doubles, Floats, Mask, Offsets, Rows
from item2vec.config import PLAIN_DECAY, NextItem, TasteConfig
from item2vec.config.settings import Learned
from item2vec.durations import DAY
from item2vec.errors import ConfigError
from item2vec.kernels.compiled import view_of
from item2vec.kernels.tastes import mean_vectors
from item2vec.matrices import SMALLEST_NORM
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

CACHED_LENGTH = 200
"""Maximum number of items of a history whose weights are cached."""


@dataclass(frozen=True, eq=False)
class Tastes:
    """Taste vectors of several histories, and the token weights and scales that produced them.

    ``vectors`` (float32, n histories × dimensions) are computed separately for each part of the vectors::

        weights @ matrix[history] * scale

    ``weights`` (float64, n history tokens × parts) are the token weights. They sum to 1 per history and part,
    or are all 0. ``scales`` (float64, n histories × parts) are computed from ``taste.part_weights``. For
    ``score="cosine"``, each part weight is divided by the norm of the whole vector, in which the parts have
    been multiplied by the part weights. For output vectors that were trained by cosine, each part weight is
    divided by the norm of the part and by ``cosine_divisor``, so that a score is the weighted mean of the
    cosines of the parts, divided by the temperature. For other scores, the scales are the part weights.
    ``empty`` (bool, n histories) marks a history that has no known item or no positive token weight, or in
    which the weighted vectors cancel out. The taste vector of such a history is zero.
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
        If the score is "output" and there are no output vectors, a decay is "learned" and the vectors lack
        learned weights for each part, or the number of decays does not divide the dimensions.
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
    """Return the weight of each token in the taste of its history (float64, n tokens × parts).

    These weights sum to 1 per history and part, or are all 0 if no token has a positive weight. The weight of
    a token is proportional to ``decay ** steps_back * 0.5 ** (age / half_life) * weight``. ``steps_back`` is
    the number of later tokens in the history, ``age`` is the time from the token to the newest timestamp of
    the history, and ``weight`` is the element of the parameter ``weights``. The second factor is 1 if
    ``timestamps`` or ``taste.half_life`` is ``None``, and the third factor is 1 if the parameter ``weights``
    is ``None``. If ``taste.last_n`` is set, all tokens before the last ``last_n`` have weight 0. For a
    learned decay, the first factor is ``positions[part, steps_back]``, or 0 beyond the end of ``positions``.

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
    """Computes tastes of many histories; holds the arrays and settings that do not depend on a history.

    ``matrix`` is the result of ``taste_matrix``, and ``divisor`` the result of ``cosine_divisor``.
    ``part_weights`` holds one number per part. A weighted sum of vectors counts as zero if its norm is below
    ``smallest``. ``cached`` maps the length of a history to the weights of the history's tokens, if these
    weights depend only on the length.
    """

    vectors: ItemVectors
    taste: TasteConfig
    matrix: Floats
    part_weights: Doubles
    divisor: float | None
    smallest: float
    cached: dict[int, Doubles] = field(default_factory=dict)

    @classmethod
    def of(cls, vectors: ItemVectors, taste: TasteConfig) -> TasteReader:
        """Return the reader for these vectors and settings.

        Raises
        ------
        ConfigError
            If a decay is "learned" and the vectors have no learned weights of each part, or if the number of
            decays does not divide the number of dimensions.
        """
        taste = _with_trained_defaults(taste, vectors)
        _check_parts(vectors, taste)
        matrix = view_of(taste_matrix(vectors, taste))
        typical = np.sqrt(np.mean(np.square(matrix[:64]), dtype=np.float64) * matrix.shape[1])
        divisor, smallest = cosine_divisor(vectors, taste), SMALLEST_NORM * float(typical)
        return cls(vectors, taste, matrix, view_of(_part_weights(taste)), divisor, smallest)

    def read(
        self,
        rows: Codes,
        offsets: Offsets,
        *,
        weights: Doubles | None = None,
        timestamps: Offsets | None = None,
    ) -> Tastes:
        """Return the result of ``read_tastes``."""
        weights_by_part = self._weights(offsets, weights, timestamps)
        vectors, scales, empty = mean_vectors(
            self.matrix,
            view_of(rows),
            view_of(offsets),
            weights_by_part,
            self.part_weights,
            self.divisor or 0.0,
            self.taste.score != "cosine",
            self.smallest,
        )
        return Tastes(vectors, weights_by_part, scales, empty)

    def _weights(self, offsets: Offsets, weights: Doubles | None, timestamps: Offsets | None) -> Doubles:
        """Return the result of ``history_weights``; weights that depend only on the length are cached."""
        n = int(offsets[-1])
        by_length = weights is None and (timestamps is None or self.taste.half_life is None)
        is_cached = by_length and len(offsets) == 2 and n <= CACHED_LENGTH
        if is_cached and n in self.cached:
            return self.cached[n]
        found = history_weights(
            offsets, self.taste, weights=weights, timestamps=timestamps, positions=self.vectors.positions
        )
        found = view_of(found)
        if is_cached:
            self.cached[n] = found
        return found


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
    """Return the divisor of scores computed from cosines; ``None`` for scores that are inner products.

    For ``score="cosine"``, a score is the cosine of the taste vector and the item vector, and the divisor is
    1. For output vectors that were trained by cosine, a score is a weighted sum of the cosines of the parts,
    divided by this divisor: the sum of the part weights, times the temperature.
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
            f"decay={taste.decay} needs position weights for each of its parts ({n_parts}), and these "
            f"vectors have them for {n_learned}; set decay to numbers, or train next_item with a "
            f"context_decay of {n_parts} elements, such as 'learned'"
        )
    if size % n_parts:
        raise ConfigError(
            f"decay={taste.decay} needs {n_parts} equal parts of the vectors, which have {size} dimensions; "
            f"expected a number of decays that divides {size}, such as one"
        )


def _learned_weights(positions: Floats | None, part: int, steps_back: Rows) -> Doubles:
    """Return the learned weight for each number of steps back; 0 beyond the last position."""
    assert positions is not None, "_check_parts rejects a missing array"
    padded = np.append(positions[part].astype(np.float64), 0.0)
    weights: Doubles = padded[np.minimum(steps_back, len(padded) - 1)]
    return weights


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
