"""Figures inside classes: worked by hand, and against sorting in all or many orders of ties."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure
from bitcodes.metrics.orders import OrderTrial, nearest_of_class, orders_of, recalls


def distances_of(measure: Measure, some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distances (Q, N) of bits (Q, K) and (N, K), counted bit by bit."""
    weights = np.full(some.shape[1], measure.weight)
    weights[some.shape[1] - measure.instance_bits :] = 1
    return ((some[:, None] != others) * weights).sum(axis=2)


def shares_by_sorting(distances: np.ndarray, wanted: set[int], k: int) -> float:
    """The mean share of the rows wanted among the first k, over every order of the rows."""
    shares = []
    for order in permutations(range(len(distances))):
        ranked = sorted(order, key=lambda row: distances[row])
        shares.append(len(wanted & set(ranked[:k])) / len(wanted))
    return float(np.mean(shares))


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 4]), st.integers(1, 6))
def test_recalls_are_means_over_all_orders_of_ties(seed: int, weight: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    bits, queries = rng.integers(0, 2, (6, 4), np.uint8), rng.integers(0, 2, (3, 4), np.uint8)
    wanted = np.full((3, 2), -1)
    wanted[0] = rng.permutation(6)[:2]
    wanted[1, 1] = rng.integers(6)
    measure = Measure(4, 2, weight)
    index = HammingIndex(pack_bits(bits), 4, measure=measure)
    found = recalls(index, pack_bits(bits), pack_bits(queries), wanted, (k,))[:, 0]
    distances = distances_of(measure, queries, bits)
    for query in range(2):
        rows = set(wanted[query].tolist()) - {-1}
        assert found[query] == pytest.approx(shares_by_sorting(distances[query], rows, k))
    assert np.isnan(found[2])


def test_neighbours_of_the_class_by_features() -> None:
    rng = np.random.default_rng(1)
    features, queries = rng.normal(size=(60, 3)), rng.normal(size=(300, 3))
    labels, query_labels = rng.integers(0, 3, 60), rng.integers(0, 4, 300)
    labels[labels == 2] = np.where(np.arange((labels == 2).sum()) < 4, 2, 1)
    near = nearest_of_class(queries, query_labels, features, labels)
    for query in range(300):
        rows = np.flatnonzero(labels == query_labels[query])
        lengths = np.linalg.norm(features[rows] - queries[query], axis=1)
        expected = rows[np.argsort(lengths)][:10].tolist()
        assert near[query].tolist() == expected + [-1] * (10 - len(expected))
    sets = np.eye(4, dtype=np.uint8)
    again = nearest_of_class(queries, sets[query_labels], features, sets[labels])
    np.testing.assert_array_equal(near, again)


def test_worked_by_hand() -> None:
    """Four images of one class and one of another; two class bits and one instance bit.

    The copy of row 0 lost its first class bit. By class bits alone, rows 3 and 4 are as far (1) as
    rows 0 and 1: its original is first in one order of four. By the sum with weight 2, rows 0 and 4
    are at 2 and the others at 3 or more: first in one order of two. In the order "class", the same.
    """
    bits = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 1], [0, 0, 1], [0, 0, 0]], np.uint8)
    labels = np.array([0, 0, 0, 0, 1])
    parts = Parts(class_bits=2, instance_bits=1, class_weight=2)
    trial = OrderTrial(
        queries=pack_bits(np.array([[1, 1, 0]], np.uint8)),
        database=pack_bits(bits),
        copies=pack_bits(np.array([[0, 1, 0]], np.uint8)),
        query_labels=np.array([0]),
        labels=labels,
        originals=np.array([0]),
        asked=np.array([0]),
        near=np.array([[0, 1, 2, 3] + [-1] * 6]),
    )
    alone, by_class, summed = (trial.score(*order, 3) for order in orders_of(3, parts))
    assert [alone.name, by_class.name, summed.name] == ["class bits alone", "class", "sum"]
    assert (alone.copy_at_1, by_class.copy_at_1, summed.copy_at_1) == pytest.approx(
        (1 / 4, 0.5, 0.5)
    )
    # Ten of five images are all of them.
    assert summed.copy_recall == summed.in_class == 1
    assert (alone.distinct, by_class.distinct, summed.distinct) == (3, 5, 5)
    # Rows 0, 1 and 2 come first by every order; then rows 3 and 4 at one class distance. With the
    # instance bit, row 4 is nearer than row 3.
    assert alone.map == pytest.approx((1 + 1 + 1 + (1 + 4 / 5) / 2) / 4)
    assert by_class.map == summed.map == pytest.approx((1 + 1 + 1 + 4 / 5) / 4)


def test_orders_against_sorting_with_random_ties() -> None:
    rng = np.random.default_rng(2)
    bits, queries, copies = (rng.integers(0, 2, (n, 9), np.uint8) for n in (80, 300, 30))
    labels, query_labels = rng.integers(0, 2, 80), rng.integers(0, 2, 300)
    near = np.array([rng.permutation(80)[:10] for _ in range(40)])
    trial = OrderTrial(
        *map(pack_bits, (queries, bits, copies)),
        query_labels,
        labels,
        originals := rng.integers(0, 80, 30),
        asked := np.arange(0, 280, 7),
        near,
    )
    parts = Parts(class_bits=5, instance_bits=4, class_weight=2)
    for name, measure in [*orders_of(9, parts), *orders_of(9, None)]:
        score = trial.score(name, measure, 9)
        first = measure.bits
        to_bits = [
            distances_of(measure, some[:, :first], bits[:, :first]) for some in (queries, copies)
        ]

        def ranked(distances: np.ndarray) -> np.ndarray:
            return np.argsort(distances + rng.random(distances.shape) / 2, axis=1)

        figures = []
        for _ in range(60):
            order, copy_order = map(ranked, to_bits)
            hits = labels[order] == query_labels[:, None]
            precision = hits.cumsum(axis=1) / np.arange(1, 81)
            own = copy_order == originals[:, None]
            shares = [
                len({*a} & {*b}) / 10 for a, b in zip(order[asked][:, :10], near, strict=True)
            ]
            figures.append(
                (
                    ((precision * hits).sum(axis=1) / hits.sum(axis=1)).mean(),
                    own[:, 0].mean(),
                    own[:, :10].any(axis=1).mean(),
                    np.mean(shares),
                )
            )
        found = score.map, score.copy_at_1, score.copy_recall, score.in_class
        assert found == pytest.approx(np.mean(figures, axis=0), abs=0.02)
        tenth, next_ = np.sort(to_bits[0], axis=1)[:, 9:11].T
        assert score.decided == pytest.approx((tenth < next_).mean())
        assert score.distinct == len({tuple(row) for row in bits[:, :first].tolist()})
