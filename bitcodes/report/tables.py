"""Evaluation figures as tables for a terminal, and the words that the page shares with them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice, product
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from bitcodes.metrics.comparison import Difference, evaluation_name
from bitcodes.metrics.compat import CompatFigure
from bitcodes.metrics.health import Health
from bitcodes.metrics.modes import RANKS, SearchModes
from bitcodes.metrics.orders import NEIGHBOURS, OrderScores
from bitcodes.metrics.scoring import PAGE, RADIUS, ClassScore, Evaluation
from bitcodes.metrics.two_stage import POSITIONS, two_stage_radius
from bitcodes.report.text import printable
from bitcodes.wording import counted

_MOST_CLASSES = 40
_CLASSES_SHOWN = 20
_NONE = (math.nan, math.nan)
FIGURE_COLUMNS = ("figure", "value", "95 % interval", "range of ties")
ORDER_COLUMNS = (
    *("order", "mAP", "copy@1", f"copy@{NEIGHBOURS}", f"in class@{NEIGHBOURS}"),
    *(f"decided@{NEIGHBOURS}", "distinct"),
)


def evaluation_tables(evaluation: Evaluation) -> Iterable[RenderableType]:
    """What was evaluated, the figures, mAP per class, and what a reader should know."""
    yield Text("\n".join(heading(evaluation)))
    yield Text()
    table = _table(*FIGURE_COLUMNS)
    for name, value, *ranges in figure_rows(evaluation):
        table.add_row(name, Text(value, "bold"), *ranges)
    yield table
    yield from order_tables(evaluation)
    if len(evaluation.classes) > 1:
        yield Text()
        yield from _class_table(evaluation.classes)
    yield Text()
    yield Text(f"{health_text(evaluation.health)}.")
    if advice := evaluation.health.advice():
        yield Text(advice)
    for note in evaluation.notes:
        yield Text(printable(note))
    yield Text(
        "Images at equal distance have no order: each figure is the mean over all their orders, "
        "and the range of ties spans them. docs/metrics.md defines every figure.",
        style="dim",
    )


def order_tables(evaluation: Evaluation) -> Iterable[RenderableType]:
    """The search modes and the orders compared, if any."""
    if evaluation.stages is not None:
        yield Text()
        yield _mode_table(evaluation.stages)
    if evaluation.orders is not None:
        yield Text()
        yield _order_table(evaluation.orders)
        yield Text(orders_note(evaluation.orders), style="dim")


def compat_table(title: str, figures: Sequence[CompatFigure]) -> Table:
    """Figures as another project counts them, with the range over all orders of the ties."""
    table = _table(f"as {title} counts", "value", "range of ties")
    for figure in figures:
        span = (figure.low, figure.high) if figure.low < figure.high else _NONE
        table.add_row(figure.name, Text(figure_text(figure.value), "bold"), range_text(span))
    return table


def figure_rows(evaluation: Evaluation) -> Iterator[tuple[str, str, str, str]]:
    """The texts of each figure, for `FIGURE_COLUMNS`."""
    for name in figures_within(evaluation):
        value = evaluation.figures[name]
        interval, ties = evaluation.intervals[name], evaluation.tie_ranges.get(name, _NONE)
        title = describe(name, evaluation.class_bits)
        yield title, figure_text(value), range_text(interval), range_text(ties)


def figures_within(evaluation: Evaluation) -> list[str]:
    """The figures to show: without those at a rank that the database does not reach.

    Such a mAP is that of the whole ranking, and there is no such precision. The main figure stays.
    """
    ranks = {name: int(name.partition("@")[2] or 0) for name in evaluation.scores}
    size, metric = evaluation.database, evaluation.metric
    return [name for name, rank in ranks.items() if rank < size or name == metric]


def describe(name: str, bits: int | None = None) -> str:
    """The name of a figure as a reader sees it; `bits` gives the radius of the two-stage one."""
    radius = "K/4" if bits is None else str(two_stage_radius(bits))
    names = {
        "map": "mAP, whole ranking",
        "map_class_bits": "mAP, class bits alone",
        "map_unseen_among_unseen": "mAP, unseen classes among themselves",
        "map_unseen_among_all": "mAP, unseen classes among all",
        "map_seen_among_seen": "mAP, seen classes among themselves",
        "map_seen_among_all": "mAP, seen classes among all",
        f"decided@{PAGE}": f"first {PAGE} decided by the codes",
        f"precision_within_{RADIUS}": f"precision within radius {RADIUS}",
        f"recall_within_{RADIUS}": f"recall within radius {RADIUS}",
        "two_stage": f"two-stage (radius {radius}, {POSITIONS} kept)",
    }
    return names.get(name, name.replace("map@", "mAP@"))


def figure_text(value: float) -> str:
    """A figure with four decimals, or a dash if there is none."""
    return "-" if math.isnan(value) else f"{value:.4f}"


def range_text(span: tuple[float, float]) -> str:
    """Both ends with four decimals, or nothing if there are none."""
    return "" if math.isnan(span[0]) else f"{span[0]:.4f} to {span[1]:.4f}"


def difference_text(difference: Difference) -> str:
    """A difference with its sign and interval, or nothing if there is none."""
    if math.isnan(difference.value):
        return ""
    return f"{difference.value:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"


def health_text(health: Health) -> str:
    """How well the codes use their bits, in one line."""
    most = min(health.bits, math.log2(health.count))
    return (
        f"Codes of the database: {counted(health.distinct, 'distinct one')}, at most "
        f"{counted(health.largest, 'image')} on one; entropy {health.code_entropy:.1f} of "
        f"{most:.1f} bits; "
        f"mean correlation of bits {health.mean_correlation:.2f}"
    )


def heading(evaluation: Evaluation) -> list[str]:
    """What was evaluated, in a few short lines."""
    sizes, *others = setting(evaluation)
    run = evaluation.about.get("run")
    lines = [
        f"{sizes}, {counted(evaluation.bits, 'bit')}",
        *([] if run is None else [f"run {run}"]),
    ]
    return [*map(printable, lines), *others]


def setting(evaluation: Evaluation) -> list[str]:
    """What a model was evaluated on, in a few short lines."""
    about = evaluation.about
    lines = [
        f"{counted(evaluation.queries, 'query', 'queries')} against "
        f"{counted(evaluation.database, 'image')}"
    ]
    if about.get("run") is not None:
        protocol = f" (protocol {about['protocol']})" if about.get("protocol") else ""
        lines.append(f"data {about['data']}{protocol}")
    elif about.get("query_codes") is not None:
        lines += [f"queries {about['query_codes']}", f"database {about['database_codes']}"]
    return [printable(line) for line in lines]


def run_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """A short name for each, the folder of the run; the whole path if two are the same."""
    names = [evaluation_name(evaluation) for evaluation in evaluations]
    short = [Path(name).name for name in names]
    return short if len(set(short)) == len(short) else names


def run_letters(evaluations: Sequence[Evaluation]) -> list[str]:
    """A letter for each, to head the columns of a comparison; after Z come AA, AB and so on."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    several = map("".join, chain(alphabet, product(alphabet, repeat=2)))
    return list(islice(several, len(evaluations)))


