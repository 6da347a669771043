"""Plots of evaluations for papers and pages, drawn by matplotlib.

They fit a column of a two-column paper. Runs differ in colour and in line style, so that readers
who see few colours, and prints in grey, can tell them apart.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import Colormap, ListedColormap, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from matplotlib.ticker import LogLocator, MaxNLocator, MultipleLocator, NullLocator
from numpy.typing import ArrayLike

from bitcodes.errors import BitcodesError
from bitcodes.files import check_folder_of, check_replaceable
from bitcodes.metrics.scoring import Evaluation
from bitcodes.report.tables import class_rows, run_letters, run_names
from bitcodes.report.text import printable
from bitcodes.report.writing import write_whole

FORMATS = ("pdf", "svg", "png")
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Colours of the runs: those of Okabe and Ito, "Color Universal Design" (2008)."""
INK, QUIET, GRID, GREY = "#1a1a1a", "#4d4d4d", "#dddddd", "#969696"
"""Colours of labels, of numbers beside an axis, of grid lines, and of values that do not exist."""

_LINES = ("-", (0, (4, 1.5)), (0, (4, 1.2, 1, 1.2)), (0, (1, 1.2)))
_WIDTH, _HEIGHT = 3.4, 2.35  # inches
_BIT_STEPS = (1, 2, 4, 8, 10)
_LONGEST_NAME = 44
_LONGEST_CLASS_NAME = 32
_CREATOR = "bitcodes"
_METADATA: dict[str, dict[str, Any]] = {  # the same plot gives the same file: no dates
    "pdf": {"Creator": _CREATOR, "CreationDate": None},
    "svg": {"Creator": _CREATOR, "Date": None},
    "png": {"Software": _CREATOR},
}
_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Microsoft YaHei",
    "PingFang SC",
    "Hiragino Sans",
    "Malgun Gothic",
    "Arial Unicode MS",
)
_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": QUIET,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 7.5,
    "figure.constrained_layout.h_pad": 0.05,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.03,
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.4,
    "pdf.fonttype": 42,  # publishers refuse Type 3 fonts
    "svg.hashsalt": "bitcodes",  # the same plot gives the same file
    "text.color": INK,
    "text.parse_math": False,  # a $ in a name is a dollar
    "xtick.color": QUIET,
    "xtick.labelsize": 7.5,
    "xtick.major.size": 0,
    "ytick.color": QUIET,
    "ytick.labelsize": 7.5,
    "ytick.major.size": 0,
}


@dataclass(frozen=True)
class Plot:
    """A figure, its file name without a suffix, and its title."""

    name: str
    title: str
    figure: Figure


