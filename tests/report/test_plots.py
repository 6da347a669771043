"""Plots: files for papers with named axes, right values, and no trace left in matplotlib."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from evaluations import small_evaluation
from matplotlib.patches import StepPatch
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.errors import BitcodesError
from bitcodes.metrics.scoring import Evaluation
from bitcodes.report.plots import (
    FORMATS,
    Plot,
    bit_plots,
    class_plot,
    plot_names,
    saved,
    shared_plots,
    short_count,
    write_plots,
)
from bitcodes.tasks.evaluate import evaluate

START = {".pdf": b"%PDF-", ".svg": b"<?xml", ".png": b"\x89PNG"}
NAMES = ["precision-recall", "precision-at-k", "distances", "classes"]


@pytest.fixture(scope="module")
def two() -> list[Evaluation]:
    results = [small_evaluation(Path("images"), noise) for noise in (0.3, 0.1)]
    for result, name in zip(results, ("runs/first", "runs/sec$o$nd<b>"), strict=True):
        result.about["run"] = name
    return results


@pytest.fixture(scope="module")
def written(two: list[Evaluation], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of the plots of both."""
    return write_plots(two, tmp_path_factory.mktemp("plots") / "two")


def labels(plot: Plot) -> set[str]:
    return {label for axes in plot.figure.axes for label in (axes.get_xlabel(), axes.get_ylabel())}


def test_each_plot_is_written_in_each_format(
    two: list[Evaluation], written: list[Path], tmp_path: Path
) -> None:
    files = write_plots(two[:1], tmp_path / "plots")
    names = [*NAMES, "bit-balance", "bit-correlation"]
    assert [file.name for file in files] == [f"{n}.{suffix}" for n in names for suffix in FORMATS]
    assert sorted(files) == sorted((tmp_path / "plots").iterdir())
    for file in files:
        assert file.read_bytes().startswith(START[file.suffix])
    with Image.open(files[2]) as image:
        assert image.size == (1020, 705)  # 3.4 inches wide
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert b"/Type3" not in files[0].read_bytes()  # such fonts are refused by publishers

    assert write_plots(two[:1], tmp_path / "plots") == files  # they may be replaced
    files[2].write_bytes(START[".png"])
    with pytest.raises(BitcodesError, match=rf"{files[2].name} .* was not made by bitcodes"):
        write_plots(two[:1], tmp_path / "plots")
    assert files[2].read_bytes() == START[".png"]

    stems = list(dict.fromkeys(file.stem for file in written))
    assert stems == [*NAMES, *(f"bit-{w}-{r}" for r in "AB" for w in ("balance", "correlation"))]


