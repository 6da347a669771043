"""How each kind of result is shown: tables on a terminal, lines in a pipe, remarks.

Each is a function that is dispatched by the type of the result. `pages` has the HTML. How
evaluations and prepared folders look stands in `evaluation_views` and `prepared_views`, which are
imported where they are shown, so that searches load no more than they need.
"""

from collections.abc import Iterable, Iterator
from functools import singledispatch
from itertools import compress, islice
from operator import not_
from typing import Any, TypeVar

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape, escape_controls
from bitcodes.report.links import linked
from bitcodes.report.text import path_from_here, printable
from bitcodes.sources.paths import is_there, quote_path
from bitcodes.tasks.duplicates.against import Against
from bitcodes.tasks.duplicates.compare import Compared
from bitcodes.tasks.duplicates.groups import Duplicates, role
from bitcodes.tasks.duplicates.moves import Moves
from bitcodes.tasks.encoding.encoded import Encoded, damage_in_words
from bitcodes.tasks.export import Exported
from bitcodes.tasks.export_rows import ExportedRows
from bitcodes.tasks.index import IndexSummary
from bitcodes.tasks.info import CodeSetInfo, ModelInfo
from bitcodes.tasks.push import Pushed
from bitcodes.tasks.searching.results import QueryResult, SearchResults
from bitcodes.tasks.select import Selection
from bitcodes.wording import counted, from_here

_SKIPPED_SHOWN, _DAMAGES_SHOWN = 5, 10
_LOOKED_UP = 1000
"""Hits of which it is looked up whether they are still there."""
_SHOWN_GROUPS, _SHOWN_IMAGES = 50, 10
"""The most near-duplicates in tables; lines and JSON hold everything."""

T = TypeVar("T")
_Skips = list[tuple[str, str]]
"""Paths and reasons."""

MARKS: dict[bool | None, Text] = {
    None: Text(),
    True: Text("✓", style="green"),
    False: Text("✗", style="red"),
}


@singledispatch
def tables(result: object) -> Iterable[RenderableType]:
    """What a terminal shows of a result, from top to bottom."""
    raise TypeError(f"there are no tables for {type(result).__name__}")


@singledispatch
def lines(result: object) -> Iterable[str] | None:
    """What a pipe or a file gets, one line per result; None for the same as a terminal."""
    return None


@singledispatch
def remarks(result: object) -> Iterable[str]:
    """What a reader should know beside the result, in any form; printed before it."""
    return ()


@singledispatch
def heading(result: object) -> str | None:
    """What was done, in one line: part of the tables, and told beside piped lines."""
    return None


@tables.register
def _(results: SearchResults) -> Iterable[RenderableType]:
    yield Text(results.describe(), style="dim")
    for query in results.queries:
        yield Text()
        yield query_title(query)
        yield _hit_table(query, results) if query.hits else Text("  nothing found", style="dim")
        if query.more:
            yield Text("  and more: a larger -k shows them", style="dim")


def query_title(query: QueryResult) -> Text:
    """The path of a query, its labels, and how many hits are correct."""
    name = path_from_here(query.path, query.file)
    title = Text.assemble(linked(name, query.file, "bold"))
    if query.labels:
        title.append(f"  {_labels(query.labels)}", style="cyan")
    if query.correct is not None:
        title.append(f"  {query.correct} of {len(query.hits)} correct")
    return title


@lines.register
def _(results: SearchResults) -> Iterator[str]:
    """The fields: query, rank, distance, similarity, path, labels, fine distance if re-ranked."""
    for query in results.queries:
        own = path_from_here(query.path, query.file)
        for hit in query.hits:
            fine = () if hit.fine_distance is None else (f"{hit.fine_distance:.4f}",)
            path = path_from_here(hit.path, hit.file)
            similarity, labels = f"{hit.similarity:.4f}", ",".join(hit.labels)
            yield _line(own, hit.rank, hit.distance, similarity, path, labels, *fine)


@remarks.register
def _(results: SearchResults) -> Iterator[str]:
    for path, reason in results.skipped:
        yield f"query {printable(path)} left out: {reason}"
    if results.tie_note is not None:
        yield f"note: {results.tie_note}"
    if gone := _gone(results):
        images = counted(len(gone), "of these images is", "of these images are")
        yield (
            f"note: {images} no longer there, such as {quote_path(gone[0])}; "
            "`bitcodes encode` brings the set up to date"
        )


def _gone(results: SearchResults) -> list[str]:
    """Hits whose files are not there; none if the images lie on another computer, as it seems."""
    hits = list(islice((hit for query in results.queries for hit in query.hits), _LOOKED_UP))
    files = {hit.file.as_posix(): hit.path for hit in hits if hit.file is not None}
    gone = [path for file, path in files.items() if not is_there(file)]
    return gone if len(gone) < len(files) else []


