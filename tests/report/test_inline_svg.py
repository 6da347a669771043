"""Plots inside a page: shapes and texts alone, in the page's colours."""

import re
from pathlib import Path
from xml.etree import ElementTree

from evaluations import small_evaluation
from parsed_page import Page

from bitcodes.report.inline_svg import inline_svg
from bitcodes.report.plots import bit_plots, class_plot, shared_plots


def test_only_shapes_and_nothing_that_reaches_beyond_them() -> None:
    result = small_evaluation(Path("images"))
    for plot in (*shared_plots([result, result]), class_plot([result]), *bit_plots(result)):
        svg = str(inline_svg(plot))
        root = ElementTree.fromstring(svg)  # well-formed, and every name is escaped
        assert {child.tag for child in root} <= {"path", "text", "image"}
        assert not any(len(child) for child in root)
        assert "script" not in {tag for tag, _ in Page(svg).tags}
        for child in root:
            assert child.attrib.keys().isdisjoint({"id", "class", "clip-path"})
            assert child.get("href", "data:image/png;base64,").startswith("data:image/png;base64,")
        assert "url(" not in svg and "font-family" not in svg
        assert root.attrib.keys() == {"viewBox", "role", "aria-label"}
        assert root.get("role") == "img" and root.get("aria-label") == plot.title


def test_colours_are_those_of_the_page() -> None:
    result = small_evaluation(Path("images"))
    for plot in (*shared_plots([result, result]), *bit_plots(result)):
        svg = str(inline_svg(plot))
        assert re.findall("#[0-9a-f]{6}", svg) == []  # a fixed colour would not turn dark
        assert "var(--ink)" in svg and "var(--quiet)" in svg
    style = Path(__file__).parents[2] / "bitcodes" / "report" / "templates" / "style.css"
    names = set(re.findall(r"var\((--\w+)\)", svg))
    assert all(f"{name}:" in style.read_text(encoding="utf-8") for name in names)
