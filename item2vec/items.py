"""What is known about items apart from who had them: titles and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from item2vec.errors import InputError
from item2vec.types import Vocabulary

__all__ = ["Items"]


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
        names = ", ".join(dict.fromkeys(name for row in self.attributes for name in row))
        return f"Items({len(self):,} items, {titled:,} titles, attributes: {names or 'none'})"

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

        An attribute that is itself a list meets a condition if one of its values does.
        """
        return [
            id_
            for id_, row in zip(self.vocabulary.ids, self.attributes, strict=True)
            if all(meets(row.get(name), wanted) for name, wanted in conditions.items())
        ]


def meets(value: Any, wanted: Any) -> bool:
    """Tell whether an attribute's value is what is wanted, or shares a value with it where one is a list.

    >>> meets(["jazz", "soul"], "jazz"), meets("jazz", ["rock", "jazz"]), meets(None, "jazz")
    (True, True, False)
    """
    found = value if isinstance(value, list) else [value]
    asked = wanted if isinstance(wanted, list | tuple | set | frozenset) else [wanted]
    return any(one is not None and one == other for one in found for other in asked)
