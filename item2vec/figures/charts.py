"""Charts of training curves, metrics and trials.

Names, titles of axes and the settings of trials are escaped, because plotly interprets some HTML.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Chart", "Estimates", "bars", "metric_bars", "training_curve", "trials"]

Chart = dict[str, Any]
"""A plotly figure as JSON values: ``data`` and ``layout``."""
Estimates = Mapping[str, tuple[float, float | None, float | None]]
"""By metric: its value, and the lower and upper bound of its confidence interval (``None`` if unknown)."""

COLORS = ("#1f6feb", "#d97706", "#6b9080", "#7c6fa8", "#b58ba0", "#5b97a6", "#8d9440", "#94a3b8")
INK, GRID = "#334155", "#e2e8f0"
COLUMNS = 3
FEW_TRIALS = 12
MARKS = {"complete": "circle", "stopped": "circle-open", "unfinished": "x-thin-open", "failed": "x-thin-open"}


def training_curve(epochs: Sequence[int], values: Mapping[str, Sequence[float | None]]) -> Chart:
    """Return a line chart of values by epoch: ``loss`` on the left axis, validation metrics on the right one.

    A value is ``None`` if it was not measured; a line without any value is left out. If there is no line
    ``loss``, the metrics are on the left axis.

    >>> chart = training_curve([1, 2], {"loss": [2.0, 1.5], "ndcg@10": [0.1, 0.2]})
    >>> [(line["name"], line["yaxis"]) for line in chart["data"]]
    [('loss', 'y'), ('ndcg@10', 'y2')]
    """
    known = {name: line for name, line in values.items() if any(value is not None for value in line)}
    two_axes = "loss" in known and len(known) > 1
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(epochs) < 60 else "lines",
            "name": html.escape(name, quote=False),
            "x": list(epochs),
            "y": list(line),
            "yaxis": "y2" if two_axes and name != "loss" else "y",
            "line": {"color": INK if name == "loss" else COLORS[number % len(COLORS)]},
            "hovertemplate": "%{y:.4f}",
        }
        for number, (name, line) in enumerate(known.items(), start=-1 if "loss" in known else 0)
    ]
    layout = _layout(height=320) | {"showlegend": True, "hovermode": "x unified"}
    layout["xaxis"] = _axis("epoch")
    layout["yaxis"] = _axis("training loss" if "loss" in known else "validation metric")
    if "loss" not in known:
        layout["yaxis"]["rangemode"] = "tozero"
    if two_axes:
        right = {"overlaying": "y", "side": "right", "showgrid": False, "tickmode": "auto"}
        layout["yaxis2"] = _axis("validation metric") | right | {"rangemode": "tozero"}
    layout["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return {"data": lines, "layout": layout}


def metric_bars(models: Mapping[str, Estimates]) -> Chart:
    """Return bar charts, one per metric, with a bar per model, and error bars for the confidence intervals.

    A bar has no error bar if its interval is unknown, as for metrics of the whole catalogue.

    >>> chart = metric_bars({"ours": {"hr@10": (0.5, 0.4, 0.6)}, "popular": {"hr@10": (0.25, 0.2, 0.3)}})
    >>> bars = chart["data"][0]
    >>> bars["y"], bars["x"], bars["error_x"]["array"]
    (['popular', 'ours'], [0.25, 0.5], [0.05, 0.1])
    """
    metrics = list(dict.fromkeys(metric for estimates in models.values() for metric in estimates))
    columns = min(COLUMNS, max(len(metrics), 1))
    rows = -(-len(metrics) // columns) or 1
    layout = _layout(height=rows * (70 + 26 * max(len(models), 2)))
    layout |= {"grid": {"rows": rows, "columns": columns, "pattern": "independent", "ygap": 0.5}}
    bars = []
    for number, metric in enumerate(metrics, start=1):
        suffix = "" if number == 1 else str(number)
        shown = [name for name in list(models)[::-1] if metric in models[name]]
        estimates = [models[name][metric] for name in shown]
        colors = {name: COLORS[place % len(COLORS)] for place, name in enumerate(models)}
        bars.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": html.escape(metric, quote=False),
                "xaxis": f"x{suffix}",
                "yaxis": f"y{suffix}",
                "y": [html.escape(name, quote=False) for name in shown],
                "x": [_rounded(value) for value, _, _ in estimates],
                "error_x": _errors(estimates),
                "marker": {"color": [colors[name] for name in shown]},
                "hovertemplate": "%{y}: %{x:.4f}<extra></extra>",
            }
        )
        layout[f"xaxis{suffix}"] = _axis(metric) | {"rangemode": "tozero"}
        layout[f"yaxis{suffix}"] = {"type": "category", "automargin": True}
        if (number - 1) % columns:
            layout[f"yaxis{suffix}"]["showticklabels"] = False
    return {"data": bars, "layout": layout | {"showlegend": False, "bargap": 0.3}}


def bars(values: Mapping[str, float], *, title: str) -> Chart:
    """Return a bar chart with one bar per name, and the first name at the top.

    >>> bars({"window": 0.75, "alpha": 0.5}, title="importance")["data"][0]["y"]
    ['alpha', 'window']
    """
    names = list(values)[::-1]
    bar = {
        "type": "bar",
        "orientation": "h",
        "y": [html.escape(name, quote=False) for name in names],
        "x": [_rounded(values[name]) for name in names],
        "marker": {"color": COLORS[0]},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }
    layout = _layout(height=90 + 24 * len(names)) | {"showlegend": False}
    layout["xaxis"] = _axis(title) | {"rangemode": "tozero"}
    return {"data": [bar], "layout": layout | {"yaxis": {"type": "category", "automargin": True}}}


def trials(
    scores: Sequence[tuple[int, float, str, str]],
    *,
    metric: str,
    chosen: int | None,
    estimates: Mapping[str, tuple[float, float, float]],
) -> Chart:
    """Return a chart of the scores of trials by trial number, with the best score so far of complete trials.

    ``scores`` holds the number, score, state and settings of each trial, in ascending order of numbers. A
    star marks the trial with the number ``chosen``; ``None`` marks no trial. ``estimates`` holds, for each
    model of the final comparison, the value of the metric and the bounds of its confidence interval. The
    final comparison is drawn beside the trials.

    >>> chart = trials([(0, 0.1, "complete", ""), (1, 0.3, "complete", "")], metric="hr@10", chosen=1,
    ...     estimates={"default": (0.1, 0.05, 0.15)})
    >>> [trace["name"] for trace in chart["data"]]
    ['complete', 'best so far', 'chosen trial', 'final comparison']
    """
    traces: list[dict[str, Any]] = []
    for state in dict.fromkeys(state for _, _, state, _ in scores):
        own = [(number, score, about) for number, score, of, about in scores if of == state]
        marker = {"symbol": MARKS.get(state, "circle"), "size": 8, "color": COLORS[0]}
        traces.append(_points(state, own) | {"marker": marker})
    complete = [(number, score) for number, score, state, _ in scores if state == "complete"]
    best = [max(score for _, score in complete[: n + 1]) for n in range(len(complete))]
    step = {"shape": "hv", "color": COLORS[-1]}
    traces.append(_line("best so far", [number for number, _ in complete], best) | {"line": step})
    marked = [(number, score, about) for number, score, _, about in scores if number == chosen]
    if marked:
        traces.append(
            _points("chosen trial", marked) | {"marker": {"symbol": "star", "size": 15, "color": COLORS[1]}}
        )
    finals = [(value, low, high) for value, low, high in estimates.values()]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "final comparison",
            "x": [html.escape(name, quote=False) for name in estimates],
            "y": [_rounded(value) for value, _, _ in finals],
            "error_y": _errors(finals),
            "xaxis": "x2",
            "marker": {"size": 9, "color": INK},
            "hovertemplate": "%{x}: %{y:.4f}<extra></extra>",
        }
    )
    layout = _layout(height=340) | {"showlegend": True, "hovermode": "closest"}
    layout["xaxis"] = _axis("trial") | {"domain": [0, 0.76]}
    if len(scores) <= FEW_TRIALS:
        layout["xaxis"]["dtick"] = 1
    layout["xaxis2"] = {"domain": [0.82, 1], "type": "category", "anchor": "y"}
    layout["yaxis"] = _axis(metric)
    layout["legend"] = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return {"data": traces, "layout": layout}


def _points(name: str, points: Sequence[tuple[int, float, str]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [number for number, _, _ in points],
        "y": [_rounded(score) for _, score, _ in points],
        "text": [html.escape(about, quote=False) for _, _, about in points],
        "hovertemplate": "trial %{x}: %{y:.4f}<br>%{text}<extra></extra>",
    }


def _line(name: str, x: Sequence[int], y: Sequence[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": [_rounded(value) for value in y],
        "hoverinfo": "skip",
    }


def _errors(estimates: Sequence[tuple[float, float | None, float | None]]) -> dict[str, Any]:
    return {
        "type": "data",
        "symmetric": False,
        "array": [None if high is None else _rounded(high - value) for value, _, high in estimates],
        "arrayminus": [None if low is None else _rounded(value - low) for value, low, _ in estimates],
        "color": INK,
        "thickness": 1.5,
        "visible": any(high is not None for _, _, high in estimates),
    }


def _layout(height: int) -> dict[str, Any]:
    return {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 13},
        "margin": {"l": 60, "r": 12, "t": 12, "b": 44},
        "plot_bgcolor": "rgba(0,0,0,0)",
        "bargap": 0.25,
    }


def _axis(title: str) -> dict[str, Any]:
    return {"title": {"text": html.escape(title, quote=False)}, "gridcolor": GRID, "automargin": True}


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
