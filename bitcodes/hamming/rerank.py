"""The fine stage: ordering a Hamming shortlist by something finer than whole bits.

A shortlist is ragged, as `HammingIndex.within` returns it: query q owns `offsets[q]:offsets[q + 1]`
of `rows` and `distances`.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_outputs
from bitcodes.errors import CodeSetError
from bitcodes.hamming.plain import offsets_of

_BLOCK = 1 << 22
"""Feature values read at a time."""


class Ranked(NamedTuple):
    """A re-ranked shortlist, ragged: ordered by (score, Hamming distance, row) in each query."""

    offsets: NDArray[np.int64]
    """(Q + 1,)"""
    rows: NDArray[np.int64]
    """(M,)"""
    distances: NDArray[np.int32]
    """(M,) Hamming distances."""
    scores: NDArray[np.float32]
    """(M,) what they were ordered by; smaller is nearer."""


def rerank_by_features(
    query_features: NDArray[np.floating],
    features: NDArray[np.floating],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    distances: NDArray[np.int32],
    k: int | None = None,
) -> Ranked:
    """Order a shortlist by the Euclidean distance between features: (Q, D) and (N, D).

    `features` may be memory-mapped: only the shortlist's rows are read, in blocks. Query features
    are rounded to the dtype of the stored ones first, so that an image finds itself at 0. `k` keeps
    the first k of each query. Raises CodeSetError where shapes do not fit.
    """
    if query_features.ndim != 2 or query_features.shape[1:] != features.shape[1:]:
        raise CodeSetError(
            f"query features of shape {query_features.shape}: "
            f"expected (queries, {features.shape[-1]}), as the stored features have"
        )
    _check_shortlist(len(query_features), offsets, rows, len(features))
    scores = np.empty(len(rows), np.float32)
    rounded = query_features.astype(features.dtype).astype(np.float32)
    step = max(1, _BLOCK // max(1, features.shape[1]))
    for query, start, stop in _spans(offsets, step):
        # Rows in rising order: a memory-mapped file is read forwards.
        order = np.argsort(rows[start:stop])
        block = features[rows[start:stop][order]].astype(np.float32)  # (n, D)
        block -= rounded[query]
        scores[start + order] = np.sqrt(np.einsum("nd,nd->n", block, block))
        if not np.isfinite(scores[start:stop]).all():
            row = rows[start:stop][~np.isfinite(scores[start:stop])].min()
            raise CodeSetError(
                f"features of the query or of row {row} are not finite; encode the images again"
            )
    return _ranked(scores, offsets, rows, distances, k)


def rerank_asymmetric(
    query_outputs: NDArray[np.floating],
    codes: NDArray[np.uint8],
    bits: int,
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    distances: NDArray[np.int32],
    k: int | None = None,
) -> Ranked:
    """Order a shortlist by the query's hash outputs (Q, K) against the stored codes (N, B).

    The score is the lower bound of Gordo et al. (Asymmetric Distances for Binary Embeddings, TPAMI
    2014, https://doi.org/10.1109/TPAMI.2013.101): the root of the sum of output squared over the
    bits that differ, the least that the outputs of the two images can be apart. `k` keeps the first
    k of each query.
    """
    if query_outputs.ndim != 2 or query_outputs.shape[1] != bits:
        raise CodeSetError(
            f"hash outputs of shape {query_outputs.shape}: expected (queries, {bits})"
        )
    _check_shortlist(len(query_outputs), offsets, rows, len(codes))
    scores = np.empty(len(rows), np.float32)
    query_codes = pack_outputs(query_outputs.astype(np.float32))  # (Q, B)
    # differs[v, i]: whether bit i, from the left, of a byte of value v is set.
    differs = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).astype(np.float64)
    squares = np.zeros((len(query_outputs), 8 * codes.shape[1]))
    squares[:, :bits] = query_outputs.astype(np.float64) ** 2
    for query, start, stop in _spans(offsets, _BLOCK):
        # A table per byte: the sum for every value of the byte. Equal codes get equal scores.
        tables = squares[query].reshape(-1, 8) @ differs.T  # (B, 256)
        different = codes[rows[start:stop]] ^ query_codes[query]  # (n, B)
        total = np.zeros(stop - start)
        for table, byte in zip(tables, different.T, strict=True):
            total += table[byte]
        scores[start:stop] = np.sqrt(total)
    return _ranked(scores, offsets, rows, distances, k)


def _spans(offsets: NDArray[np.int64], step: int) -> Iterator[tuple[int, int, int]]:
    """(query, start, stop) over the shortlist in pieces of at most `step` rows."""
    for query in range(len(offsets) - 1):
        end = int(offsets[query + 1])
        for start in range(int(offsets[query]), end, step):
            yield query, start, min(start + step, end)


def _check_shortlist(
    queries: int, offsets: NDArray[np.int64], rows: NDArray[np.int64], count: int
) -> None:
    if len(offsets) != queries + 1 or offsets[-1] != len(rows):
        raise CodeSetError(
            f"a shortlist of {len(offsets) - 1} queries and {len(rows)} rows, ending at "
            f"{int(offsets[-1])}: expected {queries} queries and as many rows as the last offset"
        )
    if len(rows) and not (rows.min() >= 0 and rows.max() < count):
        raise CodeSetError(
            f"shortlist rows {rows.min()} to {rows.max()}: expected 0 to {count - 1}"
        )


def _ranked(
    scores: NDArray[np.float32],
    offsets: NDArray[np.int64],
    rows: NDArray[np.int64],
    distances: NDArray[np.int32],
    k: int | None,
) -> Ranked:
    query = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    order = np.lexsort((rows, distances, scores, query))
    if k is not None:
        place = np.arange(len(rows)) - offsets[query]
        order = order[place < k]
        offsets = offsets_of(np.minimum(np.diff(offsets), k))
    return Ranked(offsets.astype(np.int64), rows[order], distances[order], scores[order])
