"""Static maps: PNG and SVG pictures. Only this module imports matplotlib."""

from __future__ import annotations

import io
import warnings
from typing import Any, Literal

import numpy as np

from item2vec.mapping.extras import require
from item2vec.mapping.item_map import ItemMap
from item2vec.mapping.style import NO_VALUE, point_size, series_of, short

__all__ = ["picture_of"]

RASTER_ABOVE = 10_000
LABELS = 14
CHARACTER = 0.0135
"""Estimated width of a character of a label, as a share of the width of the map."""
LINE = 0.035
"""Height of a label, as a share of the height of the map."""
MARK = 0.015
"""Distance of a label from its point, as a share of the width of the map."""
FLIPPED_FROM = 0.75
"""Position from which a label is to the left of its point."""
DPI = 125
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "item2vec",
    "text.parse_math": False,
    "font.size": 9,
}


def picture_of(item_map: ItemMap, kind: Literal["png", "svg"]) -> bytes:
    """Return a map as a picture, with the titles of a few frequent items. Equal maps give equal bytes.

    In an SVG file of more than 10,000 items, the points are drawn as an embedded image.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    require("matplotlib", "a static map", extra="report")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # matplotlib warns of characters that the font lacks
        figure = Figure(figsize=(8, 6.4), dpi=DPI, facecolor="white", layout="constrained")
        axes = figure.add_subplot()
        _draw_points(figure, axes, item_map)
        _draw_labels(axes, item_map)
        axes.set_aspect("equal")
        axes.invert_yaxis()
        axes.set_axis_off()
        written = io.BytesIO()
        figure.savefig(written, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return written.getvalue()


def _draw_points(figure: Any, axes: Any, item_map: ItemMap) -> None:
    n_items, colours = len(item_map), item_map.colours
    size = 0.6 * point_size(n_items)  # in points: 430 points correspond to 800 pixels on a screen
    style = {
        "s": size**2,
        "linewidths": 0,
        "alpha": 0.8 if n_items < RASTER_ABOVE else 0.5,
        "rasterized": n_items > RASTER_ABOVE,
    }
    if colours is not None and colours.numbers is not None:
        known = np.isfinite(colours.numbers)
        axes.scatter(*item_map.positions[~known].T, color=NO_VALUE, **style)
        drawn = axes.scatter(*item_map.positions[known].T, c=colours.numbers[known], cmap="viridis", **style)
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6, label=short(colours.attribute))
        bar.solids.set_alpha(1)
        bar.outline.set_visible(False)
        return
    handles = {}
    for name, colour, rows, is_named in series_of(item_map):
        drawn = axes.scatter(*item_map.positions[rows].T, color=colour, label=short(name), **style)
        handles[drawn] = is_named
    if colours is not None:
        legend = figure.legend(
            handles=sorted(handles, key=lambda handle: not handles[handle]),
            loc="outside right upper",
            frameon=False,
            title=short(colours.attribute),
            alignment="left",
        )
        for handle in legend.legend_handles:
            handle.set(sizes=[36], alpha=1)


def _draw_labels(axes: Any, item_map: ItemMap) -> None:
    for row in _labelled(item_map):
        x, y = item_map.positions[row]
        is_right = x > FLIPPED_FROM
        axes.annotate(
            short(item_map.titles[row]),
            (x, y),
            xytext=(-5 if is_right else 5, 0),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="center",
            fontsize=8,
            color="#1d211e",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.8},
        )
        axes.plot(x, y, "o", markersize=6, markeredgewidth=0.8, color="#1d211e", fillstyle="none")


def _labelled(item_map: ItemMap) -> list[int]:
    """Return the rows of up to 14 of the 2,000 most frequent items, most frequent first.

    No label overlaps another, or the point of another.
    """
    chosen: list[int] = []
    spans: list[tuple[float, float, float]] = []
    for row in np.argsort(-item_map.counts, kind="stable")[:2_000].tolist():
        start, end, y = _span(item_map, row)
        if not any(start < right and left < end and abs(y - other) < LINE for left, right, other in spans):
            chosen.append(row)
            spans.append((start, end, y))
        if len(chosen) == LABELS:
            break
    return chosen


def _span(item_map: ItemMap, row: int) -> tuple[float, float, float]:
    """Return where the point and the label of an item start and end horizontally, and their height."""
    x, y = item_map.positions[row].tolist()
    reach = MARK + CHARACTER * len(short(item_map.titles[row]))
    return (x - reach, x + MARK, y) if x > FLIPPED_FROM else (x - MARK, x + reach, y)
