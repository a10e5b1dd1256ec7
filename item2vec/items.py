"""Titles and attributes of items, and filters by attribute."""

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
    """Items with titles, for display, and attributes, for filters.

    ``titles[code]`` is ``None`` if the item has no title. ``attributes[code]`` maps attribute names to JSON
    values. Filters match text, numbers, booleans, and the elements of lists.

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
                "expected equal numbers"
            )

    @classmethod
    def of(cls, rows: Mapping[str, Mapping[str, Any]]) -> Items:
        """Create items from ``{id: {"title": ..., attribute: value, ...}}``."""
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
        """Return the title of an item, or the item's id if the item has no title or is unknown."""
        code = int(self.vocabulary.encode([item])[0])
        return (self.titles[code] if code >= 0 else None) or item

    def about(self, item: str) -> dict[str, Any]:
        """Return the attributes of an item by name. The attributes of an unknown item are empty."""
        code = int(self.vocabulary.encode([item])[0])
        return dict(self.attributes[code]) if code >= 0 else {}

    def where(self, conditions: Mapping[str, Any]) -> list[str]:
        """Return the ids of the items that meet all conditions.

        ``conditions`` maps the name of an attribute to a value, or to a list of alternative values. An
        attribute that is a list matches if one of its elements matches. ``None`` and NaN match no item.
        ``True`` equals 1.

        Raises
        ------
        InputError
            If no item has an attribute of this name. The message suggests a similar name.
        InputTypeError
            If a condition is not text, a number, a boolean, or a list of these.
        """
        return self.vocabulary.decode(np.flatnonzero(self.meets(conditions)))

    def meets(self, conditions: Mapping[str, Any]) -> Mask:
        """Return a mask over item codes: True if the item meets all conditions (see ``where``).

        >>> Items.of({"s1": {"year": 1983}, "s2": {"year": 1959}}).meets({"year": [1959, 1960]})
        array([False,  True])
        """
        matches = np.ones(len(self), dtype=bool)
        for name, values in checked_conditions(conditions).items():
            self._check_attribute(name)
            codes_of = self._codes_by_value(name)
            has_value = np.zeros(len(self), dtype=bool)
            for value in values & codes_of.keys():
                has_value[codes_of[value]] = True
            matches &= has_value
        return matches

    def updated(self, changed: Items) -> Items:
        """Return the items updated by ``changed``: known items are replaced, new items are appended.

        If nothing changes, ``self`` is returned.

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
        """Map each value of an attribute to the codes of the items with this value. Cached per attribute."""
        if name not in self._columns:
            codes: defaultdict[Value, list[int]] = defaultdict(list)
            for code, row in enumerate(self.attributes):
                values = row.get(name)
                for value in values if isinstance(values, list) else (values,):
                    if isinstance(value, str | int | float):
                        codes[value].append(code)
            self._columns[name] = {value: np.array(rows, np.int32) for value, rows in codes.items()}
        return self._columns[name]

    def _check_attribute(self, name: str) -> None:
        if name in self._names:
            return
        if not self._names:
            raise InputError(
                f"no item has an attribute {name!r}, because the items have no attributes; "
                "load items with attributes"
            )
        similar = difflib.get_close_matches(name, self._names, n=1)
        remedy = f"did you mean {similar[0]!r}?" if similar else f"expected {', '.join(self._names[:10])}"
        raise InputError(f"no item has an attribute {name!r}; {remedy}")


def checked_conditions(conditions: Mapping[str, Any]) -> dict[str, frozenset[Value]]:
    """Return the set of accepted values of each attribute, without ``None`` and NaN, which match no item.

    >>> checked_conditions({"genre": ["jazz", None], "year": 1983})
    {'genre': frozenset({'jazz'}), 'year': frozenset({1983})}
    """
    checked = {}
    for name, condition in conditions.items():
        if not isinstance(name, str):
            raise InputTypeError(f"an attribute name is {name!r}; expected text")
        values = condition if isinstance(condition, list | tuple | set | frozenset) else [condition]
        if not all(isinstance(value, str | int | float | None) for value in values):
            raise InputTypeError(
                f"{name} is {condition!r}; expected text, a number, a boolean, or a list of these"
            )
        checked[name] = frozenset(v for v in values if v is not None and v == v)  # noqa: PLR0124
    return checked
