"""What a store holds of its items at one time, as masks over the rows of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np

from item2vec.arrays import Codes, Mask
from item2vec.interactions import read_only
from item2vec.items import Items, Value, checked_conditions
from item2vec.types import Vocabulary

__all__ = ["Catalogue", "Eligible", "Mask"]


CACHED_MASKS = 128


@dataclass(frozen=True, eq=False, repr=False)
class Catalogue:
    """All items of a store, and which of them are active, as they were at one revision.

    ``active`` (bool, one flag per item, by code) says which items may be recommended. ``revision`` is the
    number of the last change; 0 where nothing was ever changed.

    >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "jazz"}})
    >>> Catalogue(songs, np.array([True, False]), revision=3).where({"genre": "jazz"})
    ['s1']
    """

    items: Items
    active: Mask
    revision: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "active", read_only(self.active, np.bool_))

    def __repr__(self) -> str:
        n_inactive = len(self.active) - np.count_nonzero(self.active)
        return f"Catalogue({len(self.items):,} items, {n_inactive:,} inactive, revision {self.revision})"

    def where(self, conditions: Mapping[str, Any]) -> list[str]:
        """Return the ids of active items that meet all conditions, as ``Items.where`` reads them."""
        return self.items.vocabulary.decode(np.flatnonzero(self.items.meets(conditions) & self.active))

    def updated(self, changed: Catalogue) -> Catalogue:
        """Return the catalogue with the items of another one in the place of its own, new ones at the end.

        What has been computed of the attributes is kept where only ``active`` has changed.

        >>> old = Catalogue(Items.of({"s1": {"year": 1}, "s2": {}}), np.array([True, True]), 1)
        >>> new = old.updated(Catalogue(Items.of({"s2": {}, "s3": {"year": 1}}), np.array([False, True]), 2))
        >>> new, new.where({"year": 1})
        (Catalogue(3 items, 1 inactive, revision 2), ['s1', 's3'])
        """
        items = self.items.updated(changed.items)
        active = np.append(self.active, np.ones(len(items) - len(self.items), dtype=bool))
        active[items.vocabulary.encode(changed.items.vocabulary.ids)] = changed.active
        return Catalogue(items, active, changed.revision)


class Eligible:
    """Which rows of a model may be recommended, by the conditions of a request; the last masks are kept.

    Items that the catalogue does not hold are active and have no attributes.

    Parameters
    ----------
    catalogue
        What is known about items.
    vocabulary
        The items of the model, by row.
    before
        Masks of an older catalogue or model, of which is kept what still holds.

    Examples
    --------
    >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "jazz"}, "s3": {"genre": "soul"}})
    >>> shelf = Catalogue(songs, np.array([True, False, True]), revision=3)
    >>> eligible = Eligible(shelf, Vocabulary(("s3", "s2", "s1", "unheard-of")))
    >>> eligible.mask(), eligible.mask({"genre": "jazz"})
    (array([ True, False,  True,  True]), array([False, False,  True, False]))
    """

    def __init__(self, catalogue: Catalogue, vocabulary: Vocabulary, before: Eligible | None = None) -> None:
        self.catalogue = catalogue
        self.vocabulary = vocabulary
        known = catalogue.items.vocabulary
        is_same = before and before.vocabulary is vocabulary and before.catalogue.items.vocabulary is known
        self._codes: Codes = before._codes if before and is_same else known.encode(vocabulary.ids)
        self._mask = lru_cache(CACHED_MASKS)(partial(_mask, catalogue, self._codes))

    def mask(self, where: Mapping[str, Any] | None = None) -> Mask | None:
        """Return one flag per row of the model, read-only; ``None`` where every row may be recommended."""
        return self._mask(frozenset(checked_conditions(where or {}).items()))


def _mask(
    catalogue: Catalogue, codes: Codes, conditions: frozenset[tuple[str, frozenset[Value]]]
) -> Mask | None:
    eligible = np.append(catalogue.active & catalogue.items.meets(dict(conditions)), not conditions)
    mask: Mask = read_only(eligible[codes], np.bool_)
    return None if mask.all() else mask
