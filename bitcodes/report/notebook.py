"""Results as HTML for a notebook: a fragment that brings its own style, with few pictures."""

from functools import singledispatch

import numpy as np

from bitcodes.codes.codeset import CodeSet
from bitcodes.metrics.scoring import Evaluation
from bitcodes.report import tables
from bitcodes.report.page import Thumbnails, render
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.wording import counted

MAX_QUERIES = 10
MAX_HITS = 20
"""More would make the notebook's file large. The fragment says what it leaves out."""

_SHOWN_OF_SET = 8

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


@as_html.register
def _(result: CodeSet) -> str:
    rows = np.linspace(0, result.count - 1, min(result.count, _SHOWN_OF_SET)).astype(int).tolist()
    pictures = (
        [(result.paths[row], result.absolute_path(row)) for row in rows] if result.root else []
    )
    facts = {
        "codes": f"{result.count:,} of {counted(result.bits, 'bit')}",
        "file": result.path,
        "images in": result.root_name,
        "classes": ", ".join(result.class_names),
        "backbone": result.header.backbone,
        "features": "" if result.features is None else f"{result.features.shape[1]:,} numbers each",
        "skipped": f"{len(result.skipped):,}" if result.skipped else "",
    }
    return render(
        "notebook_codes.html",
        facts={name: value for name, value in facts.items() if value},
        pictures=pictures,
        thumbnail=Thumbnails(file for _, file in pictures),
        pixels=_PIXELS,
    )
