"""The catalogue of a store at one revision, and masks of the model rows that it allows."""

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

__all__ = ["Catalogue", "Eligible"]

CACHED_MASKS = 128


@dataclass(frozen=True, eq=False, repr=False)
class Catalogue:
    """All items of a store at one revision, and whether each of them is active.

    ``active`` (bool, one flag per item, in order of codes) marks the items that may be recommended.
    ``revision`` is the number of the last change, 0 before the first one.

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
        """Return the ids of the active items that meet all conditions; see ``Items.where``."""
        return self.items.vocabulary.decode(np.flatnonzero(self.items.meets(conditions) & self.active))

    def updated(self, changed: Catalogue) -> Catalogue:
        """Return a catalogue in which items of ``changed`` replace or extend its own items.

        Cached attribute data is kept if only ``active`` has changed.

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
    """Masks of the model rows that may be recommended under the conditions of a request, with a cache.

    Items of the model that the catalogue lacks count as active and have no attributes.

    Parameters
    ----------
    catalogue
        Items with their attributes and active flags.
    vocabulary
        The items of the model, in row order.
    before
        The masks of an older catalogue or model; its item codes are reused if both vocabularies are the same.

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
        listed = catalogue.items.vocabulary
        is_same = before and before.vocabulary is vocabulary and before.catalogue.items.vocabulary is listed
        self._codes: Codes = before._codes if before and is_same else listed.encode(vocabulary.ids)
        self._mask = lru_cache(CACHED_MASKS)(partial(_mask, catalogue, self._codes))

    def mask(self, where: Mapping[str, Any] | None = None) -> Mask | None:
        """Return a read-only flag per row of the model; ``None`` if every row may be recommended."""
        return self._mask(frozenset(checked_conditions(where or {}).items()))


def _mask(
    catalogue: Catalogue, codes: Codes, conditions: frozenset[tuple[str, frozenset[Value]]]
) -> Mask | None:
    # The last flag is for code -1: items that the catalogue lacks meet no condition.
    allowed = np.append(catalogue.active & catalogue.items.meets(dict(conditions)), not conditions)
    mask: Mask = read_only(allowed[codes], np.bool_)
    return None if mask.all() else mask
