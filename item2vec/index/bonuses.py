"""Sparse bonuses: amounts that are added to the scores of a few rows per query."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from item2vec.arrays import Floats, Mask, Offsets, Rows

__all__ = ["Bonuses"]


@dataclass(frozen=True, eq=False)
class Bonuses:
    """Amounts that are added to the scores of a few rows per query, in compressed sparse row format.

    The rows of query ``i`` are ``rows[offsets[i]:offsets[i + 1]]`` (intp, strictly ascending). Their bonuses
    are ``values[offsets[i]:offsets[i + 1]]`` (float32, not negative). All other rows get no bonus.

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
        """The index of the query to which each entry of ``rows`` belongs."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def largest(self) -> Floats:
        """The largest bonus of each query; 0 for a query without bonuses."""
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
        positions = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][queries] - offsets[:-1], lengths)
        return Bonuses(self.rows[positions], self.values[positions], offsets)

    def of(self, query: int) -> tuple[Rows, Floats]:
        """Return the rows with a bonus for a query, and the bonuses of these rows."""
        own = slice(self.offsets[query], self.offsets[query + 1])
        return self.rows[own], self.values[own]

    def keep(self, kept: Mask) -> Bonuses:
        """Return the bonuses selected by a mask (one flag per entry of ``rows``)."""
        kept_before = np.concatenate(([0], np.cumsum(kept)))
        return Bonuses(self.rows[kept], self.values[kept], kept_before[self.offsets])

    def without(self, owners: Rows, rows: Rows, n_rows: int) -> Bonuses:
        """Return the bonuses without the entries of these (query, row) pairs."""
        positions, has_bonus = self._positions(owners, rows, n_rows)
        kept = np.ones(len(self.rows), dtype=bool)
        kept[positions[has_bonus]] = False
        return self.keep(kept)

    def at(self, owners: Rows, rows: Rows, n_rows: int) -> Floats:
        """Return the bonus of each (query, row) pair; 0 for a pair without a bonus."""
        positions, has_bonus = self._positions(owners, rows, n_rows)
        values = np.append(self.values, np.float32(0))[positions]
        bonuses: Floats = np.where(has_bonus, values, np.float32(0))
        return bonuses

    def _positions(self, owners: Rows, rows: Rows, n_rows: int) -> tuple[Rows, Mask]:
        """Return the position of each (query, row) pair in ``values``, and whether the pair has a bonus."""
        keys, wanted = self.owners * n_rows + self.rows, owners * n_rows + rows
        positions = np.searchsorted(keys, wanted)
        return positions, np.append(keys, -1)[positions] == wanted
