"""SearchModes of a search against literal rankings."""

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.metrics.modes import score_modes


def code_set(
    codes: np.ndarray, labels: np.ndarray, features: np.ndarray | None = None, bits: int = 8
) -> CodeSet:
    return CodeSet.from_arrays(codes, bits, labels=labels, features=features)


def plain_figures(rankings: list[np.ndarray], known: np.ndarray, shortlist: int) -> list[float]:
    scores, first, ten = [], [], []
    for hits, relevant in zip(rankings, known, strict=True):
        precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
        scores.append((precision * hits).sum() / min(relevant, shortlist))
        first.append(hits[0])
        ten.append(hits[:10].sum() / 10)
    return [float(np.mean(values)) for values in (scores, first, ten)]


@pytest.mark.parametrize("multi_label", [False, True])
def test_each_stage_equals_its_literal_ranking(multi_label: bool) -> None:
    rng = np.random.default_rng(4)
    bits, items, count, shortlist = 16, 200, 12, 40
    outputs = rng.standard_normal((count, bits)).astype(np.float32)
    query_bits = (outputs > 0).astype(np.uint8)
    item_bits = rng.integers(0, 2, (items, bits), np.uint8)
    features = rng.standard_normal((items, 5)).astype(np.float16)
    query_features = rng.standard_normal((count, 5)).astype(np.float16)
    if multi_label:
        labels = rng.integers(0, 2, (items, 3), np.uint8)
        query_labels = rng.integers(0, 2, (count, 3), np.uint8)
        related = (query_labels[:, None] & labels).any(axis=2)
    else:
        labels = rng.integers(0, 4, items, np.int32)
        query_labels = rng.integers(0, 5, count, np.int32)  # class 4 has no answer
        related = query_labels[:, None] == labels

    stages = score_modes(
        code_set(pack_bits(query_bits), query_labels, query_features, bits),
        code_set(pack_bits(item_bits), labels, features, bits),
        np.arange(count),
        outputs,
        shortlist,
    )
    assert [stage.name for stage in stages.scores] == [
        "by Hamming distance",
        "by features",
        "asymmetric, by hash outputs",
    ]
    assert all(stage.queries_per_second > 0 for stage in stages.scores)

    answerable = related.any(axis=1)
    known = related[answerable].sum(axis=1)
    different = query_bits[:, None] != item_bits  # (Q, N, K)
    by_features, by_outputs = [], []
    place = np.argsort(np.random.default_rng(0).permutation(items))  # ties stand in random order
    for q in np.flatnonzero(answerable):
        near = np.lexsort((place, different[q].sum(axis=1)))[:shortlist]
        distance = ((features[near].astype(float) - query_features[q].astype(float)) ** 2).sum(1)
        by_features.append(related[q, near[np.argsort(distance)]])
        bound = (different[q, near] * outputs[q].astype(float) ** 2).sum(axis=1)
        by_outputs.append(
            related[q, near[np.lexsort((place[near], different[q, near].sum(1), bound))]]
        )
    for stage, rankings in zip(stages.scores[1:], (by_features, by_outputs), strict=True):
        found = [stage.map, *stage.precision[:2]]
        assert found == pytest.approx(plain_figures(rankings, known, shortlist))


def test_only_what_the_arrays_allow_is_scored() -> None:
    codes = pack_bits(np.eye(8, dtype=np.uint8))
    labels = np.arange(8, dtype=np.int32) % 2
    both = code_set(codes, labels)
    stages = score_modes(both, both, np.arange(8), shortlist=3)
    assert [stage.name for stage in stages.scores] == ["by Hamming distance"]


def test_without_any_answer_there_are_no_figures() -> None:
    codes = pack_bits(np.eye(8, dtype=np.uint8))
    ours, theirs = np.zeros(8, np.int32), np.ones(8, np.int32)
    features = codes.astype(np.float16)
    queries, database = code_set(codes, theirs, features), code_set(codes, ours, features)
    stages = score_modes(queries, database, np.arange(8))
    assert [entry["map@1000"] for entry in stages.to_dict()["orders"]] == [None, None]


def test_a_list_sorted_by_class_says_nothing() -> None:
    # All codes are equal, all hash outputs certain: no order can be better than chance.
    codes, labels = np.zeros((1000, 1), np.uint8), np.arange(1000, dtype=np.int32) // 100
    outputs = np.full((10, 8), -1, np.float32)
    queries = code_set(codes[:10], np.arange(10, dtype=np.int32))
    stages = score_modes(queries, code_set(codes, labels), np.arange(10), outputs, 100)
    for stage in stages.scores:
        assert stage.precision[-1] == pytest.approx(0.1, abs=0.03)
