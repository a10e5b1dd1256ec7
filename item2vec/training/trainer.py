"""``Trainer``: the interface of a trainer, which updates two matrices for each piece of an epoch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Floats
from item2vec.training.attributes import NewItems
from item2vec.training.corpus import Piece

__all__ = ["Arrays", "Loss", "Trainer", "WithState", "WordVectorTrainer"]

Arrays = Mapping[str, npt.NDArray[Any]]
"""Arrays by name."""


class Loss(NamedTuple):
    """The sum ``total`` of the losses of ``n`` predictions."""

    total: float
    n: int

    @property
    def mean(self) -> float:
        """The mean loss of a prediction; NaN without predictions."""
        return self.total / self.n if self.n else np.nan


class Trainer(Protocol):
    """Trains two matrices (float32, n items × dimensions) in place, one piece of an epoch at a time.

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

        ``scored`` includes the output vectors of the attributes; ``input`` and ``output`` do not.
        """
        ...

    @property
    def new_items(self) -> NewItems | None:
        """The new items and their vectors (see ``NewItems``); ``None`` if there are no new items."""
        ...

    @property
    def positions(self) -> Floats | None:
        """Position weights (parts × positions), newest item first; ``None`` if no part learns its weights."""
        ...

    @property
    def state(self) -> Arrays:
        """All arrays that training changes, not copied."""
        ...

    def restore(self, state: Arrays) -> None:
        """Copy an earlier ``state`` into the arrays."""
        ...

    def train_piece(self, piece: Piece) -> Loss:
        """Train on one piece of an epoch; return the sum and the number of the losses.

        A trainer with a decreasing learning rate derives the rate from ``piece.position``. A trainer that has
        already counted all pairs, such as that of GloVe, does not read the sentences of the piece: it trains
        the share of the pairs from ``piece.start`` to ``piece.end``.
        """
        ...


class WithState:
    """Base class of trainers whose arrays are written in place."""

    @property
    def state(self) -> Arrays:
        """All arrays that training changes, not copied."""
        raise NotImplementedError

    def restore(self, state: Arrays) -> None:
        """Copy an earlier ``state`` into the arrays."""
        for name, array in self.state.items():
            array[...] = state[name]


class WordVectorTrainer(WithState):
    """Base class of all trainers but next_item's: no learned position weights, and no attributes."""

    @property
    def positions(self) -> None:
        """``None``, because only next_item learns position weights."""

    @property
    def input_of_attributes(self) -> None:
        """``None``, because attributes are a setting of next_item."""

    @property
    def new_items(self) -> None:
        """``None``, because attributes are a setting of next_item."""
