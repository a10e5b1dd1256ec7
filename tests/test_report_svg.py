"""Charts as SVG: positions of worked numbers, ticks, legends, and text that is not markup."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from item2vec.report.svg import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Scale, draw

HEIGHT = 300


def figure(data, **layout):
    axes = {"xaxis": {"title": {"text": "k"}}, "yaxis": {"title": {"text": ""}, "rangemode": "tozero"}}
    return {"data": data, "layout": {"height": HEIGHT, **axes, **layout}}


def drawn(chart):
    """Return the elements of a chart by tag; a title is the text of its element."""
    root = ET.fromstring(f"<div>{draw(chart, 'a chart')}</div>")
    elements = {}
    for element in root.iter():
        title = element.find("title")
        elements.setdefault(element.tag, []).append(
            {**element.attrib, "text": element.text if title is None else title.text}
        )
    return elements


@pytest.mark.parametrize(
    ("values", "options", "ticks"),
    [
        ([0, 0.9], {}, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([3, 7], {}, [3, 4, 5, 6, 7]),
        ([3, 7], {"from_zero": True}, [0, 2, 4, 6, 8]),
        ([1, 20], {"tight": True}, [5, 10, 15, 20]),
        ([5, 5], {}, [4.4, 4.6, 4.8, 5.0, 5.2, 5.4, 5.6]),
        ([0, 0], {}, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        ([None, 2, 4], {}, [2.0, 2.5, 3.0, 3.5, 4.0]),
        ([], {}, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_ticks_are_round(values, options, ticks):
    assert Scale.of(values, (0, 100), **options).ticks == pytest.approx(ticks)


@given(st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=1, max_size=5))
def test_a_scale_contains_its_values_and_is_linear(values):
    scale = Scale.of(values, (0, 100))
    assert all(-1e-6 <= scale(value) <= 100 + 1e-6 for value in values)
    assert 2 <= len(scale.ticks) <= 9
    assert np.allclose(np.diff(scale.ticks, 2), 0, atol=1e-6 * max(map(abs, scale.ticks)))


def test_bars_have_the_heights_of_their_values():
    bars = [
        {"type": "bar", "name": "a", "x": ["1<br>9", "2"], "y": [1.0, 0.5], "marker": {"color": "red"}},
        {"type": "bar", "name": "b", "x": ["1<br>9", "2"], "y": [0.75, 0.25], "marker": {"color": "blue"}},
    ]
    elements = drawn(figure(bars, yaxis={}))
    full = HEIGHT - BOTTOM - TOP
    heights = [(bar["text"], float(bar["height"]) / full) for bar in elements["rect"]]
    assert heights == [("a, 1: 1", 1.0), ("b, 1: 0.75", 0.75), ("a, 2: 0.5", 0.5), ("b, 2: 0.25", 0.25)]
    assert all(float(bar["y"]) + float(bar["height"]) == HEIGHT - BOTTOM for bar in elements["rect"])
    assert [bar["fill"] for bar in elements["rect"]] == ["red", "blue"] * 2
    assert {"1", "9", "2", "k", "0", "0.6"} <= {text["text"] for text in elements["text"]}


def test_horizontal_bars_have_intervals():
    bar = {"type": "bar", "orientation": "h", "y": ["low", "high"], "x": [0.1, 0.2]}
    bar |= {"marker": {"color": ["red", "blue"]}, "error_x": {"array": [0.1, 0.2], "arrayminus": [0.1, 0.1]}}
    elements = drawn(figure([bar], margin={"l": 100}))
    width = WIDTH - RIGHT - 100
    assert [float(bar["width"]) / width for bar in elements["rect"]] == pytest.approx([0.25, 0.5], abs=1e-3)
    assert elements["rect"][1]["text"] == "high: 0.2000 (0.1000 to 0.4000)"
    assert float(elements["rect"][0]["y"]) > float(elements["rect"][1]["y"]), "the first name is lowest"
    low, high = [line for line in elements["line"] if line["class"] == "interval"]
    assert [float(low["x1"]), float(low["x2"])] == [100, 100 + width / 2]
    assert float(high["x2"]) == WIDTH - RIGHT


def test_lines_skip_missing_values_and_a_second_axis_has_its_own_scale():
    lines = [
        {"type": "scatter", "mode": "lines", "name": "a", "x": [1, 2, 3], "y": [0, None, 1]},
        {"type": "scatter", "mode": "lines+markers", "name": "b", "x": [1, 3], "y": [50, 100], "yaxis": "y2"},
    ]
    right = {"yaxis2": {"rangemode": "tozero"}, "showlegend": True}
    elements = drawn(figure(lines, **right))
    end = WIDTH - LEFT
    first, second = (line["points"] for line in elements["polyline"])
    assert first == f"{LEFT:.1f},{HEIGHT - BOTTOM:.1f} {end:.1f},{TOP:.1f}"
    middle = (TOP + HEIGHT - BOTTOM) / 2
    assert second == f"{LEFT:.1f},{middle:.1f} {end:.1f},{TOP:.1f}"
    assert [point["text"] for point in elements["circle"]] == ["b, 1: 50", "b, 3: 100"]
    assert [name["text"] for name in elements["bdi"]] == ["a", "b"]


def test_points_of_a_map_keep_their_proportions():
    marker = {"color": [0.0, 1.0, 2.0]}
    points = {"type": "scatter", "mode": "markers", "name": "items", "x": [0, 4, 4], "y": [0, 0, 2]}
    points |= {"text": ["<b>", "b" * 99, "&"], "marker": marker}
    elements = drawn(figure([points], xaxis={"visible": False}))
    at = [(float(point["cx"]), float(point["cy"])) for point in elements["circle"]]
    size = WIDTH - 2 * TOP
    assert at == [(TOP, TOP + size / 2), (WIDTH - TOP, TOP + size / 2), (WIDTH - TOP, TOP)]
    assert elements["svg"][0]["viewBox"] == f"0 0 {WIDTH} {2 * TOP + size // 2}"
    assert [point["text"] for point in elements["circle"]] == ["<b>", "b" * 79 + "…", "&"]
    assert [point.get("opacity") for point in elements["circle"]] == ["0.25", "0.62", None]