@tables.register
def _(result: Duplicates) -> Iterator[RenderableType]:
    yield Text(result.describe(), style="dim")
    if not result.groups:
        return
    table = _table(_number("group"), "", _number("distance"), *_scores(result, _number("score")))
    for number, images in enumerate(result.groups[:_SHOWN_GROUPS], 1):
        for place, image in enumerate(images[:_SHOWN_IMAGES]):
            name = path_from_here(image.path, image.file)
            path = linked(name, image.file, "" if place else "bold")
            score = _scores(result, "" if image.score is None else f"{image.score:.2f}")
            if place:
                table.add_row("", role(image, place), f"{image.distance}", *score, path)
            else:
                table.add_row(f"{number}", Text("keep", "green"), "", *score, path)
        if len(images) > _SHOWN_IMAGES:
            more = f"and {counted(len(images) - _SHOWN_IMAGES, 'more image')}"
            table.add_row("", "", "", *_scores(result, ""), Text(more, style="dim"))
    yield Text()
    yield table
    yield from _not_shown(len(result.groups), "group")


@lines.register
def _(result: Duplicates) -> Iterator[str]:
    """The fields: group, keep or duplicate (verified: copy or similar), distance, path, score."""
    for number, images in enumerate(result.groups, 1):
        for place, image in enumerate(images):
            path = path_from_here(image.path, image.file)
            score = _scores(result, "" if image.score is None else f"{image.score:.3f}")
            yield _line(number, role(image, place), image.distance, path, *score)


def _not_shown(count: int, noun: str) -> Iterator[Text]:
    """How many more there are than a table shows, and where to see them."""
    if count > _SHOWN_GROUPS:
        more = counted(count - _SHOWN_GROUPS, f"more {noun}")
        yield Text(f"and {more}: --json or a pipe has all", style="dim")


def _scores(result: Duplicates, value: T) -> tuple[T, ...]:
    """The value of a column that is there if the pixels were compared."""
    return (value,) if result.verified else ()


heading.register(Duplicates, Duplicates.describe)
heading.register(Against, Against.describe)


@tables.register
def _(result: Against) -> Iterator[RenderableType]:
    yield Text(result.describe(), style="dim")
    if not result.images:
        return
    verified = (_number("score"), "") if result.verified else ()
    table = _table(_number("distance"), *verified)
    for one in result.images[:_SHOWN_GROUPS]:
        name = path_from_here(one.image.path, one.image.file)
        table.add_row("", *[""] * len(verified), linked(name, one.image.file, "bold"))
        for match in one.others[:_SHOWN_IMAGES]:
            looks = (f"{match.score:.2f}", match.kind or "") if match.score is not None else ()
            path = linked(path_from_here(match.path, match.file), match.file)
            table.add_row(f"{match.distance}", *looks, path)
    yield Text()
    yield table
    yield from _not_shown(len(result.images), "image")


@lines.register
def _(result: Against) -> Iterator[str]:
    """The fields: path, path in the other collection, distance; if verified, kind and score."""
    for one in result.images:
        path = path_from_here(one.image.path, one.image.file)
        for match in one.others:
            looks = () if match.score is None else (match.kind, f"{match.score:.3f}")
            yield _line(path, path_from_here(match.path, match.file), match.distance, *looks)


@tables.register
def _(result: Compared) -> Iterator[RenderableType]:
    yield Text(result.describe())


@remarks.register
def _(result: Duplicates | Against) -> Iterable[str]:
    return result.notes


@tables.register
def _(moves: Moves) -> Iterator[RenderableType]:
    yield Text(moves.describe(), style="dim")
    if moves.moves and not moves.is_done:
        table = Table("image", "to", "kept", box=None, pad_edge=False, header_style="dim")
        for names in _names_of_moves(moves):
            table.add_row(*map(printable, names))
        yield Text()
        yield table


@lines.register
def _(moves: Moves) -> Iterator[str]:
    """The fields: where an image is or was, where it goes or went, the image that is kept."""
    for names in _names_of_moves(moves):
        yield _line(*names)


def _names_of_moves(moves: Moves) -> Iterator[list[str]]:
    for move in moves.moves:
        ends = (move.target, move.source) if moves.is_undo else (move.source, move.target)
        yield [str(from_here(path)) for path in (*ends, move.kept)]


heading.register(Moves, Moves.describe)
remarks.register(Moves, Moves.remarks)


@tables.register
def _(selection: Selection) -> Iterator[RenderableType]:
    yield Text(selection.describe(), style="dim")
    table = _table(_number("number"), _number("distance"))
    for number, image in enumerate(selection.images, 1):
        name = path_from_here(image.path, image.file)
        distance = "" if image.distance is None else f"{image.distance}"
        table.add_row(f"{number}", distance, linked(name, image.file))
    yield Text()
    yield table


@lines.register
def _(selection: Selection) -> Iterator[str]:
    for image in selection.images:
        yield _line(path_from_here(image.path, image.file))


heading.register(Selection, Selection.describe)


