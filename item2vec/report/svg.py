"""Drawing of charts as inline SVG, without a script, from the plotly JSON that ``figures.py`` produces.

A chart is as wide as its container on the page. The coordinate system of a chart is narrow, so that labels
are readable on a phone. ``title`` elements, which browsers show as tooltips, contain the values of bars and
markers, the names of lines, and the titles of items.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from item2vec.report import figures

__all__ = ["Scale", "draw", "themed"]

WIDTH = 400
LEFT, RIGHT, TOP, BOTTOM = 44, 18, 10, 42
TITLE = 80
"""Maximum length of a title or label, in characters; longer text is cut."""
N_TICKS = 5
PERCENT = ".0%"
PRECISION = 1e-9
"""Relative difference up to which values are drawn as equal."""
THEMED = {
    figures.ACCENT: "var(--mark)",
    figures.BEST: "var(--best)",
    figures.BASELINE: "var(--other)",
    "#334155": "currentColor",
}
"""Colours of figures that differ in dark mode, and the CSS variables of ``page.css`` that replace them."""


@dataclass(frozen=True)
class Scale:
    """Linear map of values to pixels, with ticks at round values.

    >>> scale = Scale.of([0, 0.9], (0, 100), from_zero=True)
    >>> scale.ticks, scale(0.5)
    ((0.0, 0.2, 0.4, 0.6, 0.8, 1.0), 50.0)
    """

    low: float
    high: float
    pixels: tuple[float, float]
    ticks: tuple[float, ...]

    @classmethod
    def of(
        cls,
        values: Iterable[float | None],
        pixels: tuple[float, float],
        *,
        from_zero: bool = False,
        tight: bool = False,
    ) -> Scale:
        """Return a scale that contains all values except ``None``, and 0 if ``from_zero`` is True.

        ``pixels`` are the pixels of the start and the end of the scale. The scale begins and ends at ticks.
        If ``tight`` is True, it begins and ends at the extreme values. If the range of the values is empty,
        it is widened.
        """
        known = [value for value in values if value is not None] + ([0.0] if from_zero else [])
        low, high = min(known, default=0.0), max(known, default=1.0)
        if high - low <= PRECISION * max(abs(low), abs(high)):
            low, high = (low - 0.5, high + 0.5) if low and not from_zero else (0.0, high or 1.0)
        step = _step(high - low)
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        ticks = tuple(float(f"{number * step:.12g}") for number in range(first, last + 1))
        if tight:
            ticks = tuple(tick for tick in ticks if low <= tick <= high)
            return cls(low, high, pixels, ticks)
        return cls(ticks[0], ticks[-1], pixels, ticks)

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        start, end = self.pixels
        return start + (value - self.low) / (self.high - self.low) * (end - start)


def _step(span: float) -> float:
    """Return the tick step: the smallest 1, 2 or 5 times a power of ten with at most five steps in a span."""
    power = 10.0 ** math.floor(math.log10(span / N_TICKS))
    return next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= N_TICKS + 1e-9)


def draw(figure: Mapping[str, Any], label: str) -> Markup:
    """Return a figure as an ``svg`` element, with a legend below it if the figure shows one.

    ``label`` is the accessible name of the chart. All traces of the figure have the same type, ``bar`` or
    ``scatter``.
    """
    layout, traces = figure["layout"], figure["data"]
    marks: Iterable[Markup]
    height = int(layout["height"])
    if not layout["xaxis"].get("visible", True):
        marks, height = _points(traces)
    elif traces[0]["type"] == "scatter":
        marks = _lines(traces, layout, height)
    elif traces[0].get("orientation") == "h":
        marks = _horizontal_bars(traces[0], layout, height)
    else:
        marks = _bars(traces, layout, height)
    drawing = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, label, Markup("").join(marks)
    )
    return drawing + (_legend(traces) if layout.get("showlegend") else Markup(""))


def _legend(traces: Sequence[Mapping[str, Any]]) -> Markup:
    entries = [
        Markup('<span><i style="background: {}"></i><bdi>{}</bdi></span>').format(
            _color(trace), _short(trace["name"])
        )
        for trace in traces
    ]
    return Markup('<p class="legend">{}</p>').format(Markup("").join(entries))


def _lines(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], height: int) -> Iterator[Markup]:
    two_axes = "yaxis2" in layout
    right = WIDTH - (LEFT if two_axes else RIGHT)
    x = Scale.of((value for trace in traces for value in trace["x"]), (LEFT, right), tight=True)
    y = {
        axis: _vertical(
            [value for trace in traces if trace.get("yaxis", "y") == axis for value in trace["y"]],
            layout[f"yaxis{axis[1:]}"],
            height,
        )
        for axis in (("y", "y2") if two_axes else ("y",))
    }
    yield from _frame(y["y"], layout, height, right)
    if two_axes:
        for tick in y["y2"].ticks:
            yield _text(right + 6, y["y2"](tick) + 4, _number(tick, layout["yaxis2"]), "start")
    for tick in x.ticks:
        yield _text(x(tick), height - BOTTOM + 16, _number(tick, layout["xaxis"]), "middle")
    for trace in traces:
        scale = y[trace.get("yaxis", "y")]
        known = [
            (x(at), scale(value), at, value)
            for at, value in zip(trace["x"], trace["y"], strict=True)
            if value is not None
        ]
        style = trace.get("line", {})
        if "lines" in trace["mode"]:
            yield Markup(
                '<polyline fill="none" points="{}" stroke="{}" stroke-width="{}"{}>'
                "<title>{}</title></polyline>"
            ).format(
                " ".join(f"{across:.1f},{down:.1f}" for across, down, _, _ in known),
                _color(trace),
                style.get("width", 2),
                Markup(' stroke-dasharray="3 4"') if "dash" in style else "",
                _short(trace["name"]),
            )
        if "markers" in trace["mode"]:
            for across, down, at, value in known:
                about = f"{trace['name']}, {_number(at, layout['xaxis'])}: {_number(value, {})}"
                yield _circle(across, down, 3.5, about, _color(trace))


def _bars(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], height: int) -> Iterator[Markup]:
    names = traces[0]["x"]
    y = _vertical([value for trace in traces for value in trace["y"]], layout["yaxis"], height, zero=True)
    yield from _frame(y, layout, height, WIDTH - RIGHT)
    slot = (WIDTH - LEFT - RIGHT) / max(len(names), 1)
    width = slot * 0.75 / len(traces)
    for place, name in enumerate(names):
        start = LEFT + slot * place
        for line, part in enumerate(str(name).split("<br>")):
            yield _text(start + slot / 2, height - BOTTOM + 15 + 13 * line, part, "middle")
        for number, trace in enumerate(traces):
            value = trace["y"][place]
            about = f"{trace['name']}, {str(name).split('<br>')[0]}: {_number(value, layout['yaxis'])}"
            yield _rectangle(
                (start + slot * 0.125 + width * number, y(max(value, 0.0))),
                (width, abs(y(value) - y(0.0))),
                about,
                _color(trace),
            )


def _horizontal_bars(trace: Mapping[str, Any], layout: Mapping[str, Any], height: int) -> Iterator[Markup]:
    left = int(layout["margin"]["l"])
    above, below = trace["error_x"]["array"], trace["error_x"]["arrayminus"]
    ends = [value + more for value, more in zip(trace["x"], above, strict=True)]
    x = Scale.of([*trace["x"], *ends], (left, WIDTH - RIGHT), from_zero=True)
    slot = (height - TOP - BOTTOM) / len(trace["y"])
    for tick in x.ticks:
        yield _line(x(tick), TOP, x(tick), height - BOTTOM, "grid")
        yield _text(x(tick), height - BOTTOM + 16, _number(tick, layout["xaxis"]), "middle")
    yield _text((left + WIDTH - RIGHT) / 2, height - 6, layout["xaxis"]["title"]["text"], "middle")
    for place, (name, value) in enumerate(zip(trace["y"], trace["x"], strict=True)):
        middle = height - BOTTOM - slot * (place + 0.5)
        about = f"{name}: {value:.4f} ({value - below[place]:.4f} to {value + above[place]:.4f})"
        yield _text(left - 8, middle + 4, name, "end")
        yield _rectangle(
            (x(0.0), middle - slot * 0.3),
            (x(max(value, 0.0)) - x(0.0), slot * 0.6),
            about,
            themed(trace["marker"]["color"][place]),
        )
        for kind in (
            "halo",
            "interval",
        ):  # without the halo, the bar may have nearly the colour of the interval
            yield _line(x(value - below[place]), middle, x(value + above[place]), middle, kind)


def _points(traces: Sequence[Mapping[str, Any]]) -> tuple[list[Markup], int]:
    """Return the points and the height of a chart that has the same scale on both axes.

    The longer of the two ranges of coordinates is scaled to ``WIDTH`` minus margins, so that the chart fits
    into a square.
    """
    across = np.concatenate([trace["x"] for trace in traces])
    down = np.concatenate([trace["y"] for trace in traces])
    span = max(float(np.ptp(across)), float(np.ptp(down))) or 1.0
    factor = (WIDTH - 2 * TOP) / span
    height = math.ceil(float(np.ptp(down)) * factor) + 2 * TOP
    groups = []
    for trace in traces:
        colors = trace["marker"]["color"]
        shades = [1.0] * len(trace["x"]) if isinstance(colors, str) else _shades(colors)
        points = (
            Markup('<circle cx="{}" cy="{}" r="3"{}><title>{}</title></circle>').format(
                f"{WIDTH / 2 + (x - (across.max() + across.min()) / 2) * factor:.1f}",
                f"{height / 2 - (y - (down.max() + down.min()) / 2) * factor:.1f}",
                Markup("") if shade == 1.0 else Markup(' opacity="{}"').format(f"{shade:.2f}"),
                _short(text),
            )
            for x, y, text, shade in zip(trace["x"], trace["y"], trace["text"], shades, strict=True)
        )
        groups.append(Markup('<g fill="{}">{}</g>').format(_color(trace), Markup("").join(points)))
    return groups, height


def _shades(values: Sequence[float]) -> list[float]:
    """Return an opacity from 0.25 (lowest value) to 1 (highest) for each value."""
    low, span = min(values), max(values) - min(values)
    return [0.25 + 0.75 * ((value - low) / span if span else 1.0) for value in values]


def _vertical(
    values: Sequence[float | None], axis: Mapping[str, Any], height: int, *, zero: bool = False
) -> Scale:
    return Scale.of(values, (height - BOTTOM, TOP), from_zero=zero or axis.get("rangemode") == "tozero")


def _frame(y: Scale, layout: Mapping[str, Any], height: int, right: float) -> Iterator[Markup]:
    """Yield the grid lines and labels of the left axis, and the title of the x axis, if it has one."""
    for tick in y.ticks:
        yield _line(LEFT, y(tick), right, y(tick), "grid")
        yield _text(LEFT - 6, y(tick) + 4, _number(tick, layout["yaxis"]), "end")
    if title := layout["xaxis"].get("title", {}).get("text"):
        yield _text((LEFT + right) / 2, height - 6, title, "middle")


def _number(value: float, axis: Mapping[str, Any]) -> str:
    return f"{value * 100:.4g}%" if axis.get("tickformat") == PERCENT else f"{value:.4g}"


def _color(trace: Mapping[str, Any]) -> str:
    color = trace.get("line", {}).get("color") or trace.get("marker", {}).get("color")
    return themed(color if isinstance(color, str) else figures.ACCENT)


def themed(color: str) -> str:
    """Return a colour of a figure as a colour of the page, which may differ in dark mode.

    >>> themed(figures.ACCENT), themed("#d97706")
    ('var(--mark)', '#d97706')
    """
    return THEMED.get(color, color)


def _short(text: str) -> str:
    return text if len(text) <= TITLE else f"{text[: TITLE - 1]}…"


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>').format(
        f"{x:.1f}", f"{y:.1f}", anchor, _short(text)
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    numbers = [f"{number:.1f}" for number in (x1, y1, x2, y2)]
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>').format(*numbers, kind)


def _circle(x: float, y: float, radius: float, title: str, color: str) -> Markup:
    return Markup('<circle cx="{}" cy="{}" r="{}" fill="{}"><title>{}</title></circle>').format(
        f"{x:.1f}", f"{y:.1f}", radius, color, _short(title)
    )


def _rectangle(corner: tuple[float, float], size: tuple[float, float], title: str, color: str) -> Markup:
    numbers = [f"{number:.1f}" for number in (*corner, *size)]
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" fill="{}"><title>{}</title></rect>').format(
        *numbers, color, _short(title)
    )
