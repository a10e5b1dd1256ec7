"""Colours of items on a map: the values of an attribute as a few groups, or as numbers."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from item2vec.arrays import Codes, Doubles
from item2vec.items import Items

__all__ = ["MOST", "Colours", "colours_of"]

MOST = 12
"""Maximum number of values of an attribute that have a separate colour."""


@dataclass(frozen=True, eq=False)
class Colours:
    """The values of an attribute for n items.

    Attributes
    ----------
    attribute
        Name of the attribute.
    names
        The values with a separate colour, most frequent first; empty if ``numbers`` is set.
    groups
        Index into ``names`` (int32, n items); ``len(names)``: another value; -1: no value, or ``numbers`` is
        set.
    numbers
        The values of an attribute that is drawn with a colour scale (float64, n items; NaN: no finite value);
        ``None`` for an attribute that is drawn with separate colours.
    """

    attribute: str
    names: tuple[str, ...]
    groups: Codes
    numbers: Doubles | None = None


def colours_of(items: Items, ids: Sequence[str], attribute: str, *, most: int = MOST) -> Colours:
    """Return the colours of items by an attribute. If a value is a list, its first element is used.

    An attribute whose values are all numbers, and which has more than ``most`` distinct values in ``items``,
    is returned as ``numbers``. For any other attribute, at most ``most`` values have separate colours: the
    most frequent values among ``ids``.

    Raises
    ------
    InputError
        If no item has the attribute. The message suggests a similar name, if there is one.

    Examples
    --------
    >>> songs = Items.of({"a": {"genre": "jazz"}, "b": {"genre": ["soul", "jazz"]}, "c": {"genre": None}})
    >>> colours = colours_of(songs, ["a", "b", "c", "unknown"], "genre")
    >>> colours.names, colours.groups
    (('jazz', 'soul'), array([ 0,  1, -1, -1], dtype=int32))
    """
    column = items.column(attribute)
    first = np.full(len(items) + 1, -1, dtype=np.int32)
    first[column.rows[::-1]] = column.codes[::-1]  # reversed: the first value of a row is assigned last
    codes = first[items.vocabulary.encode(ids)]  # the code -1 of an unknown item selects the appended row
    if column.kinds == ("number",) and column.n_distinct > most:
        numbers = np.array([*map(_number, column.numbers), np.nan])[codes]
        return Colours(attribute, (), np.full(len(codes), -1, dtype=np.int32), numbers)
    counts = np.bincount(codes[codes >= 0], minlength=column.n_distinct)
    common = np.argsort(-counts, kind="stable")[:most]
    common = common[counts[common] > 0]
    group_of = np.full(column.n_distinct + 1, len(common), dtype=np.int32)
    group_of[common], group_of[-1] = np.arange(len(common)), -1
    values = (*column.numbers, *column.texts)
    return Colours(attribute, tuple(_text(values[code]) for code in common.tolist()), group_of[codes])


def _number(value: float) -> float:
    """Return a number as float64; NaN if it is not finite or too large for float64, such as 10**400."""
    return float(value) if -sys.float_info.max <= value <= sys.float_info.max else math.nan


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
