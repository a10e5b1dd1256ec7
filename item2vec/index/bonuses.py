"""Sparse bonuses: numbers added to the scores of a few rows for each query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from item2vec.arrays import Floats, Mask, Offsets, Rows

__all__ = ["Bonuses"]


@dataclass(frozen=True, eq=False)
class Bonuses:
    """Numbers added to the scores of a few rows, for each of several queries.

    The rows of query ``i`` are ``rows[offsets[i]:offsets[i + 1]]`` (intp, ascending, none twice), with as
    many ``values`` (float32, not negative). All other rows get no bonus.

    >>> bonuses = Bonuses(np.array([4, 0, 4]), np.array([1, 2, 3], dtype=np.float32), np.array([0, 1, 3]))
    >>> bonuses.take(np.array([1])).values
    array([2., 3.], dtype=float32)
    """

    rows: Rows
    values: Floats
    offsets: Offsets

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.offsets) - 1

    @cached_property
    def owners(self) -> Rows:
        """The number of the query that each row belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def largest(self) -> Floats:
        """The largest bonus of each query, 0 where there is none."""
        largest = np.zeros(len(self), dtype=np.float32)
        filled = np.flatnonzero(np.diff(self.offsets))
        if len(filled):
            largest[filled] = np.maximum.reduceat(self.values, self.offsets[filled])
        return largest

    def take(self, queries: Rows) -> Bonuses:
        """Return the bonuses of these queries, in this order."""
        if np.array_equal(queries, np.arange(len(self))):
            return self
        lengths = np.diff(self.offsets)[queries]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][queries] - offsets[:-1], lengths)
        return Bonuses(self.rows[places], self.values[places], offsets)

    def keep(self, kept: Mask) -> Bonuses:
        """Return the bonuses that a mask (one flag per row) keeps."""
        kept_before = np.concatenate(([0], np.cumsum(kept)))
        return Bonuses(self.rows[kept], self.values[kept], kept_before[self.offsets])

    def places(self, owners: Rows, rows: Rows, n_rows: int) -> tuple[Rows, Mask]:
        """Return the place in ``values`` of each pair of a query and a row, and whether it has one."""
        keys, wanted = self.owners * n_rows + self.rows, owners * n_rows + rows
        places = np.searchsorted(keys, wanted)
        return places, np.append(keys, -1)[places] == wanted

    def without(self, owners: Rows, rows: Rows, n_rows: int) -> Bonuses:
        """Return the bonuses but for these pairs of a query and a row."""
        places, found = self.places(owners, rows, n_rows)
        kept = np.ones(len(self.rows), dtype=bool)
        kept[places[found]] = False
        return self.keep(kept)

    def at(self, owners: Rows, rows: Rows, n_rows: int) -> Floats:
        """Return the bonus of each pair of a query and a row, 0 where it has none."""
        places, found = self.places(owners, rows, n_rows)
        bonuses: Floats = np.where(found, np.append(self.values, np.float32(0))[places], np.float32(0))
        return bonuses
