"""Evaluation figures as tables for a terminal."""

import math
from collections.abc import Iterable

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bitcodes.metrics.scoring import POSITIONS, RADIUS, ClassScore, Evaluation, two_stage_radius

_MOST_CLASSES = 40
_CLASSES_SHOWN = 20


def evaluation_tables(evaluation: Evaluation) -> Iterable[RenderableType]:
    """What was evaluated, the figures, mAP by class, and what a reader should know."""
    yield Text("\n".join(_heading(evaluation)))
    figures = Table(box=None, pad_edge=False, header_style="bold")
    figures.add_column("figure")
    figures.add_column("score", justify="right")
    for name, value in evaluation.figures.items():
        figures.add_row(describe(name, evaluation.bits), score_text(value))
    yield Text()
    yield figures
    if len(evaluation.classes) > 1:
        yield Text()
        yield _class_table(evaluation.classes)
    yield Text()
    for note in evaluation.notes:
        yield Text(f"Note: {note}")
    yield Text(
        "Items at equal distance count by their mean over all orders; docs/metrics.md defines "
        "each figure.",
        style="dim",
    )


def describe(name: str, bits: int) -> str:
    """The name of a figure as a reader sees it."""
    names = {
        "map": "mAP, whole ranking",
        f"precision_within_{RADIUS}": f"precision within radius {RADIUS}",
        f"recall_within_{RADIUS}": f"recall within radius {RADIUS}",
        "two_stage": f"two-stage: radius {two_stage_radius(bits)}, {POSITIONS} nearest in features",
    }
    return names.get(name, name.replace("map@", "mAP@"))


def score_text(value: float) -> str:
    """A score with four decimals, or a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def _heading(evaluation: Evaluation) -> list[str]:
    about = evaluation.about
    lines = [
        f"{evaluation.queries:,} queries against {evaluation.database:,} images, "
        f"{evaluation.bits} bits"
    ]
    if about.get("run") is not None:
        protocol = f" (protocol {about['protocol']})" if about.get("protocol") else ""
        lines += [f"run   {about['run']}", f"data  {about['data']}{protocol}"]
    elif about.get("query_codes") is not None:
        lines += [f"queries   {about['query_codes']}", f"database  {about['database_codes']}"]
    return lines


def _class_table(classes: tuple[ClassScore, ...]) -> Table:
    caption = None
    if len(classes) > _MOST_CLASSES:
        caption = f"the {_CLASSES_SHOWN} lowest of {len(classes):,} classes; --json lists them all"
        known = [entry for entry in classes if not math.isnan(entry.map)]
        classes = tuple(sorted(known, key=lambda entry: entry.map)[:_CLASSES_SHOWN])
    table = Table(
        box=None, pad_edge=False, header_style="bold", caption=caption, caption_justify="left"
    )
    table.add_column("class")
    table.add_column("queries", justify="right")
    table.add_column("mAP", justify="right")
    for entry in classes:
        table.add_row(Text(entry.name), f"{entry.queries:,}", score_text(entry.map))
    return table
