"""Search results as one HTML page that loads nothing: pictures and style are inside it."""

from markupsafe import Markup

from bitcodes.report.page import Thumbnails, as_html, render
from bitcodes.tasks.results import SearchResults

MAX_QUERIES = 100
MAX_PICTURES = 2000
"""More would make the page too large for a phone. The page says what it leaves out."""

_MAX_SKIPPED = 20
_HIT_PIXELS = 224
_QUERY_PIXELS = 448


def search_page(results: SearchResults, title: str = "Search results") -> str:
    """A page with each query and its hits as thumbnails, readable on a phone, light and dark.

    Pictures are read from their files. If one cannot be read, a placeholder says why.
    """
    queries = results.queries[:MAX_QUERIES]
    return render(
        "search.html",
        title=title,
        results=results,
        queries=queries,
        accuracy=_accuracy(results),
        hits_per_query=max(1, MAX_PICTURES // max(1, len(queries))),
        notes=_notes(results, len(queries)),
        thumbnail=Thumbnails(),
        hit_pixels=_HIT_PIXELS,
        query_pixels=_QUERY_PIXELS,
    )


def _accuracy(results: SearchResults) -> tuple[int, int] | None:
    """How many hits are correct and of how many that is known; None for fewer than two queries."""
    judged = [query for query in results.queries if query.correct is not None]
    if len(judged) < 2:
        return None
    total = sum(hit.relevant is not None for query in judged for hit in query.hits)
    return sum(query.correct or 0 for query in judged), total


def _notes(results: SearchResults, shown: int) -> list[str]:
    notes: list[str] = []
    if len(results.queries) > shown:
        notes.append(f"{len(results.queries) - shown:,} more queries are not shown.")
    for path, reason in results.skipped[:_MAX_SKIPPED]:
        note = Markup("Query <bdi>{}</bdi> left out: {}.")
        notes.append(note.format(as_html(path), as_html(reason)))
    if len(results.skipped) > _MAX_SKIPPED:
        notes.append(f"{len(results.skipped) - _MAX_SKIPPED:,} more queries could not be read.")
    if results.tie_note is not None:
        notes.append(results.tie_note[0].upper() + results.tie_note[1:] + ".")
    return notes
