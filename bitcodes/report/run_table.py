"""Evaluations as one table, a row per run: for a terminal, Markdown, LaTeX or CSV."""

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os.path import commonprefix

from rich.console import RenderableType
from rich.text import Text

from bitcodes.choices import TableFormat
from bitcodes.errors import ConfigError
from bitcodes.metrics.comparison import Comparison, Difference
from bitcodes.metrics.scoring import FIGURES, PAGE, RADIUS, Evaluation
from bitcodes.metrics.unseen import UNSEEN_FIGURES
from bitcodes.report.tables import (
    difference_text,
    figure_text,
    plain_table,
    range_text,
    run_names,
)
from bitcodes.report.text import printable
from bitcodes.wording import closest

TEXTS = ("run", "data", "protocol", "backbone", "loss")
COUNTS = ("bits", "queries", "database")
INTERVAL, DIFFERENCE = "_interval", "_difference"
"""Behind a figure's name: its 95 % interval; its difference from the first run."""

_TITLES = {
    "map": "mAP",
    "map_class_bits": "mAP of class bits",
    "two_stage": "two-stage",
    f"precision_within_{RADIUS}": f"P@H≤{RADIUS}",
    f"recall_within_{RADIUS}": f"R@H≤{RADIUS}",
}
_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    "≤": r"$\le$",
}

Cell = str | int | tuple[float, ...]
"""Text, a number of things, or parts of a figure: none if a run does not have it."""


@dataclass(frozen=True)
class RunTable:
    """Columns of evaluations, and the value of each run in each column."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    format: TableFormat = "table"

    @classmethod
    def of(
        cls, comparison: Comparison, columns: Sequence[str] = (), form: TableFormat = "table"
    ) -> "RunTable":
        """These columns of the evaluations, or without any the usual ones."""
        evaluations = comparison.evaluations
        metric = evaluations[0].metric
        differences = [f"{metric}{DIFFERENCE}"] if len(evaluations) > 1 else []
        others = f"precision@{PAGE}", f"precision_within_{RADIUS}"
        names = columns or ("run", "bits", metric, *differences, *others)
        runs = zip(evaluations, run_names(evaluations), [{}, *comparison.differences], strict=True)
        rows = (tuple(_cell(name, *run) for name in names) for run in runs)
        return cls(tuple(names), tuple(rows), form)

    @property
    def titles(self) -> list[str]:
        """What people see above the columns."""
        return list(map(_title, self.columns))

    @property
    def texts(self) -> list[list[str]]:
        """The rows as people see them."""
        return [list(map(_text, row)) for row in self.rows]

    @property
    def are_numbers(self) -> list[bool]:
        """Whether each column holds numbers, which stand at its right."""
        return [name not in TEXTS for name in self.columns]


def check_columns(names: Iterable[str]) -> None:
    """Raise ConfigError unless each is the name of a column."""
    about = [*TEXTS, *COUNTS]
    figures = [*FIGURES, *UNSEEN_FIGURES]
    known = [*about, *(f"{name}{end}" for name in figures for end in ("", INTERVAL, DIFFERENCE))]
    for name in names:
        if name not in known:
            close = closest(name, known)
            meant = f"; did you mean {close}?" if close else ""
            raise ConfigError(
                f"expected names of {', '.join([*about, *figures])}, or of these figures with "
                f"{INTERVAL} or {DIFFERENCE} behind them; found {name!r}{meant}"
            )


def as_printed(table: RunTable) -> Iterator[RenderableType]:
    """The table in its format.

    For a terminal, what all names of runs begin with is said once, above the table.
    """
    if table.format != "table":
        yield Text(_WRITERS[table.format](table).rstrip("\n"))
        return
    rows = table.texts
    if "run" in table.columns and len(rows) > 1:
        column = table.columns.index("run")
        names = [row[column] for row in rows]
        start, dash, _ = commonprefix(names).rpartition("-")  # noqa: RUF071 - they are no paths
        if dash:
            yield Text(f"Runs {start}-…")
            for row in rows:
                row[column] = f"…{row[column].removeprefix(start + dash)}"
    grid = plain_table(table.titles, table.are_numbers)
    for texts, cells in zip(rows, table.rows, strict=True):
        grid.add_row(*map(Text, texts, map(_style, cells)))
    yield grid


def _style(cell: Cell) -> str:
    if isinstance(cell, tuple) and len(cell) == 3:
        is_clear = Difference(*cell).clear
        return ("green" if cell[1] > 0 else "red") if is_clear else ""
    return "bold" if isinstance(cell, tuple) and len(cell) == 1 else ""


def _markdown(table: RunTable) -> str:
    lines = [table.titles, ["-:" if right else ":-" for right in table.are_numbers], *table.texts]
    rows = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "".join(f"| {row} |\n" for row in rows)


def _latex(table: RunTable) -> str:
    """A tabular with the rules of the package booktabs."""
    columns = "".join("r" if right else "l" for right in table.are_numbers)
    lines = [" & ".join(map(_in_latex, cells)) for cells in (table.titles, *table.texts)]
    head, *body = (f"{line} \\\\" for line in lines)
    parts = [f"\\begin{{tabular}}{{{columns}}}", r"\toprule", head, r"\midrule", *body]
    return "\n".join(["% needs \\usepackage{booktabs}", *parts, r"\bottomrule", "\\end{tabular}\n"])


def _in_latex(text: str) -> str:
    escaped = "".join(_LATEX.get(character, character) for character in text)
    return re.sub(r"(?<!\S)-(?= |\d|$)|(?<=\()-", "$-$", escaped)


def _csv(table: RunTable) -> str:
    """Values in full; the parts of a figure stand in columns of their own."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = list(map(_parts, table.columns))
    writer.writerow([name for names in parts for name in names])
    for row in table.rows:
        cells: list[object] = []
        for names, cell in zip(parts, row, strict=True):
            cells += [cell] if not isinstance(cell, tuple) else cell or [""] * len(names)
        writer.writerow(cells)
    return text.getvalue()


