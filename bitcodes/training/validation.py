"""Validation on images held out of the training list. Queries are never used."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_outputs
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure
from bitcodes.metrics.ranking import average_precision
from bitcodes.wording import command, counted

MAX_VALIDATION = 2000  # images held out
MAX_RANKED = 5000  # training images that they are ranked against
_FEWEST = 2  # validation images with another of their class: one alone has no standard error

_ENOUGH = 200  # images, of which a tenth is held out by default

Rows = NDArray[np.int64]


def rows_of(labels: NDArray[np.uint8], share: float, seed: int) -> tuple[Rows, Rows, Rows]:
    """The rows of `split` for images with labels (N, C).

    Where fewer than two validation images have another of their class to find, there is nothing to
    measure: then all images are trained on.
    """
    train, held, ranked = split(len(labels), share, seed)
    can_be_found = labels[ranked].any(axis=0)  # (C,)
    if len(held) and (labels[held] & can_be_found).any(axis=1).sum() < _FEWEST:
        return np.arange(len(labels)), held[:0], ranked[:0]
    return train, held, ranked


def split(count: int, share: float, seed: int) -> tuple[Rows, Rows, Rows]:
    """Rows to train on, rows to validate, and training rows that those are ranked against.

    The split uses the order of hashes, so that it is the same on every machine. Encoding an image
    takes a fifth to two thirds of the time of training on it, so a quarter of the images adds 5 to
    15 % to an epoch. More are ranked only if more are held out. At least two images remain to train
    on.
    """
    if count < 2:
        raise DataError(f"expected at least 2 images to train on, found {count}")
    order = np.array(hash_order(seed, "validation", [str(row) for row in range(count)]))
    size = min(MAX_VALIDATION, int(share * count), count - 2)
    if size == 0:
        return np.arange(count), order[:0], order[:0]
    train, others = order[size:], order[size : size + MAX_RANKED]
    others = others[: max(count // 4 - size, size)]
    return np.sort(train), np.sort(order[:size]), np.sort(others)


def ranking_score(
    outputs: NDArray[np.float32],
    labels: NDArray[np.uint8],
    ranked_outputs: NDArray[np.float32],
    ranked_labels: NDArray[np.uint8],
) -> tuple[float, float]:
    """Mean average precision of validation images, ranked against others, and its standard error.

    Hash outputs (Q, K) and labels (Q, C) of the validation images, (N, K) and (N, C) of the others.
    They are ranked by Hamming distance. At least one validation image has a relevant one; those
    without do not count.
    """
    return mean_and_error(precisions(outputs, labels, ranked_outputs, ranked_labels))


def precisions(
    outputs: NDArray[np.float32],
    labels: NDArray[np.uint8],
    ranked_outputs: NDArray[np.float32],
    ranked_labels: NDArray[np.uint8],
    measure: Measure | None = None,
) -> NDArray[np.float64]:
    """The average precision of each image that has a relevant one; see `ranking_score`.

    The others are ranked by `measure`, by default the Hamming distance.
    """
    index = HammingIndex(pack_outputs(ranked_outputs), outputs.shape[1], measure=measure)
    total, relevant = index.count(pack_outputs(outputs), labels=ranked_labels, query_labels=labels)
    values = average_precision(total, relevant)
    return values[~np.isnan(values)]


def mean_and_error(values: NDArray[np.float64]) -> tuple[float, float]:
    """The mean of values, and its standard error."""
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def doubt(trained: int, held: int, run: Path) -> str | None:
    """What to do where there are too few images to know how good a model is; None elsewhere."""
    if trained + held >= _ENOUGH:
        return None
    return (
        f"{counted(trained + held, 'image')}, {held} of them held out, are too few to tell how "
        "good this model is: compare it with the built-in one before you use it: "
        f"{command('evaluate', run, 'built-in')}"
    )


def kept_epoch(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line of the epoch whose weights become the run's model.

    It is the last epoch whose validation mAP is within a standard error of the best: if so few
    images cannot tell two epochs apart, longer training decides (the one-standard-error rule of
    Breiman et al., Classification and Regression Trees, 1984). Without validation it is the last
    epoch. Epochs at smaller image sizes do not count. `history` has at least one line.
    """
    lines = [line for line in history if line["image_size"] == history[-1]["image_size"]]
    if "val_map" not in lines[-1]:
        return lines[-1]
    best = max(lines, key=lambda line: line["val_map"])
    enough = best["val_map"] - best["val_error"]
    return [line for line in lines if line["val_map"] >= enough][-1]
