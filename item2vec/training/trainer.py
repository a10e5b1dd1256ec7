"""``Trainer``: the two matrices of a training, and an epoch."""

from __future__ import annotations

from typing import Protocol

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.training.attributes import NewItems

__all__ = ["Trainer", "WordVectorTrainer"]


class Trainer(Protocol):
    """Trains two matrices (float32, n items × dimensions) in place, one epoch at a time.

    ``output`` and ``scored`` are ``None`` if only hierarchical softmax is trained.
    """

    @property
    def input(self) -> Floats:
        """Input vectors: items as context."""
        ...

    @property
    def output(self) -> Floats | None:
        """Output vectors: items as target."""
        ...

    @property
    def scored(self) -> Floats | None:
        """Output vectors whose inner product with a taste is the score."""
        ...

    @property
    def input_of_attributes(self) -> Floats | None:
        """For each item, the sum of the input vectors of its attributes; ``None`` without attributes.

        ``scored`` includes the output vectors of the attributes, ``input`` and ``output`` no attributes.
        """
        ...

    @property
    def new_items(self) -> NewItems | None:
        """The items that have attributes only, and their vectors; ``None`` if there are none."""
        ...

    @property
    def positions(self) -> Floats | None:
        """Learned weights of the steps back in a history (parts × steps); ``None`` if none are learned."""
        ...

    def train_epoch(self, number: int, tokens: Codes, offsets: Offsets) -> float:
        """Train on all sentences once, and return the mean loss; NaN if there was nothing to predict.

        ``number`` is the number of the epoch, from 0.
        """
        ...


class WordVectorTrainer:
    """Base class of the trainers other than next_item: no weights of steps back, and no attributes."""

    @property
    def positions(self) -> None:
        """``None``, because learned weights of steps back are a part of next_item."""

    @property
    def input_of_attributes(self) -> None:
        """``None``, because attributes are a setting of next_item."""

    @property
    def new_items(self) -> None:
        """``None``, because attributes are a setting of next_item."""
