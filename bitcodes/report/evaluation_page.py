"""An evaluation, or several runs beside each other, as one HTML page that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitcodes.metrics.comparison import Difference
from bitcodes.metrics.scoring import Evaluation
from bitcodes.metrics.stages import RANKS
from bitcodes.report.inline_svg import inline_svg
from bitcodes.report.page import Thumbnails, render
from bitcodes.report.plots import Plot, bit_plots, shared_plots
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
        curves=[Chart(plot) for plot in shared_plots(evaluations)],
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
    def charts(self) -> list["Chart"]:
        """Of its bits."""
        return [Chart(plot) for plot in bit_plots(self.evaluation)]


class Chart:
    """A plot on the page."""

    def __init__(self, plot: Plot) -> None:
        self.title = plot.title
        self.svg = inline_svg(plot)
