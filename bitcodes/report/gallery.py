"""Search results as thumbnails on a terminal."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from PIL import Image
from rich.console import Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.images.thumbnails import thumbnail
from bitcodes.report.links import linked
from bitcodes.report.pictures import Screen
from bitcodes.report.text import printable
from bitcodes.report.views import MARKS, query_title
from bitcodes.sources.members import find_places
from bitcodes.tasks.searching.results import Hit, QueryResult, SearchResults
from bitcodes.wording import counted

_GAP = 2  # columns between pictures
_MOST = 100  # pictures per query
_MOST_PIXELS = 512  # per side, of pictures in memory


def gallery(results: SearchResults, screen: Screen, width: int) -> Iterator[RenderableType]:
    """The hits of each query in a grid, `width` columns wide: rank, distance and name under each.

    A picture that cannot be read is replaced by the reason.
    """
    yield Text(results.describe(), style="dim")
    columns = min(screen.picture_columns, width)
    per_row = max(1, (width + _GAP) // (columns + _GAP))
    for query in results.queries:
        yield Text()
        yield query_title(query)
        if not query.hits:
            yield Text("  nothing found", style="dim")
        hits = query.hits[:_MOST]
        images = _images(hit.file for hit in hits)
        for start in range(0, len(hits), per_row):
            row = hits[start : start + per_row]
            yield _row([_tile(hit, query, images, screen, columns) for hit in row], columns)
        if len(query.hits) > _MOST:
            more = counted(len(query.hits) - _MOST, "more hit")
            yield Text(f"and {more}: leave out --show to see all", style="dim")
        if query.more:
            yield Text("and more: a larger -k shows them", style="dim")


def _images(files: Iterable[Path | None]) -> dict[Path, Image.Image | str]:
    """The pictures in files, made small, or the reasons why they cannot be read."""
    images: dict[Path, Image.Image | str] = {}
    for file, place in find_places(file for file in files if file is not None):
        try:
            images[file] = thumbnail(place.read(open_image)[0], _MOST_PIXELS)
        except ImageError as error:
            images[file] = str(error)
    return images


def _row(tiles: Sequence[RenderableType], columns: int) -> Table:
    """Pictures side by side, their captions on the same lines."""
    cells = (Column(width=columns, no_wrap=True, vertical="bottom") for _ in tiles)
    table = Table(*cells, box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    table.add_row(*tiles)
    return table


def _tile(
    hit: Hit,
    query: QueryResult,
    images: dict[Path, Image.Image | str],
    screen: Screen,
    columns: int,
) -> RenderableType:
    image = "its file is not known" if hit.file is None else images[hit.file]
    if isinstance(image, str):
        reason = Text(f"no picture: {printable(image)}", style="dim", no_wrap=False)
        return Group(reason, Text(), *_caption(hit, query, columns))
    return Group(screen.picture(image, columns), *_caption(hit, query, columns))


def _caption(hit: Hit, query: QueryResult, columns: int) -> Iterator[Text]:
    """Lines of text, as many for each hit of a query."""
    line = Text.assemble((f"{hit.rank}", "bold"), f"  distance {hit.distance}")
    if query.correct is not None:
        line.append_text(Text(" ")).append_text(MARKS[hit.relevant])
    name = linked(hit.path.rpartition("/")[2] or hit.path, hit.file)
    labels = Text(", ".join(map(printable, hit.labels)), style="cyan")
    lines = [line, name, *[labels] * any(other.labels for other in query.hits)]
    for text in lines:
        text.truncate(columns, overflow="ellipsis")
        yield text
    yield Text()
