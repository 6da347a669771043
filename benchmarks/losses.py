"""A grid of losses, bits and backbones on CIFAR-10, one table: each cell is two ordinary commands.

    python benchmarks/losses.py [WORK] [--source cifar10-images.tar.xz] [--losses csq ortho ...]
        [--bits 16 32 ...] [--backbones NAME ...] [--protocols low-data unseen-1 ...]
        [--rows loss ...] [--columns bits ...] [--figures map ...] [--mean] [--copies 500]
        [--out TABLE.md] [finetune options]

Anything else is handed to `bitcodes finetune`, such as --epochs 10 --image-size 64. WORK (default:
data/losses) keeps data, runs and, in cells/, a file of figures a cell: interrupted, the same call
goes on; called with more losses or bits, it adds them. The table, with the commands that repeat any
cell of it, is written anew after each cell (default: benchmarks/results/<date>-losses.md). One more
table goes to standard output at the end: a line for each of --rows, a column for each of --columns
and figure. With --mean, its lines are in the order of their means. With --copies, `evaluate` also
measures the default order inside the classes: copy@1, in_class@10 and distinct_codes.
"""

import argparse
import hashlib
import itertools
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass, fields
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from typing import Any

from bitcodes.losses import LOSSES, LossName
from bitcodes.metrics.unseen import UNSEEN_FIGURES
from bitcodes.report.tables import describe
from bitcodes.runs import CONFIG_FILE, LAST_MODEL_FILE, MODEL_FILE
from bitcodes.settings import Settings, backbone_name
from bitcodes.training.validation import kept_epoch

RESULTS = Path(__file__).resolve().parent / "results"
BITCODES = [sys.executable, "-m", "bitcodes"]
PROTOCOLS = ("full", "low-data", "low-data-54k", "coarse", "unseen-1", "unseen-2", "unseen-3")


@dataclass(frozen=True)
class Cell:
    """One place in the table, and the run that fills it."""

    protocol: str
    backbone: str
    loss: str
    bits: int
    options: tuple[str, ...]  # of finetune
    copies: int  # of evaluate

    @property
    def data(self) -> str:
        """The prepared folder, in WORK."""
        return f"data/cifar10-{self.protocol}"

    @property
    def name(self) -> str:
        """The name of its run and of its file of figures: other options, another name."""
        digest = hashlib.sha256(" ".join(self.options).encode()).hexdigest()[:8]
        backbone = self.backbone.replace("/", "-")
        return f"{self.protocol}-{backbone}-{self.loss}-{self.bits}-{digest}"

    def finetune(self) -> list[str]:
        """The words after `bitcodes` that train it."""
        where = ["--data", self.data, "--run", f"runs/{self.name}"]
        what = ["--loss", self.loss, "--bits", str(self.bits), "--backbone", self.backbone]
        return ["finetune", *where, *what, *self.options]

    def evaluate(self) -> list[str]:
        """The words after `bitcodes` that score it."""
        words = ["evaluate", f"runs/{self.name}"]
        return [*words, "--copies", str(self.copies)] if self.copies else words


SIDES = [field.name for field in fields(Cell)][:4]  # what a table may be divided by


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], allow_abbrev=False)
    parser.add_argument("work", type=Path, nargs="?", default=Path("data/losses"))
    parser.add_argument("--source", type=Path, help="CIFAR-10 as prepare --source takes it")
    parser.add_argument("--losses", nargs="+", choices=list(LossName), default=None)
    parser.add_argument("--bits", nargs="+", type=int, default=[16, 32, 48, 64])
    parser.add_argument("--backbones", nargs="+", default=["auto"])
    parser.add_argument("--protocols", nargs="+", choices=PROTOCOLS, default=["low-data"])
    parser.add_argument("--rows", nargs="+", choices=SIDES, default=["loss"])
    parser.add_argument("--columns", nargs="*", choices=SIDES, default=["bits"])
    parser.add_argument("--figures", nargs="+", default=["map"])
    parser.add_argument("--mean", action="store_true")
    parser.add_argument("--copies", type=int, default=0)
    default = RESULTS / f"{date.today():%Y-%m-%d}-losses.md"
    parser.add_argument("--out", type=Path, default=default)
    arguments, options = parser.parse_known_args()
    losses = arguments.losses or LOSSES
    out = arguments.out.absolute()
    source = None if arguments.source is None else arguments.source.absolute()
    (arguments.work / "cells").mkdir(parents=True, exist_ok=True)
    os.chdir(arguments.work)

    for protocol in arguments.protocols:
        prepare(protocol, source)
    grid = itertools.product(arguments.protocols, arguments.backbones, arguments.bits, losses)
    rest = tuple(options), arguments.copies
    cells = [Cell(p, named(name, loss), loss, k, *rest) for p, name, k, loss in grid]
    for number, cell in enumerate(cells, 1):
        print(f"[{number}/{len(cells)}] {cell.name}", file=sys.stderr)
        fill(cell)
        out.write_text(report(cells))
    print(f"written: {out}", file=sys.stderr)
    shape = arguments.rows, arguments.columns, arguments.figures, arguments.mean
    print("\n".join(pivoted(cells, *shape)))


