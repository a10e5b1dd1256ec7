"""Checks that a trainer has read all tokens of a piece, and log lines on items without a trained vector."""

from __future__ import annotations

import logging

import numpy as np

from item2vec.arrays import Codes, Doubles, Mask
from item2vec.errors import TrainingError
from item2vec.training.corpus import Corpus

__all__ = ["check_tokens_read", "log_items_left_out"]

log = logging.getLogger(__name__)


def check_tokens_read(
    backend: str, epoch: int, tokens: Codes, keep: Doubles, *, trained: int, received: int
) -> None:
    """Compare the numbers of tokens that a backend reports with the expected numbers.

    ``received`` is the number of tokens that the backend received, and ``trained`` the number of tokens that
    subsampling kept. ``keep`` is the probability, per item, that subsampling keeps a token. ``trained`` may
    differ from the mean of its distribution by one token plus eight standard deviations.

    Raises
    ------
    TrainingError
        If ``received`` is not ``len(tokens)``, or ``trained`` differs from this mean by more.
    """
    counts = np.bincount(tokens, minlength=len(keep))
    mean, deviation = counts @ keep, np.sqrt(counts @ (keep * (1 - keep)))
    tolerance = 1 + 8 * deviation
    if received != len(tokens) or abs(trained - mean) > tolerance:
        raise TrainingError(
            f"{backend} trained {trained:,} of {received:,} tokens in epoch {epoch}; expected {mean:,.1f} ± "
            f"{tolerance:,.1f} of {len(tokens):,}; the vectors are incomplete: train again"
        )


def log_items_left_out(corpus: Corpus, read: Mask, kept: Mask, epochs: int) -> None:
    """Log, for each reason, how many items have no trained vector, and the most frequent of these items.

    ``read`` is the mask of the items that an epoch has read in a sentence of two or more tokens. ``kept`` is
    the mask of the items with a trained vector.
    """
    reasons = {
        "because of their weights, no epoch read them next to another item": ~kept & ~read,
        "subsampling skipped them, or the learning rate is too low": ~kept & read,
    }
    for reason, rows in reasons.items():
        if rows.any():
            log.warning(
                "%s of %s items left out after %s epochs (%s); most frequent: %r; raise epochs to keep them",
                f"{np.count_nonzero(rows):,}",
                f"{len(kept):,}",
                epochs,
                reason,
                corpus.vocabulary.ids[int(np.argmax(rows))],
            )
