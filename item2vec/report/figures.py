"""Charts of a report: plotly figures in JSON, which ``svg.py`` draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from item2vec.arrays import Doubles, Mask, Offsets
from item2vec.curve import Epoch, chart_of
from item2vec.evaluation.rankings import Rankings
from item2vec.evaluation.segments import Segment
from item2vec.evaluation.targets import liked_counts
from item2vec.metrics import beyond_accuracy
from item2vec.metrics.accuracy import ACCURACY
from item2vec.report.embedding import Map
from item2vec.report.study import OURS, Study

__all__ = [
    "colors",
    "coverage",
    "curve_over_k",
    "embedding_map",
    "exposure_by_popularity",
    "headline",
    "lorenz",
    "segment_bars",
    "training_curve",
]

Figure = dict[str, Any]

ACCENT = "#1f6feb"
BEST = "#64748b"
"""Colour of the best baseline."""
BASELINE = "#9aa7b8"
"""Colour of all other baselines."""
TRAINING = "#d97706"
PALETTE = (
    "#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377",
    "#e69f00", "#8c564b", "#009988", "#7f3c8d", "#a5aa99", "#3969ac",
)  # fmt: skip
OTHER = "#d4d4d8"
DECILES = 10
MAX_K = 20
MAX_POINTS = 200


def colors(study: Study) -> dict[str, str]:
    """Return the colours by model name: an accent for the evaluated model, and greys for the baselines."""
    highlighted = {OURS: ACCENT, study.best_baseline: BEST}
    return {name: highlighted.get(name, BASELINE) for name in study.evaluations}


def headline(study: Study) -> Figure:
    """Return a bar chart of ``study.metric`` for each model, with confidence intervals."""
    names = list(study.evaluations)[::-1]
    values = [study.evaluations[name].metrics[study.metric] for name in names]
    bounds = [study.intervals[name][study.metric] for name in names]
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": names,
        "x": _numbers(values),
        "marker": {"color": [colors(study)[name] for name in names]},
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": _numbers(high - value for value, (_, high) in zip(values, bounds, strict=True)),
            "arrayminus": _numbers(value - low for value, (low, _) in zip(values, bounds, strict=True)),
            "color": "#334155",
            "thickness": 1.5,
        },
        "hovertemplate": "%{y}: %{x:.4f}<extra></extra>",
    }
    figure = _figure([bars], x=study.metric, height=60 + 40 * len(names), from_zero="x")
    figure["layout"]["margin"] |= {"l": 140}
    return figure


def curve_over_k(study: Study, name: str) -> Figure:
    """Return a line chart of an accuracy metric with one line per model.

    The x axis has each k up to ``MAX_K``, or up to the largest cut-off of the study if that is lower.
    """
    measure, cutoffs = ACCURACY[name], _cutoffs(study)
    lines = {
        model: [
            float(measure(evaluation.rankings.hits, evaluation.rankings.n_targets, k).mean()) for k in cutoffs
        ]
        for model, evaluation in study.evaluations.items()
    }
    return _lines(study, lines)


def coverage(study: Study) -> Figure:
    """Return a line chart of the catalogue coverage, with the lines and the k of ``curve_over_k``."""
    cutoffs = _cutoffs(study)
    lines = {
        model: [
            beyond_accuracy.coverage(evaluation.rankings.items, k, _counts(study, evaluation.rankings))
            for k in cutoffs
        ]
        for model, evaluation in study.evaluations.items()
    }
    figure = _lines(study, lines)
    figure["layout"]["yaxis"]["tickformat"] = ".0%"
    return figure


def segment_bars(study: Study, ours: Sequence[Segment], best: Sequence[Segment]) -> Figure:
    """Return a bar chart of ``study.metric`` by segment, for the model and the best baseline."""
    names = [f"{_brief(segment.name)}<br>{segment.n_queries:,}" for segment in ours]
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": names,
            "y": _numbers(segment.metrics[study.metric] for segment in parts),
            "marker": {"color": color},
            "hovertemplate": "%{y:.4f}",
        }
        for name, parts, color in ((OURS, ours, ACCENT), (study.best_baseline, best, BEST))
    ]
    figure = _figure(bars, category="x")
    figure["layout"]["xaxis"]["tickfont"] = {"size": 11}
    return figure


def _brief(segment: str) -> str:
    """Return the name of a segment, short enough for a label below a bar."""
    return segment.replace(" or more", "+").replace(" to ", "–")


def training_curve(curve: Sequence[Epoch]) -> Figure:
    """Return a line chart of the training loss and of the validation scores by epoch."""
    chart = chart_of(curve)
    figure = _figure(chart["data"], x="epoch")
    shown = ("yaxis", "yaxis2", "legend", "showlegend")
    figure["layout"] |= {name: chart["layout"][name] for name in shown if name in chart["layout"]}
    return figure


def exposure_by_popularity(study: Study) -> Figure:
    """Return a bar chart of the shares of training tokens and of recommendations, by popularity decile.

    The recommendations are the first ``study.k`` ranks of the model and of the best baseline.
    """
    counts = liked_counts(study.split.train)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    decile = np.empty(len(counts), dtype=np.int64)
    decile[order] = np.arange(len(order)) * DECILES // len(order)
    names = [str(number) for number in range(1, DECILES + 1)]
    bars = [
        {
            "type": "bar",
            "name": name,
            "x": names,
            "y": _numbers(np.bincount(decile[order], n[order], DECILES) / max(n[order].sum(), 1)),
            "marker": {"color": color},
            "hovertemplate": "%{y:.1%}",
        }
        for name, n, color in _exposures(study)
    ]
    return _figure(bars, x="decile of items, 1: most popular", percent="y", category="x")


def lorenz(study: Study) -> Figure:
    """Return Lorenz curves of the training part, the model, the best baseline and a uniform distribution.

    A curve shows the cumulative share of tokens or recommendations by the cumulative share of items.
    """
    trained = liked_counts(study.split.train) > 0
    lines: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "uniform",
            "x": [0, 1],
            "y": [0, 1],
            "line": {"color": OTHER, "dash": "dot"},
            "hoverinfo": "skip",
        }
    ]
    for name, n, color in _exposures(study):
        heights = np.concatenate(([0.0], np.cumsum(np.sort(n[trained])) / max(n[trained].sum(), 1)))
        at = np.unique(np.linspace(0, len(heights) - 1, MAX_POINTS).astype(np.int64))
        lines.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "x": _numbers(at / (len(heights) - 1)),
                "y": _numbers(heights[at]),
                "line": {"color": color},
                "hovertemplate": "%{y:.1%}",
            }
        )
    return _figure(lines, x="share of items, in ascending order of exposure", percent="xy")


def embedding_map(item_map: Map) -> Figure:
    """Return a scatter plot of the items, coloured by attribute or by popularity."""
    groups = [
        _points(
            item_map,
            item_map.groups == number,
            name,
            OTHER if name is None else PALETTE[number % len(PALETTE)],
        )
        for number, name in enumerate(item_map.names)
    ]
    if not item_map.names:
        groups = [
            _points(item_map, np.ones(len(item_map.titles), dtype=bool), "items", item_map.log_popularity)
        ]
    figure = _figure(groups[::-1] if item_map.names else groups, height=620)
    hidden = {"visible": False, "showgrid": False, "zeroline": False}
    figure["layout"] |= {
        "xaxis": hidden,
        "yaxis": hidden | {"scaleanchor": "x"},
        "hovermode": "closest",
        "showlegend": bool(item_map.names),
        "legend": {"itemsizing": "constant", "traceorder": "reversed"},
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
    }
    return figure


def _points(item_map: Map, selected: Mask, name: str | None, color: str | Doubles) -> dict[str, Any]:
    marker: dict[str, Any] = {"size": 6, "opacity": 0.8, "color": color}
    if not isinstance(color, str):
        ticks = np.arange(np.ceil(color.min()), np.floor(color.max()) + 1)
        bar = {"title": {"text": "training tokens"}, "thickness": 12, "tickvals": _numbers(ticks)}
        bar["ticktext"] = [f"{10 ** int(tick):,}" for tick in ticks]
        marker |= {"color": _numbers(color[selected]), "colorscale": "Viridis", "colorbar": bar}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "other" if name is None else name,
        "x": _numbers(item_map.positions[selected, 0]),
        "y": _numbers(item_map.positions[selected, 1]),
        "text": [item_map.titles[row] for row in np.flatnonzero(selected)],
        "hoverinfo": "text",
        "marker": marker,
    }


def _cutoffs(study: Study) -> list[int]:
    return list(range(1, min(MAX_K, study.evaluation.rankings.items.shape[1]) + 1))


def _counts(study: Study, rankings: Rankings) -> Offsets:
    """Return the number of training tokens of each item in the vocabulary of the rankings.

    This vocabulary begins with the items of the training part; other items have 0 tokens.
    """
    counts = liked_counts(study.split.train)
    return np.concatenate((counts, np.zeros(len(rankings.vocabulary) - len(counts), dtype=np.int64)))


def _exposures(study: Study) -> list[tuple[str, Doubles, str]]:
    """Return a triple for the training part, one for the model, and one for the best baseline.

    A triple holds the name, the number of occurrences of each item, and the colour. The occurrences are the
    tokens of the item in the training part, or the rankings with the item in the first ``study.k`` ranks.
    """
    counts = liked_counts(study.split.train)
    exposures = [("training", counts.astype(np.float64), TRAINING)]
    for name, color in ((OURS, ACCENT), (study.best_baseline, BEST)):
        items = study.evaluations[name].rankings.items[:, : study.k]
        recommended = np.bincount(items[items >= 0], minlength=len(counts))[: len(counts)]
        exposures.append((name, recommended.astype(np.float64), color))
    return exposures


def _lines(study: Study, lines: Mapping[str, Sequence[float]]) -> Figure:
    cutoffs, color_of = _cutoffs(study), colors(study)
    widths = {OURS: 3, study.best_baseline: 2.5}
    traces = [
        {
            "type": "scatter",
            "mode": "lines" if len(cutoffs) > 1 else "markers",
            "name": name,
            "x": cutoffs,
            "y": _numbers(values),
            "line": {"color": color_of[name], "width": widths.get(name, 1.5)},
            "hovertemplate": "%{y:.4f}",
        }
        for name, values in lines.items()
    ]
    return _figure(traces, x="k", from_zero="y")


def _figure(
    data: list[dict[str, Any]],
    *,
    x: str = "",
    y: str = "",
    height: int = 300,
    from_zero: str = "",
    percent: str = "",
    category: str = "",
) -> Figure:
    layout: dict[str, Any] = {
        "height": height,
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": "#1e293b"},
        "margin": {"l": 44, "r": 12, "t": 12, "b": 44},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "showlegend": False,
        "hovermode": "x unified" if len(data) > 1 else "closest",
        "bargap": 0.25,
    }
    for axis, title in (("x", x), ("y", y)):
        layout[f"{axis}axis"] = {
            "title": {"text": title},
            "gridcolor": "#e2e8f0",
            "automargin": "height" if axis == "x" else False,
        }
        if axis in from_zero:
            layout[f"{axis}axis"]["rangemode"] = "tozero"
        if axis in percent:
            layout[f"{axis}axis"]["tickformat"] = ".0%"
        if axis in category:
            layout[f"{axis}axis"] |= {"type": "category", "showgrid": False, "tickangle": 0}
    return {"data": data, "layout": layout}


def _numbers(values: Any) -> list[float]:
    return [float(f"{float(value):.6g}") for value in values]
