"""Item attributes, encoded for training: an integer code per distinct value that several items share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Codes, Floats, Offsets
from item2vec.items import Items
from item2vec.types import Vocabulary

__all__ = ["ItemAttributes", "NewItems"]


class NewItems(NamedTuple):
    """New items, and their vectors, which are the sums of the vectors of their attributes.

    A new item is outside the training vocabulary, for example because it occurs fewer than ``min_count``
    times, but has at least one attribute code (see ``ItemAttributes``). ``output`` holds the output vectors
    for scoring. With ``similarity="cosine"``, each part of an output vector is scaled to length 1.
    """

    ids: tuple[str, ...]
    input: Floats
    output: Floats


@dataclass(frozen=True, eq=False)
class ItemAttributes:
    """The attribute codes of the trained items, and of the new items.

    Trained items are the items of the training vocabulary. New items are all other items with at least one
    code, such as items that no sentence contains, or that occur fewer than ``min_count`` times.

    Item i has the codes ``codes[offsets[i] : offsets[i + 1]]`` (int32), ascending and distinct. Trained items
    come first, in the order of their vectors, then the new items. ``n`` is the number of distinct codes, and
    ``new_items`` holds the ids of the new items.
    """

    offsets: Offsets
    codes: Codes
    n: int
    new_items: tuple[str, ...]

    @classmethod
    def none(cls, n_items: int) -> ItemAttributes:
        """Return the ``ItemAttributes`` of items without attributes."""
        return cls(np.zeros(n_items + 1, np.int64), np.empty(0, np.int32), 0, ())

    @classmethod
    def of(cls, items: Items, names: Sequence[str], trained: Vocabulary) -> ItemAttributes:
        """Encode the attributes called ``names``; ``trained`` is the vocabulary of the trained items.

        Each distinct value of an attribute, whether text or a number, has a code, with three exceptions:
        missing values; values that only one item has, from which nothing can be learned for another item; and
        values that no trained item has. If an attribute is a list, each element is a value. An item outside
        ``trained`` is a new item if at least one of its values has a code.

        Raises
        ------
        InputError
            If no item has an attribute of a name in ``names``. The message suggests a similar name, or lists
            names of attributes.

        Examples
        --------
        >>> items = Items.of({"a": {"genre": ["jazz", "soul"]}, "b": {"genre": "jazz", "year": 1959}, "c": {},
        ...     "new": {"genre": "jazz", "year": 1959}, "odd": {"genre": "polka"}})
        >>> encoded = ItemAttributes.of(items, ["genre", "year"], Vocabulary(("b", "a", "c")))
        >>> encoded.offsets.tolist(), encoded.codes.tolist(), encoded.n, encoded.new_items
        ([0, 2, 3, 3, 5], [0, 1, 0, 0, 1], 2, ('new',))
        """
        owner, value, n_values = _values(items, names)
        row_of = trained.encode(items.vocabulary.ids).astype(np.int64)
        n_owners = np.bincount(value, minlength=n_values)
        is_learned = np.bincount(value[row_of[owner] >= 0], minlength=n_values) > 0
        shared = (n_owners >= 2) & is_learned
        owner, value = owner[shared[value]], (np.cumsum(shared) - 1)[value[shared[value]]]
        new = np.unique(owner[row_of[owner] < 0])
        row_of[new] = len(trained) + np.arange(len(new))
        order = np.lexsort((value, row_of[owner]))
        lengths = np.bincount(row_of[owner], minlength=len(trained) + len(new))
        return cls(
            np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))),
            value[order].astype(np.int32),
            int(np.count_nonzero(shared)),
            tuple(items.vocabulary.decode(new)),
        )


def _values(items: Items, names: Sequence[str]) -> tuple[Offsets, Offsets, int]:
    """Return two arrays, the item and the value of each distinct pair; and the number of distinct values."""
    columns = [items.column(name) for name in names]
    starts = np.cumsum([0, *(column.n_distinct for column in columns)])
    n_values = int(starts[-1])
    rows = np.concatenate([column.rows for column in columns]).astype(np.int64)
    values = np.concatenate(
        [column.codes + start for column, start in zip(columns, starts[:-1], strict=True)]
    )
    owner, value = np.divmod(np.unique(rows * n_values + values), max(n_values, 1))
    return owner, value, n_values
