"""Charts in plotly's JSON format, and their conversion to plotly figures."""

from __future__ import annotations

from item2vec.figures.charts import Chart, Estimates, bars, metric_bars, training_curve, trials
from item2vec.figures.drawing import draw, script

__all__ = ["Chart", "Estimates", "bars", "draw", "metric_bars", "script", "training_curve", "trials"]
