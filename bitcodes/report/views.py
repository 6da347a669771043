"""How each kind of result is shown: tables on a terminal, lines in a pipe, a page, remarks.

Each is a function that is dispatched by the type of the result.
"""

from collections.abc import Iterable
from functools import singledispatch

from rich.console import RenderableType
from rich.text import Text

from bitcodes.metrics.comparison import evaluation_name
from bitcodes.report.duplicates import duplicate_lines, duplicate_tables
from bitcodes.report.result_tables import result_lines, result_tables
from bitcodes.report.summaries import (
    encoded_line,
    exported_line,
    index_lines,
    info_lines,
    skipped_lines,
)
from bitcodes.report.tables import comparison_tables, compat_table, evaluation_tables
from bitcodes.report.text import printable
from bitcodes.tasks.compare import Comparison
from bitcodes.tasks.duplicates import Duplicates
from bitcodes.tasks.export import Exported
from bitcodes.tasks.index import IndexSummary
from bitcodes.tasks.info import CodeSetInfo, ModelInfo
from bitcodes.tasks.results import Encoded, SearchResults


@singledispatch
def tables(result: object) -> Iterable[RenderableType]:
    """What a terminal shows of a result, from top to bottom."""
    raise TypeError(f"there are no tables for {type(result).__name__}")


@singledispatch
def lines(result: object) -> Iterable[str] | None:
    """What a pipe or a file gets, one line per result; None for the same as a terminal."""
    return None


@singledispatch
def page(result: object) -> str:
    """A result as one HTML file."""
    raise TypeError(f"there is no page for {type(result).__name__}")


@singledispatch
def remarks(result: object) -> Iterable[str]:
    """What a reader should know beside the result, in any form; printed before it."""
    return ()


@singledispatch
def heading(result: object) -> str | None:
    """What was done, in one line: part of the tables, and told beside piped lines."""
    return None


# The pages are imported only when one is written: they need the image libraries.


@tables.register
def _(result: SearchResults) -> Iterable[RenderableType]:
    return result_tables(result)


@lines.register
def _(result: SearchResults) -> Iterable[str]:
    return result_lines(result)


@page.register
def _(result: SearchResults) -> str:
    from bitcodes.report.search_page import search_page

    return search_page(result)


@remarks.register
def _(result: SearchResults) -> Iterable[str]:
    for path, reason in result.skipped:
        yield f"query {printable(path)} left out: {reason}"
    if result.tie_note is not None:
        yield f"note: {result.tie_note}"


@tables.register
def _(result: Duplicates) -> Iterable[RenderableType]:
    return duplicate_tables(result)


@lines.register
def _(result: Duplicates) -> Iterable[str]:
    return duplicate_lines(result)


@page.register
def _(result: Duplicates) -> str:
    from bitcodes.report.duplicates_page import duplicates_page

    return duplicates_page(result)


@heading.register
def _(result: Duplicates) -> str:
    return result.describe()


@tables.register
def _(result: Comparison) -> Iterable[RenderableType]:
    if len(result.evaluations) == 1:
        yield from evaluation_tables(result.evaluations[0])
    else:
        yield from comparison_tables(result.evaluations, result.differences)
    for evaluation, figures in zip(result.evaluations, result.compat_figures, strict=False):
        several = len(result.evaluations) > 1
        name = f"{result.compat}, {evaluation_name(evaluation)}," if several else f"{result.compat}"
        yield Text()
        yield compat_table(name, figures)


@page.register
def _(result: Comparison) -> str:
    from bitcodes.report.evaluation_page import evaluation_page
    from bitcodes.tasks.examples import examples

    looks = examples(result.evaluations[0]) if len(result.evaluations) == 1 else ()
    return evaluation_page(result.evaluations, result.differences, looks)


@tables.register
def _(result: Encoded) -> Iterable[RenderableType]:
    yield Text(encoded_line(result))


@remarks.register
def _(result: Encoded) -> Iterable[str]:
    return skipped_lines(result)


@tables.register
def _(result: IndexSummary) -> Iterable[RenderableType]:
    return map(Text, index_lines(result))


@tables.register
def _(result: CodeSetInfo | ModelInfo) -> Iterable[RenderableType]:
    return map(Text, info_lines(result))


@tables.register
def _(result: Exported) -> Iterable[RenderableType]:
    yield Text(exported_line(result))
