"""Tables of runs: the right values in the right columns, in every format."""

import csv
import io
import re
from pathlib import Path

import pytest
from evaluations import small_evaluation
from rich.console import Console

from bitcodes.errors import ConfigError
from bitcodes.metrics.comparison import Comparison, compare
from bitcodes.metrics.scoring import FIGURES
from bitcodes.report import views
from bitcodes.report.run_table import RunTable, check_columns

NAMES = ("runs/photos-net_one-csq-16", "runs/photos-net_one-dch-16", "runs/photos-net_one-x|&-16")


@pytest.fixture(scope="module")
def three() -> Comparison:
    evaluations = [small_evaluation(Path("images"), noise) for noise in (0.3, 0.1, 0.25)]
    for evaluation, name in zip(evaluations, NAMES, strict=True):
        evaluation.about.update(run=name, data="data/photos", loss=name.split("-")[2])
    return compare(evaluations)


def shown(result: object, width: int = 80) -> str:
    from bitcodes.report import evaluation_views  # noqa: F401 - registers them

    console = Console(width=width, file=io.StringIO(), soft_wrap=True)
    for part in views.tables(result):
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_terminal_of_80_columns_shows_a_line_per_run(three: Comparison) -> None:
    text = shown(three)
    lines = text.splitlines()
    assert "Runs photos-net_one-…" in lines
    table = lines[lines.index("Runs photos-net_one-…") + 1 :][:4]
    assert all(len(line.rstrip()) <= 80 for line in table)
    assert table[0].split() == [
        "run",
        "bits",
        "mAP",
        "mAP",
        "-",
        "first",
        "(95",
        "%",
        "interval)",
        "P@10",
        "P@H≤2",
    ]
    for line, name, evaluation in zip(
        table[1:], ("…csq-16", "…dch-16", "…x|&-16"), three.evaluations, strict=True
    ):
        cells = line.split()
        assert cells[:3] == [name, "16", f"{evaluation.figures['map']:.4f}"]
        assert cells[-1] == f"{evaluation.figures['precision_within_2']:.4f}"
    assert f"{three.differences[0]['map'].value:+.4f} (" in table[2]
    # What is true of all is said once.
    assert text.count("12 queries against 60 images") == text.count("data data/photos") == 1
    assert text.count("no precision at larger ranks") == 1


def test_each_format_has_the_same_rows(three: Comparison) -> None:
    columns = ("run", "loss", "database", "map", "map_interval", "map_difference", "precision@100")
    second = three.evaluations[1]
    low, high = second.intervals["map"]
    difference = three.differences[0]["map"]

    lines = shown(RunTable.of(three, columns, "markdown")).splitlines()
    assert lines[1] == "| :- | :- | -: | -: | -: | -: | -: |"
    assert [line.count(" | ") for line in lines] == [6] * 5
    cells = lines[3].strip("| ").split(" | ")
    assert cells[:3] == ["photos-net_one-dch-16", "dch", "60"]
    assert cells[3:5] == [f"{second.figures['map']:.4f}", f"{low:.4f} to {high:.4f}"]
    assert cells[5].startswith(f"{difference.value:+.4f} (") and cells[6] == "-"
    assert "x\\|&" in lines[4]

    text = shown(RunTable.of(three, columns, "latex"))
    assert "\\begin{tabular}{llrrrrr}\n\\toprule\n" in text
    assert "mAP 95 \\% interval" in text and "net\\_one" in text and "x|\\&" in text
    assert text.count(" \\\\\n") == 4 and text.count(" & ") == 4 * 6
    assert not re.search(r"[^\\][%_#]", text.partition("\n")[2])

    (_, row, _), names = _read(shown(RunTable.of(three, columns, "csv")))
    ends = ["map_difference", "map_difference_low", "map_difference_high", "precision@100"]
    assert names == ["run", "loss", "database", "map", "map_low", "map_high", *ends]
    assert float(row["map"]) == second.figures["map"] and row["precision@100"] == ""
    assert (float(row["map_low"]), float(row["map_high"])) == (low, high)
    assert float(row["map_difference"]) == difference.value
    assert float(row["map_difference_high"]) == difference.high


def _read(text: str) -> tuple[list[dict[str, str]], list[str]]:
    reader = csv.DictReader(io.StringIO(text))
    return list(reader), list(reader.fieldnames or ())


def test_negative_numbers_in_latex_have_a_minus(three: Comparison) -> None:
    swapped = compare(three.evaluations[1::-1])
    text = shown(RunTable.of(swapped, ("run", "map_difference"), "latex"))
    assert re.search(r"16 & \$-\$0\.\d{4} \(\$-\$0\.\d{4} to \$-\$0\.\d{4}\)", text)
    assert "csq-16" in text


def test_one_run_is_a_row_without_differences(three: Comparison) -> None:
    one = compare(three.evaluations[:1])
    text = shown(RunTable.of(one, form="markdown"))
    assert text.splitlines()[0] == "| run | bits | mAP | P@10 | P@H≤2 |"


def test_figures_of_evaluations_are_columns(three: Comparison) -> None:
    assert set(three.evaluations[0].scores) | {"map_class_bits"} == set(FIGURES)
    check_columns([*FIGURES, "run", "backbone", "map_interval", "two_stage_difference"])
    with pytest.raises(ConfigError, match=r"found 'mpa'; did you mean map\?"):
        check_columns(["run", "mpa"])
    with pytest.raises(ConfigError, match="found ''"):
        check_columns([""])


def test_curves_are_those_of_a_count_by_hand(three: Comparison) -> None:
    evaluation = three.evaluations[0]
    curves = evaluation.to_dict()["curves"]
    assert (curves["ranks"][0], curves["ranks"][-1]) == (1, 60)
    assert curves["precision"][0] == pytest.approx(evaluation.figures["precision@1"])
    at_10 = curves["ranks"].index(10)
    assert curves["precision"][at_10] == pytest.approx(evaluation.figures["precision@10"])
    assert curves["recall"][-1] == pytest.approx(1)
    assert curves["precision"][-1] == pytest.approx(evaluation.relevant.sum(axis=1).mean() / 60)
