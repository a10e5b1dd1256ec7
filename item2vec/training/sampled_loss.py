"""The loss of word2vec on a fixed random sample of predictions, for trainers that do not measure it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Codes, Doubles, Floats, Offsets, Rows
from item2vec.config import CBOW, SkipGram
from item2vec.sentences import offsets_of

__all__ = ["Sample", "Terms", "loss_of"]

PREDICTIONS = 2_000
FEWEST = 500
TOKENS_PER_PREDICTION = 100
ROWS = 40_000
CONTEXTS = 200_000
DRAWS_PER_PREDICTION = 8


@dataclass(frozen=True, eq=False)
class Sample:
    """A sample of word2vec predictions: each predicts a target from its contexts.

    The vectors of the contexts are averaged, or summed if ``mean`` is false. Items are given by row numbers.

    Prediction i has the target ``targets[i]`` and the contexts ``contexts[offsets[i] : offsets[i + 1]]``:
    one context for skip-gram, or all contexts of the window for CBOW.
    """

    targets: Codes
    contexts: Codes
    offsets: Offsets
    mean: bool

    @classmethod
    def of(cls, tokens: Codes, offsets: Offsets, keep: Doubles, config: SkipGram | CBOW) -> Sample:
        """Draw predictions from sentences of two or more tokens.

        A target is drawn uniformly from the tokens that subsampling keeps (``keep``: probability per row).
        The width of its window is drawn as in training. The context of skip-gram is drawn uniformly from this
        window. Contexts are not subsampled.

        The aim is one prediction per 100 tokens, but at least 500 and at most 2,000 predictions. There are at
        most as many predictions as tokens, and at most 40,000 / (``negative`` + 1). Predictions of CBOW have
        at most 200,000 contexts in total, unless the first prediction has more. Eight tokens are drawn per
        prediction; there are fewer predictions if subsampling drops too many of these tokens, or if too many
        of them are alone in their sentence.
        """
        random = np.random.default_rng([config.seed, 6])
        n = min(max(len(tokens) // TOKENS_PER_PREDICTION, FEWEST), PREDICTIONS, len(tokens))
        n = max(1, min(n, ROWS // (config.negative + 1)))
        places = random.integers(len(tokens), size=DRAWS_PER_PREDICTION * n)
        places = places[random.random(len(places)) < keep[tokens[places]]]
        sentence = np.searchsorted(offsets, places, side="right") - 1
        paired = np.flatnonzero(np.diff(offsets)[sentence] >= 2)[:n]
        places, sentence = places[paired], sentence[paired]
        width = len(tokens) if config.window == "full" else config.window
        widths = random.integers(1, width + 1, len(places)) if _shrinks(config) else width
        first = np.maximum(offsets[sentence], places - widths)
        lengths = np.minimum(offsets[sentence + 1], places + widths + 1) - first - 1
        if isinstance(config, SkipGram):
            chosen = first + random.integers(lengths)
            contexts, counts = chosen + (chosen >= places), np.ones(len(places), np.int64)
        else:
            kept = np.cumsum(lengths) <= max(CONTEXTS, lengths[:1].sum())
            places, first, counts = places[kept], first[kept], lengths[kept]
            starts = np.repeat(first - offsets_of(counts)[:-1], counts)
            contexts = starts + np.arange(counts.sum())
            contexts += contexts >= np.repeat(places, counts)
        mean = isinstance(config, SkipGram) or config.cbow_mean
        return cls(tokens[places], tokens[contexts], offsets_of(counts), mean)

    def sources(self, input_: Floats) -> Floats:
        """Return the mean or the sum of the contexts of each prediction (predictions × dimensions)."""
        sums: Floats = np.add.reduceat(input_[self.contexts], self.offsets[:-1])
        if self.mean:
            sums /= np.diff(self.offsets)[:, None].astype(np.float32)
        return sums


@dataclass(frozen=True, eq=False)
class Terms:
    """Terms of the losses of predictions; each term is a prediction and one row of an output matrix.

    Term j belongs to prediction ``owners[j]``. The inner product of row ``rows[j]`` of the output matrix and
    the prediction's row of ``Sample.sources`` should have the sign ``signs[j]`` (1 or -1).
    """

    owners: Rows
    rows: Rows
    signs: Floats

    @classmethod
    def of_negatives(cls, targets: Codes, frequency: Offsets, config: SkipGram | CBOW) -> Terms:
        """Draw negatives; return the terms of each target and of its negatives other than the target."""
        random = np.random.default_rng([config.seed, 7])
        chances = frequency.astype(np.float64) ** config.ns_exponent
        drawn = random.choice(len(chances), (len(targets), config.negative), p=chances / chances.sum())
        rows = np.column_stack((targets, drawn))
        signs = np.where(np.arange(rows.shape[1]) == 0, np.float32(1), np.float32(-1))
        used = (rows != targets[:, None]) | (signs > 0)
        owners, columns = np.nonzero(used)
        return cls(owners, rows[used], signs[columns])


def loss_of(sources: Floats, parts: list[tuple[Floats, Terms]]) -> float:
    """Return the mean loss of the predictions; NaN if there are none.

    The loss of a prediction is the sum of ``-log(sigmoid(sign * row @ source))`` over its terms. ``sources``
    is the result of ``Sample.sources``, and ``parts`` holds pairs of an output matrix and its terms.

    >>> source, row = np.array([[1.0, 0.0]]), np.array([[2.0, 5.0]])
    >>> terms = Terms(np.array([0]), np.array([0]), np.array([1.0]))
    >>> round(loss_of(source, [(row, terms)]), 4)  # log(1 + exp(-2))
    0.1269
    """
    total = 0.0
    for matrix, terms in parts:
        scores = np.einsum("ij,ij->i", matrix[terms.rows], sources[terms.owners]).astype(np.float64)
        with np.errstate(invalid="ignore"):  # the check of the vectors reports numbers that are not finite
            total += float(np.logaddexp(0, -terms.signs * scores).sum())
    return total / len(sources) if len(sources) else np.nan


def _shrinks(config: SkipGram | CBOW) -> bool:
    return config.shrink_windows and config.window != "full"
