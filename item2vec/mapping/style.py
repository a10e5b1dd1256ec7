"""Style of maps: colours, sizes of points, and the series of points of equal colour."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from item2vec.arrays import Rows
from item2vec.mapping.item_map import ItemMap

__all__ = ["NO_VALUE", "PLAIN", "Series", "point_size", "series_of", "short"]

PALETTE = (
    "#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9",
    "#d55e00", "#8a7d00", "#7a4fb5", "#b23a48", "#3d8b8b", "#6b8e23", "#a0522d",
)  # fmt: skip
"""Six of the eight colours of Okabe and Ito, which colour-blind readers can distinguish, and six others."""
PLAIN = "#0072b2"
OTHER = "#a9aeaa"
NO_VALUE = "#d3d6d4"
LONGEST = 26


class Series(NamedTuple):
    """Items of one colour: the name of the series in the legend, the colour, and the items' rows in the map.

    ``is_named`` is false for the grey series "no value" and "other".
    """

    name: str
    colour: str
    rows: Rows
    is_named: bool


def series_of(item_map: ItemMap) -> Iterator[Series]:
    """Yield the series of a map that have items, in drawing order.

    The grey series come first, and then the groups in the order of ``item_map.colours.names``. A map without
    colours has one series, "items".
    """
    colours = item_map.colours
    if colours is None:
        yield Series("items", PLAIN, np.arange(len(item_map)), True)
        return
    groups = [("no value", NO_VALUE, -1), ("other", OTHER, len(colours.names))]
    groups += [(name, PALETTE[at % len(PALETTE)], at) for at, name in enumerate(colours.names)]
    for name, colour, group in groups:
        rows = np.flatnonzero(colours.groups == group)
        if len(rows):
            yield Series(name, colour, rows, 0 <= group < len(colours.names))


def point_size(n_items: int) -> float:
    """Return the diameter of a point in pixels on a map of 800 × 800 pixels.

    >>> point_size(100), point_size(10_000), point_size(100_000)
    (8.0, 3.5, 2.0)
    """
    return float(np.clip(350 / np.sqrt(n_items), 2, 8))


def short(text: str) -> str:
    """Return a label or a name of the legend, cut to 26 characters.

    >>> short("Concerto for two violins in D minor")
    'Concerto for two violins …'
    """
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
