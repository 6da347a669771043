"""Evaluate one or several runs, compare them, and count as other projects do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bitcodes.choices import CompatName
from bitcodes.codes.codeset import CodeSet
from bitcodes.metrics.comparison import Difference, evaluation_name, paired_differences
from bitcodes.metrics.compat import CompatFigure, compat_figures
from bitcodes.metrics.scoring import Evaluation
from bitcodes.tasks.evaluate import Progress, evaluate


@dataclass(frozen=True)
class Comparison:
    """One evaluation, or several of the same queries."""

    evaluations: tuple[Evaluation, ...]
    differences: tuple[dict[str, Difference], ...]
    """Of the second and further evaluations from the first, by figure."""
    compat: CompatName | None = None
    compat_figures: tuple[tuple[CompatFigure, ...], ...] = ()
    """The figures of each evaluation as `compat` counts them; empty without one."""

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.evaluations)} evaluations>"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form: that of the evaluation, or of all with their differences."""
        documents = [evaluation.to_dict() for evaluation in self.evaluations]
        for document, figures in zip(documents, self.compat_figures, strict=False):
            document["compat"] = {str(self.compat): [vars(figure) for figure in figures]}
        if len(documents) == 1:
            return documents[0]
        first, *others = self.evaluations
        return {
            "runs": documents,
            "differences": [
                {
                    "run": evaluation_name(other),
                    "against": evaluation_name(first),
                    "figures": {name: value.to_dict() for name, value in differences.items()},
                }
                for other, differences in zip(others, self.differences, strict=True)
            ],
        }


def compare(
    runs: Sequence[Path | str] = (),
    *,
    data: Path | str | None = None,
    queries: CodeSet | Path | str | None = None,
    database: CodeSet | Path | str | None = None,
    compat: CompatName | None = None,
    exclude_self: bool = False,
    stages: bool = False,
    force: bool = False,
    device: str = "auto",
    batch_size: int = 64,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Evaluate each of `runs` (default: the newest) as `evaluate` does, and compare with the first.

    `compat` also counts figures as another project does. Raises ConfigError if the runs were
    evaluated on different queries, and what `evaluate` and `compat_figures` raise.
    """
    requested: Sequence[Path | str | None] = runs or [None]
    evaluations = tuple(
        evaluate(
            run,
            data=data,
            queries=queries,
            database=database,
            exclude_self=exclude_self,
            stages=stages,
            force=force,
            device=device,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
        for run in requested
    )
    figures = () if compat is None else tuple(compat_figures(compat, e) for e in evaluations)
    differences = tuple(paired_differences(evaluations[0], other) for other in evaluations[1:])
    return Comparison(evaluations, differences, compat, figures)
