"""Examples of an evaluation: the queries with the best and the worst scores."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.hamming.measure import measure_of
from bitcodes.metrics.scoring import Evaluation
from bitcodes.tasks.searching.results import QueryResult
from bitcodes.tasks.searching.search import search

_EXAMPLES, _EXAMPLE_HITS = 10, 8


@dataclass(frozen=True)
class Examples:
    """Queries with their first hits, and the average precision of each."""

    title: str
    queries: tuple[tuple[QueryResult, float], ...]


def examples(evaluation: Evaluation) -> tuple[Examples, Examples]:
    """The queries with the best and the worst average precision, with their first hits.

    Classes and codes differ as far as possible, so that the examples show more than one problem.
    """
    ranked = np.argsort(-evaluation.scores["map"], kind="stable")  # NaN comes last
    ranked = ranked[: len(ranked) - evaluation.unanswerable]
    count = min(_EXAMPLES, (len(ranked) + 1) // 2)
    best = _various(evaluation, ranked, count)
    worst = _various(evaluation, ranked[::-1], count)
    return (
        Examples("Best queries", tuple(_example(evaluation, row) for row in best)),
        Examples("Worst queries", tuple(_example(evaluation, row) for row in worst)),
    )


def _various(evaluation: Evaluation, ranked: NDArray[np.int64], count: int) -> list[int]:
    """The first `count` of the queries in `ranked`, as evenly over labels and codes as possible."""
    queries = evaluation.sets[0]
    assert queries.labels is not None  # checked by score_code_sets
    quota = -(-count // max(1, len(np.unique(queries.labels[ranked], axis=0))))
    rows: list[int] = []
    per_label: Counter[bytes] = Counter()
    codes: set[bytes] = set()
    for row in ranked.tolist():
        labels, code = queries.labels[row].tobytes(), queries.codes[row].tobytes()
        if len(rows) < count and per_label[labels] < quota and code not in codes:
            rows.append(row)
            per_label[labels] += 1
            codes.add(code)
    rest = [row for row in ranked[: 2 * count].tolist() if row not in rows]
    return rows + rest[: count - len(rows)]


def _example(evaluation: Evaluation, row: int) -> tuple[QueryResult, float]:
    """A query with its first hits, ties in random order, and its average precision."""
    queries, database = evaluation.sets
    limit = _EXAMPLE_HITS + int(evaluation.excluded_self)
    query = _part(queries, np.array([row]))
    distances = measure_of(database).between(database.codes, query.codes)  # (N,)
    order = np.random.default_rng(row).permutation(database.count)
    nearest = order[np.argsort(distances[order], kind="stable")[:limit]]
    result = search(query, _part(database, nearest), k=limit, force=True).queries[0]
    own = result.file if evaluation.excluded_self else None
    hits = tuple(hit for hit in result.hits if own is None or hit.file != own)[:_EXAMPLE_HITS]
    return replace(result, hits=hits), float(evaluation.scores["map"][row])


def _part(code_set: CodeSet, rows: NDArray[np.int64]) -> CodeSet:
    return CodeSet.from_arrays(
        code_set.codes[rows],
        code_set.bits,
        paths=[code_set.paths[row] for row in rows.tolist()],
        labels=None if code_set.labels is None else code_set.labels[rows],
        class_names=code_set.class_names,
        root=code_set.root,
        parts=code_set.parts,
    )
