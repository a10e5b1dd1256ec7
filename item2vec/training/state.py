"""``State``: the position and the results of a training run in progress."""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Mask, Offsets
from item2vec.config import TrainConfig
from item2vec.training.attributes import NewItems
from item2vec.training.corpus import Corpus, Piece, Reading
from item2vec.training.trainer import Loss
from item2vec.vectors import Epoch, ItemVectors

__all__ = ["NO_LOSS", "Best", "State"]

NO_LOSS = Loss(0.0, 0)


class Best(NamedTuple):
    """The best epoch so far, by NDCG: its number (from 1), and the vectors and new items after that epoch."""

    epoch: int
    vectors: ItemVectors
    new_items: NewItems | None


@dataclass
class State:
    """The position of a training run in its corpus, and its results so far, except the arrays of the trainer.

    ``read`` is the mask of the items that an epoch has read in a sentence of two or more tokens. ``loss``
    holds the sum and the number of the losses of the current epoch.
    """

    reading: Reading
    read: Mask
    tokens_read: int = 0
    loss: Loss = NO_LOSS
    curve: list[Epoch] = field(default_factory=list)
    best: Best | None = None

    @classmethod
    def at_start(cls, corpus: Corpus, config: TrainConfig) -> State:
        """Return the state before the first piece."""
        return cls(Reading(corpus, config.seed), np.zeros(corpus.n_items, np.bool_))

    def add(self, piece: Piece, loss: Loss) -> None:
        """Mark items in sentences of two or more tokens as read; add the tokens and losses of the piece."""
        self.read[_with_context(piece.tokens, piece.offsets)] = True
        self.tokens_read += len(piece.tokens)
        self.loss = Loss(self.loss.total + loss.total, self.loss.n + loss.n)

    def leader(self) -> Epoch:
        """Return the epoch with the highest NDCG; of equal epochs, the first."""
        return max(self.curve, key=attrgetter("ndcg"))

    def is_over(self, config: TrainConfig) -> bool:
        """Return whether NDCG has not improved for ``patience`` epochs; ``False`` without ``patience``."""
        if config.patience is None or self.best is None:
            return False
        return self.curve[-1].epoch - self.best.epoch >= config.patience


def _with_context(tokens: Codes, offsets: Offsets) -> Codes:
    """Return the tokens of sentences of two or more tokens; a token alone is not trained."""
    lengths = np.diff(offsets)
    return tokens if lengths.min(initial=2) >= 2 else tokens[np.repeat(lengths >= 2, lengths)]