_WRITERS = {"markdown": _markdown, "latex": _latex, "csv": _csv}


def _cell(name: str, evaluation: Evaluation, run: str, differences: dict[str, Difference]) -> Cell:
    if name == "backbone":
        return printable(evaluation.sets[1].header.backbone or "")
    if name in TEXTS:
        return printable(run if name == "run" else str(evaluation.about.get(name) or ""))
    if name in COUNTS:
        number: int = getattr(evaluation, name)
        return number
    figure = name.removesuffix(INTERVAL).removesuffix(DIFFERENCE)
    values: tuple[float, ...] = (evaluation.figures.get(figure, math.nan),)
    if name.endswith(INTERVAL):
        values = evaluation.intervals.get(figure, values)
    elif name.endswith(DIFFERENCE):
        one = differences.get(figure)
        values = () if one is None else (one.value, one.low, one.high)
    return () if any(map(math.isnan, values)) else values


def _text(cell: Cell) -> str:
    if not isinstance(cell, tuple):
        return f"{cell:,}" if isinstance(cell, int) else cell or "-"
    match cell:
        case (value,):
            return figure_text(value)
        case (low, high):
            return range_text((low, high))
        case (value, low, high):
            return difference_text(Difference(value, low, high))
    return "-"


def _title(name: str) -> str:
    for end, words in ((INTERVAL, "95 % interval"), (DIFFERENCE, "- first (95 % interval)")):
        if name.endswith(end):
            return f"{_title(name.removesuffix(end))} {words}"
    return _TITLES.get(name) or name.replace("map@", "mAP@").replace("precision@", "P@")


def _parts(name: str) -> tuple[str, ...]:
    """The columns of CSV that a column becomes."""
    if name.endswith(INTERVAL):
        figure = name.removesuffix(INTERVAL)
        return f"{figure}_low", f"{figure}_high"
    return (name, f"{name}_low", f"{name}_high") if name.endswith(DIFFERENCE) else (name,)
