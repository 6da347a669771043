"""Which epoch's weights become the model."""

from typing import Any

import numpy as np
import pytest

from bitcodes.training.validation import kept_epoch, ranking_score


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


def test_the_score_is_zero_where_nothing_is_relevant() -> None:
    codes, none = np.ones((2, 3), np.float32), np.zeros((2, 2), np.uint8)
    assert ranking_score(codes, none, codes, none) == (0.0, 0.0)