def write_plots(evaluations: Sequence[Evaluation], folder: Path) -> list[Path]:
    """Write each plot of one or several evaluations as PDF, SVG and PNG (300 dpi) into `folder`.

    Returns the files. Each is written whole or not at all; the same evaluations give the same
    files. `folder` is made if it is not there, but not the folder that it lies in. Raises
    BitcodesError if a file cannot be written, or would replace one that bitcodes did not make.
    """
    check_folder_of(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise BitcodesError(f"cannot make the folder {folder}: {error.strerror}") from None
    plots = shared_plots(evaluations)
    if len(evaluations[0].classes) > 1:
        plots.append(class_plot(evaluations))
    letters = run_letters(evaluations)
    for evaluation, letter in zip(evaluations, letters, strict=True):
        plots += bit_plots(evaluation, f"-{letter}" if len(evaluations) > 1 else "")
    files = {folder / f"{plot.name}.{form}": (plot, form) for plot in plots for form in FORMATS}
    for file in files:
        check_replaceable(file, "plot", _CREATOR.encode())
    for file, (plot, form) in files.items():
        write_whole(saved(plot, form), file, "plot")
    return [*files]


def saved(plot: Plot, suffix: str, **settings: Any) -> bytes:
    """The plot as a file of that format; `settings` are matplotlib's rcParams.

    A letter for which this machine has no font is drawn as a box.
    """
    buffer = io.BytesIO()
    with _drawing(**settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        plot.figure.savefig(buffer, format=suffix, dpi=300, metadata=_METADATA.get(suffix))
    return buffer.getvalue()


def shared_plots(evaluations: Sequence[Evaluation]) -> list[Plot]:
    """Precision and recall, precision at k, and distances: every run in each figure."""
    names = plot_names(evaluations)
    with _drawing():
        return [
            Plot("precision-recall", "Precision and recall", _recall_figure(evaluations, names)),
            Plot("precision-at-k", "Precision at k", _rank_figure(evaluations, names)),
            Plot("distances", "Distances, by relevance", _distance_figure(evaluations, names)),
        ]


def class_plot(evaluations: Sequence[Evaluation]) -> Plot:
    """MAP of each class; of very many classes, the lowest of the first run."""
    with _drawing():
        return Plot("classes", "mAP by class", _class_figure(evaluations))


def bit_plots(evaluation: Evaluation, suffix: str = "") -> list[Plot]:
    """Balance and correlation of the bits of one run."""
    with _drawing():
        return [
            Plot(
                f"bit-balance{suffix}",
                "Balance of the bits (50 % is best)",
                _balance_figure(evaluation),
            ),
            Plot(f"bit-correlation{suffix}", "Correlation of the bits", _matrix_figure(evaluation)),
        ]


def plot_names(evaluations: Sequence[Evaluation]) -> list[str]:
    """A short name for each run, with its letter."""
    pairs = zip(run_letters(evaluations), run_names(evaluations), strict=True)
    return [_short(f"{letter}: {name}", _LONGEST_NAME) for letter, name in pairs]


def _short(name: str, length: int) -> str:
    """A name on one line; a long one loses its middle, because the ends of runs often differ."""
    name = printable(name)
    start = length // 3
    return name if len(name) <= length else f"{name[:start]}…{name[start + 1 - length :]}"


@contextmanager
def _drawing(**settings: Any) -> Iterator[None]:
    """Matplotlib with our settings, whatever the user's own are; these come back afterwards.

    Settings are one for all threads, so plots are drawn and saved in one thread at a time.
    """
    installed = set(fontManager.get_font_names())
    fonts = ["DejaVu Sans", *(font for font in _FALLBACK_FONTS if font in installed)]
    with style.context(["default", {**_STYLE, "font.family": fonts, **settings}]):
        yield


def _figure(rows: int = 1, height: float = _HEIGHT) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(_WIDTH, height))
    grid = figure.subplots(rows, 1, sharex=True, squeeze=False)
    return figure, list(grid[:, 0])


def _colour(run: int) -> str:
    return SERIES[run % len(SERIES)]


def _legend(
    figure: Figure, handles: Sequence[Any], names: Sequence[str], columns: int, handlelength: float
) -> None:
    """Name several runs below the axes; the figure grows, and the axes keep their height."""
    if len(names) > 1:
        rows = -(-len(names) // columns)
        figure.set_figheight(figure.get_figheight() + 0.1 + 0.16 * rows)
        figure.legend(
            handles, names, loc="outside lower left", ncols=columns, handlelength=handlelength
        )


def _filled(axes: Axes, heights: ArrayLike, first: float, colour: str, label: str = "") -> None:
    """A histogram with bars of width 1, centred on `first` and the whole numbers after it."""
    edges = np.arange(len(np.asarray(heights)) + 1) + first - 0.5
    axes.stairs(heights, edges, fill=True, color=colour, alpha=0.35, linewidth=0)
    axes.stairs(heights, edges, color=colour, linewidth=1.2, label=label)


def _whole_bits(axis: Axis, ticks: int = 8) -> None:
    axis.set_major_locator(MaxNLocator(ticks, integer=True, steps=_BIT_STEPS))


def _curves(
    evaluations: Sequence[Evaluation], names: Sequence[str], *, over_ranks: bool
) -> tuple[Figure, Axes]:
    """A line for each run: mean precision over the rank, or over mean recall."""
    figure, (axes,) = _figure()
    for number, evaluation in enumerate(evaluations):
        curves = evaluation.curves
        axes.plot(
            curves.ranks if over_ranks else curves.recall,
            curves.precision,
            color=_colour(number),
            linestyle=_LINES[number % len(_LINES)],
            solid_capstyle="round",
        )
    axes.set(ylim=(0, 1), ylabel="mean precision")
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    columns = 1 if max(map(len, names)) > _LONGEST_NAME // 2 else 2
    _legend(figure, axes.get_lines(), names, columns, handlelength=2.6)
    return figure, axes


def _recall_figure(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Figure:
    figure, axes = _curves(evaluations, names, over_ranks=False)
    axes.set(xlim=(0, 1), xlabel="mean recall")
    axes.xaxis.set_major_locator(MultipleLocator(0.2))
    return figure


def _rank_figure(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Figure:
    figure, axes = _curves(evaluations, names, over_ranks=True)
    largest = max(2, *(evaluation.database for evaluation in evaluations))
    axes.set(xscale="log", xlim=(1, largest), xlabel="k (nearest images)")
    axes.xaxis.set_major_locator(LogLocator(numticks=12))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda value, _: short_count(value))
    return figure


def _distance_figure(evaluations: Sequence[Evaluation], names: Sequence[str]) -> Figure:
    figure, rows = _figure(len(evaluations), _HEIGHT + 1.35 * (len(evaluations) - 1))
    for axes, evaluation, name in zip(rows, evaluations, names, strict=True):
        relevant = evaluation.relevant.sum(axis=0)
        other = evaluation.total.sum(axis=0) - relevant
        for number, (counts, label) in enumerate([(relevant, "relevant"), (other, "other")]):
            share = 100 * counts / max(1, counts.sum())
            _filled(axes, share, 0, SERIES[number], f"{label} images")
        axes.set(ylabel="share of images, %")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if len(evaluations) > 1:
            axes.set_title(name)
    rows[0].legend(loc="best", handlelength=1.6)
    largest = max(evaluation.total.shape[1] for evaluation in evaluations) - 1
    rows[-1].set(xlim=(-0.5, largest + 0.5), xlabel="Hamming distance, bits")
    _whole_bits(rows[-1].xaxis)
    return figure


def _class_figure(evaluations: Sequence[Evaluation]) -> Figure:
    shown, _ = class_rows(evaluations[0].classes)
    count = len(evaluations)
    thickness = 0.8 / count
    row = 0.17 if count == 1 else 0.08 + 0.1 * count  # inches
    figure, (axes,) = _figure(height=0.6 + row * len(shown))
    places = np.arange(len(shown))
    bars = []
    for number, evaluation in enumerate(evaluations):
        maps = {entry.name: entry.map for entry in evaluation.classes}
        values = [maps.get(entry.name, np.nan) for entry in shown]
        offset = (number - (count - 1) / 2) * thickness
        height, colour = 0.9 * thickness, _colour(number)
        bars.append(axes.barh(places + offset, values, height, color=colour))
    axes.set(xlim=(0, 1), xlabel="mAP, whole ranking")
    axes.set_yticks(places, [_short(entry.name, _LONGEST_CLASS_NAME) for entry in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    _legend(figure, bars, plot_names(evaluations), columns=1, handlelength=1)
    return figure


def _balance_figure(evaluation: Evaluation) -> Figure:
    figure, (axes,) = _figure()
    _filled(axes, 100 * evaluation.health.ones, 1, SERIES[0])
    axes.axhline(50, color=QUIET, linewidth=0.8, linestyle=(0, (3, 2)))
    axes.set(ylim=(0, 100), ylabel="codes with this bit set, %")
    axes.set(xlim=(0.5, evaluation.bits + 0.5), xlabel="bit")
    axes.yaxis.set_major_locator(MultipleLocator(25))
    _whole_bits(axes.xaxis)
    return figure


def _correlation_colours() -> Colormap:
    """Blue for -1 and red for 1, clearer towards 0, so that it suits light and dark pages."""
    values = np.linspace(-1, 1, 257)
    colours = np.where(values[:, None] < 0, to_rgb("#2673c4"), to_rgb("#cf3a34"))
    return ListedColormap(np.column_stack([colours, abs(values) ** 0.75])).with_extremes(bad=GREY)


def _matrix_figure(evaluation: Evaluation) -> Figure:
    """Blue is -1, red is 1; bits that never change, which have no correlation, are grey."""
    figure, (axes,) = _figure()
    bits = evaluation.bits
    image = axes.imshow(
        np.ma.masked_invalid(evaluation.health.correlation),
        cmap=_correlation_colours(),
        vmin=-1,
        vmax=1,
        interpolation="none",
        extent=(0.5, bits + 0.5, bits + 0.5, 0.5),
    )
    axes.grid(visible=False)
    axes.set(xlabel="bit", ylabel="bit")
    _whole_bits(axes.xaxis, 6)
    _whole_bits(axes.yaxis, 6)
    bar = figure.colorbar(image, ax=axes, ticks=[-1, -0.5, 0, 0.5, 1], label="correlation")
    bar.outline.set_visible(False)
    return figure


def short_count(value: float) -> str:
    """A count in few letters: 1, 10, 1k, 50k, 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
