"""Results as HTML pages that load nothing: pictures and style are inside each."""

from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path

from markupsafe import Markup

from bitcodes.metrics.comparison import Comparison
from bitcodes.report import review
from bitcodes.report.page import Thumbnails, as_html, render
from bitcodes.tasks.duplicates.against import Against
from bitcodes.tasks.duplicates.decisions import decisions_file
from bitcodes.tasks.duplicates.groups import Duplicates, role
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.select import Selection
from bitcodes.wording import counted

# More would make a page too large for a phone. Each page says what it leaves out.
MAX_QUERIES = 100
MAX_HITS = 2000
MAX_GROUPS = 200
MAX_IMAGES_OF_GROUP = 12
MAX_IMAGES = 1500

_MAX_SKIPPED = 20
_PIXELS, _QUERY_PIXELS = 224, 448


@singledispatch
def page(result: object) -> str:
    """A result as one HTML file."""
    raise TypeError(f"there is no page for {type(result).__name__}")


@page.register
def search_page(results: SearchResults, title: str = "Search results") -> str:
    """A page with each query and its hits as thumbnails, readable on a phone, light and dark.

    Pictures are read from their files. If one cannot be read, a placeholder says why.
    """
    queries = results.queries[:MAX_QUERIES]
    hits_per_query = max(1, MAX_HITS // max(1, len(queries)))
    hits = (hit.file for query in queries for hit in query.hits[:hits_per_query])
    return render(
        "search.html",
        title=title,
        results=results,
        queries=queries,
        accuracy=_accuracy(results),
        hits_per_query=hits_per_query,
        notes=_notes(results, len(queries)),
        thumbnail=Thumbnails(hits),
        hit_pixels=_PIXELS,
        query_pixels=_QUERY_PIXELS,
    )


@page.register
def duplicates_page(duplicates: Duplicates, title: str = "Near-duplicates") -> str:
    """A page with the largest groups as rows of thumbnails, the image to keep first in each.

    People decide on it by keyboard, and save their decisions as a file: see decisions.py.
    """
    numbered = enumerate(duplicates.groups, 1)
    groups = sorted(numbered, key=lambda group: -len(group[1]))[:MAX_GROUPS]
    hidden = len(duplicates.groups) - len(groups)
    per_group = max(2, min(MAX_IMAGES_OF_GROUP, MAX_IMAGES // max(1, len(groups))))
    files = [image.file for _, group in groups for image in group[:per_group]]
    file = decisions_file(Path(duplicates.codes))
    script, script_hash = review.script()
    return render(
        "duplicates.html",
        title=title,
        duplicates=duplicates,
        groups=groups,
        images_per_group=per_group,
        notes=[f"Smaller groups that are not shown: {hidden:,}."] if hidden else [],
        role=role,
        file=str(file),
        script=script,
        script_hash=script_hash,
        data=review.data(
            file.name, duplicates.decisions, [group[:per_group] for _, group in groups]
        ),
        **_pictures(files),
    )


def _pictures(files: Sequence[Path | None]) -> dict[str, object]:
    """What the templates need to show images side by side."""
    thumbnail = Thumbnails(files)
    facts = review.Facts(files, thumbnail, _PIXELS)
    return {"thumbnail": thumbnail, "pixels": _PIXELS, "facts": facts}


@page.register
def matches_page(against: Against, title: str = "Images that are in another collection") -> str:
    """A page with each image that is in another collection, and its matches, the best first."""
    images = against.images[:MAX_GROUPS]
    per_image = max(1, min(MAX_IMAGES_OF_GROUP, MAX_IMAGES // max(1, len(images))) - 1)
    hidden = len(against.images) - len(images)
    files = [one.file for image, others in images for one in (image, *others[:per_image])]
    return render(
        "matches.html",
        title=title,
        against=against,
        images=images,
        per_image=per_image,
        notes=[f"Not shown: {counted(hidden, 'more image')}."] if hidden else [],
        **_pictures(files),
    )


@page.register
def selection_page(selection: Selection, title: str = "Selected images") -> str:
    """A page with the images of a selection as thumbnails, in their order."""
    images = selection.images[:MAX_IMAGES]
    hidden = len(selection.images) - len(images)
    return render(
        "selection.html",
        title=title,
        selection=selection,
        images=images,
        notes=[f"Not shown: {counted(hidden, 'more image')}."] if hidden else [],
        thumbnail=Thumbnails(image.file for image in images),
        pixels=_PIXELS,
    )


@page.register
def _(comparison: Comparison) -> str:
    from bitcodes.report.evaluation_page import evaluation_page  # needs matplotlib
    from bitcodes.tasks.examples import examples

    best_and_worst = examples(comparison.evaluations[0]) if len(comparison.evaluations) == 1 else ()
    return evaluation_page(comparison.evaluations, comparison.differences, best_and_worst)


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
        notes.append(
            f"Not shown: {counted(len(results.queries) - shown, 'more query', 'more queries')}."
        )
    for path, reason in results.skipped[:_MAX_SKIPPED]:
        note = Markup("Query <bdi>{}</bdi> left out: {}.")
        notes.append(note.format(as_html(path), as_html(reason)))
    if len(results.skipped) > _MAX_SKIPPED:
        more = counted(len(results.skipped) - _MAX_SKIPPED, "more query", "more queries")
        notes.append(f"{more} could not be read.")
    if results.tie_note is not None:
        notes.append(results.tie_note[0].upper() + results.tie_note[1:] + ".")
    return notes
