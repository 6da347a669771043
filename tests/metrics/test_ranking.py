"""Ranking metrics against plain definitions on every order of the ties, and by hand."""

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.metrics.ranking import (
    average_precision,
    average_precision_bounds,
    decided_at,
    hits_at,
    mean_over_queries,
    precision_at,
    precision_recall_curve,
    precision_within,
    recall_at,
    recall_within,
)

# One query's database: for each item its distance and whether it is relevant.
Items = list[tuple[int, bool]]
FARTHEST = 3
small_databases = st.lists(st.tuples(st.integers(0, FARTHEST), st.booleans()), max_size=6)
cutoffs = st.one_of(st.none(), st.integers(1, 8))


def histograms(items: Items, farthest: int = FARTHEST) -> tuple[np.ndarray, np.ndarray]:
    total = np.zeros((1, farthest + 1), np.int64)
    relevant = np.zeros((1, farthest + 1), np.int64)
    for distance, hit in items:
        total[0, distance] += 1
        relevant[0, distance] += hit
    return total, relevant


def every_order(items: Items) -> list[list[bool]]:
    """The relevance of the ranks, in every order that sorting by distance may give."""
    groups = [[hit for d, hit in items if d == distance] for distance in range(FARTHEST + 1)]
    orders = product(*(permutations(group) for group in groups))
    return [[hit for group in order for hit in group] for order in orders]


def plain_ap(ranking: list[bool], cutoff: int | None) -> Fraction:
    """Average precision by its definition, rank by rank."""
    hits, score = 0, Fraction(0)
    for rank, hit in enumerate(ranking[:cutoff], start=1):
        if hit:
            hits += 1
            score += Fraction(hits, rank)
    possible = sum(ranking) if cutoff is None else min(sum(ranking), cutoff)
    return score / possible


@settings(deadline=None)
@given(small_databases.filter(lambda items: any(hit for _, hit in items)), cutoffs)
def test_ap_and_its_bounds_equal_every_order_enumerated(items: Items, cutoff: int | None) -> None:
    scores = [plain_ap(ranking, cutoff) for ranking in every_order(items)]
    total, relevant = histograms(items)
    expected = float(sum(scores) / len(scores))
    assert average_precision(total, relevant, cutoff) == pytest.approx([expected], abs=1e-14)
    worst, best = average_precision_bounds(total, relevant, cutoff)
    assert worst == pytest.approx([float(min(scores))], abs=1e-14)
    assert best == pytest.approx([float(max(scores))], abs=1e-14)


@settings(deadline=None)
@given(small_databases, st.integers(1, 8))
def test_hits_equal_every_order_enumerated(items: Items, k: int) -> None:
    hits = [sum(ranking[:k]) for ranking in every_order(items)]
    total, relevant = histograms(items)
    expected = sum(hits) / len(hits)
    assert hits_at(total, relevant, [k])[0, 0] == pytest.approx(expected, abs=1e-12)
    assert precision_at(total, relevant, k)[0] == pytest.approx(expected / k, abs=1e-12)
    known = sum(hit for _, hit in items)
    recall = recall_at(total, relevant, k)[0]
    if known:
        assert recall == pytest.approx(expected / known, abs=1e-12)
    else:
        assert np.isnan(recall)


@settings(deadline=None)
@given(small_databases, st.integers(0, FARTHEST))
def test_within_a_radius_counts_the_ball(items: Items, radius: int) -> None:
    total, relevant = histograms(items)
    ball = [hit for distance, hit in items if distance <= radius]
    known = sum(hit for _, hit in items)
    assert precision_within(total, relevant, radius)[0] == pytest.approx(
        sum(ball) / len(ball) if ball else 0
    )
    recall = recall_within(total, relevant, radius)[0]
    assert recall == pytest.approx(sum(ball) / known) if known else np.isnan(recall)


@pytest.mark.parametrize("cutoff", [None, 100, 1000, 2500])
def test_ap_equals_the_mean_over_random_orders_of_many_ties(cutoff: int | None) -> None:
    rng = np.random.default_rng(7)
    distances = rng.binomial(16, 0.3, 3000)
    hit = rng.random(3000) < np.where(distances < 4, 0.5, 0.1)
    total = np.bincount(distances, minlength=17)[None]
    relevant = np.bincount(distances[hit], minlength=17)[None]

    scores = []
    ranks = np.arange(1, 3001)
    possible = hit.sum() if cutoff is None else min(hit.sum(), cutoff)
    for _ in range(400):
        order = np.lexsort((rng.random(3000), distances))
        ranking = hit[order]
        precision = np.cumsum(ranking) / ranks
        scores.append((precision * ranking)[:cutoff].sum() / possible)
    error = np.std(scores) / np.sqrt(len(scores))
    assert abs(average_precision(total, relevant, cutoff)[0] - np.mean(scores)) < 4 * error
    worst, best = average_precision_bounds(total, relevant, cutoff)
    assert worst[0] < min(scores) < max(scores) < best[0]