def named(backbone: str, loss: Any) -> str:
    """The backbone that finetune would take."""
    return backbone_name(Settings(data=Path(), backbone=backbone, loss=loss))


def prepare(protocol: str, source: Path | None) -> None:
    """Make the data folder of a protocol; one that is there stays."""
    name, _, split = protocol.partition("unseen-")
    words = ["--protocol", "unseen", "--split", split] if split else ["--protocol", name]
    words += [] if source is None else ["--source", str(source)]
    subprocess.run(
        [*BITCODES, "prepare", "cifar10", f"data/cifar10-{protocol}", *words],
        stdout=subprocess.DEVNULL,
        check=True,
    )


def fill(cell: Cell) -> None:
    """Train and evaluate one cell and keep its figures; what fails is told, and tried next time."""
    file = figures_file(cell)
    if file.exists():
        return
    if subprocess.run([*BITCODES, *cell.finetune()], stdout=sys.stderr).returncode:
        print(f"{cell.name}: finetune failed: left out", file=sys.stderr)
        return
    figures = evaluated(cell.evaluate())
    last = last_evaluated(Path(f"runs/{cell.name}"))
    if figures is None or last is None:
        print(f"{cell.name}: evaluate failed: left out", file=sys.stderr)
        return
    lines = Path(f"runs/{cell.name}/metrics.jsonl").read_text().splitlines()
    history = [json.loads(line) for line in lines]
    kept = {
        "figures": figures,
        "last": last or figures,
        "minutes": history[-1]["train_seconds"] / 60,
        "epochs": len(history),
        "epoch": kept_epoch(history)["epoch"],
    }
    fresh = file.with_suffix(".tmp")
    fresh.write_text(json.dumps(kept, indent=2) + "\n")
    fresh.replace(file)


