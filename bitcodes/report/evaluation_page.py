"""An evaluation, or several runs beside each other, as one HTML page that loads nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from bitcodes.metrics.comparison import Difference
from bitcodes.metrics.modes import RANKS
from bitcodes.metrics.scoring import Evaluation
from bitcodes.report.inline_svg import inline_svg
from bitcodes.report.page import Thumbnails, render
from bitcodes.report.plots import bit_plots, shared_plots
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

    `differences` are those of the second and further evaluations from the first. `examples` are
    shown with thumbnails read from their files.
    """
    letters = run_letters(evaluations)
    runs = [
        Run(letter, f"{letter}: {name}", evaluation, differences[number - 1] if number else {})
        for number, (letter, name, evaluation) in enumerate(
            zip(letters, run_names(evaluations), evaluations, strict=True)
        )
    ]
    shown, classes_note = class_rows(evaluations[0].classes)
    maps = [{entry.name: entry.map for entry in one.classes} for one in evaluations]
    return render(
        "evaluation.html",
        title=title,
        runs=runs,
        several=len(runs) > 1,
        plots=shared_plots(evaluations),
        precision_columns=[f"precision@{rank}" for rank in RANKS],
        classes=[(entry, [known.get(entry.name) for known in maps]) for entry in shown],
        classes_note=classes_note,
        examples=examples,
        notes=[_FOOTNOTE],
        thumbnail=Thumbnails(),
        pixels=_PIXELS,
        bit_plots=bit_plots,
        describe=describe,
        difference_text=difference_text,
        heading=heading,
        health_text=health_text,
        inline_svg=inline_svg,
        range_text=range_text,
        score_text=score_text,
    )


class Run(NamedTuple):
    """An evaluation with what the page calls it."""

    letter: str
    name: str
    evaluation: Evaluation
    differences: dict[str, Difference]
    """Of its scores from those of the first evaluation; empty for the first."""
