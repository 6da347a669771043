"""How evaluations are shown on a terminal."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from bitcodes.metrics.comparison import Comparison, evaluation_name
from bitcodes.metrics.scoring import Evaluation
from bitcodes.report import views
from bitcodes.report.run_table import RunTable, as_printed
from bitcodes.report.tables import (
    compat_table,
    evaluation_tables,
    order_tables,
    run_names,
    setting,
)
from bitcodes.report.text import printable

views.tables.register(RunTable, as_printed)


@views.tables.register
def _(comparison: Comparison) -> Iterator[RenderableType]:
    if len(comparison.evaluations) == 1:
        yield from evaluation_tables(comparison.evaluations[0])
    else:
        yield from comparison_tables(comparison)
    for evaluation, figures in zip(comparison.evaluations, comparison.compat_figures, strict=False):
        name = str(comparison.compat)
        if len(comparison.evaluations) > 1:
            name += f", {evaluation_name(evaluation)},"
        yield Text()
        yield compat_table(name, figures)


def comparison_tables(comparison: Comparison) -> Iterator[RenderableType]:
    """Evaluations as a table with a row each, their search modes, and what a reader should know."""
    evaluations = comparison.evaluations
    yield from _told_once(evaluations, [setting(evaluation) for evaluation in evaluations])
    yield Text()
    yield from as_printed(RunTable.of(comparison))
    for evaluation, name in zip(evaluations, run_names(evaluations), strict=True):
        tables = list(order_tables(evaluation))
        if tables:
            yield Text(f"\n{printable(name)}", "bold")
            yield from tables[1:]
    yield Text()
    yield from _told_once(evaluations, [evaluation.notes for evaluation in evaluations])
    yield Text(
        "Differences are means over the same queries, coloured if the interval excludes zero. "
        "--columns chooses others, --report writes curves and all figures.",
        style="dim",
    )


def _told_once(
    evaluations: Sequence[Evaluation], lines: Sequence[Sequence[str]]
) -> Iterator[RenderableType]:
    """Lines of each evaluation: those of all first, then the others with the name of the run."""
    shared = [line for line in lines[0] if all(line in others for others in lines)]
    for line in shared:
        yield Text(printable(line))
    for name, own in zip(run_names(evaluations), lines, strict=True):
        for line in own:
            if line not in shared:
                yield Text.assemble((printable(name), "bold"), "  ", printable(line))
