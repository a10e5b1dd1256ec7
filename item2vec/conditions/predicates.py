"""Conditions as immutable, hashable objects, which are evaluated over columns in three-valued logic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from item2vec.arrays import Mask
from item2vec.conditions.columns import Column, Scalar, Truth

__all__ = ["AllOf", "AnyOf", "Comparison", "Condition", "Negation", "Rows"]


class Rows(Protocol):
    """Rows with named columns, over which conditions are evaluated."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> Column:
        """Return the column of an attribute; raise ``InputError`` if no row has the attribute."""
        ...


class Condition(ABC):
    """A validated condition on attributes. Conditions are immutable and hashable, so they can be cache keys.

    ``parse`` creates a condition from a mapping.
    """

    @abstractmethod
    def truth(self, rows: Rows) -> Truth:
        """Evaluate the condition for each row, in three-valued logic."""

    def matches(self, rows: Rows) -> Mask:
        """Return a mask of the rows for which the condition is true.

        Raises
        ------
        InputError
            If an attribute that the condition names does not exist.
        InputTypeError
            If no value of an attribute has the type that a comparison in the condition requires.
        """
        return self.truth(rows).true

    def matches_null(self) -> bool:
        """Return whether a row without attributes meets the condition."""
        return bool(self.truth(_NullRow()).true[0])


@dataclass(frozen=True, slots=True)
class Comparison(Condition):
    """A comparison of an attribute with values.

    ``operator`` is ``"in"`` (``values`` are alternatives; this includes ``==``), or ``">"``, ``">="``,
    ``"<"``, ``"<="`` or ``"contains"`` (``values`` has one element). If ``values`` contains ``None``, which
    is null, the comparison is unknown for every row that equals none of the other values.
    """

    name: str
    operator: str
    values: frozenset[Scalar | None]

    def truth(self, rows: Rows) -> Truth:
        """Evaluate the comparison for each row."""
        column = rows.column(self.name)
        wanted = [value for value in self.values if value is not None]
        if self.operator == "in":
            found = column.equal_to_any(wanted)
        elif not wanted:
            found = column.equal_to_any([])
        elif self.operator == "contains":
            found = column.containing(wanted[0], self.name)
        else:
            found = column.ordered(self.operator, wanted[0], self.name)
        return Truth(found.true, np.zeros_like(found.false)) if None in self.values else found


@dataclass(frozen=True, slots=True)
class AllOf(Condition):
    """A condition that is true if all parts are true, false if a part is false, and otherwise unknown."""

    parts: tuple[Condition, ...]

    def truth(self, rows: Rows) -> Truth:
        """Evaluate all parts for each row."""
        true, false = np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
        for part in self.parts:
            found = part.truth(rows)
            true, false = true & found.true, false | found.false
        return Truth(true, false)


@dataclass(frozen=True, slots=True)
class AnyOf(Condition):
    """A condition that is true if a part is true, false if all parts are false, and otherwise unknown."""

    parts: tuple[Condition, ...]

    def truth(self, rows: Rows) -> Truth:
        """Evaluate all parts for each row."""
        true, false = np.zeros(len(rows), dtype=bool), np.ones(len(rows), dtype=bool)
        for part in self.parts:
            found = part.truth(rows)
            true, false = true | found.true, false & found.false
        return Truth(true, false)


@dataclass(frozen=True, slots=True)
class Negation(Condition):
    """A condition that is true if ``part`` is false, false if it is true, and otherwise unknown."""

    part: Condition

    def truth(self, rows: Rows) -> Truth:
        """Evaluate the part for each row, and swap true and false."""
        found = self.part.truth(rows)
        return Truth(found.false, found.true)


class _NullRow:
    """One row whose attributes are all null."""

    def __len__(self) -> int:
        return 1

    def column(self, name: str) -> Column:  # noqa: ARG002
        return Column.of([None])
