"""Confidence intervals by resampling the queries."""

import numpy as np
from numpy.typing import NDArray

from bitcodes.metrics.ranking import Floats

_RESAMPLES = 1000
_PERCENTILES = (2.5, 97.5)

# Resamples per block, so that the table of their counts stays small.
_BLOCK = 64


def bootstrap_intervals(scores: NDArray[np.floating], resamples: int = _RESAMPLES) -> Floats:
    """The 95 % interval of the mean of each column of `scores` (Q, F), as (F, 2): low, high.

    Percentiles of the means of `resamples` samples of Q queries, drawn with replacement; the same
    samples for every column and every call of one Q. NaNs are left out of the means; a column of
    NaNs has the interval (NaN, NaN). For the difference of two evaluations of the same
    queries, pass the differences of their scores.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    queries, figures = scores.shape
    present = ~np.isnan(scores)
    # Side by side, so that one product gives the sums and the counts of a resample.
    table = np.concatenate([np.where(present, scores, 0), present], axis=1)  # (Q, 2F)
    rng = np.random.default_rng(0)
    means = np.full((resamples, figures), np.nan)
    for start in range(0, resamples, _BLOCK):
        size = min(_BLOCK, resamples - start)
        picks = rng.integers(0, queries, (size, queries), dtype=np.int32)
        picks += np.arange(size, dtype=np.int32)[:, None] * queries
        times = np.bincount(picks.ravel(), minlength=size * queries).reshape(size, queries)
        sums = times.astype(np.float64) @ table  # (size, 2F)
        sums, counts = np.split(sums, 2, axis=1)
        np.divide(sums, counts, out=means[start : start + size], where=counts > 0)
    intervals = np.full((figures, 2), np.nan)
    for figure in range(figures):
        column = means[~np.isnan(means[:, figure]), figure]
        if len(column):
            intervals[figure] = np.percentile(column, _PERCENTILES)
    return intervals
