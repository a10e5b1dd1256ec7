"""``Direction``: the difference of the mean vectors of two groups of items, to be added to queries."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Floats

__all__ = ["Direction"]


@dataclass(frozen=True, eq=False)
class Direction:
    """The mean unit vector of a second group of items minus the mean unit vector of a first group.

    Multiplication by a number scales a direction; a negative number reverses it.

    Attributes
    ----------
    input
        The difference of the mean unit input vectors (float32, dimensions), for queries that are compared
        with input vectors.
    output
        The difference of the mean unit output vectors (float32, dimensions), for queries that are compared
        with output vectors; ``None`` if the model has no output matrix.

    Examples
    --------
    >>> newer = Direction(np.array([0.5, -0.5], np.float32), None)
    >>> (2 * newer).input
    array([ 1., -1.], dtype=float32)
    """

    input: Floats
    output: Floats | None

    def __mul__(self, factor: float) -> Direction:
        if isinstance(factor, bool) or not isinstance(factor, int | float | np.number):
            return NotImplemented
        number = np.float32(factor)
        return Direction(self.input * number, None if self.output is None else self.output * number)

    __rmul__ = __mul__
