"""Figures as other projects count them, for comparison with their tables.

Their sort leaves ties in the order of the list, or in no defined order. Here each figure is the
expectation over all orders of the ties, with the range of these orders. Means are over all queries:
a query without a relevant item counts as 0.
"""

from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from bitcodes.choices import CompatName
from bitcodes.errors import ConfigError
from bitcodes.metrics.ranking import (
    Counts,
    Floats,
    average_precision,
    average_precision_bounds,
    harmonic_between,
    precision_at,
)
from bitcodes.metrics.scoring import RANKS, Evaluation
from bitcodes.metrics.two_stage import two_stage_radius

NAMES: tuple[CompatName, ...] = get_args(CompatName)


@dataclass(frozen=True)
class CompatFigure:
    """A figure: its expectation, and the least and greatest value that an order of ties gives."""

    name: str
    value: float
    low: float
    high: float


def compat_figures(name: CompatName, evaluation: Evaluation) -> tuple[CompatFigure, ...]:
    """The figures of one of NAMES from the counts of an evaluation; docs/metrics.md has sources.

    Raises ConfigError for an unknown name, and for `predecessor` if features are missing.
    """
    counts = evaluation.total, evaluation.relevant
    if name == "deephash":
        # Its topK of -1 means the whole ranking, but as a slice [0:-1] it drops the last image.
        ranks = {-1: max(1, evaluation.database - 1), 1000: 1000, 5000: 5000}
        return tuple(
            _figure(f"mAP, topK={top}", *average_precision_over_hits(*counts, k))
            for top, k in ranks.items()
        )
    if name == "lin2015":
        precisions = (
            _figure(f"precision@{k}", *_precision_at(*counts, k))
            for k in RANKS
            if k <= evaluation.database
        )
        return (_figure("mAP@1000", *average_precision_over_hits(*counts, 1000)), *precisions)
    if name == "predecessor":
        if "two_stage" not in evaluation.scores:
            raise ConfigError(
                "the predecessor's score needs features in both code sets; encode them with "
                "--features"
            )
        scores = np.nan_to_num(evaluation.scores["two_stage"])
        radius = two_stage_radius(evaluation.class_bits)
        return (_figure(f"mAP, two-stage within {radius}", scores, scores, scores),)
    raise ConfigError(f"--compat: unknown way of counting '{name}'; known are {', '.join(NAMES)}")


def average_precision_over_hits(
    total: ArrayLike, relevant: ArrayLike, k: int
) -> tuple[Floats, Floats, Floats]:
    """AP of the first k ranks, divided by the relevant items found there; 0 for none.

    Takes histograms (Q, K+1), returns a value per query, (Q,): the expectation, and the least and
    the greatest value that an order of ties gives. The distance that k cuts through has n items, p
    of them relevant, and m of them are within k; N0 and P0 are nearer. The number x of relevant
    items among the m is hypergeometric. For a given x their order is random, so the expected

        AP = sum_x P(x) [S0 + (x/m) ((P0 + 1 - a (N0 + 1)) (H(N0+m) - H(N0)) + a m)] / (P0 + x)

    with a = (x-1)/(m-1), and S0 the sum of the whole distances before. More hits can lower the AP
    as well as raise it, so for the bounds each x is tried, with these hits last among the m ranks
    and with them first.
    """
    nearer_total, nearer_relevant, cut = _cut_at(total, relevant, k)
    nearer_hits = nearer_relevant.sum(axis=1)
    nearer = (nearer_total, nearer_relevant)
    # Sums of precisions, back from AP, which is NaN where nothing is relevant.
    sums, low_sums, high_sums = (
        np.nan_to_num(scores) * nearer_hits
        for scores in (average_precision(*nearer), *average_precision_bounds(*nearer))
    )
    expected, low, high = (_divide(each, nearer_hits) for each in (sums, low_sums, high_sums))
    for query in np.flatnonzero(cut[:, 2]):
        n, p, m, n_before, p_before = cut[query].tolist()
        x = np.arange(max(0.0, m - (n - p)), min(m, p) + 1)  # every possible number of hits
        a = (x - 1) / max(1, m - 1)
        between = harmonic_between(np.array([n_before]), np.array([m]))
        random = (x / m) * ((p_before + 1 - a * (n_before + 1)) * between + a * m)
        last = x + (p_before - n_before - m + x) * harmonic_between(n_before + m - x, x)
        first = x + (p_before - n_before) * harmonic_between(np.full(len(x), n_before), x)
        hits = p_before + x
        probability = _hypergeometric(x, n, p, m)
        expected[query] = (probability * _divide(sums[query] + random, hits)).sum()
        low[query] = _divide(low_sums[query] + last, hits).min()
        high[query] = _divide(high_sums[query] + first, hits).max()
    return expected, low, high


def _precision_at(total: Counts, relevant: Counts, k: int) -> tuple[Floats, Floats, Floats]:
    """Precision at k, (Q,): expected, and the least and greatest that an order of ties gives."""
    n, p, m, _, p_before = _cut_at(total, relevant, k)[2].T
    low, high = p_before + np.maximum(0, m - (n - p)), p_before + np.minimum(m, p)
    return precision_at(total, relevant, k), low / k, high / k


def _cut_at(total: ArrayLike, relevant: ArrayLike, k: int) -> tuple[Counts, Counts, Floats]:
    """Histograms of the distances wholly within k, and the distance that k cuts through.

    The latter is (Q, 5): n, p, m, N0, P0; m = 0 where k ends with a whole distance.
    """
    total, relevant = np.asarray(total, np.int64), np.asarray(relevant, np.int64)
    n_upto = np.cumsum(total, axis=1)
    whole = n_upto <= k
    total_whole, relevant_whole = total * whole, relevant * whole
    n_before, p_before = total_whole.sum(axis=1), relevant_whole.sum(axis=1)
    at = np.minimum(whole.sum(axis=1), total.shape[1] - 1)
    queries = np.arange(len(total))
    m = np.where(n_upto[:, -1] > k, k - n_before, 0)
    columns = (total[queries, at], relevant[queries, at], m, n_before, p_before)
    return total_whole, relevant_whole, np.stack(columns, axis=1).astype(np.float64)


def _hypergeometric(x: Floats, n: float, p: float, m: float) -> Floats:
    """Probability of each of the possible hits x, from the ratios of neighbours."""
    ratios = (p - x) * (m - x) / ((x + 1) * (n - p - m + x + 1))
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios[:-1]))])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _divide(sums: Floats, hits: Floats | Counts) -> Floats:
    """Divide elementwise; 0 where there are no hits."""
    return np.divide(sums, hits, out=np.zeros(len(sums)), where=hits > 0)


def _figure(name: str, *scores: Floats) -> CompatFigure:
    """The means over all queries of the expected, least and greatest scores."""
    value, low, high = (float(values.mean()) for values in scores)
    return CompatFigure(name, value, low, high)
