"""Charts: marks stand where their values say, and text is escaped."""

import math
import re

import numpy as np
import pytest

from bitcodes.report.charts import (
    Axis,
    Series,
    bar_chart,
    count_ticks,
    line_chart,
    matrix_chart,
    nice_ticks,
    short_count,
)

UNIT = Axis("share", 0, 1, [0, 0.5, 1])


def test_lines_pass_through_their_points() -> None:
    x = Axis("rank", 1, 100, [1, 10, 100], log=True)
    chart = line_chart("Title", x, UNIT, [Series("a", [1, 10, 100], [0.0, 1.0, math.nan])])
    points = re.search(r'points="([^"]+)"', chart)
    assert points is not None
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in points[1].split())
    ticks = dict(re.findall(r'x="([\d.]+)" y="[\d.]+" text-anchor="middle">([\d]+)<', chart))
    by_value = {value: float(place) for place, value in ticks.items()}
    assert (x0, x1) == (by_value["1"], by_value["10"])
    assert by_value["10"] - by_value["1"] == pytest.approx(by_value["100"] - by_value["10"])
    assert y1 < y0  # 1 stands above 0
    assert "legend" not in chart


def test_several_series_get_a_legend_and_names_are_escaped() -> None:
    series = [Series("<b>", [0, 1], [0, 1]), Series("two", [0, 1], [1, 0])]
    chart = line_chart("<i>", Axis("x & y", 0, 1, [0, 1]), UNIT, series)
    assert "&lt;b&gt;" in chart and "&lt;i&gt;" in chart and "x &amp; y" in chart
    assert "<b>" not in chart
    assert chart.count("<polyline") == 2


def test_bars_are_as_high_as_their_values() -> None:
    chart = bar_chart(
        "Bars", Axis("x", 0.5, 3.5, [1, 2, 3]), UNIT, [Series("a", [1, 2, 3], [0.5, 0, 1])]
    )
    bars = re.findall(r"M[\d.]+ ([\d.]+)V([\d.]+)H", chart)
    heights = [float(floor) - float(top) for floor, top in bars]
    assert len(heights) == 2  # nothing to draw for 0
    assert heights[1] == pytest.approx(2 * heights[0], abs=0.2)


def test_matrix_is_a_picture_with_a_scale() -> None:
    values = np.array([[1.0, -1.0], [np.nan, 0.0]])
    chart = matrix_chart("Matrix", "bit", values)
    assert 'href="data:image/png;base64,' in chart
    assert chart.count("<stop") == 9
    assert "NaN" not in chart


def test_ticks_are_round() -> None:
    assert nice_ticks(48, 6) == [0, 10, 20, 30, 40]
    assert nice_ticks(0.23) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert nice_ticks(0) == [0]
    assert count_ticks(50_000) == [1, 10, 100, 1000, 10_000]
    assert [short_count(n) for n in (1, 100, 1000, 50_000, 2e6)] == ["1", "100", "1k", "50k", "2M"]
