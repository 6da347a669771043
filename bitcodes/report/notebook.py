"""Results as HTML for a notebook: a fragment that brings its own style, with few pictures."""

from functools import singledispatch

from bitcodes.metrics.scoring import Evaluation
from bitcodes.report.page import Thumbnails, render
from bitcodes.report.tables import describe, heading, health_text, range_text, score_text
from bitcodes.tasks.results import SearchResults

MAX_QUERIES = 10
MAX_HITS = 20
"""More would make the notebook's file large. The fragment says what it leaves out."""

_PIXELS = 96
_NONE = (float("nan"), float("nan"))


@singledispatch
def as_html(result: object) -> str | None:
    """A result as HTML; None for a kind of result that has no such form."""
    return None


@as_html.register
def _(result: SearchResults) -> str:
    return render(
        "notebook_search.html",
        results=result,
        queries=result.queries[:MAX_QUERIES],
        max_hits=MAX_HITS,
        thumbnail=Thumbnails(),
        pixels=_PIXELS,
    )


@as_html.register
def _(result: Evaluation) -> str:
    rows = [
        (
            describe(name, result.bits),
            score_text(value),
            range_text(result.intervals[name]),
            range_text(result.tie_ranges.get(name, _NONE)),
        )
        for name, value in result.figures.items()
    ]
    notes = [f"{health_text(result.health)}.", *result.notes]
    return render("notebook_evaluation.html", heading=heading(result), rows=rows, notes=notes)
