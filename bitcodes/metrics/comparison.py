"""Evaluations of the same queries, compared query by query, and counted as other projects do."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bitcodes.choices import CompatName
from bitcodes.errors import ConfigError
from bitcodes.metrics.compat import CompatFigure, compat_figures
from bitcodes.metrics.intervals import bootstrap_intervals
from bitcodes.metrics.ranking import mean_over_queries, or_none
from bitcodes.metrics.scoring import Evaluation
from bitcodes.wording import counted


@dataclass(frozen=True)
class Difference:
    """How much a figure is greater in one evaluation than in another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    def to_dict(self) -> dict[str, float | list[float] | None]:
        """A JSON-ready form, with None if neither evaluation has the figure."""
        interval = None if math.isnan(self.value) else [self.low, self.high]
        return {"difference": or_none(self.value), "interval": interval}


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
        return f"<Comparison of {counted(len(self.evaluations), 'evaluation')}>"

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form: that of the evaluation, or of all with their differences."""
        documents = [evaluation.to_dict() for evaluation in self.evaluations]
        for document, figures in zip(documents, self.compat_figures, strict=False):
            document["compat"] = {str(self.compat): [vars(figure) for figure in figures]}
        if len(documents) == 1:
            return documents[0]
        first, *others = map(evaluation_name, self.evaluations)
        return {
            "runs": documents,
            "differences": [
                {
                    "run": other,
                    "against": first,
                    "figures": {name: value.to_dict() for name, value in differences.items()},
                }
                for other, differences in zip(others, self.differences, strict=True)
            ],
        }


def compare(evaluations: Sequence[Evaluation], compat: CompatName | None = None) -> Comparison:
    """Compare evaluations, at least one, with the first of them.

    `compat` also counts figures as another project does. Raises ConfigError if the queries differ,
    and what `compat_figures` raises.
    """
    figures = () if compat is None else tuple(compat_figures(compat, e) for e in evaluations)
    differences = tuple(paired_differences(evaluations[0], other) for other in evaluations[1:])
    return Comparison(tuple(evaluations), differences, compat, figures)


def paired_differences(first: Evaluation, other: Evaluation) -> dict[str, Difference]:
    """The differences other - first of the figures that both have.

    Each is a mean over the queries' own differences, and its interval comes from resampling the
    queries: most of what makes queries easy or hard cancels, so it is much narrower than the
    intervals of the two figures. Raises ConfigError if the queries differ.
    """
    if first.query_digest != other.query_digest:
        raise ConfigError(
            f"{evaluation_name(first)} and {evaluation_name(other)} were evaluated on different "
            f"queries ({first.queries:,} and {other.queries:,}); differences need the same: "
            "name one dataset for all with --data"
        )
    names = [name for name in first.scores if name in other.scores]
    table = np.stack([other.scores[name] - first.scores[name] for name in names], axis=1)  # (Q, F)
    intervals = bootstrap_intervals(table).tolist()
    return {
        name: Difference(mean_over_queries(column), low, high)
        for name, column, (low, high) in zip(names, table.T, intervals, strict=True)
    }


def evaluation_name(evaluation: Evaluation) -> str:
    """The name of an evaluation in tables: its run, or its code set of queries."""
    about = evaluation.about
    return str(about.get("run") or about.get("query_codes") or "codes in memory")
