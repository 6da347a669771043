"""Which epoch's weights become the model."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitcodes.training.validation import doubt, kept_epoch, ranking_score, rows_of, split


def history(*scores: tuple[float, float], size: int = 64) -> list[dict[str, Any]]:
    return [
        {"epoch": number, "image_size": size, "val_map": score, "val_error": error}
        for number, (score, error) in enumerate(scores, 1)
    ]


@pytest.mark.parametrize(
    ("scores", "epoch"),
    [
        ([(0.5, 0.0)], 1),
        ([(0.5, 0.0), (0.7, 0.0), (0.6, 0.0)], 2),
        ([(0.5, 0.0), (0.7, 0.0), (0.7, 0.0)], 3),  # of equals the later
        ([(0.5, 0.0), (0.7, 0.02), (0.69, 0.0)], 3),  # the best is not surely better
        ([(0.5, 0.0), (0.7, 0.02), (0.67, 0.1)], 2),  # its own error does not count
        ([(0.7, 0.02), (0.69, 0.0), (0.6, 0.0)], 2),
    ],
)
def test_the_last_epoch_within_a_standard_error_of_the_best(
    scores: list[tuple[float, float]], epoch: int
) -> None:
    assert kept_epoch(history(*scores))["epoch"] == epoch


def test_epochs_at_smaller_sizes_do_not_count() -> None:
    lines = history((0.9, 0.0), (0.5, 0.0), (0.4, 0.0))
    lines[0]["image_size"] = 32
    assert kept_epoch(lines)["epoch"] == 2


def test_without_validation_the_last_epoch() -> None:
    assert kept_epoch([{"epoch": n, "image_size": 64} for n in (1, 2, 3)])["epoch"] == 3


def test_the_score_and_its_standard_error_by_hand() -> None:
    codes = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]], np.float32)
    labels = np.array([[1, 0], [0, 1], [0, 1]], np.uint8)
    # The first query finds its class first; the second has it at ranks 2 and 3 of 3; the last,
    # of no class, does not count.
    queries = np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]], np.float32)
    score, error = ranking_score(queries, np.array([[1, 0], [0, 1], [0, 0]]), codes, labels)
    second = (1 / 2 + 2 / 3) / 2
    assert score == pytest.approx((1 + second) / 2)
    assert error == pytest.approx((1 - second) / 2 / 2**0.5)


@pytest.mark.parametrize(("images", "share"), [(20, 0.05), (39, 0.05), (10, 0.1), (3, 0.34)])
def test_one_validation_image_measures_nothing(images: int, share: float) -> None:
    labels = np.ones((images, 1), np.uint8)
    assert len(split(images, share, 0)[1]) == 1
    train, held, ranked = rows_of(labels, share, 0)
    assert train.tolist() == list(range(images))
    assert len(held) == len(ranked) == 0


def test_images_that_are_alone_in_their_class_measure_nothing() -> None:
    train, held, _ = rows_of(np.eye(60, dtype=np.uint8), 0.2, 0)
    assert (len(train), len(held)) == (60, 0)
    nothing = np.zeros((60, 3), np.uint8)
    assert len(rows_of(nothing, 0.2, 0)[1]) == 0


def test_two_validation_images_with_others_of_their_class_are_measured() -> None:
    labels = np.eye(2, dtype=np.uint8)[np.arange(40) % 2]
    for mine, plain in zip(rows_of(labels, 0.05, 0), split(40, 0.05, 0), strict=True):
        np.testing.assert_array_equal(mine, plain)
    # An image that is alone in its class does not count.
    held = split(40, 0.05, 0)[1]
    alone = np.zeros((40, 3), np.uint8)
    alone[:, 0] = 1
    alone[held[0]] = [0, 0, 1]
    assert len(rows_of(alone, 0.05, 0)[1]) == 0


def test_few_images_leave_a_doubt() -> None:
    assert doubt(180, 20, Path("runs/one")) is None
    assert doubt(55, 2, Path("runs/one")) == (
        "57 images, 2 of them held out, are too few to tell how good this model is: compare it "
        "with the built-in one before you use it: bitcodes evaluate runs/one built-in"
    )
