"""mAP of seen and unseen classes: against evaluations of the parts by themselves."""

from dataclasses import replace

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.parts import Parts
from bitcodes.metrics.scoring import score_code_sets
from bitcodes.metrics.unseen import UNSEEN_FIGURES, with_unseen

NAMES = ("ant", "bee", "cat", "dog")


@pytest.mark.parametrize("parts", [None, Parts(class_bits=5, instance_bits=3, class_weight=2)])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_four_ways(parts: Parts | None, exclude_self: bool) -> None:
    rng = np.random.default_rng(0)
    bits, labels = rng.integers(0, 2, (200, 8), np.uint8), rng.integers(0, 4, 200)
    names = [f"{row}.png" for row in range(200)]

    def code_set(rows: np.ndarray) -> CodeSet:
        paths = [names[row] for row in rows]
        return CodeSet.from_arrays(
            pack_bits(bits[rows]),
            8,
            labels=labels[rows],
            class_names=NAMES,
            paths=paths,
            root="/images",
            parts=parts,
        )

    queries, database = np.arange(40), np.arange(20, 200)  # 20 are in both
    unseen = np.isin(labels, [1, 3])
    done = score_code_sets(code_set(queries), code_set(database), exclude_self=exclude_self)
    figures = with_unseen(done, ["dog", "bee"]).figures
    for group, own in (("unseen", unseen), ("seen", ~unseen)):
        for others, rows in ((group, database[own[database]]), ("all", database)):
            alone = score_code_sets(
                code_set(queries[own[queries]]), code_set(rows), exclude_self=exclude_self
            )
            assert figures[f"map_{group}_among_{others}"] == pytest.approx(alone.figures["map"])
    assert list(figures)[:5] == ["map", *UNSEEN_FIGURES]
    assert figures["map"] == pytest.approx(done.figures["map"])
    intervals = with_unseen(done, ["dog", "bee"]).intervals["map_unseen_among_all"]
    assert intervals[0] < figures["map_unseen_among_all"] < intervals[1]


def test_worked_by_hand() -> None:
    """An unseen image between two seen ones: first among its own, second among all."""
    queries = CodeSet.from_arrays(
        pack_bits(np.array([[0, 0, 0]], np.uint8)), 3, labels=[1], class_names=NAMES
    )
    database = CodeSet.from_arrays(
        pack_bits(np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1]], np.uint8)),
        3,
        labels=[0, 1, 2],
        class_names=NAMES,
    )
    figures = with_unseen(score_code_sets(queries, database), ["bee"]).figures
    assert figures["map_unseen_among_unseen"] == 1
    assert figures["map_unseen_among_all"] == pytest.approx(1 / 2)
    assert np.isnan(figures["map_seen_among_seen"])


def test_several_labels_belong_to_no_one_class() -> None:
    one = CodeSet.from_arrays(
        np.zeros((2, 1), np.uint8), 8, labels=np.ones((2, 4), np.uint8), class_names=NAMES
    )
    done = score_code_sets(one, one)
    assert with_unseen(replace(done), ["bee"]).figures.keys() == done.figures.keys()
