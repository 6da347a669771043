"""Differences between evaluations of the same queries, taken query by query."""

import math
from dataclasses import dataclass

import numpy as np

from bitcodes.errors import ConfigError
from bitcodes.metrics.intervals import bootstrap_intervals
from bitcodes.metrics.scoring import Evaluation


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
        if math.isnan(self.value):
            return {"difference": None, "interval": None}
        return {"difference": self.value, "interval": [self.low, self.high]}


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
    columns = [other.scores[name] - first.scores[name] for name in names]
    table = np.stack(columns, axis=1)  # (Q, F)
    present = ~np.isnan(table)
    sums = np.where(present, table, 0).sum(axis=0)
    counts = present.sum(axis=0)
    means = np.divide(sums, counts, out=np.full(len(names), np.nan), where=counts > 0)
    intervals = bootstrap_intervals(table)
    return {
        name: Difference(float(mean), float(low), float(high))
        for name, mean, (low, high) in zip(names, means, intervals, strict=True)
    }


def evaluation_name(evaluation: Evaluation) -> str:
    """The name of an evaluation in tables: its run, or its code set of queries."""
    about = evaluation.about
    return str(about.get("run") or about.get("query_codes") or "codes in memory")
