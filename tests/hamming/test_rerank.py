"""Re-ranking against the definitions, a query at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.pack import pack_bits
from bitcodes.errors import CodeSetError
from bitcodes.hamming.rerank import rerank_asymmetric, rerank_by_features


def random_shortlist(rng, queries, count):
    lengths = rng.integers(0, count + 1, size=queries)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    rows = [rng.permutation(count)[:length] for length in lengths]
    rows = np.concatenate([np.empty(0, np.int64), *rows])
    return offsets, rows, rng.integers(0, 3, size=len(rows)).astype(np.int32)


def check_order(result, offsets, rows, distances, score_of, k):
    """The result has every row of the shortlist with its score, in order, at most k a query."""
    for query in range(len(offsets) - 1):
        before = slice(*offsets[query : query + 2])
        after = slice(*result.offsets[query : query + 2])
        scored = [
            (score_of(query, row), distance, row)
            for row, distance in zip(rows[before].tolist(), distances[before].tolist(), strict=True)
        ]
        expected = sorted(scored)[:k]
        assert result.rows[after].tolist() == [row for _, _, row in expected]
        assert result.distances[after].tolist() == [distance for _, distance, _ in expected]
        np.testing.assert_allclose(
            result.scores[after], [score for score, _, _ in expected], rtol=1e-6, atol=1e-6
        )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    queries=st.integers(0, 4),
    count=st.sampled_from([0, 1, 9, 40]),
    k=st.sampled_from([None, 1, 5, 100]),
)
def test_features_equal_definition(seed, queries, count, k):
    rng = np.random.default_rng(seed)
    features = rng.integers(-3, 4, size=(count, 5)).astype(np.float16)  # ties happen
    query_features = rng.integers(-3, 4, size=(queries, 5)).astype(np.float32)
    offsets, rows, distances = random_shortlist(rng, queries, count)
    result = rerank_by_features(query_features, features, offsets, rows, distances, k)

    def score(query, row):
        difference = query_features[query].astype(float) - features[row].astype(float)
        return float(np.float32(np.sqrt((difference**2).sum())))

    check_order(result, offsets, rows, distances, score, k)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    bits=st.sampled_from([1, 7, 8, 48, 65]),
    k=st.sampled_from([None, 1, 5, 100]),
)
def test_asymmetric_equals_definition(seed, bits, k):
    rng = np.random.default_rng(seed)
    code_bits = rng.random((30, bits)) < 0.5
    outputs = rng.integers(-2, 3, size=(3, bits)).astype(np.float32)
    offsets, rows, distances = random_shortlist(rng, 3, 30)
    result = rerank_asymmetric(outputs, pack_bits(code_bits), bits, offsets, rows, distances, k)

    def score(query, row):
        total = sum(
            float(output) ** 2
            for output, bit in zip(outputs[query], code_bits[row], strict=True)
            if (output > 0) != bit
        )
        return float(np.float32(np.sqrt(total)))

    check_order(result, offsets, rows, distances, score, k)


def test_an_image_finds_itself_at_zero_and_only_shortlisted_rows_are_read(tmp_path):
    rng = np.random.default_rng(0)
    exact = rng.normal(size=(50, 8)).astype(np.float32)
    np.save(tmp_path / "features.npy", exact.astype(np.float16))
    features = np.load(tmp_path / "features.npy", mmap_mode="r")
    offsets, rows = np.array([0, 3]), np.array([20, 7, 33])
    result = rerank_by_features(exact[7:8], features, offsets, rows, np.array([1, 2, 0], np.int32))
    assert result.rows[0] == 7 and result.scores[0] == 0 and result.scores[1] > 0


def test_wrong_shapes_are_refused():
    features = np.zeros((4, 3), np.float16)
    empty = np.zeros(1, np.int32)
    with pytest.raises(CodeSetError, match="3"):
        rerank_by_features(np.zeros((1, 2)), features, np.array([0, 1]), np.array([0]), empty)
    with pytest.raises(CodeSetError, match="rows"):
        rerank_by_features(np.zeros((1, 3)), features, np.array([0, 1]), np.array([4]), empty)
    with pytest.raises(CodeSetError, match="shortlist"):
        rerank_by_features(np.zeros((2, 3)), features, np.array([0, 1]), np.array([0]), empty)
