"""Static maps: PNG and SVG pictures. Only this module imports matplotlib."""

from __future__ import annotations

import io
import warnings
from typing import Any, Literal

import numpy as np

from item2vec.arrays import Floats
from item2vec.mapping.extras import require
from item2vec.mapping.item_map import ItemMap
from item2vec.mapping.style import NO_VALUE, point_size, series_of

__all__ = ["picture_of"]

RASTER_ABOVE = 10_000
LABELS = 14
LABEL = (0.36, 0.035)
"""The size of the longest label, as shares of the width and of the height of the map."""
RIGHT = 0.75
"""The labels of points to the right of this place are to the left of their points."""
LONGEST = 26
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
        bar = figure.colorbar(drawn, ax=axes, shrink=0.6, label=_short(colours.attribute))
        bar.solids.set_alpha(1)
        bar.outline.set_visible(False)
        return
    handles = {}
    for name, colour, rows, is_named in series_of(item_map):
        drawn = axes.scatter(*item_map.positions[rows].T, color=colour, label=_short(name), **style)
        handles[drawn] = is_named
    if colours is not None:
        legend = figure.legend(
            handles=sorted(handles, key=lambda handle: not handles[handle]),
            loc="outside right upper",
            frameon=False,
            title=_short(colours.attribute),
            alignment="left",
        )
        for handle in legend.legend_handles:
            handle.set(sizes=[36], alpha=1)


def _draw_labels(axes: Any, item_map: ItemMap) -> None:
    for row in _labelled(item_map.positions, np.argsort(-item_map.counts, kind="stable")):
        x, y = item_map.positions[row]
        is_right = x > RIGHT
        axes.annotate(
            _short(item_map.titles[row]),
            (x, y),
            xytext=(-4 if is_right else 4, 0),
            textcoords="offset points",
            ha="right" if is_right else "left",
            va="center",
            fontsize=8,
            color="#1d211e",
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.8},
        )
        axes.plot(x, y, "o", markersize=6, markerfacecolor="none", markeredgewidth=0.8, color="#1d211e")


def _labelled(positions: Floats, order: Any) -> list[int]:
    """Return the rows of up to 14 of the 2,000 most frequent items, with labels that do not overlap.

    A label takes up to ``LABEL`` (width, height) of the map, to the left of its point if the point is near
    the right edge. ``order`` holds all rows, most frequent first. The result is in this order.
    """
    starts = positions[:, 0] - np.where(positions[:, 0] > RIGHT, LABEL[0], 0)
    corners = np.column_stack((starts, positions[:, 1]))
    chosen: list[int] = []
    for row in order[:2_000].tolist():
        if bool((np.abs(corners[chosen] - corners[row]) > np.array(LABEL)).any(axis=1).all()):
            chosen.append(row)
        if len(chosen) == LABELS:
            break
    return chosen


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
