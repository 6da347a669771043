"""Evaluations of small random code sets, for tests of how they are shown."""

from pathlib import Path

import numpy as np

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.metrics.scoring import Evaluation
from bitcodes.tasks.evaluate import evaluate

EVIL = "<script>alert(1)</script>\x1b"
"""Name of the first class."""


def small_evaluation(
    folder: Path, noise: float = 0.2, classes: int = 3, **options: bool
) -> Evaluation:
    """12 queries against 60 images with codes of 16 bits, around a random center per class."""
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 2, (classes, 16), np.uint8)

    def part(numbers: range) -> CodeSet:
        labels = np.array(numbers, np.int32) % classes
        bits = centers[labels] ^ (rng.random((len(numbers), 16)) < noise)
        return CodeSet.from_arrays(
            pack_bits(bits),
            16,
            paths=[f"{number % 60}.png" for number in numbers],
            labels=labels,
            features=labels[:, None] + rng.random((len(numbers), 4)),
            class_names=(EVIL, *(f"class {c}" for c in range(1, classes))),
            root=folder,
        )

    return evaluate(queries=part(range(12)), database=part(range(6, 66)), **options)
