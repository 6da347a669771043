"""The evaluation of two code sets: figures, classes, exclusions and refusals."""

from pathlib import Path

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.errors import CodeSetError
from bitcodes.metrics.compat import compat_figures
from bitcodes.metrics.scoring import score_code_sets


def code_set(
    bits: np.ndarray, labels: np.ndarray | None, features: np.ndarray | None = None, **rest: object
) -> CodeSet:
    return CodeSet.from_arrays(
        pack_bits(bits), bits.shape[1], labels=labels, features=features, **rest
    )


def random_sets(
    seed: int, queries: int = 20, items: int = 150, multi_label: bool = False
) -> tuple[CodeSet, CodeSet]:
    rng = np.random.default_rng(seed)

    def one(size: int) -> CodeSet:
        labels = (
            rng.integers(0, 2, (size, 4), np.uint8)
            if multi_label
            else rng.integers(0, 3, size, np.int32)
        )
        return code_set(
            rng.integers(0, 2, (size, 12), np.uint8),
            labels,
            rng.random((size, 5)).astype(np.float16),
            class_names=("ant", "bee", "cat", "dog")[: 4 if multi_label else 3],
        )

    return one(queries), one(items)


@pytest.mark.parametrize("multi_label", [False, True])
def test_figures_equal_a_plain_count_over_random_orders(multi_label: bool) -> None:
    queries, database = random_sets(1, multi_label=multi_label)
    evaluation = score_code_sets(queries, database)
    query_bits, bits = np.unpackbits(queries.codes, axis=1), np.unpackbits(database.codes, axis=1)
    distances = (query_bits[:, None] != bits).sum(axis=2)
    if multi_label:
        hits = (queries.labels[:, None] & database.labels).any(axis=2)
    else:
        hits = queries.labels[:, None] == database.labels
    answerable = hits.any(axis=1)
    assert evaluation.unanswerable == (~answerable).sum()
    hits, distances = hits[answerable], distances[answerable]

    rng = np.random.default_rng(0)
    ap, at_ten = [], []
    for _ in range(300):
        order = np.argsort(distances + rng.random(distances.shape) / 2, axis=1)
        ranked = np.take_along_axis(hits, order, axis=1)
        precision = ranked.cumsum(axis=1) / np.arange(1, ranked.shape[1] + 1)
        ap.append(((precision * ranked).sum(axis=1) / ranked.sum(axis=1)).mean())
        at_ten.append(precision[:, 9].mean())
    figures = evaluation.figures
    assert figures["map"] == pytest.approx(np.mean(ap), abs=0.002)
    assert figures["map@1000"] == figures["map@5000"] == pytest.approx(figures["map"])
    assert figures["precision@10"] == pytest.approx(np.mean(at_ten), abs=0.005)
    ball = distances <= 2
    precision = (hits & ball).sum(axis=1) / np.maximum(1, ball.sum(axis=1))
    assert figures["precision_within_2"] == pytest.approx(precision.mean())
    recall = (hits & ball).sum(axis=1) / hits.sum(axis=1)
    assert figures["recall_within_2"] == pytest.approx(recall.mean())
    assert 0 < figures["two_stage"] < 1
    # The database holds 150 images: there is no precision at rank 1,000.
    assert np.isnan(figures["precision@1000"])
    summary = evaluation.to_dict()
    assert summary["figures"]["precision@1000"] is None
    assert (summary["queries"], summary["database"], summary["bits"]) == (20, 150, 12)


def test_classes_are_named_and_average_their_own_queries() -> None:
    queries, database = random_sets(2)
    evaluation = score_code_sets(queries, database)
    assert [entry.name for entry in evaluation.classes] == ["ant", "bee", "cat"]
    for number, entry in enumerate(evaluation.classes):
        chosen = queries.labels == number
        assert entry.queries == chosen.sum()
        assert entry.map == pytest.approx(evaluation.scores["map"][chosen].mean())


def test_queries_with_several_labels_count_in_each_class() -> None:
    queries, database = random_sets(3, multi_label=True)
    evaluation = score_code_sets(queries, database)
    assert sum(entry.queries for entry in evaluation.classes) == queries.labels.sum()


def test_queries_without_anything_relevant_are_left_out_and_counted() -> None:
    bits = np.array([[0, 0], [0, 1]], np.uint8)
    queries = code_set(bits, np.array([0, 5], np.int32))
    database = code_set(bits, np.array([0, 1], np.int32))
    evaluation = score_code_sets(queries, database)
    assert evaluation.unanswerable == 1
    assert evaluation.figures["map"] == 1
    assert evaluation.figures["precision@1"] == 1
    assert "1 of 2 queries" in " ".join(evaluation.notes)
    assert "two_stage" not in evaluation.figures
    # Elsewhere they count as 0.
    assert compat_figures("deephash", evaluation)[1].value == pytest.approx(0.5)


