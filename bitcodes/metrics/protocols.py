"""What counts as relevant: the same class, or a shared label; and which rows are a sample."""

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError

Labels = NDArray[np.generic]
"""Classes, integers (N,), or sets of labels, 0/1 (N, C)."""


def align_labels(query_labels: Labels, labels: Labels) -> tuple[Labels, Labels]:
    """Bring two label arrays into one kind: both classes (N,), or both 0/1 sets (N, C).

    If every image of a list has one label, the list is stored as classes. If its partner is stored
    as sets, the classes become sets of one label. Raises CodeSetError if the classes differ.
    """
    if query_labels.ndim == labels.ndim == 1:
        return query_labels, labels
    if query_labels.ndim == 1:
        return _as_sets(query_labels, labels.shape[1], "query"), labels
    if labels.ndim == 1:
        return query_labels, _as_sets(labels, query_labels.shape[1], "database")
    if query_labels.shape[1] != labels.shape[1]:
        raise CodeSetError(
            f"the queries have labels of {query_labels.shape[1]} classes and the database of "
            f"{labels.shape[1]}: they are not of one dataset"
        )
    return query_labels, labels


def labels_of(queries: CodeSet, database: CodeSet) -> tuple[Labels, Labels]:
    """The labels of two code sets as one kind; CodeSetError if one has none, or they differ."""
    for whose, code_set in (("queries", queries), ("database", database)):
        if code_set.labels is None:
            raise CodeSetError(
                f"the {whose} ({code_set.name}) have no labels, which say what is relevant; "
                "encode a list file with labels, for example data/<name>/test.txt, instead of "
                "files or folders. `bitcodes prepare folder` makes such lists of class folders"
            )
    assert queries.labels is not None and database.labels is not None
    return align_labels(queries.labels, database.labels)


def relevance(query_labels: Labels, labels: Labels) -> NDArray[np.bool_]:
    """Which items are relevant to which queries, (Q, N): of the same class, or sharing a label.

    Both arrays are of one kind, classes (Q,) and (N,), or 0/1 sets (Q, C) and (N, C).
    """
    if query_labels.ndim == 1:
        return np.asarray(query_labels[:, None] == labels)
    return np.asarray(query_labels.astype(np.float32) @ labels.astype(np.float32).T > 0)


def spread_rows(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` of `count` rows, spread evenly: of a list sorted by class, as many of each."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(np.int64)


def _as_sets(classes: Labels, width: int, whose: str) -> NDArray[np.uint8]:
    """Classes (N,) as 0/1 sets of one label, (N, width)."""
    classes = classes.astype(np.int64)
    if len(classes) and not (classes.min() >= 0 and classes.max() < width):
        raise CodeSetError(
            f"{whose} labels from {classes.min()} to {classes.max()}, but the other side has "
            f"{width} classes: they are not of one dataset"
        )
    sets = np.zeros((len(classes), width), np.uint8)
    sets[np.arange(len(classes)), classes] = 1
    return sets
