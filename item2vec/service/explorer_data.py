"""Data that only the explorer needs: a summary of the served model, and the map of its items."""

from __future__ import annotations

import base64
import logging
import threading
import weakref
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt

from item2vec.arrays import Doubles, Floats
from item2vec.items import Items
from item2vec.mapping import layout
from item2vec.mapping.colours import MOST, colours_of
from item2vec.mapping.positions import available_method
from item2vec.recommender import Recommender
from item2vec.vectors import ItemVectors
from item2vec.view import View

__all__ = ["Maps", "facts", "map_data"]

SUGGESTED = 50
MAX_ATTRIBUTES = 50
WITHOUT = 255
"""The colour group of items without a number, if the map has a colour scale."""

log = logging.getLogger(__name__)


def facts(view: View, *, has_store: bool) -> dict[str, Any]:
    """Return the summary of a model that the explorer shows, as JSON values.

    The summary contains at most 50 attributes. ``colour`` is the attribute that colours the map at first: the
    first attribute with 2 to ``MOST`` distinct values, or else the first attribute. ``colour`` is ``None``
    if there are no attributes.
    """
    items, train = view.items, view.model.vectors.config
    names = [] if items is None else items.attribute_names[:MAX_ATTRIBUTES]
    attributes = [] if items is None else [_attribute(items, name) for name in names]
    few = [row["name"] for row in attributes if 2 <= row["n_distinct"] <= MOST]
    return {
        "version": view.version,
        "n_items": len(view.model.vocabulary),
        "objective": "vectors" if train is None else train.objective,
        "has_store": has_store,
        "attributes": attributes,
        "colour": few[0] if few else (names[0] if names else None),
    }


class Maps:
    """Positions of the items of the latest model: its saved layout, or positions computed in the background.

    >>> Maps().positions is None
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # A reference to the vectors would keep the files of a replaced version until the next map.
        self._vectors: weakref.ref[ItemVectors] | None = None
        self.positions: Floats | None = None

    def of(self, model: Recommender) -> Floats | None:
        """Return the positions of the items of a model; ``None`` while they are being computed.

        If the computation fails, all positions are NaN.
        """
        if model.parts.layout is not None:
            return model.parts.layout
        vectors = model.vectors
        with self._lock:
            if self._vectors is not None and self._vectors() is vectors:
                return self.positions
            self._vectors, self.positions = weakref.ref(vectors), None
        threading.Thread(target=self._compute, args=(vectors,), name="item2vec-map", daemon=True).start()
        return None

    def _compute(self, vectors: ItemVectors) -> None:
        try:
            positions = layout(vectors, method=available_method())
        except Exception:
            log.exception("the map could not be computed")
            positions = np.full((len(vectors), 2), np.nan, dtype=np.float32)
        with self._lock:
            if self._vectors is not None and self._vectors() is vectors:
                self.positions = positions


def map_data(view: View, positions: Floats, attribute: str | None) -> dict[str, Any]:
    """Return the map of a model as JSON values: ids, titles, positions and colour groups.

    ``attribute`` determines the groups; if it is ``None`` or unknown, all items are in group 0, and ``names``
    is empty. Items without a position are left out. ``x`` and ``y`` (float32, from 0 to 1) and ``group``
    (uint8) are little-endian arrays in base64. ``titles`` is ``None`` if the model has no items, and no item
    of the store has a title or an attribute. ``names`` holds the names of the groups. If the last element of
    ``names`` is ``None``, the last group contains all other values and the items without a value.

    If all values of the attribute are numbers, more than ``MOST`` of them are distinct, and an item of the
    model has a finite number, the map has a colour scale: ``names`` is empty, and ``scale`` contains the
    smallest and the largest number. The group of a number, 0 to 254, is its distance from the smallest
    number, in units of 1/254 of the range, rounded. Items without a number are in group 255. In all other
    cases, ``scale`` is ``None``.
    """
    rows = np.flatnonzero(np.isfinite(positions).all(axis=1))
    ids, items = view.model.vocabulary.decode(rows), view.items
    places = np.clip(positions[rows], 0, 1).astype("<f4")
    groups, names, scale = np.zeros(len(ids), dtype=np.uint8), list[str | None](), None
    if items is not None and attribute is not None and attribute in items.attribute_names:
        colours = colours_of(items, ids, attribute)
        if colours.numbers is not None and np.isfinite(colours.numbers).any():
            groups, scale = _steps(colours.numbers)
        else:
            groups = np.where(colours.groups < 0, len(colours.names), colours.groups).astype(np.uint8)
            names = [*colours.names, *([None] if (groups == len(colours.names)).any() else [])]
    return {
        "ids": ids,
        "titles": None if items is None else _titles(items, items.vocabulary.encode(ids).tolist(), ids),
        "x": _base64(places[:, 0]),
        "y": _base64(places[:, 1]),
        "group": _base64(groups),
        "names": names,
        "scale": scale,
    }


def _steps(numbers: Doubles) -> tuple[npt.NDArray[np.uint8], list[float]]:
    """Return a pair: the group of each number (``WITHOUT`` for NaN); and ``[smallest, largest]``."""
    low, high = float(np.nanmin(numbers)), float(np.nanmax(numbers))
    width = high / 2 - low / 2  # half of the width, because the width itself may overflow
    shares = (numbers / 2 - low / 2) / (width or 1.0)
    return np.where(np.isnan(shares), WITHOUT, np.rint(shares * (WITHOUT - 1))).astype(np.uint8), [low, high]


def _base64(values: npt.NDArray[Any]) -> str:
    return base64.b64encode(values.tobytes()).decode()


def _attribute(items: Items, name: str) -> dict[str, Any]:
    column = items.column(name)
    values = Counter(value for row in items.attributes for value in _scalars(row.get(name)))
    return {
        "name": name,
        "kind": column.kinds[0] if len(column.kinds) == 1 else "text",
        "n_distinct": column.n_distinct,
        "values": [value for value, _ in values.most_common(SUGGESTED)],
    }


def _scalars(value: Any) -> list[Any]:
    if value is None or isinstance(value, dict):
        return []
    return (
        [part for part in value if not isinstance(part, list | dict)] if isinstance(value, list) else [value]
    )


def _titles(items: Items, codes: list[int], ids: list[str]) -> list[str]:
    return [(items.titles[code] if code >= 0 else None) or id_ for code, id_ in zip(codes, ids, strict=True)]