def order_rows(orders: OrderScores) -> Iterator[tuple[str, ...]]:
    """The texts of each order, for `ORDER_COLUMNS`."""
    for score in orders.scores:
        figures = score.map, score.copy_at_1, score.copy_recall, score.in_class, score.decided
        yield score.name, *map(figure_text, figures), f"{score.distinct:,}"


def orders_note(orders: OrderScores) -> str:
    """What the figures of orders were measured with, in a sentence or two."""
    return (
        f"Copies: {counted(orders.originals, 'image')} of the database, each "
        f"{', '.join(orders.changes[:-1])} and {orders.changes[-1]}. In class: "
        f"{counted(orders.queries, 'query', 'queries')}, by the features of the built-in model."
    )


def class_rows(classes: Sequence[ClassScore]) -> tuple[Sequence[ClassScore], str]:
    """The classes to show, the lowest if there are very many, and a remark on the others."""
    if len(classes) <= _MOST_CLASSES:
        return classes, ""
    scores = [entry for entry in classes if not math.isnan(entry.map)]
    lowest = sorted(scores, key=lambda entry: entry.map)[:_CLASSES_SHOWN]
    return lowest, f"The {len(lowest)} lowest of {len(classes):,} classes; --json lists them all."


def plain_table(names: Sequence[str], are_numbers: Sequence[bool]) -> Table:
    """A table without lines; columns of numbers stand at their right."""
    columns = (
        Column(name, justify="right" if right else "left", overflow="fold")
        for name, right in zip(names, are_numbers, strict=True)
    )
    look: Any = {"box": None, "pad_edge": False, "header_style": "bold", "padding": (0, 2, 0, 0)}
    return Table(*columns, **look)


def _table(first: str, *numbers: str) -> Table:
    """A table without lines: a column of names, then columns of numbers."""
    return plain_table([first, *numbers], [False] + [True] * len(numbers))


def _mode_table(modes: SearchModes) -> Table:
    precision = f"precision@{RANKS[0]}", *(f"@{rank}" for rank in RANKS[1:])
    first = f"the {modes.shortlist:,} nearest, ordered"
    table = _table(first, f"mAP@{modes.shortlist}", *precision, "queries/s")
    for mode in modes.scores:
        values = map(figure_text, mode.precision)
        speed = f"{mode.queries_per_second:,.0f}"
        table.add_row(mode.name, Text(figure_text(mode.map), "bold"), *values, speed)
    return table


def _order_table(orders: OrderScores) -> Table:
    table = _table(*ORDER_COLUMNS)
    for row in order_rows(orders):
        table.add_row(*row)
    return table


def _class_table(classes: Sequence[ClassScore]) -> Iterable[RenderableType]:
    rows, remark = class_rows(classes)
    table = _table("class", "queries", "mAP")
    for entry in rows:
        value = Text(figure_text(entry.map), "bold")
        table.add_row(Text(printable(entry.name)), f"{entry.queries:,}", value)
    yield table
    if remark:
        yield Text(remark)
