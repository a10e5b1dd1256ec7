"""Conversion of a chart to a plotly figure. The extra ``report`` installs plotly."""

from __future__ import annotations

from typing import TYPE_CHECKING

from item2vec.errors import MissingExtraError
from item2vec.figures.charts import Chart

if TYPE_CHECKING:
    import plotly.graph_objects as go

__all__ = ["draw"]


def draw(chart: Chart) -> go.Figure:
    """Return a chart as a plotly figure, which notebooks display.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.

    Examples
    --------
    >>> from item2vec.figures import training_curve
    >>> draw(training_curve([1, 2], {"loss": [2.0, 1.5]})).data[0].y
    (2.0, 1.5)
    """
    try:
        import plotly.graph_objects as go
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "plotly is not installed; a figure needs it: pip install 'item2vec[report]'"
        ) from error
    return go.Figure(chart)


def script() -> str:
    """Return the source of plotly.js, the JavaScript library that draws a figure in an HTML page."""
    from plotly.offline import get_plotlyjs

    text: str = get_plotlyjs()
    return text
