"""Validation on images held out of the training list; queries are never looked at."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_outputs
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.hamming.index import HammingIndex
from bitcodes.metrics.ranking import average_precision

MAX_VALIDATION = 2000  # images held out
MAX_RANKED = 5000  # training images that they are ranked against


def split(
    count: int, share: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train on, rows held out, and training rows that those are ranked against.

    In hash order, so that the split is the same everywhere. Coding an image costs about a fifth of
    training on it: a quarter of the epoch is 5 % of its time. More is ranked only where more is
    held out than that allows; at least two images are left to train on.
    """
    if count < 2:
        raise DataError(f"expected at least 2 images to train on, found {count}")
    order = np.array(hash_order(seed, "validation", [str(row) for row in range(count)]))
    held = min(MAX_VALIDATION, int(share * count), count - 2)
    if held == 0:
        return np.arange(count), order[:0], order[:0]
    ranked = min(MAX_RANKED, max(count // 4 - held, held))
    return np.sort(order[held:]), np.sort(order[:held]), np.sort(order[held : held + ranked])


def ranking_score(
    outputs: NDArray[np.float32],
    labels: NDArray[np.uint8],
    ranked_outputs: NDArray[np.float32],
    ranked_labels: NDArray[np.uint8],
) -> tuple[float, float]:
    """Mean average precision of the images held out, ranked against others, and its standard error.

    Hash outputs (Q, K) and labels (Q, C) of the first, (N, K) and (N, C) of the others. (0, 0) if
    none of them has a relevant image.
    """
    index = HammingIndex(pack_outputs(ranked_outputs), outputs.shape[1])
    total, relevant = index.count(pack_outputs(outputs), labels=ranked_labels, query_labels=labels)
    values = average_precision(total, relevant)
    values = values[~np.isnan(values)]
    if not len(values):
        return 0.0, 0.0
    return float(values.mean()), float(values.std() / len(values) ** 0.5)


def kept_epoch(history: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The line of the epoch whose weights are the run's model, of a history with at least one.

    The last one whose validation mAP is within a standard error of the best: what so few images
    cannot tell apart is decided by having trained longer (the one-standard-error rule of Breiman et
    al., Classification and Regression Trees, 1984). Without validation the last of all. Scores at
    smaller image sizes are those of another model, and do not count.
    """
    lines = [line for line in history if line["image_size"] == history[-1]["image_size"]]
    if "val_map" not in lines[-1]:
        return lines[-1]
    best = max(lines, key=lambda line: line["val_map"])
    enough = best["val_map"] - best["val_error"]
    return [line for line in lines if line["val_map"] >= enough][-1]
