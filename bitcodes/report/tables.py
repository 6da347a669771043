"""Evaluation figures as tables for a terminal."""

import math
from collections.abc import Iterable

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from bitcodes.metrics.health import Health
from bitcodes.metrics.scoring import POSITIONS, RADIUS, ClassScore, Evaluation, two_stage_radius
from bitcodes.report.results import printable

_MOST_CLASSES = 40
_CLASSES_SHOWN = 20


def evaluation_tables(evaluation: Evaluation) -> Iterable[RenderableType]:
    """What was evaluated, the figures, mAP by class, and what a reader should know."""
    yield Text("\n".join(_heading(evaluation)))
    figures = Table(box=None, pad_edge=False, header_style="bold")
    figures.add_column("figure")
    figures.add_column("score", justify="right")
    figures.add_column("95 % interval", justify="right")
    figures.add_column("range of ties", justify="right")
    for name, value in evaluation.figures.items():
        figures.add_row(
            describe(name, evaluation.bits),
            Text(score_text(value), "bold"),
            range_text(evaluation.intervals[name]),
            range_text(evaluation.tie_ranges[name]) if name in evaluation.tie_ranges else "",
        )
    yield Text()
    yield figures
    if len(evaluation.classes) > 1:
        yield Text()
        yield _class_table(evaluation.classes)
    yield Text()
    yield Text(health_text(evaluation.health))
    if advice := evaluation.health.advice():
        yield Text(advice)
    for note in evaluation.notes:
        yield Text(note)
    yield Text(
        "Images at equal distance count by their mean over all orders, which span the range of "
        "ties; docs/metrics.md defines every figure.",
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


def range_text(span: tuple[float, float]) -> str:
    """Two ends with four decimals, or nothing where there are none."""
    return "" if math.isnan(span[0]) else f"{span[0]:.4f} to {span[1]:.4f}"


def health_text(health: Health) -> str:
    """How well the codes use their bits, in one line."""
    most = min(health.bits, math.log2(health.count))
    return (
        f"Codes of the database: {health.distinct:,} distinct ones, at most {health.largest:,} "
        f"images on one; entropy {health.code_entropy:.1f} of {most:.1f} bits; "
        f"mean correlation of bits {health.mean_correlation:.2f}"
    )


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
        table.add_row(Text(printable(entry.name)), f"{entry.queries:,}", score_text(entry.map))
    return table
