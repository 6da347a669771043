"""Plots as SVG inside a page, in the page's font and colours, light or dark."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from markupsafe import Markup

from bitcodes.report.plots import GRID, INK, QUIET, SERIES, Plot, saved

_COLOURS = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    GRID: "var(--line)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(SERIES)},
}
_SHAPES = {"path", "text", "image"}
_ATTRIBUTES = {"d", "x", "y", "width", "height", "transform", "style", "href"}


def inline_svg(plot: Plot) -> Markup:
    """The plot as an svg element that takes its colours from variables of the page's style sheet.

    Keeps paths, texts and pictures, and nothing of matplotlib that could reach beyond the figure:
    no style element, no ids, no references. Nothing is clipped, for nothing is outside the axes.
    """
    root = ElementTree.fromstring(saved(plot, "svg", **{"svg.fonttype": "none"}))
    svg = ElementTree.Element(
        "svg", {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": plot.title}
    )
    svg.extend(_shapes(root))
    return Markup(ElementTree.tostring(svg, "unicode"))


def _shapes(element: ElementTree.Element) -> Iterator[ElementTree.Element]:
    """Drawn shapes of an SVG tree, without its groups and the white behind it."""
    for child in element:
        tag = _local(child.tag)
        if tag == "g":
            yield from _shapes(child)
        elif tag in _SHAPES and child.get("style") != "fill: #ffffff":
            attributes = {_local(name): value for name, value in child.attrib.items()}
            kept = {
                name: _plain(name, attributes[name]) for name in attributes.keys() & _ATTRIBUTES
            }
            shape = ElementTree.Element(tag, dict(sorted(kept.items())))
            shape.text = child.text if tag == "text" else None
            yield shape


def _local(name: str) -> str:
    """The name of a tag or an attribute without its namespace."""
    return name.rpartition("}")[2]


def _plain(name: str, value: str) -> str:
    if name == "style":
        value = re.sub(r"font-family:[^;]*;?\s*", "", value)
        return re.sub("#[0-9a-f]{6}", lambda match: _COLOURS.get(match[0], match[0]), value)
    if name in ("d", "transform"):
        value = re.sub(r"-?\d+\.\d+", lambda match: f"{float(match[0]):.2f}", value)
    return "".join(value.split()) if name == "href" else " ".join(value.split())
