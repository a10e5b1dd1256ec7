"""Charts in the JSON format of plotly, and their conversion to figures of plotly."""

from __future__ import annotations

from item2vec.figures.charts import Chart, Estimates, bars, metric_bars, training_curve, trials
from item2vec.figures.drawing import draw, script

__all__ = ["Chart", "Estimates", "bars", "draw", "metric_bars", "script", "training_curve", "trials"]
