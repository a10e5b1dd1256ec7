"""``Items``: titles and attributes of items, and filters by attribute."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import NoneType
from typing import Any

import numpy as np

from item2vec.arguments import check_fields, checked, row_indices
from item2vec.arrays import Mask, Rows
from item2vec.conditions import Column, Where, parse
from item2vec.errors import (
    InputError,
    InputTypeError,
    Remedy,
    short_repr,
)
from item2vec.json_values import are_plain, check_is_text, json_value
from item2vec.types import Vocabulary

__all__ = ["WITH_ITEMS", "Items", "is_same"]

TITLE = "title"
WITH_ITEMS = Remedy(
    "items", text="pass {} to Recommender or fit", otherwise="train the model with --items FILE"
)
"""Advice for a model that has no items."""


@dataclass(frozen=True, eq=False, repr=False)
class Items:
    """Items with titles, for display, and attributes, for filters.

    ``titles[code]`` is ``None`` or empty if the item has no title. ``attributes[code]`` maps attribute names
    to JSON values. Filters compare text, numbers, booleans, and the elements of lists.

    NumPy numbers, booleans and texts become Python values. NaN, NaT and ``pandas.NA`` become null; such a
    title is missing. Tuples and arrays of one dimension become lists.

    Raises
    ------
    InputTypeError
        If a title or the name of an attribute is not text, or an attribute is not a JSON value.
    InputError
        If a number is infinite, or the numbers of ids, titles and attributes differ.

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
        check_fields(self)
        if not len(self.vocabulary) == len(self.titles) == len(self.attributes):
            raise InputError(
                f"found {len(self.vocabulary)} ids, {len(self.titles)} titles and {len(self.attributes)} "
                "dicts of attributes; expected one title (or None) and one dict of attributes per id"
            )
        is_plain = {str, NoneType}.issuperset(map(type, self.titles)) and are_plain(self.attributes)
        if not (is_plain and {dict}.issuperset(map(type, self.attributes))):
            ids = self.vocabulary.ids
            object.__setattr__(self, "titles", tuple(map(_title, ids, self.titles)))
            object.__setattr__(self, "attributes", tuple(map(_attributes, ids, self.attributes)))

    @classmethod
    @checked
    def of(cls, rows: Mapping[str, Mapping[str, Any]]) -> Items:
        """Create items from ``{id: {"title": ..., attribute: value, ...}}``."""
        for item, row in rows.items():
            _check_row(item, row)
        return cls(
            Vocabulary(tuple(rows)),
            tuple(row.get("title") for row in rows.values()),
            tuple({name: value for name, value in row.items() if name != "title"} for row in rows.values()),
        )

    def __len__(self) -> int:
        return len(self.vocabulary)

    def __repr__(self) -> str:
        titled = sum(title is not None for title in self.titles)
        names = ", ".join(self.attribute_names) or "none"
        return f"Items({len(self):,} items, {titled:,} titles, attributes: {names})"

    @checked
    def take(self, codes: Rows) -> Items:
        """Return the items with these codes, in this order; ``self`` for all codes in ascending order.

        >>> Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "soul"}}).take(np.array([1])).vocabulary.ids
        ('s2',)
        """
        codes = row_indices(codes, len(self), "codes")
        if np.array_equal(codes, np.arange(len(self))):
            return self
        chosen = codes.tolist()
        titles, attributes = self.titles, self.attributes
        return _derived(
            self.vocabulary.take(codes),
            tuple(titles[code] for code in chosen),
            tuple(attributes[code] for code in chosen),
        )

    def title(self, item: str) -> str:
        """Return the title of an item, or the item's id if the item has no title or is unknown."""
        code = int(self.vocabulary.encode([item])[0])
        return (self.titles[code] if code >= 0 else None) or item

    def about(self, item: str) -> dict[str, Any]:
        """Return the attributes of an item, by name; an empty dict for an unknown item."""
        code = int(self.vocabulary.encode([item])[0])
        return dict(self.attributes[code]) if code >= 0 else {}

    @checked
    def where(self, conditions: Where) -> list[str]:
        """Return the ids of the items that meet all conditions.

        ``conditions`` maps the name of an attribute to a value, to a list of alternative values, or to
        operators with values. ``item2vec.conditions`` describes all forms.

        Raises
        ------
        InputError
            If a condition names an attribute that no item has. The message suggests a similar name, if any.
        InputTypeError
            If a condition is not of the form that ``item2vec.conditions`` describes, or its value cannot be
            compared with the values of the attribute.

        Examples
        --------
        >>> songs = Items.of({"s1": {"year": 1983, "tags": ["dance"]}, "s2": {"year": 1959}, "s3": {}})
        >>> songs.where({"year": {">=": 1950, "<": 1960}})
        ['s2']
        >>> songs.where({"any": [{"tags": "dance"}, {"not": {"year": 1983}}]})
        ['s1', 's2']
        """
        return self.vocabulary.decode(np.flatnonzero(self.meets(conditions)))

    @checked
    def meets(self, conditions: Where) -> Mask:
        """Return a mask of the items that meet all conditions (bool, n items); see ``where``.

        >>> Items.of({"s1": {"year": 1983}, "s2": {"year": 1959}}).meets({"year": [1959, 1960]})
        array([False,  True])
        """
        return parse(conditions).matches(self)

    @checked
    def column(self, name: str) -> Column:
        """Return the values of an attribute. The column is cached.

        The name ``"title"`` stands for the titles, unless an attribute has this name.

        Raises
        ------
        InputError
            If no item has an attribute of this name. The message suggests a similar name, if there is one.

        Examples
        --------
        >>> Items.of({"s1": {"year": 1983}, "s2": {"year": 1959}, "s3": {}}).column("year")
        Column(number; 2 distinct values in 2 of 3 rows)
        """
        if name not in self._columns:
            self._check_attribute(name)
            is_title = name == TITLE and name not in self.attribute_names
            titles = (title or None for title in self.titles)
            cells = titles if is_title else (row.get(name) for row in self.attributes)
            self._columns[name] = Column.of(cells)
        return self._columns[name]

    @checked
    def updated(self, changed: Items) -> Items:
        """Return these items with those of ``changed``: known items are replaced, new items are appended.

        If nothing changes, ``self`` is returned. Another type, such as ``True`` instead of 1, is a change.

        >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {}})
        >>> songs.updated(Items.of({"s3": {}, "s1": {"genre": "soul"}})).attributes
        ({'genre': 'soul'}, {}, {})
        """
        ids, titles, attributes = [*self.vocabulary.ids], [*self.titles], [*self.attributes]
        unchanged = True
        codes = self.vocabulary.encode(changed.vocabulary.ids).tolist()
        rows = zip(changed.vocabulary.ids, changed.titles, changed.attributes, strict=True)
        for code, (id_, title, row) in zip(codes, rows, strict=True):
            if code < 0:
                ids.append(id_)
                titles.append(title)
                attributes.append(row)
            else:
                unchanged &= title == titles[code] and is_same(row, attributes[code])
                titles[code], attributes[code] = title, row
        if unchanged and len(ids) == len(self):
            return self
        vocabulary = self.vocabulary if len(ids) == len(self) else Vocabulary(tuple(ids))
        return _derived(vocabulary, tuple(titles), tuple(attributes))

    @checked
    def completed(self, other: Items, *, bare: frozenset[str] = frozenset()) -> Items:
        """Return these items with missing titles and attributes from ``other``, and with its other items.

        Only a title of ``None`` is missing; an empty title is kept. The attributes of an item are missing if
        the item has no attribute, unless ``bare`` contains its id: such an item is known to have none. If
        nothing is added, ``self`` is returned.

        >>> songs = Items.of({"s1": {"title": "Blue Monday"}, "s2": {"genre": "soul"}})
        >>> model_items = Items.of({"s1": {"genre": "pop"}, "s2": {"genre": "jazz"}, "s3": {"genre": "jazz"}})
        >>> completed = songs.completed(model_items)
        >>> completed.titles, completed.attributes
        (('Blue Monday', None, None), ({'genre': 'pop'}, {'genre': 'soul'}, {'genre': 'jazz'}))
        """
        rows: dict[str, Mapping[str, Any]] = {}
        titles: list[str | None] = []
        codes = self.vocabulary.encode(other.vocabulary.ids).tolist()
        for code, id_, title, row in zip(
            codes, other.vocabulary.ids, other.titles, other.attributes, strict=True
        ):
            own_title, own_row = (self.titles[code], self.attributes[code]) if code >= 0 else (None, {})
            is_missing = not own_row and id_ not in bare
            if code < 0 or (own_title is None and title is not None) or (row and is_missing):
                rows[id_] = row if is_missing else own_row
                titles.append(title if own_title is None else own_title)
        if not rows:
            return self
        return self.updated(_derived(Vocabulary(tuple(rows)), tuple(titles), tuple(rows.values())))

    @cached_property
    def is_described(self) -> bool:
        """Whether an item has a title or an attribute."""
        return any(self.attributes) or any(title is not None for title in self.titles)

    @cached_property
    def attribute_names(self) -> tuple[str, ...]:
        """The names of all attributes, in order of first appearance. Titles are not attributes."""
        return tuple(dict.fromkeys(name for row in self.attributes for name in row))

    @cached_property
    def _columns(self) -> dict[str, Column]:
        return {}

    def _check_attribute(self, name: str) -> None:
        names = dict.fromkeys(self.attribute_names)
        if any(title is not None for title in self.titles):
            names |= {TITLE: None}
        if name in names:
            return
        if not self.attribute_names:
            raise InputError(
                f"no item has an attribute {short_repr(name)}, because the items have no attributes",
                remedies=[
                    Remedy(
                        "",
                        text="load items with attributes (readers.read_items)",
                        otherwise="load attributes with --items FILE of item2vec train or ingest",
                    )
                ],
            )
        similar = difflib.get_close_matches(name, names, n=1)
        listed = ", ".join([*names][:10]) + (", …" if len(names) > 10 else "")
        remedy = f"did you mean {similar[0]!r}?" if similar else f"expected {listed}"
        raise InputError(f"no item has an attribute {short_repr(name)}; {remedy}")