def test_a_querys_own_file_is_passed_over_when_asked(tmp_path: Path) -> None:
    bits = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [1, 1, 1, 1]], np.uint8)
    features = np.zeros((3, 2), np.float16)
    everything = code_set(
        bits,
        np.array([0, 1, 0], np.int32),
        features,
        paths=["a.png", "b.png", "c.png"],
        root=tmp_path,
    )
    query = code_set(
        bits[:1], np.array([0], np.int32), features[:1], paths=["x/../a.png"], root=tmp_path
    )
    with_self = score_code_sets(query, everything)
    assert with_self.self_matches == 1
    assert with_self.figures["precision@1"] == 1
    assert "finds itself" in " ".join(with_self.notes)
    without = score_code_sets(query, everything, exclude_self=True)
    # Left: b at distance 1, irrelevant, and c at distance 4, relevant.
    assert without.figures["map"] == pytest.approx(1 / 2)
    assert without.figures["precision@1"] == 0
    assert without.total.tolist() == [[0, 1, 0, 0, 1]]
    assert without.figures["two_stage"] == 0
    assert "passed over" in " ".join(without.notes)
    with pytest.raises(CodeSetError, match="paths"):
        score_code_sets(code_set(bits, np.zeros(3, np.int32)), everything, exclude_self=True)


def test_sets_that_do_not_fit_are_refused() -> None:
    bits, labels = np.zeros((2, 8), np.uint8), np.zeros(2, np.int32)
    good = code_set(bits, labels, fingerprint="a" * 64, class_names=("ant",))
    with pytest.raises(CodeSetError, match=r"8 bits and the database .* 4"):
        score_code_sets(good, code_set(bits[:, :4], labels))
    with pytest.raises(CodeSetError, match=r"database .* no labels"):
        score_code_sets(good, code_set(bits, None))
    other = code_set(bits, labels, fingerprint="b" * 64, class_names=("ant",))
    with pytest.raises(CodeSetError, match="is another model or has been trained since"):
        score_code_sets(good, other)
    assert score_code_sets(good, other, force=True).figures["map"] == 1
    with pytest.raises(CodeSetError, match=r"ant and the database .* bee"):
        score_code_sets(good, code_set(bits, labels, class_names=("bee",)))


def test_features_of_other_widths_are_refused() -> None:
    one, other = (
        CodeSet.from_arrays(
            np.zeros((3, 1), np.uint8), 8, labels=[0, 1, 2], features=np.ones((3, width))
        )
        for width in (4, 5)
    )
    for queries, database, widths in ((one, other, "4 .* 5"), (other, one, "5 .* 4")):
        with pytest.raises(CodeSetError, match=f"features of {widths}: they are not of one model"):
            score_code_sets(queries, database)


def test_codes_of_two_parts_are_ranked_by_the_sum_of_both() -> None:
    rng = np.random.default_rng(3)
    bits, labels = rng.integers(0, 2, (60, 12), np.uint8), rng.integers(0, 3, 60)
    features = rng.random((60, 5))
    names = [f"{row}.png" for row in range(60)]
    parts = Parts(class_bits=5, instance_bits=7, class_weight=4)

    def sets(bits: np.ndarray, parts: Parts | None) -> list[CodeSet]:
        return [
            code_set(bits[rows], labels[rows], features[rows], parts=parts)
            for rows in (slice(0, 20), slice(20, 60))
        ]

    evaluation = score_code_sets(*sets(bits, parts))
    # Repeating a class bit four times gives it the weight of four bits.
    repeated = score_code_sets(*sets(np.hstack([bits[:, :5]] * 4 + [bits[:, 5:]]), None))
    class_bits = score_code_sets(*sets(bits[:, :5], None))
    figures = evaluation.figures
    for name in ("map", "map@1000", "precision@1", "precision@10", "decided@10"):
        assert figures[name] == pytest.approx(repeated.figures[name])
    assert figures["map_class_bits"] == pytest.approx(class_bits.figures["map"])
    for name in ("precision_within_2", "recall_within_2", "two_stage"):
        assert figures[name] == pytest.approx(class_bits.figures[name])
    assert "map_class_bits" not in class_bits.figures
    alike = Parts(class_bits=5, instance_bits=7, class_weight=1)
    figures = score_code_sets(*sets(bits, alike)).figures
    for name, own in (("map_class_bits", "map"), ("recall_within_2", "recall_within_2")):
        assert figures[name] == pytest.approx(class_bits.figures[own])
    assert (evaluation.bits, evaluation.class_bits) == (12, 5)
    assert evaluation.total.shape == (20, 5 * 4 + 7 + 1)
    assert evaluation.health.bits == 12

    rooted = code_set(bits, labels, paths=names, root="/images", parts=parts)
    some = code_set(bits[:9], labels[:9], paths=names[:9], root="/images", parts=parts)
    without = score_code_sets(some, rooted, exclude_self=True)
    for query in range(9):
        others = np.delete(np.arange(60), query)
        alone = [code_set(bits[rows], labels[rows], parts=parts) for rows in ([query], others)]
        expected = score_code_sets(*alone)
        for name in ("map", "map_class_bits", "precision_within_2"):
            np.testing.assert_allclose(without.scores[name][query], expected.scores[name][0])
