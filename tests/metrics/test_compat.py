"""Other projects' ways of counting against slow versions written from their descriptions."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.metrics.compat import average_precision_over_hits

FARTHEST = 2
Items = list[tuple[int, bool]]
small_databases = st.lists(st.tuples(st.integers(0, FARTHEST), st.booleans()), max_size=6)


def histograms(items: Items, farthest: int) -> tuple[np.ndarray, np.ndarray]:
    distances = np.array([d for d, _ in items], np.int64)
    hits = np.array([hit for _, hit in items], bool)
    total = np.bincount(distances, minlength=farthest + 1)[None]
    return total, np.bincount(distances[hits], minlength=farthest + 1)[None]


def deephash_ap(ranking: list[bool], k: int) -> float:
    """One query of CalcTopMap: the mean over the hits in the top k of hits so far / rank."""
    found = np.asarray(ranking, bool)[:k]
    if not found.any():
        return 0.0
    ranks = np.flatnonzero(found) + 1.0
    return float(np.mean(np.arange(1, len(ranks) + 1) / ranks))


def lin2015_ap(ranking: list[bool], k: int) -> float:
    """One query of precision.m: precision at every rank, times hit, over the hits."""
    yes = np.zeros(k)
    yes[: len(ranking[:k])] = ranking[:k]
    precision = np.cumsum(yes) / np.arange(1, k + 1)
    return 0.0 if yes.sum() == 0 else float((precision * yes).sum() / yes.sum())


@settings(deadline=None)
@given(small_databases, st.integers(1, 7))
def test_ap_over_hits_equals_every_order_enumerated(items: Items, k: int) -> None:
    groups = [[hit for d, hit in items if d == distance] for distance in range(FARTHEST + 1)]
    scores = [
        deephash_ap([hit for group in order for hit in group], k)
        for order in product(*(permutations(group) for group in groups))
    ]
    total, relevant = histograms(items, FARTHEST)
    expected, low, high = average_precision_over_hits(total, relevant, k)
    assert expected[0] == pytest.approx(np.mean(scores))
    assert low[0] == pytest.approx(min(scores))
    assert high[0] == pytest.approx(max(scores))


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 50))
def test_without_ties_the_two_projects_and_ours_agree(ranking: list[bool], k: int) -> None:
    total, relevant = histograms(list(enumerate(ranking)), len(ranking))
    score = average_precision_over_hits(total, relevant, k)[0][0]
    assert score == pytest.approx(deephash_ap(ranking, k))
    assert score == pytest.approx(lin2015_ap(ranking, k))


def test_ap_over_hits_equals_the_mean_over_random_orders_of_many_ties() -> None:
    rng = np.random.default_rng(5)
    distances = rng.binomial(12, 0.4, 2000)
    hits = rng.random(2000) < np.where(distances < 4, 0.3, 0.05)
    total, relevant = histograms(list(zip(distances, hits, strict=True)), 12)
    for k in (5, 300, 1999):
        scores = []
        for _ in range(400):
            order = np.lexsort((rng.random(2000), distances))
            scores.append(deephash_ap(hits[order], k))
        error = np.std(scores) / np.sqrt(len(scores))
        expected, low, high = average_precision_over_hits(total, relevant, k)
        assert abs(expected[0] - np.mean(scores)) < 4 * error + 1e-9
        assert low[0] <= min(scores) <= max(scores) <= high[0]
