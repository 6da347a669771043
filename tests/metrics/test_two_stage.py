"""The two-stage score against a literal version."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.hamming.index import HammingIndex
from bitcodes.metrics import two_stage
from bitcodes.metrics.protocols import relevance
from bitcodes.metrics.two_stage import two_stage_scores


def literal_two_stage(
    query_bits: np.ndarray,
    bits: np.ndarray,
    query_features: np.ndarray,
    features: np.ndarray,
    hits: np.ndarray,
    radius: int,
    positions: int,
) -> list[float]:
    """Query by query and item by item, as the search itself would go."""
    scores = []
    for q in range(len(query_bits)):
        ball = [i for i in range(len(bits)) if (query_bits[q] != bits[i]).sum() <= radius]
        ball.sort(
            key=lambda i, q=q: (
                float(((features[i] - query_features[q]) ** 2).sum()),
                int((query_bits[q] != bits[i]).sum()),
                i,
            )
        )
        found, terms = 0, []
        for position, item in enumerate(ball[:positions], start=1):
            found += int(hits[q, item])
            terms.append(found / position if hits[q, item] else 0.0)
        scores.append(sum(terms) / len(terms) if terms else 0.0)
    return scores


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 8), st.integers(1, 12), st.booleans())
def test_two_stage_equals_the_literal_search(
    seed: int, radius: int, positions: int, multi_label: bool
) -> None:
    rng = np.random.default_rng(seed)
    query_bits = rng.integers(0, 2, (5, 12), np.uint8)
    bits = rng.integers(0, 2, (30, 12), np.uint8)
    # Small whole numbers: exact in float16, and with ties that Hamming distance and row decide.
    query_features = rng.integers(0, 3, (5, 4)).astype(np.float16)
    features = rng.integers(0, 3, (30, 4)).astype(np.float16)
    if multi_label:
        query_labels = rng.integers(0, 2, (5, 3), np.uint8)
        labels = rng.integers(0, 2, (30, 3), np.uint8)
    else:
        query_labels = rng.integers(0, 3, 5, np.int32)
        labels = rng.integers(0, 3, 30, np.int32)
    hits = relevance(query_labels, labels)
    scores = two_stage_scores(
        HammingIndex(pack_bits(bits), 12),
        pack_bits(query_bits),
        query_features,
        features,
        query_labels,
        labels,
        radius,
        positions,
    )
    expected = literal_two_stage(
        query_bits, bits, query_features, features, hits, radius, positions
    )
    assert scores == pytest.approx(expected)


def test_two_stage_does_not_depend_on_the_size_of_its_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(3)
    codes = pack_bits(rng.integers(0, 2, (200, 16), np.uint8))
    features = rng.integers(0, 5, (200, 6)).astype(np.float16)
    labels = rng.integers(0, 4, 200, np.int32)
    arguments = (HammingIndex(codes, 16), codes, features, features, labels, labels, 6, 20)
    whole = two_stage_scores(*arguments)
    monkeypatch.setattr(two_stage, "_FEATURE_BLOCK", 6 * 7)
    monkeypatch.setattr(two_stage, "_PAIR_BLOCK", 200 * 3)
    assert np.array_equal(two_stage_scores(*arguments), whole)


def test_two_stage_worked_by_hand() -> None:
    # Distances in bits 0, 1, 4, 1; the third is outside radius 2. By features: 1, 3, 0.
    bits = np.array([[0, 0, 0, 0], [1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 0]], np.uint8)
    features = np.array([[3], [1], [0], [2]], np.float16)
    labels = np.array([7, 7, 7, 8], np.int32)
    query = (np.zeros((1, 1), np.uint8), np.array([[0]], np.float16))
    index = HammingIndex(pack_bits(bits), 4)
    label = np.array([7], np.int32)
    # Hits 1 0 1: (1 + 0 + 2/3) / 3.
    score = two_stage_scores(index, *query, features, label, labels, 2)
    assert score == pytest.approx([5 / 9])
    # Two positions: (1 + 0) / 2. Row 1 passed over: hits 0 1: (0 + 1/2) / 2.
    assert two_stage_scores(index, *query, features, label, labels, 2, 2) == pytest.approx([1 / 2])
    passed = np.array([[0, 1]])
    score = two_stage_scores(index, *query, features, label, labels, 2, exclude=passed)
    assert score == pytest.approx([1 / 4])
    # An empty ball scores 0.
    far = HammingIndex(pack_bits(bits[2:3]), 4)
    assert two_stage_scores(far, *query, features[2:3], label, labels[2:3], 1) == [0]
