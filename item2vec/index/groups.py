"""Groups of equal rows: an approximate index stores each distinct row once.

If each of many equal rows were a node of a graph, these nodes would be each other's only neighbours. In a
forest of trees, they would fill whole subtrees. In both cases, the equal rows would hide other rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from item2vec.arrays import Codes, Floats, Mask, Rows
from item2vec.files import open_array, write_array

__all__ = ["GroupedIndex", "Groups"]

FILE = "groups.npy"


@dataclass(frozen=True, eq=False)
class Groups:
    """The group of each row (int32). Groups are numbered from 0, in order of the first row of each group.

    >>> groups = Groups.of(np.array([[1, 0], [2, 0], [1, 0]], dtype=np.float32))
    >>> groups.codes.tolist(), groups.first.tolist(), groups.rows_of(np.array([0]), n=5).tolist()
    ([0, 1, 0], [0, 1], [0, 2])
    """

    codes: Codes
    n_groups: int

    @classmethod
    def of(cls, matrix: Floats) -> Groups:
        """Group the equal rows of a float32 matrix."""
        # Adding 0 turns -0.0 into 0.0.
        raw = (matrix + np.float32(0)).view(np.dtype((np.void, matrix.itemsize * matrix.shape[1])))
        _, first, group = np.unique(raw[:, 0], return_index=True, return_inverse=True)
        order = np.argsort(first)
        rank = np.empty(len(first), dtype=np.int32)
        rank[order] = np.arange(len(first))
        return cls(rank[group], len(first))

    @classmethod
    def load(cls, folder: Path, n_rows: int, n_groups: int, prefix: str = "") -> Groups:
        """Read the groups that ``save`` wrote. The group numbers are not checked here, see ``is_valid``."""
        codes = open_array(folder / f"{prefix}{FILE}", np.int32, (n_rows,))
        return cls(np.asarray(codes), n_groups)

    def save(self, folder: Path, prefix: str = "") -> None:
        """Write ``groups.npy`` with this prefix into an existing folder, and flush it to the disk."""
        write_array(folder / f"{prefix}{FILE}", self.codes)

    @property
    def is_valid(self) -> bool:
        """Whether ``codes`` contains each integer from 0 to ``n_groups - 1``, and no other value."""
        return not self._are_repeated or np.array_equal(np.unique(self.codes), np.arange(self.n_groups))

    @property
    def first(self) -> Rows:
        """The first row of each group."""
        return self._members[self._offsets[:-1]] if self._are_repeated else np.arange(len(self.codes))

    def rows_of(self, groups: Rows, n: int) -> Rows:
        """Return the rows of the groups, at most ``n`` per group. The rows of a group have equal scores."""
        if not self._are_repeated:
            return groups
        starts = self._offsets[groups]
        stops = np.minimum(self._offsets[groups + 1], starts + n)
        return np.concatenate([groups[:0], *map(self._members.__getitem__, map(slice, starts, stops))])

    def are_cut(self, rows: Rows, n: int) -> Mask:
        """Return, for each row, whether ``rows`` contain at least ``n`` rows of its group, but not all.

        If ``rows_of`` returned the rows, which are distinct, it left out further rows of these groups.
        """
        if not self._are_repeated:
            return np.zeros(len(rows), dtype=bool)
        groups, codes, counts = np.unique(self.codes[rows], return_inverse=True, return_counts=True)
        cut: Mask = (counts >= n) & (counts < self._offsets[groups + 1] - self._offsets[groups])
        return cut[codes]

    @cached_property
    def _are_repeated(self) -> bool:
        """Whether any two rows are equal. If not, group ``i`` consists of row ``i``."""
        return not np.array_equal(self.codes, np.arange(self.n_groups))

    @cached_property
    def _members(self) -> Rows:
        """The rows of all groups, group after group."""
        return np.argsort(self.codes, kind="stable")

    @cached_property
    def _offsets(self) -> Rows:
        return np.searchsorted(self.codes[self._members], np.arange(self.n_groups + 1))


class GroupedIndex:
    """Base class of the indexes that store equal rows once."""

    matrix: Floats
    groups: Groups

    @property
    def n_built(self) -> int:
        """The number of rows."""
        return len(self.matrix)

    def are_cut(self, rows: Rows, n: int) -> Mask:
        """Return, for each candidate, whether equal rows were left out (see ``Groups.are_cut``)."""
        return self.groups.are_cut(rows, n)
