"""What counts as relevant, and scores that are defined by a protocol rather than by a ranking."""

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import HammingIndex, Within
from bitcodes.metrics.ranking import Floats

Labels = NDArray[np.generic]
"""Classes, integers (N,), or sets of labels, 0/1 (N, C)."""

# Feature values converted to float32 at a time, and (query, item) pairs held at a time.
_FEATURE_BLOCK = 1 << 24
_PAIR_BLOCK = 1 << 24
_MAX_QUERIES = 256
_PIVOTS = 64


def align_labels(query_labels: Labels, labels: Labels) -> tuple[Labels, Labels]:
    """Bring two label arrays into one kind: both classes (N,), or both 0/1 sets (N, C).

    A list in which every image happens to have one label is stored as classes, its partner perhaps
    as sets: the classes then become sets of one. Raises CodeSetError where the classes differ.
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


def relevance(query_labels: Labels, labels: Labels) -> NDArray[np.bool_]:
    """Which items are relevant to which queries, (Q, N): of the same class, or sharing a label.

    Both arrays are of one kind, classes (Q,) and (N,), or 0/1 sets (Q, C) and (N, C).
    """
    if query_labels.ndim == 1:
        return np.asarray(query_labels[:, None] == labels)
    return np.asarray(query_labels.astype(np.float32) @ labels.astype(np.float32).T > 0)


def two_stage_scores(
    index: HammingIndex,
    queries: NDArray[np.uint8],
    query_features: NDArray[np.floating],
    features: NDArray[np.floating],
    query_labels: Labels,
    labels: Labels,
    radius: int,
    positions: int = 120,
    exclude: NDArray[np.int64] | None = None,
) -> Floats:
    """Score of the search that re-ranks a ball by features, one a query, (Q,).

    Coarse stage: the items within `radius` of the query's code. Fine stage: the `positions` of
    these nearest in features (Q, D) and (N, D), by Euclidean distance, then Hamming distance, then
    row. The score is the mean, over the positions filled, of the precision so far where a relevant
    item stands and 0 where none does; 0 for an empty ball. `exclude` (M, 2) names (query, row)
    pairs to pass over.

    Source: Lin et al., CVPRW 2015, section 3.3, https://doi.org/10.1109/CVPRW.2015.7301269, scored
    as in this project's predecessor (12 of 48 bits, 120 positions).
    """
    scores = np.zeros(len(queries))
    # Near codes have much the same ball: side by side, its features are read and used once.
    order = _near_together(queries)
    step = int(np.clip(_PAIR_BLOCK // max(1, len(index)), 1, _MAX_QUERIES))
    for start in range(0, len(order), step):
        chosen = order[start : start + step]
        ball = index.within(queries[chosen], radius)
        if exclude is not None:
            ball = _without(ball, chosen, exclude)
        distances = _feature_distances(query_features[chosen], features, ball)
        for place, query in enumerate(chosen):
            here = slice(ball.offsets[place], ball.offsets[place + 1])
            nearest = _nearest(distances[here], ball.distances[here], ball.rows[here], positions)
            if len(nearest):
                hits = relevance(query_labels[query : query + 1], labels[nearest])[0]
                precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
                scores[query] = (precision * hits).mean()
    return scores


def _near_together(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """An order of codes (Q, B) that puts near ones side by side: by the nearest of some of them."""
    some = codes[:: max(1, len(codes) // _PIVOTS)][:_PIVOTS]
    nearest = np.empty(len(codes), np.int64)
    for start in range(0, len(codes), _MAX_QUERIES):
        block = codes[start : start + _MAX_QUERIES, None] ^ some  # (q, P, B)
        distances = np.bitwise_count(block).sum(axis=2, dtype=np.int64)
        nearest[start : start + _MAX_QUERIES] = distances.argmin(axis=1)
    return np.argsort(nearest, kind="stable")


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


def _feature_distances(
    query_features: NDArray[np.floating], features: NDArray[np.floating], ball: Within
) -> NDArray[np.float32]:
    """Squared Euclidean distances, less the query's own norm, of the items in the balls, (M,)."""
    found = np.zeros(len(features), np.bool_)
    found[ball.rows] = True
    wanted = np.flatnonzero(found)
    where = (np.cumsum(found) - 1)[ball.rows]  # each row's place among the wanted ones
    query = np.repeat(np.arange(len(query_features)), np.diff(ball.offsets))
    queries = query_features.astype(np.float32)  # (Q, D)
    distances = np.empty(len(ball.rows), np.float32)
    step = max(1, _FEATURE_BLOCK // max(1, features.shape[1]))
    for start in range(0, len(wanted), step):
        block = features[wanted[start : start + step]].astype(np.float32)  # (n, D)
        squares = np.einsum("nd,nd->n", block, block) - 2 * (queries @ block.T)  # (Q, n)
        here = (where >= start) & (where < start + step)
        distances[here] = squares[query[here], where[here] - start]
    return distances


def _nearest(
    by_features: NDArray[np.float32],
    by_codes: NDArray[np.int32],
    rows: NDArray[np.int64],
    positions: int,
) -> NDArray[np.int64]:
    """The rows of the first `positions` by (feature distance, Hamming distance, row)."""
    if len(rows) > positions:
        bound = np.partition(by_features, positions - 1)[positions - 1]
        near = by_features <= bound
        by_features, by_codes, rows = by_features[near], by_codes[near], rows[near]
    return rows[np.lexsort((rows, by_codes, by_features))[:positions]]


def _without(ball: Within, queries: NDArray[np.int64], exclude: NDArray[np.int64]) -> Within:
    """Drop the (query, row) pairs of `exclude` from the balls of `queries`."""
    span = int(max(exclude[:, 1].max(initial=0), ball.rows.max(initial=0))) + 1
    owner = np.repeat(np.arange(len(queries)), np.diff(ball.offsets))
    kept = ~np.isin(queries[owner] * span + ball.rows, exclude[:, 0] * span + exclude[:, 1])
    sizes = np.bincount(owner[kept], minlength=len(queries))
    return Within(
        np.concatenate([[0], np.cumsum(sizes)]), ball.distances[kept], ball.rows[kept], ball.more
    )