def test_ap_worked_by_hand() -> None:
    # Distance 0: one relevant item. Distance 1: one of each. Distance 2: an irrelevant one.
    # The orders are 1 1 0 0 (AP 1) and 1 0 1 0 (AP (1 + 2/3) / 2 = 5/6).
    total, relevant = [[1, 2, 1]], [[1, 1, 0]]
    assert average_precision(total, relevant) == pytest.approx([11 / 12])
    assert np.array(average_precision_bounds(total, relevant)) == pytest.approx(
        np.array([[5 / 6], [1]])
    )
    # Two ranks: 1 1 (AP@2 = 1) and 1 0 (AP@2 = 1/2); one relevant item suffices for AP@1.
    assert average_precision(total, relevant, 2) == pytest.approx([3 / 4])
    assert average_precision(total, relevant, 1) == pytest.approx([1])
    assert precision_at(total, relevant, 2) == pytest.approx([3 / 4])
    assert recall_at(total, relevant, 2) == pytest.approx([3 / 4])
    assert precision_within(total, relevant, 1) == pytest.approx([2 / 3])
    assert recall_within(total, relevant, 0) == pytest.approx([1 / 2])


def test_all_items_tied_gives_the_ap_of_a_random_ranking() -> None:
    # The known expectation for R relevant of N in random order:
    # (1/N) [H(N) + (R-1)/(N-1) (N - H(N))].
    size, known = 50, 7
    harmonic = sum(1 / i for i in range(1, size + 1))
    expected = (harmonic + (known - 1) / (size - 1) * (size - harmonic)) / size
    assert average_precision([[size, 0]], [[known, 0]]) == pytest.approx([expected])


def test_precision_at_a_rank_past_the_database_divides_by_the_rank() -> None:
    assert precision_at([[2, 1]], [[2, 0]], 10) == pytest.approx([0.2])


def test_queries_with_nothing_relevant_are_nan_and_left_out_of_the_mean() -> None:
    total, relevant = [[1, 1], [1, 1]], [[0, 1], [0, 0]]
    scores = average_precision(total, relevant)
    assert scores[0] == pytest.approx(0.5)
    assert np.isnan(scores[1])
    assert mean_over_queries(scores) == pytest.approx(0.5)
    assert np.isnan(mean_over_queries([np.nan]))
    assert np.isnan(recall_within(total, relevant, 1)[1])
    assert precision_within(total, relevant, 1)[1] == 0
    precision, recall = precision_recall_curve(total, relevant, [1, 2])
    assert precision == pytest.approx([0, 0.5])
    assert recall == pytest.approx([0, 1])


def test_curve_is_the_mean_of_the_queries() -> None:
    total, relevant = np.array([[2, 2, 4], [0, 3, 5]]), np.array([[1, 1, 0], [0, 3, 1]])
    ranks = [1, 3, 8]
    precision, recall = precision_recall_curve(total, relevant, ranks)
    assert precision == pytest.approx([precision_at(total, relevant, k).mean() for k in ranks])
    assert recall == pytest.approx([recall_at(total, relevant, k).mean() for k in ranks])
    assert recall[-1] == 1


def test_scores_do_not_depend_on_how_many_queries_are_scored_together() -> None:
    rng = np.random.default_rng(1)
    total = rng.integers(0, 50, (3000, 65))
    relevant = rng.binomial(total, 0.2)
    together = average_precision(total, relevant, 100)
    alone = [average_precision(total[i : i + 1], relevant[i : i + 1], 100)[0] for i in range(3000)]
    assert np.array_equal(together, alone)


def test_ap_is_exact_in_databases_of_a_hundred_million() -> None:
    # Two relevant items tied alone, deep down: ranks N0+1 and N0+2, hits 1 and 2, exactly.
    for n_before in (900, 1023, 1024, 5000, 10**8):
        expected = (Fraction(1, n_before + 1) + Fraction(2, n_before + 2)) / 2
        score = average_precision([[n_before, 2]], [[0, 2]])
        assert score[0] == pytest.approx(float(expected), rel=1e-7)
    # And everything in one heap: a random ranking.
    size, known = 10**8, 10**5
    harmonic = np.log(size) + np.euler_gamma + 1 / (2 * size)
    expected = (harmonic + (known - 1) / (size - 1) * (size - harmonic)) / size
    assert average_precision([[size]], [[known]])[0] == pytest.approx(expected, rel=1e-9)


def test_whether_codes_decide_the_first_ranks_by_hand() -> None:
    total = [[1, 2, 0, 1], [0, 3, 1, 0], [2, 0, 0, 0], [1, 1, 0, 2]]
    np.testing.assert_array_equal(decided_at(total, 1), [1, 0, 0, 1])
    np.testing.assert_array_equal(decided_at(total, 2), [0, 0, np.nan, 1])
    np.testing.assert_array_equal(decided_at(total, 3), [1, 1, np.nan, 0])
    np.testing.assert_array_equal(decided_at(total, 4), [np.nan] * 4)


def test_wrong_shapes_and_ranks_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape"):
        average_precision([[1, 2]], [[1]])
    with pytest.raises(ValueError, match="from 1"):
        average_precision([[1]], [[1]], 0)
    with pytest.raises(ValueError, match="from 1"):
        hits_at([[1]], [[1]], [0])
