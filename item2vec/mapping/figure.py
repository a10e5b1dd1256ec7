"""Interactive maps: a plotly figure, and a self-contained HTML page of it."""

from __future__ import annotations

import base64
import gzip
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from item2vec.figures import draw, script
from item2vec.mapping.item_map import ItemMap
from item2vec.mapping.style import NO_VALUE, point_size, series_of, short

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["figure_of", "page_of"]

CONFIG = '{"scrollZoom": true, "responsive": true, "displaylogo": false}'
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>html, body {{ margin: 0; height: 100%; }} #map {{ height: 100vh; }}</style>
<div id="map"></div>
<script type="text/plain" id="plotly">{plotly}</script>
<script type="text/plain" id="figure">{figure}</script>
<script>
const unpacked = (id) => {{
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
}};
const show = async () => {{
  const library = document.createElement("script");
  library.textContent = await unpacked("plotly");
  document.head.append(library);
  const figure = JSON.parse(await unpacked("figure"));
  await Plotly.newPlot("map", figure.data, {{ ...figure.layout, height: undefined }}, {config});
}};
show().catch((error) => (document.getElementById("map").textContent = `The map cannot be shown: ${{error}}`));
</script>
</html>
"""


def figure_of(item_map: ItemMap) -> Figure:
    """Return a map as a plotly figure: points drawn with WebGL, with titles on hover.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.
    """
    colours, n_items = item_map.colours, len(item_map)
    if colours is not None and colours.numbers is not None:
        traces = _of_numbers(item_map, colours.attribute, colours.numbers)
    else:
        traces = [
            _trace(item_map, rows, name, {"color": colour}) | {"legendrank": 1000 if is_named else 1001}
            for name, colour, rows, is_named in series_of(item_map)
        ]
    hidden = {"visible": False, "fixedrange": False}
    layout = {
        "template": "plotly_white",
        "height": 700,
        "margin": {"l": 10, "r": 10, "t": 40, "b": 10},
        "title": {"text": _title(item_map), "font": {"size": 15}, "x": 0.01, "y": 0.985},
        "xaxis": hidden,
        "yaxis": {**hidden, "scaleanchor": "x", "autorange": "reversed"},
        "dragmode": "pan",
        "hovermode": "closest",
        "showlegend": colours is not None and (colours.numbers is None or len(traces) > 1),
        "legend": {
            "title": {"text": "" if colours is None else escape(short(colours.attribute))},
            "itemsizing": "constant",
            "x": 0.99,
            "xanchor": "right",
            "bgcolor": "rgba(255, 255, 255, 0.75)",
        },
    }
    for trace in traces:
        trace["marker"] |= {"size": point_size(n_items), "opacity": 0.8 if n_items < 10_000 else 0.55}
    return draw({"data": traces, "layout": layout})


def page_of(item_map: ItemMap) -> bytes:
    """Return a map as a self-contained HTML page, which embeds plotly.js and the figure in compressed form.

    Browsers decompress both with ``DecompressionStream``, which all major browsers have supported since 2023.

    Raises
    ------
    MissingExtraError
        If plotly is not installed.
    """
    figure = figure_of(item_map)
    page = PAGE.format(
        title=escape(_title(item_map)),
        plotly=_packed(script()),
        figure=_packed(figure.to_json()),
        config=CONFIG,
    )
    return page.encode()


def _of_numbers(item_map: ItemMap, attribute: str, numbers: Any) -> list[dict[str, Any]]:
    known = np.isfinite(numbers)
    marker = {
        "color": numbers[known],
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": escape(short(attribute))}, "thickness": 14, "len": 0.6},
    }
    coloured = _trace(item_map, np.flatnonzero(known), attribute, marker)
    coloured |= {"hovertemplate": "%{text}<br>" + escape(attribute) + ": %{marker.color}<extra></extra>"}
    coloured["showlegend"] = False
    if known.all():
        return [coloured]
    return [_trace(item_map, np.flatnonzero(~known), "no value", {"color": NO_VALUE}), coloured]


def _trace(item_map: ItemMap, rows: Any, name: str, marker: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "scattergl",
        "mode": "markers",
        "name": escape(short(name)),
        "x": item_map.positions[rows, 0],
        "y": item_map.positions[rows, 1],
        "text": [escape(item_map.titles[row], quote=False) for row in rows.tolist()],
        "hovertemplate": "%{text}<extra>%{fullData.name}</extra>",
        "marker": marker,
    }


def _title(item_map: ItemMap) -> str:
    return f"Map of {len(item_map):,} items"


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()
