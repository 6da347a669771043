"""Results as HTML for a notebook: a fragment that brings its own style, with few pictures."""

from functools import singledispatch

from bitcodes.metrics.scoring import Evaluation
from bitcodes.report import tables
from bitcodes.report.page import Thumbnails, render
from bitcodes.tasks.results import SearchResults

MAX_QUERIES = 10
MAX_HITS = 20
"""More would make the notebook's file large. The fragment says what it leaves out."""

_PIXELS = 96


@singledispatch
def as_html(result: object) -> str | None:
    """A result as HTML; None for a kind of result that has no such form."""
    return None


@as_html.register
def _(result: SearchResults) -> str:
    queries = result.queries[:MAX_QUERIES]
    return render(
        "notebook_search.html",
        results=result,
        queries=queries,
        max_hits=MAX_HITS,
        thumbnail=Thumbnails(hit.file for query in queries for hit in query.hits[:MAX_HITS]),
        pixels=_PIXELS,
    )


@as_html.register
def _(result: Evaluation) -> str:
    return render("notebook_evaluation.html", evaluation=result, tables=tables)
