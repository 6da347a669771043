"""Published divisions of data sets are recognised by their numbers."""

from pathlib import Path

import pytest

from bitcodes.datasets.published import PUBLISHED, recognise
from bitcodes.metrics.scoring import METRICS


def counts(train: int, test: int, database: int) -> dict[str, int]:
    return {"train": train, "test": test, "database": database}


@pytest.mark.parametrize(
    ("classes", "numbers", "protocol", "metric"),
    [
        (100, (13_000, 5_000, 128_503), "ImageNet-100 of HashNet", "map@1000"),
        (21, (10_500, 2_100, 193_734), "NUS-WIDE-21 of DeepHash-pytorch", "map@5000"),
        (80, (10_000, 5_000, 117_218), "MS-COCO of HashNet (paper)", "map@5000"),
        (80, (10_000, 5_000, 112_218), "MS-COCO of HashNet (lists)", "map@5000"),
    ],
)
def test_published_numbers(
    classes: int, numbers: tuple[int, int, int], protocol: str, metric: str
) -> None:
    published, note = recognise(classes, counts(*numbers))
    assert published is not None and note is None
    assert (published.protocol, published.metric) == (protocol, metric)


def test_a_database_whose_number_is_not_published() -> None:
    published, note = recognise(21, counts(10_500, 2_100, 150_000))
    assert published is not None and published.protocol == "NUS-WIDE-21-m of DeepHash-pytorch"
    assert note is not None and "150,000 images there may be right or wrong" in note
    published, _ = recognise(100, counts(13_000, 4_983, 1))
    assert published is not None and published.protocol == "ImageNet-100 of CSQ"


def test_other_numbers_are_named() -> None:
    published, note = recognise(100, counts(13_000, 5_000, 1))
    assert published is None and note is not None
    assert note.startswith("100 classes as in ImageNet-100 of HashNet or ImageNet-100 of CSQ, but ")
    assert "with ImageNet-100 of HashNet, database.txt has 1 image, not 128,503. So" in note
    assert recognise(7, counts(1, 1, 1)) == (None, None)


def test_every_division_has_a_figure_that_evaluate_computes_and_a_name_of_its_own() -> None:
    assert {each.metric for each in PUBLISHED} <= set(METRICS)
    assert len({each.protocol for each in PUBLISHED}) == len(PUBLISHED)


def test_the_table_of_the_documentation() -> None:
    text = (Path(__file__).parents[2] / "docs/training.md").read_text(encoding="utf-8")
    for each in PUBLISHED:
        database = "not checked" if each.database is None else f"{each.database:,}"
        numbers = f"{each.classes} | {each.train:,} | {each.test:,} | {database}"
        assert f"| {each.protocol} | {numbers} | {each.metric.replace('map', 'mAP')} |" in text
