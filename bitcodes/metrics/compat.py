"""Figures as other projects count them, for comparison with their tables.

Their sort leaves ties in the order of the list, or in no defined order. Here each figure is the
expectation over all orders of the ties, with the range of these orders. Means are over all queries:
a query without a relevant item counts as 0.
"""

from collections.abc import Iterator
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
    hits_at,
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
    total, relevant = evaluation.total, evaluation.relevant
    if name == "deephash":
        # Its topK of -1 means the whole ranking, but as a slice [0:-1] it drops the last image.
        everything = max(1, evaluation.database - 1)
        return (
            _map_over_hits("mAP, topK=-1", total, relevant, everything),
            _map_over_hits("mAP, topK=1000", total, relevant, 1000),
            _map_over_hits("mAP, topK=5000", total, relevant, 5000),
        )
    if name == "lin2015":
        precisions = (_precision_at(k, total, relevant) for k in RANKS if k <= evaluation.database)
        return (_map_over_hits("mAP@1000", total, relevant, 1000), *precisions)
    if name == "predecessor":
        if "two_stage" not in evaluation.scores:
            raise ConfigError(
                "the predecessor's score needs features in both code sets; encode them with "
                "--features"
            )
        value = float(np.nan_to_num(evaluation.scores["two_stage"]).mean())
        radius = two_stage_radius(evaluation.bits)
        return (CompatFigure(f"mAP, two-stage within {radius}", value, value, value),)
    raise ConfigError(f"unknown way of counting '{name}'; known are {', '.join(NAMES)}")


def average_precision_over_hits(total: ArrayLike, relevant: ArrayLike, k: int) -> Floats:
    """Expected AP of the first k ranks, divided by the relevant items found there; 0 for none.

    Takes histograms (Q, K+1), returns a value per query, (Q,). The distance that k cuts through has
    n items, p of them relevant, and m of them are within k; N0 and P0 are nearer. The number x of
    relevant items among the m is hypergeometric. For a given x their order is random, so

        AP = sum_x P(x) [S0 + (x/m) ((P0 + 1 - a (N0 + 1)) (H(N0+m) - H(N0)) + a m)] / (P0 + x)

    with a = (x-1)/(m-1), and S0 the sum of the whole distances before.
    """
    cut = _find_cut(total, relevant, k)
    sums = _sums(average_precision(cut.total, cut.relevant), cut.p_before)
    scores = _over_hits(sums, cut.p_before)
    for query, (n, p, m, n_before, p_before) in cut.inside():
        x = _possible_hits(n, p, m)
        a = (x - 1) / max(1, m - 1)
        between = harmonic_between(np.array([n_before]), np.array([m]))
        added = (x / m) * ((p_before + 1 - a * (n_before + 1)) * between + a * m)
        terms = _over_hits(sums[query] + added, p_before + x)
        scores[query] = (_hypergeometric(x, n, p, m) * terms).sum()
    return scores


def average_precision_over_hits_bounds(
    total: ArrayLike, relevant: ArrayLike, k: int
) -> tuple[Floats, Floats]:
    """Least and greatest `average_precision_over_hits` that an order of ties gives, two (Q,).

    More hits can lower it as well as raise it, so each number of them that may be within k is
    tried, once with these hits last among the m ranks and once with them first.
    """
    cut = _find_cut(total, relevant, k)
    low, high = (
        _sums(bound, cut.p_before) for bound in average_precision_bounds(cut.total, cut.relevant)
    )
    worst, best = _over_hits(low, cut.p_before), _over_hits(high, cut.p_before)
    for query, (n, p, m, n_before, p_before) in cut.inside():
        x = _possible_hits(n, p, m)
        last = x + (p_before - n_before - m + x) * harmonic_between(n_before + m - x, x)
        first = x + (p_before - n_before) * harmonic_between(np.full(len(x), n_before), x)
        worst[query] = _over_hits(low[query] + last, p_before + x).min()
        best[query] = _over_hits(high[query] + first, p_before + x).max()
    return worst, best


@dataclass(frozen=True, eq=False)
class _Cut:
    """Histograms of the distances wholly within k, and the distance that k cuts through."""

    total: Counts
    relevant: Counts
    p_before: Counts
    group: Counts
    """(Q, 5): n, p, m, N0, P0 of the distance cut; m = 0 where k ends with a whole distance."""

    def inside(self) -> Iterator[tuple[int, tuple[float, float, float, float, float]]]:
        for query in np.flatnonzero(self.group[:, 2]):
            n, p, m, n_before, p_before = map(float, self.group[query])
            yield int(query), (n, p, m, n_before, p_before)


def _find_cut(total: ArrayLike, relevant: ArrayLike, k: int) -> _Cut:
    total, relevant = np.asarray(total, np.int64), np.asarray(relevant, np.int64)
    n_upto = np.cumsum(total, axis=1)
    whole = n_upto <= k
    total_whole, relevant_whole = total * whole, relevant * whole
    n_before, p_before = total_whole.sum(axis=1), relevant_whole.sum(axis=1)
    at = np.minimum(whole.sum(axis=1), total.shape[1] - 1)
    queries = np.arange(len(total))
    m = np.where(n_upto[:, -1] > k, k - n_before, 0)
    columns = (total[queries, at], relevant[queries, at], m, n_before, p_before)
    return _Cut(total_whole, relevant_whole, p_before, np.stack(columns, axis=1))


def _possible_hits(n: float, p: float, m: float) -> Floats:
    """Every number of relevant items that can be among m of n, p of them relevant."""
    return np.arange(max(0.0, m - (n - p)), min(m, p) + 1)


def _hypergeometric(x: Floats, n: float, p: float, m: float) -> Floats:
    """Probability of each of the possible hits x, from the ratios of neighbours."""
    ratios = (p - x) * (m - x) / ((x + 1) * (n - p - m + x + 1))
    logs = np.concatenate([[0.0], np.cumsum(np.log(ratios[:-1]))])
    weights = np.exp(logs - logs.max())
    return np.asarray(weights / weights.sum())


def _sums(scores: Floats, hits: Counts) -> Floats:
    """Sums of precisions, back from AP: 0 where nothing is relevant."""
    return np.where(hits > 0, scores, 0) * hits


def _over_hits(sums: Floats, hits: Floats | Counts) -> Floats:
    return np.divide(sums, hits, out=np.zeros(len(sums)), where=hits > 0)


def _map_over_hits(name: str, total: Counts, relevant: Counts, k: int) -> CompatFigure:
    low, high = average_precision_over_hits_bounds(total, relevant, k)
    value = average_precision_over_hits(total, relevant, k)
    return CompatFigure(name, float(value.mean()), float(low.mean()), float(high.mean()))


def _precision_at(k: int, total: Counts, relevant: Counts) -> CompatFigure:
    cut = _find_cut(total, relevant, k)
    n, p, m = cut.group[:, :3].T
    low = (cut.p_before + np.maximum(0, m - (n - p))) / k
    high = (cut.p_before + np.minimum(m, p)) / k
    value = hits_at(total, relevant, [k])[:, 0] / k
    return CompatFigure(
        f"precision@{k}", float(value.mean()), float(low.mean()), float(high.mean())
    )