def test_the_same_evaluation_gives_the_same_files(
    two: list[Evaluation], written: list[Path], tmp_path: Path
) -> None:
    for one, other in zip(written, write_plots(two, tmp_path / "again"), strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name
        assert b"CreationDate" not in one.read_bytes() and b"dc:date" not in one.read_bytes()


def test_axes_are_named_with_units(two: list[Evaluation]) -> None:
    recall, ranked, distances = shared_plots(two)
    assert labels(recall) == {"mean recall", "mean precision"}
    assert labels(ranked) == {"k (nearest images)", "mean precision"}
    assert labels(distances) == {"", "Hamming distance, bits", "share of images, %"}
    balance, correlation = bit_plots(two[0])
    assert labels(balance) == {"bit", "codes with this bit set, %"}
    assert labels(correlation) == {"", "bit", "correlation"}
    assert "mAP, whole ranking" in labels(class_plot(two))
    assert ranked.figure.axes[0].get_xscale() == "log"


def test_curves_pass_through_the_scores(two: list[Evaluation]) -> None:
    recall, ranked, _ = shared_plots(two)
    for number, result in enumerate(two):
        ranks, precision = ranked.figure.axes[0].get_lines()[number].get_data()
        at = dict(zip(np.asarray(ranks).tolist(), np.asarray(precision).tolist(), strict=True))
        for k in (1, 10):
            assert at[k] == pytest.approx(result.figures[f"precision@{k}"])
        recalled, _ = recall.figure.axes[0].get_lines()[number].get_data()
        assert np.asarray(recalled)[-1] == pytest.approx(1)  # all of the database


def test_runs_differ_in_colour_and_in_line_style(two: list[Evaluation]) -> None:
    for plot in shared_plots([*two, *two])[:2]:
        lines = plot.figure.axes[0].get_lines()
        for look in (lambda line: line.get_color(), lambda line: str(line._dash_pattern)):
            assert len(set(map(look, lines))) == 4
        (legend,) = plot.figure.legends
        assert legend.get_texts()[0].get_text().startswith("A: ")


def test_histograms_of_distances_hold_every_image(two: list[Evaluation]) -> None:
    figure = shared_plots(two)[2].figure
    assert len(figure.axes) == 2
    for axes, result in zip(figure.axes, two, strict=True):
        steps = [patch for patch in axes.patches if isinstance(patch, StepPatch)]
        outlines = [patch for patch in steps if str(patch.get_label()).endswith(" images")]
        shares = [np.asarray(patch.get_data().values) for patch in outlines]
        assert [share.sum() for share in shares] == pytest.approx([100, 100])
        relevant = result.relevant.sum(axis=0)
        assert shares[0] == pytest.approx(100 * relevant / relevant.sum())


def test_bars_of_classes_are_their_scores(two: list[Evaluation]) -> None:
    axes = class_plot(two).figure.axes[0]
    widths = [bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([entry.map for result in two for entry in result.classes])


def test_names_are_text(two: list[Evaluation]) -> None:
    """No formula, no markup, no control characters."""
    text = saved(shared_plots(two)[0], "svg", **{"svg.fonttype": "none"}).decode()
    assert "B: sec$o$nd&lt;b&gt;" in text
    text = saved(class_plot(two), "svg", **{"svg.fonttype": "none"}).decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b" in text and "<script" not in text


@pytest.mark.filterwarnings("error")
def test_long_names_keep_their_ends_and_letters_without_a_font_are_no_warning(
    two: list[Evaluation],
) -> None:
    results = [replace(result, about={"run": f"{'数' * 90}-{n}"}) for n, result in enumerate(two)]
    names = plot_names(results)
    assert [len(name) for name in names] == [44, 44]
    assert [name[-2:] for name in names] == ["-0", "-1"]
    assert all(name[0] == letter for name, letter in zip(names, "AB", strict=True))
    assert saved(shared_plots(results)[0], "png")


@pytest.mark.filterwarnings("error")
def test_codes_without_answers_or_of_one_value(tmp_path: Path) -> None:
    def part(label: int) -> CodeSet:
        codes = pack_bits(np.zeros((4, 16), np.uint8))
        return CodeSet.from_arrays(
            codes, 16, paths=list("abcd"), labels=np.full(4, label), root=tmp_path
        )

    files = write_plots([evaluate(queries=part(0), database=part(1))], tmp_path / "plots")
    assert len(files) == 3 * len({file.stem for file in files}) and "distances" in str(files)


def test_settings_of_matplotlib_are_ours_and_come_back(two: list[Evaluation]) -> None:
    plain = saved(shared_plots(two)[0], "svg")
    with matplotlib.rc_context({"font.size": 30, "axes.grid": False, "lines.linewidth": 9}):
        before = dict(matplotlib.rcParams)
        assert saved(shared_plots(two)[0], "svg") == plain
        assert dict(matplotlib.rcParams) == before


def test_plots_need_no_display_and_no_pyplot(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from evaluations import small_evaluation\n"
        "import bitcodes.cli.app, bitcodes.cli.evaluate\n"
        "assert not {'matplotlib', 'jinja2'} & set(sys.modules)\n"
        "from bitcodes.report.plots import write_plots\n"
        "write_plots([small_evaluation(Path('.'))], Path(sys.argv[1]))\n"
        "assert not {'matplotlib.pyplot', 'jinja2', 'torch'} & set(sys.modules)\n"
    )
    environment = {**os.environ, "MPLBACKEND": "tkagg"}
    environment.pop("DISPLAY", None)
    tests = str(Path(__file__).parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([tests, *sys.path])
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=environment)
    assert (tmp_path / "precision-recall.pdf").is_file()


def test_a_folder_that_cannot_be_made_is_named(two: list[Evaluation], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BitcodesError, match=r"cannot write .*plots: .*file is not a folder"):
        write_plots(two, tmp_path / "file" / "plots")


def test_counts_are_short() -> None:
    assert [short_count(n) for n in (1, 100, 1000, 50_000, 2e6)] == ["1", "100", "1k", "50k", "2M"]
