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


# The pages are imported only if one is written: they need the image libraries.


def _search_page(results: SearchResults) -> str:
    from bitcodes.report.search_page import search_page

    return search_page(results)


def _search_remarks(results: SearchResults) -> Iterable[str]:
    for path, reason in results.skipped:
        yield f"query {printable(path)} left out: {reason}"
    if results.tie_note is not None:
        yield f"note: {results.tie_note}"


def _duplicates_page(duplicates: Duplicates) -> str:
    from bitcodes.report.duplicates_page import duplicates_page

    return duplicates_page(duplicates)


def _comparison_tables(comparison: Comparison) -> Iterable[RenderableType]:
    if len(comparison.evaluations) == 1:
        yield from evaluation_tables(comparison.evaluations[0])
    else:
        yield from comparison_tables(comparison.evaluations, comparison.differences)
    for evaluation, figures in zip(comparison.evaluations, comparison.compat_figures, strict=False):
        name = str(comparison.compat)
        if len(comparison.evaluations) > 1:
            name += f", {evaluation_name(evaluation)},"
        yield Text()
        yield compat_table(name, figures)


def _comparison_page(comparison: Comparison) -> str:
    from bitcodes.report.evaluation_page import evaluation_page
    from bitcodes.tasks.examples import examples

    best_and_worst = examples(comparison.evaluations[0]) if len(comparison.evaluations) == 1 else ()
    return evaluation_page(comparison.evaluations, comparison.differences, best_and_worst)


tables.register(SearchResults, result_tables)
lines.register(SearchResults, result_lines)
page.register(SearchResults, _search_page)
remarks.register(SearchResults, _search_remarks)

tables.register(Duplicates, duplicate_tables)
lines.register(Duplicates, duplicate_lines)
page.register(Duplicates, _duplicates_page)
heading.register(Duplicates, Duplicates.describe)

tables.register(Comparison, _comparison_tables)
page.register(Comparison, _comparison_page)

tables.register(Encoded, lambda encoded: [Text(encoded_line(encoded))])
remarks.register(Encoded, skipped_lines)
tables.register(IndexSummary, lambda index: map(Text, index_lines(index)))
tables.register(CodeSetInfo | ModelInfo, lambda info: map(Text, info_lines(info)))
tables.register(Exported, lambda exported: [Text(exported_line(exported))])