def evaluated(words: list[str]) -> dict[str, Any] | None:
    """What an `evaluate` measures, also as papers count it; None if it fails."""
    command = [*BITCODES, *words, "--json", "--compat", "deephash"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        return None
    result = json.loads(done.stdout)
    papers = {figure["name"]: figure["value"] for figure in result["compat"]["deephash"]}
    default = result["orders"]["orders"][-1] if result["orders"] else {}
    inside = {name: value for name, value in default.items() if name not in ("name", "map")}
    return {**result["figures"], **papers, **inside}


def last_evaluated(run: Path) -> dict[str, Any] | None:
    """Figures of the last epoch's weights where the model is another's, else none."""
    if not (run / LAST_MODEL_FILE).exists():
        return {}
    last = run.with_name(f"{run.name}-last")
    last.mkdir(exist_ok=True)
    shutil.copy(run / CONFIG_FILE, last)
    shutil.copy(run / LAST_MODEL_FILE, last / MODEL_FILE)
    return evaluated(["evaluate", str(last)])


def figures_file(cell: Cell) -> Path:
    return Path("cells", f"{cell.name}{f'-copies{cell.copies}' if cell.copies else ''}.json")


def report(cells: list[Cell]) -> str:
    """All tables of the grid, so far as they are filled, as Markdown."""
    words = ("bitcodes", "torch", "timm", "numpy")
    lines = [
        f"# Losses on CIFAR-10, {date.today():%Y-%m-%d}",
        "",
        ", ".join(f"{name} {version(name)}" for name in words)
        + f", Python {platform.python_version()}; {platform.machine()}, {os.cpu_count()} cores.",
        "",
        f"Options of finetune: `{' '.join(cells[0].options) or 'none, all defaults'}`. Weights are "
        "those that finetune keeps, chosen by held-out training images; queries choose nothing. "
        "Where these are not the last epoch's, the last ones' figure stands in brackets.",
    ]
    for protocol, backbone in dict.fromkeys((cell.protocol, cell.backbone) for cell in cells):
        part = [cell for cell in cells if (cell.protocol, cell.backbone) == (protocol, backbone)]
        lines += ["", f"## {protocol}, {backbone}"]
        names = {"map": "Tie-aware mAP over the whole ranking", "map@1000": "mAP@1000"}
        if protocol.startswith("unseen"):
            names = {name: describe(name) for name in UNSEEN_FIGURES}
        for name, title in names.items():
            lines += ["", f"{title}:", "", *table(part, partial(figure_of, name=name))]
        lines += ["", "Minutes of training, and the epoch kept:", "", *table(part, time_of)]
    example = cells[0]
    lines += [
        "",
        "A cell by itself:",
        "",
        f"    bitcodes {' '.join(example.finetune())}",
        f"    bitcodes evaluate runs/{example.name}",
    ]
    return "\n".join(lines) + "\n"


def pivoted(
    cells: list[Cell], rows: list[str], columns: list[str], figures: list[str], mean: bool
) -> list[str]:
    """Figures of all cells: a line for each value of `rows`, a column for each of `columns`.

    Both are names of fields of a cell. `mean` adds the mean of a line, and sorts the lines by it.
    If cells would share a place, what they differ in is added to the columns.
    """

    def place(cell: Cell, sides: list[str]) -> tuple[str, ...]:
        texts = {**vars(cell), "bits": f"{cell.bits} bits"}
        return tuple(texts[side] for side in sides)

    for side in SIDES:
        if len({place(cell, [*rows, *columns]) for cell in cells}) == len(cells):
            break
        if side not in [*rows, *columns] and len({place(cell, [side]) for cell in cells}) > 1:
            columns = [*columns, side]
    kept = {(place(cell, rows), place(cell, columns)): kept_figures(cell) for cell in cells}
    tops = dict.fromkeys(top for _, top in kept)
    several = len(figures) > 1 or not columns
    header = [", ".join([*top, *[describe(f)] * several]) for top in tops for f in figures]
    lines = [
        (left, [kept.get((left, top), {}).get(name, math.nan) for top in tops for name in figures])
        for left in dict.fromkeys(left for left, _ in kept)
    ]
    if mean:
        header.append("mean")
        lines = [(left, [*values, fmean(values)]) for left, values in lines]
        lines.sort(key=lambda line: (math.isnan(line[1][-1]), -line[1][-1]))
    texts = [[*rows, *header], ["---"] * (len(rows) + len(header))]
    for left, values in lines:
        texts.append([*left, *map(figure_cell, values)])
    return [f"| {' | '.join(line)} |" for line in texts]


def figure_cell(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def kept_figures(cell: Cell) -> dict[str, float]:
    """What was measured of a cell, and the minutes of its training; nothing if it is not filled."""
    if not (file := figures_file(cell)).exists():
        return {}
    kept = json.loads(file.read_text())
    figures = {**kept["figures"], "minutes": kept["minutes"]}
    return {name: math.nan if value is None else value for name, value in figures.items()}


def figure_of(kept: dict[str, Any], name: str) -> str:
    figure, last = kept["figures"][name], kept["last"][name]
    return f"{figure:.4f}" if kept["epoch"] == kept["epochs"] else f"{figure:.4f} ({last:.4f})"


def time_of(kept: dict[str, Any]) -> str:
    return f"{kept['minutes']:.1f} (epoch {kept['epoch']} of {kept['epochs']})"


def table(cells: list[Cell], shown: Any) -> list[str]:
    """A row a loss, a column a number of bits."""
    columns = list(dict.fromkeys(cell.bits for cell in cells))
    lines = [f"| loss | {' | '.join(f'{bits} bits' for bits in columns)} |"]
    lines.append(f"| --- |{' --- |' * len(columns)}")
    for loss in dict.fromkeys(cell.loss for cell in cells):
        row = []
        for bits in columns:
            cell = next(cell for cell in cells if (cell.loss, cell.bits) == (loss, bits))
            file = figures_file(cell)
            row.append(shown(json.loads(file.read_text())) if file.exists() else "")
        lines.append(f"| {loss} | {' | '.join(row)} |")
    return lines


if __name__ == "__main__":
    main()
