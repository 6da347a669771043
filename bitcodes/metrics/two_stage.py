"""The two-stage score: of the codes within a radius, the nearest by features count.

Lin et al., CVPRW 2015, section 3.3, https://doi.org/10.1109/CVPRW.2015.7301269, scored as in
Learning-bit-codes-for-images (12 of 48 bits, 120 positions).
"""

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.searchable import Within
from bitcodes.metrics.protocols import Labels, relevance
from bitcodes.metrics.ranking import Floats

POSITIONS = 120
"""How many items of a ball count."""

# Feature values converted to float32 at a time, and (query, item) pairs in memory at a time.
_FEATURE_BLOCK = 1 << 24
_PAIR_BLOCK = 1 << 24
_MAX_QUERIES = 256
_PIVOTS = 64


def two_stage_radius(bits: int) -> int:
    """The radius of the ball: a quarter of the bits, 12 of 48."""
    return bits // 4


def two_stage_scores(
    index: HammingIndex,
    queries: NDArray[np.uint8],
    query_features: NDArray[np.floating],
    features: NDArray[np.floating],
    query_labels: Labels,
    labels: Labels,
    radius: int,
    positions: int = POSITIONS,
    exclude: NDArray[np.int64] | None = None,
) -> Floats:
    """The score of each query (Q,) in a search that re-ranks a ball by features.

    The ball holds the items within `radius` of the query's code. Of these, the `positions` nearest
    in features (Q, D) and (N, D) count, in the order of Euclidean distance, then Hamming distance,
    then row. Each position scores the precision up to it if its item is relevant, else 0. The score
    is the mean over these positions; 0 for an empty ball. `exclude` (M, 2) lists (query, row) pairs
    to leave out.
    """
    scores = np.zeros(len(queries))
    # Near codes have nearly the same ball: in one block, they share its features.
    order = _near_together(queries)
    step = int(np.clip(_PAIR_BLOCK // max(1, len(index)), 1, _MAX_QUERIES))
    for start in range(0, len(order), step):
        block_rows = order[start : start + step]
        ball = index.within(queries[block_rows], radius)
        if exclude is not None:
            ball = _without(ball, block_rows, exclude)
        distances = _feature_distances(query_features[block_rows], features, ball)
        for place, query in enumerate(block_rows):
            here = slice(ball.offsets[place], ball.offsets[place + 1])
            nearest = _nearest(distances[here], ball.distances[here], ball.rows[here], positions)
            if len(nearest):
                hits = relevance(query_labels[query : query + 1], labels[nearest])[0]
                precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
                scores[query] = (precision * hits).mean()
    return scores


def _near_together(codes: NDArray[np.uint8]) -> NDArray[np.int64]:
    """An order of codes (Q, B) with near ones side by side: by their nearest pivots."""
    pivots = codes[:: max(1, len(codes) // _PIVOTS)][:_PIVOTS]
    nearest = np.empty(len(codes), np.int64)
    for start in range(0, len(codes), _MAX_QUERIES):
        block = codes[start : start + _MAX_QUERIES, None] ^ pivots  # (q, P, B)
        distances = np.bitwise_count(block).sum(axis=2, dtype=np.int64)
        nearest[start : start + _MAX_QUERIES] = distances.argmin(axis=1)
    return np.argsort(nearest, kind="stable")


def _feature_distances(
    query_features: NDArray[np.floating], features: NDArray[np.floating], ball: Within
) -> NDArray[np.float32]:
    """Squared Euclidean distances, less the query's own norm, of the items in the balls, (M,)."""
    in_a_ball = np.zeros(len(features), np.bool_)
    in_a_ball[ball.rows] = True
    rows = np.flatnonzero(in_a_ball)
    where = (np.cumsum(in_a_ball) - 1)[ball.rows]  # the place of each in `rows`
    query = np.repeat(np.arange(len(query_features)), np.diff(ball.offsets))
    queries = query_features.astype(np.float32)  # (Q, D)
    distances = np.empty(len(ball.rows), np.float32)
    step = max(1, _FEATURE_BLOCK // max(1, features.shape[1]))
    for start in range(0, len(rows), step):
        block = features[rows[start : start + step]].astype(np.float32)  # (n, D)
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
    keep = ~np.isin(queries[owner] * span + ball.rows, exclude[:, 0] * span + exclude[:, 1])
    sizes = np.bincount(owner[keep], minlength=len(queries))
    return Within(
        np.concatenate([[0], np.cumsum(sizes)]), ball.distances[keep], ball.rows[keep], ball.more
    )
