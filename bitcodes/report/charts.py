"""Small charts as inline SVG: they take their colours from the page, light or dark.

Sizes are in the units of the view box; on a phone the whole chart shrinks to about four fifths, and
its text stays readable.
"""

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

_WIDTH, _HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 12, 12, 46


@dataclass(frozen=True)
class Series:
    """A named line or row of bars: one y for each x."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Axis:
    """An axis: its name with the unit, its ends, and the values marked on it."""

    label: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False
    format: Callable[[float], str] = "{:g}".format

    def place(self, value: float) -> float:
        """Where a value stands, 0 at the low end and 1 at the high one."""
        low, high = self.low, self.high
        if self.log:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / (high - low) if high > low else 0.5


def line_chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Lines through the points of each series, (at most) one colour each, and a legend."""
    marks = []
    for number, entry in enumerate(series):
        points = " ".join(
            f"{_across(x, a):.1f},{_up(y, b):.1f}"
            for a, b in zip(entry.x, entry.y, strict=True)
            if not math.isnan(b)
        )
        marks.append(f'<polyline class="line s{number % 6}" points="{points}"/>')
    return _figure(title, x, y, marks, series)


def bar_chart(title: str, x: Axis, y: Axis, series: Sequence[Series]) -> str:
    """Bars that stand on the x axis, a bar for each x; several series overlap, see-through."""
    marks = []
    for number, entry in enumerate(series):
        step = (entry.x[1] - entry.x[0]) if len(entry.x) > 1 else 1.0
        floor = _up(y, y.low)
        path = "".join(
            f"M{_across(x, a - 0.46 * step):.1f} {floor:.1f}V{_up(y, b):.1f}"
            f"H{_across(x, a + 0.46 * step):.1f}V{floor:.1f}Z"
            for a, b in zip(entry.x, entry.y, strict=True)
            if b > y.low
        )
        marks.append(f'<path class="bars s{number % 6}" d="{path}"/>')
    return _figure(title, x, y, marks, series)


def matrix_chart(title: str, label: str, values: NDArray[np.floating]) -> str:
    """A square matrix of values from -1 to 1 as colours, with a scale; NaN is grey."""
    size = len(values)
    ramp = "".join(
        f'<stop offset="{place:.2f}" stop-color="rgb{tuple(map(int, _colours([[value]])[0, 0]))}"/>'
        for place, value in ((t / 8, t / 4 - 1) for t in range(9))
    )
    side = _HEIGHT - _TOP - _BOTTOM
    left = _LEFT + 20
    ends = (0.5, size - 0.5) if size > 1 else (0.5,)
    marks = [
        f'<image x="{left}" y="{_TOP}" width="{side}" height="{side}" '
        f'href="{_png(_colours(values))}" style="image-rendering:pixelated" '
        'preserveAspectRatio="none"/>'
    ]
    for end in ends:
        number, offset = int(end + 0.5), side * end / size
        marks.append(_label(left + offset, _TOP + side + 18, str(number), "middle"))
        marks.append(_label(left - 6, _TOP + offset + 4, str(number), "end"))
    marks.append(_label(left + side / 2, _HEIGHT - 8, label, "middle", "axis"))
    bar = left + side + 24
    marks.append(
        f'<linearGradient id="ramp" x1="0" x2="0" y1="1" y2="0">{ramp}</linearGradient>'
        f'<rect x="{bar}" y="{_TOP}" width="12" height="{side}" fill="url(#ramp)"/>'
    )
    for place, text in ((0.0, "1"), (0.5, "0"), (1.0, "−1")):
        marks.append(_label(bar + 18, _TOP + side * place + 4, text, "start"))
    return _frame(title, marks, ())


def count_ticks(high: float) -> list[float]:
    """1, 10, 100, ... below `high`, for a logarithmic axis of counts."""
    return [10.0**power for power in range(int(math.log10(max(1, high))) + 1)]


def nice_ticks(high: float, wanted: int = 5) -> list[float]:
    """Round values from 0 to at most `high`, about `wanted` of them."""
    if high <= 0:
        return [0.0]
    rough = high / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    return [round(step * i, 10) for i in range(int(high / step + 1e-9) + 1)]


def short_count(value: float) -> str:
    """A count in few letters: 1, 10, 1k, 50k, 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _figure(title: str, x: Axis, y: Axis, marks: Sequence[str], series: Sequence[Series]) -> str:
    floor, ceiling = _HEIGHT - _BOTTOM, _TOP
    lines = []
    for tick in y.ticks:
        height = _up(y, tick)
        lines.append(f'<path class="grid" d="M{_LEFT} {height:.1f}H{_WIDTH - _RIGHT}"/>')
        lines.append(_label(_LEFT - 7, height + 4, y.format(tick), "end"))
    for tick in x.ticks:
        across = _across(x, tick)
        lines.append(f'<path class="grid" d="M{across:.1f} {floor}v5"/>')
        lines.append(_label(across, floor + 19, x.format(tick), "middle"))
    middle = (floor + ceiling) / 2
    lines.append(
        f'<text class="axis" text-anchor="middle" '
        f'transform="translate(13 {middle}) rotate(-90)">{escape(y.label)}</text>'
    )
    across = (_LEFT + _WIDTH - _RIGHT) / 2
    lines.append(_label(across, _HEIGHT - 8, x.label, "middle", "axis"))
    lines.append(f'<path class="floor" d="M{_LEFT} {floor}H{_WIDTH - _RIGHT}"/>')
    names = [entry.name for entry in series] if len(series) > 1 else []
    return _frame(title, [*lines, *marks], names)


def _frame(title: str, marks: Sequence[str], names: Sequence[str]) -> str:
    keys = "".join(
        f'<li><i class="s{number % 6}"></i>{escape(name)}</li>' for number, name in enumerate(names)
    )
    legend = f"<ul class=legend>{keys}</ul>" if names else ""
    return (
        f"<figure>\n<figcaption>{escape(title)}</figcaption>\n"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">\n'
        + "\n".join(marks)
        + f"\n</svg>\n{legend}</figure>\n"
    )


def _across(axis: Axis, value: float) -> float:
    return _LEFT + axis.place(value) * (_WIDTH - _LEFT - _RIGHT)


def _up(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.place(value) * (_HEIGHT - _TOP - _BOTTOM)


def _label(x: float, y: float, text: str, anchor: str, kind: str = "tick") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _colours(values: ArrayLike) -> NDArray[np.uint8]:
    """-1 blue, 0 nearly white, 1 red, NaN grey: (n, n) -> (n, n, 3)."""
    values = np.asarray(values, np.float64)
    ends = np.where(values[..., None] < 0, (33, 82, 170), (190, 40, 45))
    strength = np.sqrt(np.clip(np.abs(np.nan_to_num(values)), 0, 1))[..., None]
    colours = (1 - strength) * np.array((244, 244, 242)) + strength * ends
    colours[np.isnan(values)] = 150
    rounded: NDArray[np.uint8] = colours.round().astype(np.uint8)
    return rounded


def _png(pixels: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
