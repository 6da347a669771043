"""The evaluation page and tables: whole, escaped, needing nothing from anywhere."""

import io
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
from evaluations import EVIL, small_evaluation
from parsed_page import Page
from PIL import Image
from rich.console import Console

from bitcodes.metrics.comparison import compare, paired_differences
from bitcodes.metrics.compat import compat_figures
from bitcodes.metrics.orders import OrderScore, OrderScores
from bitcodes.report.evaluation_page import evaluation_page
from bitcodes.report.evaluation_views import comparison_tables
from bitcodes.report.tables import compat_table, evaluation_tables
from bitcodes.tasks.examples import examples


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(60):
        colour = (40 * (number % 3), number, 200)
        Image.new("RGB", (40, 30), colour).save(folder / f"{number}.png")
    return folder


def shown(parts: object) -> str:
    console = Console(width=80, file=io.StringIO(), soft_wrap=True)
    for part in parts:  # type: ignore[attr-defined]
        console.print(part)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_orders_in_tables_and_pages(folder: Path) -> None:
    scores = (
        OrderScore("class", 0.9, 0.25, 0.5, 0.125, math.nan, 12),
        OrderScore("sum", 0.875, 0.75, 1, 0.3, 1, 1234),
    )
    orders = OrderScores(("cropped", "mirrored"), 50, 1, scores)
    result = replace(small_evaluation(folder), orders=orders)
    note = (
        "Copies: 50 images of the database, each cropped and mirrored. In class: 1 query, by the "
        "features of the built-in model."
    )
    other = paired_differences(result, result)
    for text in (
        shown(evaluation_tables(result)),
        shown(comparison_tables(compare([result, result]))),
        evaluation_page([result]),
        evaluation_page([result, result], [other]),
    ):
        assert note in text
        for part in ("copy@10", "in class@10", "0.8750", "0.7500", "1,234"):
            assert part in text
    assert result.to_dict()["orders"]["orders"][0] == {
        "name": "class",
        "map": 0.9,
        "copy@1": 0.25,
        "copy@10": 0.5,
        "in_class@10": 0.125,
        "decided@10": None,
        "distinct_codes": 12,
    }


def test_a_page_of_one_evaluation(folder: Path) -> None:
    result = small_evaluation(folder, stages=True)
    text = evaluation_page([result], examples=examples(result))
    page = Page(text)
    figures = [tag for tag, _ in page.tags].count("figure")
    assert figures == 5
    # 6 best and 6 worst queries, each with 8 hits.
    assert [tag for tag, _ in page.tags].count("img") == 12 * 9
    assert "No picture" not in text
    for label in (
        "mean recall",
        "k (nearest images)",
        "Hamming distance, bits",
        "share of images, %",
    ):
        assert label in text
    assert f"{result.figures['map']:.4f}" in text
    assert "by features" in text
    # Nothing is loaded, whatever users name is escaped.
    assert "<script" not in text and "\x1b" not in text and "alert(1)" in text
    assert "url(" not in text and "@import" not in text
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            if name in attributes:
                assert (attributes[name] or "").startswith("data:image/"), tag
    assert "prefers-color-scheme: dark" in text
    text.encode("utf-8")


def test_a_page_of_two_runs_has_their_curves_together(folder: Path) -> None:
    results = [small_evaluation(folder, noise) for noise in (0.3, 0.1)]
    differences = [paired_differences(results[0], results[1])]
    for result, name in zip(results, ("runs/first", "runs/second"), strict=True):
        result.about["run"], result.about["data"] = name, "data/x"
    text = evaluation_page(results, differences)
    page = Page(text)
    figures = text.split("<figure>")[1:]
    for curves in figures[:2]:
        assert curves.count("stroke: var(--s0)") == curves.count("stroke: var(--s1)") == 2
        assert "A: first</text>" in curves and "B: second</text>" in curves  # beside their lines
    assert f"{differences[0]['map'].value:+.4f} (" in text
    assert ("span", {"class": "better"}) in page.tags


def test_pictures_that_are_gone_leave_placeholders(folder: Path, tmp_path: Path) -> None:
    result = small_evaluation(tmp_path)
    text = evaluation_page([result], examples=examples(result))
    Page(text)
    assert "No picture" in text


def test_examples_are_the_extremes_without_the_query_itself(folder: Path) -> None:
    result = small_evaluation(folder, exclude_self=True)
    best, worst = examples(result)
    scores = result.scores["map"]
    assert best.queries[0][1] == scores.max() and worst.queries[0][1] == scores.min()
    # Six of each, two of each class.
    for group in (best, worst):
        assert sorted(query.labels for query, _ in group.queries) == sorted(
            2 * [(EVIL,), ("class 1",), ("class 2",)]
        )
    for query, _ in (*best.queries, *worst.queries):
        assert len(query.hits) == 8
        assert query.file not in [hit.file for hit in query.hits]


def test_tables_fit_a_terminal(folder: Path) -> None:
    results = [small_evaluation(folder, noise, stages=True) for noise in (0.3, 0.1)]
    text = shown(evaluation_tables(results[0]))
    for line in text.splitlines():
        assert len(line) <= 80 or line.startswith(("Codes of", "Images at", "The data", "In the d"))
    assert "by features" in text and "queries/s" in text
    assert "In the database too: 12 queries" in text
    assert "\x1b" not in text.replace("\\x1b", "")

    assert "mAP@5000" not in text and "precision@100 " not in text and "precision@10 " in text

    text = shown(comparison_tables(compare(results)))
    assert re.search(r"0\.\d{4} +\+0\.\d{4} \(\+0\.\d{4} to", text)
    assert text.count("queries/s") == 2

    text = shown([compat_table("deephash", compat_figures("deephash", results[0]))])
    assert re.search(r"mAP, topK=-1 +0\.\d{4} +0\.\d{4} to 0\.\d{4}", text)


def test_of_very_many_classes_the_lowest_are_shown(folder: Path) -> None:
    result = small_evaluation(folder, classes=12)
    assert "class 11" in shown(evaluation_tables(result))
    from bitcodes.metrics.scoring import ClassScore
    from bitcodes.report.tables import class_rows

    many = [ClassScore(f"c{number}", 1, (number * 37 % 100) / 100) for number in range(100)]
    rows, note = class_rows(many)
    assert [entry.map for entry in rows] == [number / 100 for number in range(20)]
    assert "20 lowest of 100 classes" in note
