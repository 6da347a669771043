"""Relevance, worked by hand."""

import numpy as np
import pytest

from bitcodes.errors import CodeSetError
from bitcodes.metrics.protocols import align_labels, relevance


def test_relevance_is_the_same_class_or_a_shared_label() -> None:
    classes = relevance(np.array([0, 2], np.int32), np.array([0, 1, 2], np.int32))
    assert classes.tolist() == [[True, False, False], [False, False, True]]
    sets = relevance(
        np.array([[1, 1, 0], [0, 0, 0]], np.uint8), np.array([[0, 1, 1], [0, 0, 1]], np.uint8)
    )
    assert sets.tolist() == [[True, False], [False, False]]


def test_labels_of_two_kinds_become_sets() -> None:
    classes = np.array([2, 0], np.int32)
    sets = np.array([[1, 0, 1]], np.uint8)
    left, right = align_labels(classes, sets)
    assert left.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert right is sets
    left, right = align_labels(sets, classes)
    assert left is sets
    assert right.tolist() == [[0, 0, 1], [1, 0, 0]]


def test_labels_that_cannot_be_of_one_dataset_are_refused() -> None:
    with pytest.raises(CodeSetError, match="3 classes"):
        align_labels(np.array([3], np.int32), np.zeros((1, 3), np.uint8))
    with pytest.raises(CodeSetError, match="2 classes and the database of 3"):
        align_labels(np.zeros((1, 2), np.uint8), np.zeros((1, 3), np.uint8))
