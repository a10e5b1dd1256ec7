"""What is known about items apart from who had them: titles and attributes."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Mask
from item2vec.errors import InputError, InputTypeError
from item2vec.types import Vocabulary

__all__ = ["Items", "checked_conditions"]

Value = str | float


@dataclass(frozen=True, eq=False, repr=False)
class Items:
    """Titles and attributes of items, for people to read and for filters to ask about.

    ``titles[code]`` is ``None`` where there is none; ``attributes[code]`` maps names to JSON values (text,
    numbers, booleans, lists of text).

    Examples
    --------
    >>> songs = Items.of({"s1": {"title": "Blue Monday", "genre": "synth-pop"}, "s2": {"genre": "jazz"}})
    >>> songs.title("s1"), songs.title("s2"), songs.title("unheard-of")
    ('Blue Monday', 's2', 'unheard-of')
    >>> songs.where({"genre": "jazz"})
    ['s2']
    >>> songs
    Items(2 items, 1 titles, attributes: genre)
    """

    vocabulary: Vocabulary
    titles: tuple[str | None, ...]
    attributes: tuple[Mapping[str, Any], ...]

    def __post_init__(self) -> None:
        if not len(self.vocabulary) == len(self.titles) == len(self.attributes):
            raise InputError(
                f"{len(self.vocabulary)} ids, {len(self.titles)} titles, {len(self.attributes)} attributes; "
                "expected as many of each"
            )

    @classmethod
    def of(cls, rows: Mapping[str, Mapping[str, Any]]) -> Items:
        """Make items from ``{id: {"title": ..., attribute: value, ...}}``."""
        return cls(
            Vocabulary(tuple(rows)),
            tuple(row.get("title") for row in rows.values()),
            tuple({name: value for name, value in row.items() if name != "title"} for row in rows.values()),
        )

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        titled = sum(title is not None for title in self.titles)
        names = ", ".join(self._names) or "none"
        return f"Items({len(self):,} items, {titled:,} titles, attributes: {names})"

    def title(self, item: str) -> str:
        """Return an item's title, or its id where none is known."""
        code = int(self.vocabulary.encode([item])[0])
        return (self.titles[code] if code >= 0 else None) or item

    def about(self, item: str) -> dict[str, Any]:
        """Return an item's attributes by name; empty where none are known."""
        code = int(self.vocabulary.encode([item])[0])
        return dict(self.attributes[code]) if code >= 0 else {}

    def where(self, conditions: Mapping[str, Any]) -> list[str]:
        """Return the ids of items that meet all conditions: equal to a value, or to any of a list of values.

        An attribute that is itself a list meets a condition if one of its values does. ``None`` equals
        nothing, and ``True`` equals 1.

        Raises
        ------
        InputError
            If no item has an attribute of that name; names the nearest ones.
        InputTypeError
            If a condition is not text, a number, true or false, or a list of these.
        """
        return self.vocabulary.decode(np.flatnonzero(self.meets(conditions)))

    def meets(self, conditions: Mapping[str, Any]) -> Mask:
        """Return for each item, by code, whether it meets all conditions, as in ``where``.

        >>> Items.of({"s1": {"year": 1983}, "s2": {"year": 1959}}).meets({"year": [1959, 1960]})
        array([False,  True])
        """
        met = np.ones(len(self), dtype=bool)
        for name, values in checked_conditions(conditions).items():
            self._check_attribute(name)
            codes_of = self._codes_by_value(name)
            met_here = np.zeros(len(self), dtype=bool)
            for value in values & codes_of.keys():
                met_here[codes_of[value]] = True
            met &= met_here
        return met

    def updated(self, changed: Items) -> Items:
        """Return the items with changed ones in their place and new ones at the end; itself if all are equal.

        >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {}})
        >>> songs.updated(Items.of({"s3": {}, "s1": {"genre": "soul"}})).attributes
        ({'genre': 'soul'}, {}, {})
        """
        ids, titles, attributes = [*self.vocabulary.ids], [*self.titles], [*self.attributes]
        codes = self.vocabulary.encode(changed.vocabulary.ids).tolist()
        rows = zip(changed.vocabulary.ids, changed.titles, changed.attributes, strict=True)
        for code, (id_, title, row) in zip(codes, rows, strict=True):
            if code < 0:
                ids.append(id_)
                titles.append(title)
                attributes.append(row)
            else:
                titles[code], attributes[code] = title, row
        if (tuple(titles), tuple(attributes)) == (self.titles, self.attributes):
            return self
        vocabulary = self.vocabulary if len(ids) == len(self) else Vocabulary(tuple(ids))
        return Items(vocabulary, tuple(titles), tuple(attributes))

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for row in self.attributes for name in row))

    @cached_property
    def _columns(self) -> dict[str, dict[Value, Codes]]:
        return {}

    def _codes_by_value(self, name: str) -> dict[Value, Codes]:
        """Return which items have each value of an attribute; each attribute is read once."""
        if name not in self._columns:
            codes: defaultdict[Value, list[int]] = defaultdict(list)
            for code, row in enumerate(self.attributes):
                value = row.get(name)
                for one in value if isinstance(value, list) else (value,):
                    if isinstance(one, str | int | float):
                        codes[one].append(code)
            self._columns[name] = {one: np.array(some, dtype=np.int32) for one, some in codes.items()}
        return self._columns[name]

    def _check_attribute(self, name: str) -> None:
        if name in self._names:
            return
        if not self._names:
            raise InputError(
                f"no item has an attribute {name!r}, nor any other; expected items with attributes"
            )
        near = difflib.get_close_matches(name, self._names, n=1)
        remedy = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._names[:10])}"
        raise InputError(f"no item has an attribute {name!r}; {remedy}")


def checked_conditions(conditions: Mapping[str, Any]) -> dict[str, frozenset[Value]]:
    """Return the wanted values of each attribute, without ``None`` and NaN, which nothing equals.

    >>> checked_conditions({"genre": ["jazz", None], "year": 1983})
    {'genre': frozenset({'jazz'}), 'year': frozenset({1983})}
    """
    checked = {}
    for name, given in conditions.items():
        if not isinstance(name, str):
            raise InputTypeError(f"an attribute's name is {name!r}; expected text")
        values = given if isinstance(given, list | tuple | set | frozenset) else [given]
        if not all(isinstance(one, str | int | float | None) for one in values):
            raise InputTypeError(
                f"{name} is {given!r}; expected text, a number, true or false, or a list of these"
            )
        checked[name] = frozenset(one for one in values if one is not None and one == one)  # noqa: PLR0124
    return checked
