"""Paired differences of two evaluations of the same queries."""

from pathlib import Path

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.errors import ConfigError
from bitcodes.metrics.comparison import paired_differences
from bitcodes.metrics.scoring import Evaluation, score_code_sets


def evaluation(noise: float, seed: int, paths: list[str] | None = None) -> Evaluation:
    rng = np.random.default_rng(seed)
    centers = np.random.default_rng(0).integers(0, 2, (5, 16), np.uint8)
    sets = []
    for size in (60, 300):
        labels = np.arange(size, dtype=np.int32) % 5
        codes = pack_bits(centers[labels] ^ (rng.random((size, 16)) < noise))
        known = {"paths": paths, "root": Path("/data")} if paths and size == 60 else {}
        sets.append(CodeSet.from_arrays(codes, 16, labels=labels, **known))
    return score_code_sets(*sets)


def test_differences_are_those_of_the_figures_with_narrower_intervals() -> None:
    worse, better = evaluation(0.25, 1), evaluation(0.15, 2)
    differences = paired_differences(worse, better)
    found = differences["map"]
    assert found.value == pytest.approx(better.figures["map"] - worse.figures["map"])
    assert found.low < found.value < found.high
    assert found.clear
    assert np.isnan(differences["precision@1000"].value)
    assert not differences["precision@1000"].clear

    rng = np.random.default_rng(3)
    own = better.scores["map"] - worse.scores["map"]
    means = [own[rng.integers(0, 60, 60)].mean() for _ in range(5000)]
    assert [found.low, found.high] == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=0.01)


def test_an_evaluation_does_not_differ_from_itself() -> None:
    one = evaluation(0.2, 1)
    same = paired_differences(one, one)["map"]
    assert (same.value, same.low, same.high, same.clear) == (0, 0, 0, False)


def test_other_queries_are_refused() -> None:
    names = [f"{i}.png" for i in range(60)]
    one, two = evaluation(0.2, 1, names), evaluation(0.2, 1, names[::-1])
    paired_differences(one, evaluation(0.3, 2, names))
    with pytest.raises(ConfigError, match="different queries"):
        paired_differences(one, two)
