"""How evaluations are shown on a terminal."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from bitcodes.metrics.comparison import Comparison, evaluation_name
from bitcodes.report import views
from bitcodes.report.tables import comparison_tables, compat_table, evaluation_tables


@views.tables.register
def _(comparison: Comparison) -> Iterator[RenderableType]:
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
