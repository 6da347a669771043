"""An evaluation, or several runs beside each other, as one HTML page that loads nothing."""

from collections.abc import Sequence
from typing import NamedTuple

from bitcodes.metrics.comparison import Difference
from bitcodes.metrics.modes import RANKS
from bitcodes.metrics.scoring import Evaluation
from bitcodes.report import tables
from bitcodes.report.inline_svg import inline_svg
from bitcodes.report.page import Thumbnails, render
from bitcodes.report.plots import bit_plots, shared_plots
from bitcodes.tasks.examples import Examples

_PIXELS = 112
_FOOTNOTE = (
    "If several images are at equal distance, a figure is the mean over all their orders; the "
    "range of ties goes from the lowest to the highest mAP that an order gives. The 95 % intervals "
    "come from 1,000 resamples of the queries. docs/metrics.md of bitcodes defines every figure."
)


class Run(NamedTuple):
    """An evaluation with what the page calls it."""

    letter: str
    name: str
    evaluation: Evaluation
    differences: dict[str, Difference]
    """Of its figures from those of the first evaluation; empty for the first."""


def evaluation_page(
    evaluations: Sequence[Evaluation],
    differences: Sequence[dict[str, Difference]] = (),
    examples: Sequence[Examples] = (),
    title: str = "Evaluation",
) -> str:
    """A page of figures, curves, histograms, codes and examples; light, dark, and on a phone.

    `differences` are those of the second and further evaluations from the first. `examples` are
    shown with thumbnails read from their files.
    """
    letters, names = tables.run_letters(evaluations), tables.run_names(evaluations)
    titles = [f"{letter}: {name}" for letter, name in zip(letters, names, strict=True)]
    runs = zip(letters, titles, evaluations, [{}, *differences], strict=True)
    shown, classes_note = tables.class_rows(evaluations[0].classes)
    maps = [{entry.name: entry.map for entry in one.classes} for one in evaluations]
    return render(
        "evaluation.html",
        title=title,
        runs=[Run(*parts) for parts in runs],
        several=len(evaluations) > 1,
        plots=shared_plots(evaluations),
        precision_columns=[f"precision@{rank}" for rank in RANKS],
        classes=[(entry, [known.get(entry.name) for known in maps]) for entry in shown],
        classes_note=classes_note,
        examples=examples,
        notes=[_FOOTNOTE],
        thumbnail=Thumbnails(),
        pixels=_PIXELS,
        bit_plots=bit_plots,
        inline_svg=inline_svg,
        tables=tables,
    )
