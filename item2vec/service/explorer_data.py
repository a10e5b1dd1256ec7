"""Data of the explorer: facts of a model, and the map of its items."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

from item2vec.arrays import Floats
from item2vec.items import Items
from item2vec.mapping import layout
from item2vec.recommender import Recommender
from item2vec.view import View

__all__ = ["Maps", "facts", "map_data"]

COLOURS = 12
SUGGESTED = 50
MAX_ATTRIBUTES = 50


def facts(view: View, *, has_store: bool) -> dict[str, Any]:
    """Return the facts of a model that the page shows, as JSON values."""
    items, train = view.items, view.model.vectors.config
    names = [] if items is None else items.attribute_names[:MAX_ATTRIBUTES]
    attributes = [] if items is None else [_attribute(items, name) for name in names]
    few = [row["name"] for row in attributes if 2 <= row["n_distinct"] <= COLOURS]
    return {
        "version": view.version,
        "n_items": len(view.model.vocabulary),
        "objective": "vectors" if train is None else train.objective,
        "has_store": has_store,
        "attributes": attributes,
        "colour": few[0] if few else (names[0] if names else None),
    }


class Maps:
    """The positions of the items of the latest model, computed in the background.

    >>> Maps().positions is None
    True
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._model: Recommender | None = None
        self.positions: Floats | None = None

    def of(self, model: Recommender) -> Floats | None:
        """Return the positions of the items of a model; ``None`` while they are being computed."""
        with self._lock:
            if self._model is not None and self._model.vectors is model.vectors:
                return self.positions
            self._model, self.positions = model, None
        threading.Thread(target=self._compute, args=(model,), name="item2vec-map", daemon=True).start()
        return None

    def _compute(self, model: Recommender) -> None:
        positions = layout(model.vectors)
        with self._lock:
            if self._model is model:
                self.positions = positions


def map_data(view: View, positions: Floats, attribute: str | None) -> dict[str, Any]:
    """Return the map of a model as JSON values: ids, titles, positions from 0 to 1, and colour groups."""
    ids, items = view.model.vocabulary.ids, view.items
    positions = positions.round(4)
    codes = [] if items is None else items.vocabulary.encode(ids).tolist()
    values = [None] * len(ids) if attribute is None or items is None else _values(items, codes, attribute)
    common = [value for value, _ in Counter(filter(None, values)).most_common(COLOURS)]
    number_of = {value: number for number, value in enumerate(common)}
    names: list[str | None] = [*common, *([None] if set(values) - set(common) else [])] if common else []
    return {
        "ids": list(ids),
        "titles": list(ids) if items is None else _titles(items, codes, ids),
        "x": positions[:, 0].tolist(),
        "y": positions[:, 1].tolist(),
        "group": [number_of.get(value or "", len(common)) for value in values] if common else [0] * len(ids),
        "names": names,
    }


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


def _titles(items: Items, codes: list[int], ids: tuple[str, ...]) -> list[str]:
    return [(items.titles[code] if code >= 0 else None) or id_ for code, id_ in zip(codes, ids, strict=True)]


def _values(items: Items, codes: list[int], attribute: str) -> list[str | None]:
    """Return the value of an attribute as text per item code; of a list, the first value."""
    values = []
    for code in codes:
        first = _scalars(items.attributes[code].get(attribute))[:1] if code >= 0 else []
        values.append(str(first[0]) if first else None)
    return values
