"""``Column``: the values of one attribute, dictionary-encoded, and the comparisons of these values."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, compress
from typing import Any, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Mask
from item2vec.errors import (
    InputTypeError,
    short_repr,
)

__all__ = ["ORDERINGS", "Column", "Scalar", "Truth"]

Scalar = str | float
"""A value that can be compared. Booleans are the numbers 1 and 0."""

_SCALARS = (str, int, float)
_LISTS = (list, tuple)

ORDERINGS: dict[str, Callable[[Sequence[Any], Scalar], slice]] = {
    ">": lambda ascending, value: slice(bisect_right(ascending, value), None),
    ">=": lambda ascending, value: slice(bisect_left(ascending, value), None),
    "<": lambda ascending, value: slice(None, bisect_left(ascending, value)),
    "<=": lambda ascending, value: slice(None, bisect_right(ascending, value)),
}
"""Maps each operator to a function that returns the slice of ascending values that meet the comparison."""


class Truth(NamedTuple):
    """Result of a condition in three-valued logic, as a pair of masks.

    The condition is true for the rows of the first mask, and false for those of the second mask. For all
    other rows, the result is unknown.
    """

    true: Mask
    false: Mask


@dataclass(frozen=True, eq=False, repr=False)
class Column:
    """The values of one attribute, dictionary-encoded.

    Attributes
    ----------
    numbers, texts
        The distinct numbers and the distinct texts, each in ascending order.
    codes
        The position of each value in ``numbers + texts``. A list has a value per element.
    rows
        The row of each value.
    is_list
        Mask of the rows whose value is a list.
    is_known
        Mask of the rows that are not null and, if the value is a list, have no null in the list. A value that
        cannot be compared (a mapping, or a list in a list) counts as null. An empty list is known.
    kinds
        The types of the values, some of "boolean", "number" and "text".

    Examples
    --------
    >>> column = Column.of([1983, None, [1959, "n/a"]])
    >>> column.numbers, column.texts, column.codes, column.rows
    ((1959, 1983), ('n/a',), array([1, 0, 2], dtype=int32), array([0, 2, 2], dtype=int32))
    >>> column
    Column(number and text, or a list of these; 3 distinct values in 2 of 3 rows)
    """

    numbers: tuple[float, ...]
    texts: tuple[str, ...]
    codes: Codes
    rows: Codes
    is_list: Mask
    is_known: Mask
    kinds: tuple[str, ...]

    @classmethod
    def of(cls, cells: Iterable[Any]) -> Column:
        """Encode one cell per row: a scalar, ``None``, or a list of these."""
        cells = list(cells)
        is_list = np.fromiter(map(_is_list, cells), dtype=bool, count=len(cells))
        rows, values = np.arange(len(cells), dtype=np.int32), cells
        if is_list.any():
            elements = [cell if _is_list(cell) else (cell,) for cell in cells]
            rows, values = np.repeat(rows, list(map(len, elements))), list(chain.from_iterable(elements))
        is_scalar = np.fromiter(map(_is_scalar, values), dtype=bool, count=len(values))
        scalars = list(compress(values, is_scalar))
        distinct = set(scalars)
        texts = sorted(value for value in distinct if isinstance(value, str))
        numbers = sorted(value for value in distinct if not isinstance(value, str))
        code_of = {value: code for code, value in enumerate((*numbers, *texts))}
        return cls(
            tuple(numbers),
            tuple(texts),
            np.fromiter(map(code_of.__getitem__, scalars), dtype=np.int32, count=len(scalars)),
            rows[is_scalar],
            is_list,
            ~_mask_of(len(cells), rows[~is_scalar]),
            tuple(sorted(set(map(_kind_of, set(map(type, scalars)))))),
        )

    def __repr__(self) -> str:
        n_rows = f"{self.n_rows_with_values:,} of {len(self.is_list):,} rows"
        return f"Column({self.type}; {self.n_distinct:,} distinct values in {n_rows})"

    @property
    def type(self) -> str:
        """The type of the values, in words, for messages.

        >>> Column.of([["jazz"], ["soul", "pop"]]).type, Column.of([True, None]).type, Column.of([{}]).type
        ('list of text', 'boolean', 'null')
        """
        kinds = " and ".join(self.kinds)
        n_lists, n_rows = np.count_nonzero(self.is_list), self.n_rows_with_values
        if not kinds or not n_lists:
            return kinds or "null"
        return f"list of {kinds}" if n_lists >= n_rows else f"{kinds}, or a list of these"

    @property
    def n_distinct(self) -> int:
        """The number of distinct values; for lists, of distinct elements."""
        return len(self.numbers) + len(self.texts)

    @cached_property
    def n_rows_with_values(self) -> int:
        """The number of rows with at least one value. An empty list has none."""
        return len(np.unique(self.rows))

    def equal_to_any(self, wanted: Iterable[Scalar]) -> Truth:
        """Test for each row whether one of its values is in ``wanted``. Text and numbers are never equal."""
        return self._truth(self._rows_of(self._table(wanted)[self.codes]), self.is_known)

    def ordered(self, operator: str, value: Scalar, name: str) -> Truth:
        """Compare the values of each row with ``value`` by ``operator``, a key of ``ORDERINGS``.

        The result is true for a row if at least one of the row's values meets the comparison. Otherwise, the
        result is unknown if the row is null, or has a null or a value whose type differs from that of
        ``value``; else it is false. ``name`` is the name of the attribute, for error messages.

        Raises
        ------
        InputTypeError
            If the column has values, but none of the type of ``value``.
        """
        is_text = isinstance(value, str)
        start, stop = (len(self.numbers), self.n_distinct) if is_text else (0, len(self.numbers))
        if start == stop and self.n_distinct:
            raise InputTypeError(
                f"{name} is of type {self.type}, and cannot be compared by {operator} {short_repr(value)}; "
                f"expected {'a number' if is_text else 'text'}"
            )
        table = np.zeros(self.n_distinct, dtype=bool)
        table[start:stop][ORDERINGS[operator](self.texts if is_text else self.numbers, value)] = True
        known = self.is_known
        if stop - start < self.n_distinct:
            known = known & ~self._rows_of((self.codes < start) | (self.codes >= stop))
        return self._truth(self._rows_of(table[self.codes]), known)

    def containing(self, value: Scalar, name: str) -> Truth:
        """Test for each row whether a text has the substring ``value``, or a list has the element ``value``.

        The result is unknown for null, for a number, for a text if ``value`` is not text, and for a list that
        has a null but not ``value``. ``name`` is the name of the attribute, for error messages.

        Raises
        ------
        InputTypeError
            If the column has values, but no lists, and either no texts or ``value`` is not text.
        """
        if self.n_distinct and not self.is_list.any() and not (self.texts and isinstance(value, str)):
            expected = "text" if self.texts else "an attribute that is text or a list"
            raise InputTypeError(
                f"{name} is of type {self.type}, and cannot contain {short_repr(value)}; expected {expected}"
            )
        has_substring = np.zeros(self.n_distinct, dtype=bool)
        if isinstance(value, str):
            has_substring[len(self.numbers) :] = [value in text for text in self.texts]
        in_list = self.is_list[self.rows]
        hits = np.where(in_list, self._table([value])[self.codes], has_substring[self.codes])
        is_text = self.codes >= len(self.numbers)
        cannot_contain = ~in_list & ~(is_text if isinstance(value, str) else np.zeros_like(is_text))
        return self._truth(self._rows_of(hits), self.is_known & ~self._rows_of(cannot_contain))

    def _table(self, wanted: Iterable[Scalar]) -> Mask:
        """Return a mask of the distinct values that are in ``wanted``."""
        table = np.zeros(self.n_distinct, dtype=bool)
        for value in wanted:
            ascending: tuple[Any, ...] = self.texts if isinstance(value, str) else self.numbers
            place = bisect_left(ascending, value)
            if place < len(ascending) and ascending[place] == value:
                table[place + (len(self.numbers) if isinstance(value, str) else 0)] = True
        return table

    def _rows_of(self, hits: Mask) -> Mask:
        """Return a mask of the rows with at least one value in ``hits``, a mask of the values."""
        return _mask_of(len(self.is_list), self.rows[hits])

    def _truth(self, true: Mask, known: Mask) -> Truth:
        return Truth(true, known & ~true)


def _kind_of(type_: type) -> str:
    """Return the name of a Python type in messages.

    >>> _kind_of(bool), _kind_of(int), _kind_of(float), _kind_of(str)
    ('boolean', 'number', 'number', 'text')
    """
    if issubclass(type_, str):
        return "text"
    return "boolean" if issubclass(type_, bool) else "number"


def _is_list(cell: Any) -> bool:
    return isinstance(cell, _LISTS)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, _SCALARS) and value == value  # noqa: PLR0124 (NaN)


def _mask_of(n_rows: int, rows: Codes) -> Mask:
    mask = np.zeros(n_rows, dtype=bool)
    mask[rows] = True
    return mask
