"""Bootstrap intervals against theory and a plain version."""

import numpy as np
import pytest

from bitcodes.metrics.intervals import bootstrap_intervals


def test_interval_is_the_one_of_the_normal_law_for_many_queries() -> None:
    rng = np.random.default_rng(0)
    scores = rng.beta(2, 1, (4000, 1))
    low, high = bootstrap_intervals(scores)[0]
    error = scores.std() / np.sqrt(4000)
    assert low == pytest.approx(scores.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(scores.mean() + 1.96 * error, abs=0.15 * error)


def test_interval_equals_a_plain_bootstrap() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random((30, 2))
    scores[::4, 1] = np.nan
    plain = np.random.default_rng(2)
    means = []
    for _ in range(20_000):
        sample = scores[plain.integers(0, 30, 30)]
        means.append(np.nanmean(sample, axis=0))
    expected = np.percentile(means, [2.5, 97.5], axis=0).T
    found = bootstrap_intervals(scores, resamples=20_000)
    assert found == pytest.approx(expected, abs=0.01)


def test_queries_are_resampled_alike_for_every_figure() -> None:
    scores = np.random.default_rng(3).random((50, 1))
    both = bootstrap_intervals(np.concatenate([scores, 2 * scores], axis=1))
    assert both[1] == pytest.approx(2 * both[0])
    assert np.array_equal(bootstrap_intervals(scores), bootstrap_intervals(scores))


def test_constant_and_missing_scores() -> None:
    scores = np.stack([np.full(10, 0.25), np.full(10, np.nan)], axis=1)
    intervals = bootstrap_intervals(scores)
    assert intervals[0] == pytest.approx([0.25, 0.25])
    assert np.isnan(intervals[1]).all()
