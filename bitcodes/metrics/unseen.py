"""mAP of classes that training has seen, and of those that it has not, each in two databases."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import measure_of
from bitcodes.metrics.protocols import labels_of
from bitcodes.metrics.ranking import average_precision
from bitcodes.metrics.scoring import Evaluation

UNSEEN_FIGURES = tuple(
    f"map_{group}_among_{others}" for group in ("unseen", "seen") for others in (group, "all")
)
"""The figures that `with_unseen` adds."""


def with_unseen(evaluation: Evaluation, unseen: Sequence[str]) -> Evaluation:
    """The evaluation with the mAP of the queries of `unseen` classes, and of all other queries.

    Each is counted twice: with the whole database, and with only its images of the unseen (or the
    seen) classes. Images with several labels belong to no one class: with them, nothing is added.
    """
    queries, database = evaluation.sets
    both = labels_of(queries, database)
    if both[0].ndim > 1:
        return evaluation
    numbers = [database.class_names.index(name) for name in unseen]
    is_unseen, are_unseen = (np.isin(labels, numbers) for labels in both)  # (Q,), (N,)
    index = HammingIndex(database, measure=measure_of(database))
    # Counted like labels: how many images of the query's group are at each distance.
    total, own = index.count(queries.codes, are_unseen.astype(np.int32), is_unseen.astype(np.int32))
    own -= total - evaluation.total  # a query's own file, if that was left out
    among_own, among_all = average_precision(own, evaluation.relevant), evaluation.scores["map"]
    columns = [
        np.where(group, values, np.nan)
        for group in (is_unseen, ~is_unseen)
        for values in (among_own, among_all)
    ]
    figures = dict(zip(UNSEEN_FIGURES, columns, strict=True))
    return replace(evaluation, scores={"map": among_all, **figures, **evaluation.scores})
