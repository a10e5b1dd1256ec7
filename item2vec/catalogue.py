"""The catalogue of a store at one revision, and masks of the model rows that may be recommended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from item2vec.arrays import Codes, Mask, Offsets, Rows
from item2vec.conditions import Condition, Where, parse
from item2vec.errors import InputError
from item2vec.interactions import read_only
from item2vec.items import WITH_ITEMS, Items
from item2vec.types import Vocabulary

__all__ = ["Catalogue", "Eligible", "Values"]

CACHED_MASKS = 128
CACHED_VALUES = 16


@dataclass(frozen=True, eq=False, repr=False)
class Catalogue:
    """The items of a store at one revision, and their active flags.

    The items are in the order in which they were added to the store. ``active`` (bool, one flag per item
    code) marks the items that may be recommended. ``revision`` is the revision number of the last change of
    an item in the store; 0 before the first change. ``bare`` contains the ids of the items that are known to
    have no attributes. The attributes of all other items without attributes are unknown.

    >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "jazz"}})
    >>> Catalogue(songs, np.array([True, False]), revision=3).where({"genre": "jazz"})
    ['s1']
    """

    items: Items
    active: Mask
    revision: int
    bare: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "active", read_only(self.active, np.bool_))

    @classmethod
    def of(cls, items: Items) -> Catalogue:
        """Return a catalogue in which all items are active."""
        return cls(items, np.ones(len(items), dtype=bool), revision=0)

    def __repr__(self) -> str:
        n_inactive = len(self.active) - np.count_nonzero(self.active)
        return f"Catalogue({len(self.items):,} items, {n_inactive:,} inactive, revision {self.revision})"

    def where(self, conditions: Where) -> list[str]:
        """Return the ids of the active items that meet all conditions; see ``Items.where``."""
        return self.items.vocabulary.decode(np.flatnonzero(self.items.meets(conditions) & self.active))

    def completed(self, items: Items, *, known: Items | None = None) -> Catalogue:
        """Return the catalogue with missing titles and attributes from ``items``; see ``Items.completed``.

        Items that are not in the catalogue are added, and are active. If nothing is added, ``self`` is
        returned. ``known`` is the result of ``Items.completed``, if it is known.

        >>> shelf = Catalogue(Items.of({"s1": {}, "s2": {}}), np.array([True, False]), revision=3)
        >>> shelf.completed(Items.of({"s1": {"year": 1}, "s2": {"year": 1}})).where({"year": 1})
        ['s1']
        """
        joined = self.items.completed(items, bare=self.bare) if known is None else known
        if joined is self.items:
            return self
        active = np.append(self.active, np.ones(len(joined) - len(self.items), dtype=bool))
        return Catalogue(joined, active, self.revision, self.bare)

    def updated(self, changed: Catalogue) -> Catalogue:
        """Return a catalogue with the items of ``changed`` added, or replaced if they are already present.

        If only active flags have changed, the cached columns of attributes are kept.

        >>> old = Catalogue(Items.of({"s1": {"year": 1}, "s2": {}}), np.array([True, True]), 1)
        >>> new = old.updated(Catalogue(Items.of({"s2": {}, "s3": {"year": 1}}), np.array([False, True]), 2))
        >>> new, new.where({"year": 1})
        (Catalogue(3 items, 1 inactive, revision 2), ['s1', 's3'])
        """
        items = self.items.updated(changed.items)
        active = np.append(self.active, np.ones(len(items) - len(self.items), dtype=bool))
        active[items.vocabulary.encode(changed.items.vocabulary.ids)] = changed.active
        bare = self.bare.difference(changed.items.vocabulary.ids) | changed.bare
        return Catalogue(items, active, changed.revision, bare)


class Values(NamedTuple):
    """The values of an attribute by row, as codes.

    The codes of the distinct values of row ``i`` are ``codes[offsets[i]:offsets[i + 1]]``. If the attribute
    of an item is a list, each distinct element is one value. If the attribute is null or missing, the row has
    no values.
    """

    offsets: Offsets
    codes: Codes

    def of(self, row: int) -> list[int]:
        """Return the value codes of a row."""
        codes: list[int] = self.codes[self.offsets[row] : self.offsets[row + 1]].tolist()
        return codes

    def rows_with(self, values: Mask) -> Rows:
        """Return, in ascending order, the rows with a value that ``values`` marks (one flag per code)."""
        entries = np.flatnonzero(values[self.codes])
        return np.unique(np.searchsorted(self.offsets, entries, side="right") - 1)


class Eligible:
    """Cached masks of the model rows whose items are active and meet the conditions of a request.

    Items of the model that are not in the catalogue count as active.

    Parameters
    ----------
    catalogue
        Items with their attributes and active flags.
    vocabulary
        Items of the model, in row order.
    attributes
        Items, such as those of the model, that complete the catalogue; see ``Items.completed``. Optional.
    before
        An earlier ``Eligible``. If it was created from the same ``vocabulary`` object, and
        ``catalogue.items.vocabulary`` is also the same object, its mapping from model rows to item codes of
        the catalogue is reused. If only the active flags of its catalogue differ, its completed items are
        reused. Optional.

    Examples
    --------
    >>> songs = Items.of({"s1": {"genre": "jazz"}, "s2": {"genre": "jazz"}, "s3": {"genre": "soul"}})
    >>> shelf = Catalogue(songs, np.array([True, False, True]), revision=3)
    >>> eligible = Eligible(shelf, Vocabulary(("s3", "s2", "s1", "unheard-of")))
    >>> eligible.mask(), eligible.mask({"genre": "jazz"})
    (array([ True, False,  True,  True]), array([False, False,  True, False]))
    """

    def __init__(
        self,
        catalogue: Catalogue,
        vocabulary: Vocabulary,
        *,
        attributes: Items | None = None,
        before: Eligible | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.vocabulary = vocabulary
        self._fallback = attributes
        listed = catalogue.items.vocabulary
        is_same = before and before.vocabulary is vocabulary and before.catalogue.items.vocabulary is listed
        self._codes: Codes = before._codes if before and is_same else listed.encode(vocabulary.ids)
        self._completed = None if before is None else before._completed_of(catalogue, attributes)

    def __getstate__(self) -> dict[str, Any]:
        caches = {"_mask", "_values"}  # functions with a cache cannot be pickled
        return {name: value for name, value in self.__dict__.items() if name not in caches}

    @classmethod
    def of_model(cls, items: Items | None, vocabulary: Vocabulary) -> Eligible:
        """Return an ``Eligible`` for a model without a store: all items are active.

        Raise ``InputError`` if ``items`` is ``None``, which means that the model has no attributes.
        """
        if items is None:
            raise InputError(
                "a rule on attributes requires items with attributes, and the model has none",
                remedies=[WITH_ITEMS],
            )
        return cls(Catalogue.of(items), vocabulary)

    def is_of(self, catalogue: Catalogue, vocabulary: Vocabulary, attributes: Items | None) -> bool:
        """Return whether ``self`` was created from exactly these objects."""
        own = (self.catalogue, self.vocabulary, self._fallback)
        return all(one is other for one, other in zip(own, (catalogue, vocabulary, attributes), strict=True))

    @property
    def items(self) -> Items:
        """The items of the catalogue, completed by ``attributes``."""
        return self._described.catalogue.items

    def mask(self, where: Where | None = None) -> Mask | None:
        """Return a read-only mask of the rows that are active and meet ``where``; ``None`` if all rows do."""
        return self._mask(parse({})) if not where else self._described._mask(parse(where))

    def values(self, name: str) -> Values:
        """Return an attribute's values by model row; raise ``InputError`` if no item has the attribute."""
        return self._described._values(name)

    @cached_property
    def _mask(self) -> Callable[[Condition], Mask | None]:
        return lru_cache(CACHED_MASKS)(partial(_mask, self.catalogue, self._codes))

    @cached_property
    def _values(self) -> Callable[[str], Values]:
        return lru_cache(CACHED_VALUES)(partial(_values, self.catalogue.items, self._codes))

    @cached_property
    def _described(self) -> Eligible:
        """An ``Eligible`` of the completed catalogue, without ``attributes``."""
        if self._fallback is None:
            return self
        completed = self.catalogue.completed(self._fallback, known=self._completed)
        return self if completed is self.catalogue else Eligible(completed, self.vocabulary)

    def _completed_of(self, catalogue: Catalogue, attributes: Items | None) -> Items | None:
        """Return the completed items, if they are known, and those of ``catalogue`` are the same."""
        own = self.catalogue
        is_same = own.items is catalogue.items and own.bare == catalogue.bare and self._fallback is attributes
        if not is_same:
            return None
        return self.items if "_described" in self.__dict__ else self._completed


def _mask(catalogue: Catalogue, codes: Codes, condition: Condition) -> Mask | None:
    # Items that are not in the catalogue have code -1, which selects the appended flag.
    allowed = np.append(catalogue.active & catalogue.items.meets(condition), condition.matches_null())
    mask: Mask = read_only(allowed[codes], np.bool_)
    return None if mask.all() else mask


def _values(items: Items, codes: Codes, name: str) -> Values:
    column = items.column(name)
    pairs = np.unique(column.rows.astype(np.int64) * max(1, column.n_distinct) + column.codes)
    rows, values = np.divmod(pairs, max(1, column.n_distinct))
    counts = np.bincount(rows, minlength=len(items) + 1)
    starts = np.cumsum(counts) - counts
    lengths = counts[codes]  # the code -1 of an item outside the catalogue selects the last count, which is 0
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    positions = np.arange(offsets[-1]) + np.repeat(starts[codes] - offsets[:-1], lengths)
    return Values(read_only(offsets, np.int64), read_only(values[positions], np.int32))
