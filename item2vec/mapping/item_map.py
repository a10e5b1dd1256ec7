"""``ItemMap``: the positions, titles and colours of items, from which maps are drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

import numpy as np

from item2vec.arguments import checked
from item2vec.arrays import Codes, Doubles, Floats, Rows
from item2vec.conditions import Where
from item2vec.errors import InputError, Remedy
from item2vec.items import WITH_ITEMS, Items
from item2vec.mapping.colours import Colours, colours_of
from item2vec.mapping.positions import Method, compared_matrix, place
from item2vec.matrices import unit_rows
from item2vec.types import as_history
from item2vec.vectors import ItemVectors

__all__ = ["ItemMap", "MapArguments", "Mapped", "joint_map", "map_items"]

STORED: tuple[str, int] = ("tsne", 1)
"""The method and the seed of the layouts that bundles contain."""


class MapArguments(TypedDict, total=False):
    """The arguments of ``map_items`` after ``color``."""

    items: Iterable[str] | None
    where: Where | None
    method: Method
    seed: int


class Mapped(Protocol):
    """A model: item vectors, titles and attributes, and perhaps a layout."""

    @property
    def vectors(self) -> ItemVectors:
        """The item vectors."""

    @property
    def items(self) -> Items | None:
        """Titles and attributes of the items."""

    @property
    def parts(self) -> Any:
        """The parts of the model, with the attribute ``layout``."""


@dataclass(frozen=True, eq=False)
class ItemMap:
    """The positions of n items in the unit square (float32, n × 2), their titles, counts and colours."""

    titles: Sequence[str]
    positions: Floats
    counts: Doubles
    colours: Colours | None

    def __len__(self) -> int:
        return len(self.titles)


@checked
def map_items(
    model: Mapped,
    color: str | None = None,
    *,
    items: Iterable[str] | None = None,
    where: Where | None = None,
    method: Method = "tsne",
    seed: int = 1,
) -> ItemMap:
    """Return a map of the items of a model, or of a selection of them, on which similar items are close.

    Items without a vector of the kind that ``layout`` compares (input or output) are left out.

    Parameters
    ----------
    model
        A ``Recommender``.
    color
        Attribute of the model's items that determines the colours; ``None`` for one colour. An attribute with
        more than twelve distinct values, all of which are numbers, is drawn with a colour scale. For any
        other attribute, each of the twelve most frequent values has a separate colour.
    items
        Ids of the items to draw; ``None`` for all items.
    where
        Conditions on the attributes of the items to draw; ``None`` for no conditions.
    method, seed
        Arguments of ``layout``. If both have their defaults and all items are drawn, the layout that is
        stored in the model is used, if there is one.

    Raises
    ------
    InputError
        If the selection is empty, an attribute is unknown, or ``color`` or ``where`` is passed and the model
        has no items with attributes.
    UnknownItemError
        If an item of ``items`` is unknown.
    ConfigError, MissingExtraError
        As for ``layout``.

    Examples
    --------
    >>> from item2vec import Recommender, Vocabulary
    >>> songs = Items.of({"a": {"genre": "jazz"}, "b": {"genre": "soul"}, "c": {"genre": "soul"}})
    >>> vectors = ItemVectors(Vocabulary(("a", "b", "c")), np.eye(3), None, np.ones(3))
    >>> drawn = map_items(Recommender(vectors, items=songs), "genre", where={"genre": "soul"})
    >>> drawn.titles, drawn.colours.names
    (['b', 'c'], ('soul',))
    """
    vectors = model.vectors
    if color is not None and model.items is None:
        raise InputError(
            f"color={color!r} requires items with attributes, and the model has none",
            remedies=[Remedy("color", text="omit color", otherwise="omit --color"), WITH_ITEMS],
        )
    rows = _rows(model, items, where)
    stored = model.parts.layout if (method, seed) == STORED else None
    if stored is None or len(rows) < len(vectors):
        positions = place(compared_matrix(vectors)[rows], vectors.counts[rows], method=method, seed=seed)
    else:
        positions = stored
    has_position = np.isfinite(positions).all(axis=1)
    rows, positions = rows[has_position], positions[has_position]
    ids = vectors.vocabulary.decode(rows)
    colours = None if color is None or model.items is None else colours_of(model.items, ids, color)
    return ItemMap(_titles(model.items, ids), positions, vectors.counts[rows], colours)


@checked
def joint_map(
    models: Sequence[Mapped], labels: Sequence[str], *, method: Method = "tsne", seed: int = 1
) -> ItemMap:
    """Return a map of the items of several models whose vectors share a space, with a colour per model.

    ``labels`` are the names of the models, one per model.

    Raises
    ------
    InputError
        If there are no models, the labels are not one distinct name per model, or the vectors differ in their
        dimensions.
    ConfigError, MissingExtraError
        As for ``layout``.

    Examples
    --------
    >>> from item2vec import Recommender, Vocabulary
    >>> shops = [
    ...     Recommender(ItemVectors(Vocabulary((shop + "1", shop + "2")), np.eye(2), None, np.ones(2)))
    ...     for shop in "ab"
    ... ]
    >>> joint_map(shops, ["Shop A", "Shop B"]).colours.groups
    array([0, 0, 1, 1], dtype=int32)
    """
    if not models or len(labels) != len(models) or len(set(labels)) < len(labels):
        raise InputError(
            f"got {len(models)} models and the labels {list(labels)}; expected at least one model, and one "
            "distinct label per model"
        )
    matrices = [compared_matrix(model.vectors) for model in models]
    sizes = sorted({matrix.shape[1] for matrix in matrices})
    if len(sizes) > 1:
        raise InputError(f"the vectors have {sizes} dimensions; expected models whose vectors share a space")
    counts = np.concatenate([model.vectors.counts for model in models])
    positions = place(
        np.concatenate([unit_rows(each) for each in matrices]), counts, method=method, seed=seed
    )
    groups: Codes = np.repeat(np.arange(len(models), dtype=np.int32), [len(each) for each in matrices])
    titles = [title for model in models for title in _titles(model.items, model.vectors.vocabulary.ids)]
    kept = np.flatnonzero(np.isfinite(positions).all(axis=1))
    colours = Colours("catalogue", tuple(labels), groups[kept])
    return ItemMap([titles[row] for row in kept.tolist()], positions[kept], counts[kept], colours)


def _rows(model: Mapped, items: Iterable[str] | None, where: Where | None) -> Rows:
    """Return the rows of the selected items, ascending."""
    vocabulary = model.vectors.vocabulary
    chosen = np.ones(len(vocabulary), dtype=bool)
    if items is not None:
        chosen[:] = False
        chosen[[vocabulary.code(item) for item in as_history(items, "items")]] = True
    if where:
        if model.items is None:
            raise InputError(
                "where requires items with attributes, and the model has none", remedies=[WITH_ITEMS]
            )
        meeting = np.append(model.items.meets(where), False)  # for items that are not in model.items
        chosen &= meeting[model.items.vocabulary.encode(vocabulary.ids)]
    if not chosen.any():
        raise InputError("the selection contains no item; expected at least one: check items and where")
    return np.flatnonzero(chosen)


def _titles(items: Items | None, ids: Sequence[str]) -> Sequence[str]:
    if items is None:
        return ids
    codes = items.vocabulary.encode(ids).tolist()
    return [(items.titles[code] if code >= 0 else None) or id_ for code, id_ in zip(codes, ids, strict=True)]