@tables.register
def _(encoded: Encoded) -> Iterator[RenderableType]:
    damages, images = _damages_and_images(encoded)
    parts = [f"{counted(len(images), 'image')} skipped"] if images else []
    if damages:
        parts.append(f"{counted(len(damages), 'archive')} damaged")
    name = encoded.file.with_suffix(".skipped.txt").name
    told = f", {', '.join(parts)} ({name})" if parts else ""
    yield Text(f"{encoded.file}: {_size(encoded.code_set)}{told}")


@remarks.register
def _(encoded: Encoded) -> Iterator[str]:
    damages, images = _damages_and_images(encoded)
    for path, reason in damages[:_DAMAGES_SHOWN]:
        line = damage_in_words(encoded.place(path), reason)
        if line not in encoded.told:
            yield line
    for path, reason in images[:_SKIPPED_SHOWN]:
        yield f"skipped {quote_path(encoded.place(path))}: {reason}"
    more = len(images[_SKIPPED_SHOWN:]) + len(damages[_DAMAGES_SHOWN:])
    if more:
        yield f"skipped {more:,} more"


def _damages_and_images(encoded: Encoded) -> tuple[_Skips, _Skips]:
    """What was skipped: damaged archives, which stand for any number of images, and images."""
    from bitcodes.sources.archives import is_archive  # encoding has loaded it

    skipped = encoded.code_set.skipped
    are_damages = [is_archive(path.split("?")[0]) for path, _ in skipped]
    return list(compress(skipped, are_damages)), list(compress(skipped, map(not_, are_damages)))


@tables.register
def _(merged: CodeSet) -> Iterator[RenderableType]:
    yield Text(f"{merged.path}: {_size(merged)}")


@tables.register
def _(pushed: Pushed) -> Iterator[RenderableType]:
    yield Text(pushed.describe())


@tables.register
def _(index: IndexSummary) -> Iterator[RenderableType]:
    share = f" ({index.distinct / index.count:.1%})" if index.count else ""
    took = "" if index.outcome == "up to date" else f" in {index.seconds:.1f} s"
    yield Text(
        f"{index.folder}: {counted(index.count, 'code')}, {index.distinct:,} distinct{share}; "
        f"{index.outcome}{took}"
    )
    if index.tables:
        gains = ", ".join(f"{name} {gain:.1f}" for name, gain in index.gains.items() if gain > 1)
        yield Text(
            f"{counted(index.tables, 'table')}, {index.table_bytes / 1e6:,.0f} MB; faster than a "
            f"scan, about, by a factor of: {gains or '1 (searches will scan)'}"
        )


@tables.register
def _(info: CodeSetInfo | ModelInfo) -> Iterator[RenderableType]:
    facts = info.to_dict()
    width = max(map(len, facts))
    for name, value in facts.items():
        if value == []:  # no class names
            continue
        yield Text(f"{name.replace('_', ' '):{width}}  {_in_words(value)}")


@tables.register
def _(rows: ExportedRows) -> Iterator[RenderableType]:
    yield Text(f"{rows.file}: {counted(rows.count, 'code')} of {counted(rows.bits, 'bit')}")


@tables.register
def _(exported: Exported) -> Iterator[RenderableType]:
    size = f"{exported.image_size} x {exported.image_size} pixels"
    yield Text(
        f"{exported.file}: {exported.backbone}, {counted(exported.bits, 'bit')}, images of {size}"
    )


def _line(*fields: object) -> str:
    """Fields for another program, escaped as in codes.paths.txt, and control characters too."""
    return "\t".join(
        str(field) if isinstance(field, int) else escape_controls(escape(str(field)))
        for field in fields
    )


def _table(*columns: Column | str) -> Table:
    """A table without lines; after `columns` comes one for paths, which may be broken."""
    path = Column("path", overflow="fold")
    return Table(*columns, path, box=None, pad_edge=False, header_style="dim", padding=(0, 1))


def _number(name: str) -> Column:
    return Column(name, justify="right")


def _hit_table(query: QueryResult, results: SearchResults) -> Table:
    judged = query.correct is not None
    labelled = any(hit.labels for hit in query.hits)
    instance = ["instance"] * (results.order == "class")
    numbers = ["rank", "distance", *instance, "similarity", *filter(None, [results.reranked])]
    table = _table(*map(_number, numbers), *["label"] * labelled, *[""] * judged)
    for hit in query.hits:
        row: list[Text | str] = [f"{hit.rank}", f"{hit.distance}"]
        row += [f"{hit.instance_distance}"] * len(instance)
        row.append(f"{hit.similarity:.1%}")
        if hit.fine_distance is not None:
            row.append(f"{hit.fine_distance:.3f}")
        if labelled:
            row.append(Text(_labels(hit.labels)))
        if judged:
            row.append(MARKS[hit.relevant])
        table.add_row(*row, linked(path_from_here(hit.path, hit.file), hit.file))
    return table


def _size(code_set: CodeSet) -> str:
    return f"{counted(code_set.count, 'code')} of {counted(code_set.bits, 'bit')}"


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(printable(label) for label in labels)


def _in_words(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items()) or "none"
    return str(value)
