"""Search results on a terminal, and as plain lines for other programs."""

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bitcodes.codes.paths import escape
from bitcodes.report.text import path_from_here, printable
from bitcodes.tasks.results import Fine, Hit, QueryResult, SearchResults


def result_tables(results: SearchResults) -> Iterable[RenderableType]:
    """A heading, then a table per query."""
    yield Text(results.describe(), style="dim")
    for query in results.queries:
        yield Text()
        yield _heading(query)
        if query.hits:
            yield _table(query, results.reranked)
        else:
            yield Text("  nothing found", style="dim")
        if query.more:
            yield Text("  and more: raise -k to see them", style="dim")


def result_lines(results: SearchResults) -> Iterator[str]:
    r"""One tab-separated line per hit.

    The fields are query, rank, distance, similarity, path, labels (separated by commas) and, if the
    hits were re-ranked, the distance of features or hash outputs. Text is escaped as in
    codes.paths.txt, tabs as `\t`.
    """
    for query in results.queries:
        for hit in query.hits:
            fields = [
                query.path,
                str(hit.rank),
                str(hit.distance),
                f"{hit.similarity:.4f}",
                _path(hit),
                ",".join(hit.labels),
            ]
            if hit.fine_distance is not None:
                fields.append(f"{hit.fine_distance:.4f}")
            yield "\t".join(escape(field).replace("\t", "\\t") for field in fields)


def _heading(query: QueryResult) -> Text:
    text = Text(printable(query.path), style="bold")
    if query.labels:
        text.append(f"  {_labels(query.labels)}", style="not bold cyan")
    if query.correct is not None:
        text.append(f"  {query.correct} of {len(query.hits)} correct", style="not bold")
    return text


def _table(query: QueryResult, reranked: Fine | None) -> Table:
    judged = query.correct is not None
    labelled = any(hit.labels for hit in query.hits)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 1))
    table.add_column("rank", justify="right")
    table.add_column("distance", justify="right")
    table.add_column("similarity", justify="right")
    if reranked is not None:
        table.add_column(reranked, justify="right")
    if labelled:
        table.add_column("label")
    if judged:
        table.add_column("")
    table.add_column("path", overflow="fold")
    for hit in query.hits:
        cells = [str(hit.rank), str(hit.distance), f"{hit.similarity:.1%}"]
        if hit.fine_distance is not None:
            cells.append(f"{hit.fine_distance:.3f}")
        row = [Text(cell) for cell in cells]
        if labelled:
            row.append(Text(_labels(hit.labels)))
        if judged:
            row.append(_mark(hit.relevant))
        table.add_row(*row, Text(printable(_path(hit))))
    return table


def _mark(relevant: bool | None) -> Text:
    if relevant is None:
        return Text("")
    return Text("✓", style="green") if relevant else Text("✗", style="red")


def _path(hit: Hit) -> str:
    return path_from_here(hit.path, hit.file)


def _labels(labels: tuple[str, ...]) -> str:
    return ", ".join(printable(label) for label in labels)
