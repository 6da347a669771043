"""An evaluation, or several runs beside each other, as one HTML page that needs nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from bitcodes.metrics.comparison import Difference
from bitcodes.metrics.ranking import precision_recall_curve
from bitcodes.metrics.scoring import Evaluation
from bitcodes.metrics.stages import RANKS
from bitcodes.report.charts import (
    Axis,
    Series,
    bar_chart,
    count_ticks,
    line_chart,
    matrix_chart,
    nice_ticks,
    short_count,
)
from bitcodes.report.page import Thumbnails, render
from bitcodes.report.tables import (
    class_rows,
    describe,
    difference_text,
    heading,
    health_text,
    range_text,
    run_letters,
    run_names,
    score_text,
)
from bitcodes.tasks.examples import Examples

_PIXELS = 112
_CURVE_POINTS = 120
_FOOTNOTE = (
    "If several images are at equal distance, a score is the mean over all their orders; the range "
    "of ties goes from the lowest to the highest mAP that an order gives. The 95 % intervals come "
    "from 1,000 resamples of the queries. docs/metrics.md of bitcodes defines every metric."
)


def evaluation_page(
    evaluations: Sequence[Evaluation],
    differences: Sequence[dict[str, Difference]] = (),
    examples: Sequence[Examples] = (),
    title: str = "Evaluation",
) -> str:
    """A page of scores, curves, histograms, codes and examples; light, dark, and on a phone.

    `differences` are those of the second and further evaluations to the first. `examples` are shown
    with thumbnails read from their files.
    """
    letters = run_letters(evaluations)
    names = [
        f"{letter}: {name}" for letter, name in zip(letters, run_names(evaluations), strict=True)
    ]
    shown, classes_note = class_rows(evaluations[0].classes)
    maps = [{entry.name: entry.map for entry in one.classes} for one in evaluations]
    return render(
        "evaluation.html",
        title=title,
        several=len(evaluations) > 1,
        runs=[
            Run(letter, name, evaluation, against)
            for letter, name, evaluation, against in zip(
                letters, names, evaluations, [{}, *differences], strict=False
            )
        ],
        curves=[Markup(chart) for chart in _curves(evaluations, names)],
        precision_columns=[f"precision@{rank}" for rank in RANKS],
        classes=[(entry, [known.get(entry.name) for known in maps]) for entry in shown],
        classes_note=classes_note,
        examples=examples,
        notes=[_FOOTNOTE],
        thumbnail=Thumbnails(),
        pixels=_PIXELS,
        describe=describe,
        score_text=score_text,
        range_text=range_text,
        difference_text=difference_text,
    )


@dataclass(frozen=True)
class Run:
    """What the page shows of one evaluation."""

    letter: str
    name: str
    evaluation: Evaluation
    differences: dict[str, Difference]
    """Of its scores to those of the first evaluation; empty for the first."""

    @property
    def heading(self) -> list[str]:
        """What was evaluated."""
        return heading(self.evaluation)

    @property
    def health(self) -> str:
        """How well the codes use their bits."""
        return health_text(self.evaluation.health)

    @property
    def advice(self) -> str | None:
        """What to change if the codes waste bits."""
        return self.evaluation.health.advice()

    @property
    def charts(self) -> list[Markup]:
        """Of its distances and bits."""
        charts = (_distances, _balance, _correlation)
        return [Markup(chart(self.evaluation)) for chart in charts]


def _curves(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Iterator[str]:
    share = [0, 0.2, 0.4, 0.6, 0.8, 1]
    recall, ranked = [], []
    most = max(evaluation.database for evaluation in evaluations)
    for evaluation, name in zip(evaluations, names, strict=True):
        size = evaluation.database
        ranks = np.unique(np.geomspace(1, size, _CURVE_POINTS).round().astype(int)).tolist()
        precision, recalled = precision_recall_curve(evaluation.total, evaluation.relevant, ranks)
        recall.append(Series(name, recalled.tolist(), precision.tolist()))
        ranked.append(Series(name, ranks, precision.tolist()))
    precision_axis = Axis("mean precision", 0, 1, share)
    yield line_chart(
        "Precision and recall", Axis("mean recall", 0, 1, share), precision_axis, recall
    )
    rank_axis = Axis(
        "k, images looked at", 1, max(2, most), count_ticks(most), log=True, format=short_count
    )
    yield line_chart("Precision at k", rank_axis, precision_axis, ranked)


def _distances(evaluation: Evaluation) -> str:
    relevant = evaluation.relevant.sum(axis=0)
    others = evaluation.total.sum(axis=0) - relevant
    distances = list(range(evaluation.bits + 1))
    shares = [counts / max(1, counts.sum()) for counts in (relevant, others)]
    high = 100 * max(float(share.max()) for share in shares)
    return bar_chart(
        "Distances, by relevance",
        Axis("Hamming distance, bits", -0.6, evaluation.bits + 0.6, nice_ticks(evaluation.bits, 6)),
        Axis("share of these images, %", 0, 1.05 * max(high, 1e-9), nice_ticks(high)),
        [
            Series(name, distances, (100 * share).tolist())
            for name, share in zip(("relevant", "irrelevant"), shares, strict=True)
        ],
    )


def _balance(evaluation: Evaluation) -> str:
    bits = evaluation.bits
    ticks = [1, *(tick for tick in nice_ticks(bits, 6) if tick > 0.04 * bits and tick > 1)]
    return bar_chart(
        "Balance of the bits (50 % is best)",
        Axis("bit", 0.4, bits + 0.6, ticks),
        Axis("codes in which it is 1, %", 0, 100, [0, 25, 50, 75, 100]),
        [Series("ones", list(range(1, bits + 1)), (100 * evaluation.health.ones).tolist())],
    )


def _correlation(evaluation: Evaluation) -> str:
    return matrix_chart("Correlation of the bits", "bit", evaluation.health.correlation)
