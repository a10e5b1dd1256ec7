"""``Initial``: digests of the rows before training, to find the rows that training has changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from item2vec.arrays import Floats, Mask, Words
from item2vec.config import NextItem, TrainConfig
from item2vec.training.trainer import Trainer

__all__ = ["Initial"]

NUMBERS_PER_BLOCK = 1 << 16
MIX = np.uint64(0xBF58476D1CE4E5B9)


class Initial(NamedTuple):
    """Digests of the rows of both matrices before training.

    Digests take less memory than the rows. A row has a digest for each of its parts (uint64, n items ×
    parts). ``output`` is ``None`` if there is no output matrix, or if all output vectors start at zero.
    """

    input: Words
    output: Words | None

    @classmethod
    def of(cls, trainer: Trainer, config: TrainConfig) -> Initial:
        """Compute the digests of the current rows of a trainer."""
        n_parts = len(config.context_decay) if isinstance(config, NextItem) else 1
        at_zero = trainer.output is None or not trainer.output.any()
        return cls(
            digests_of(trainer.input, n_parts),
            None if trainer.output is None or at_zero else digests_of(trainer.output, n_parts),
        )

    def input_moved(self, input_: Floats) -> Mask:
        """Return a mask of the parts of input rows that differ from their initial values (items × parts)."""
        return np.not_equal(digests_of(input_, self.input.shape[1]), self.input)

    def output_moved(self, trainer: Trainer) -> Mask:
        """Return a mask of the parts of output rows that differ from their initial values (items × parts)."""
        n, n_parts = self.input.shape
        if trainer.output is None:
            return np.zeros((n, n_parts), np.bool_)
        if self.output is None:
            moved: Mask = np.any(trainer.output.reshape(n, n_parts, -1), axis=2)
            return moved
        return np.not_equal(digests_of(trainer.output, n_parts), self.output)


def digests_of(matrix: Floats, n_parts: int) -> Words:
    """Return a 64-bit digest of each part of each row. Equal parts have equal digests; 0 and -0 are equal.

    >>> digests = digests_of(np.array([[1, 0, 2, 3], [1, -0.0, 3, 2]], np.float32), 2)
    >>> (digests[0] == digests[1]).tolist()
    [True, False]
    """
    n, size = len(matrix), matrix.shape[1] // n_parts
    factors = np.random.default_rng(0).integers(2**63, size=size, dtype=np.uint64) * np.uint64(2) + np.uint64(
        1
    )
    digests = np.empty((n, n_parts), np.uint64)
    step = max(1, NUMBERS_PER_BLOCK // matrix.shape[1])
    for start in range(0, n, step):
        rows = matrix[start : start + step] + np.float32(0)  # a contiguous copy, and -0 becomes 0
        mixed = rows.view(np.uint32).reshape(len(rows), n_parts, size) * factors
        mixed ^= mixed >> np.uint64(32)
        mixed *= MIX
        digests[start : start + step] = mixed.sum(axis=2)
    return digests