def _derived(
    vocabulary: Vocabulary, titles: tuple[str | None, ...], attributes: tuple[Mapping[str, Any], ...]
) -> Items:
    """Return items with titles and attributes of other items, which are not checked again."""
    items = object.__new__(Items)
    items.__dict__.update(vocabulary=vocabulary, titles=titles, attributes=attributes)
    return items


def _check_row(id_: str, row: object) -> None:
    if not isinstance(row, Mapping):
        raise InputTypeError(
            f"the attributes of item {short_repr(id_)} are {short_repr(row)}; expected a dict"
        )


def _title(id_: str, title: Any) -> str | None:
    """Return a title as text, or ``None`` if it is missing."""
    text: str | None = json_value(title, f"item {id_!r}: title")
    if text is not None:
        check_is_text(text, f"item {id_!r}: title")
    return text


def _attributes(id_: str, row: Any) -> dict[str, Any]:
    """Return attributes as JSON values."""
    _check_row(id_, row)
    for name in row:
        check_is_text(name, f"item {id_!r}: the name of an attribute")
    return {name: json_value(value, f"item {id_!r}: {name}") for name, value in row.items()}


def is_same(a: Any, b: Any) -> bool:
    """Return whether two JSON values are equal and have the same types: 1 differs from 1.0 and true.

    >>> is_same({"year": 1983}, {"year": 1983}), is_same([1], [True])
    (True, False)
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(is_same(value, b[name]) for name, value in a.items())
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(is_same, a, b))
    return type(a) is type(b) and bool(a == b)
