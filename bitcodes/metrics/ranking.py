"""Retrieval metrics from histograms of distances, with ties counted by their expectation.

Thousands of images share each Hamming distance, and their order means nothing. So no function here
looks at a sorted list. For Q queries and codes of K bits, each takes

    total     (Q, K+1) integers: how many database items are at each distance
    relevant  (Q, K+1) integers: how many of these are relevant

and returns a float64 per query, (Q,): the mean over all orders of the items that tie. It does
O(Q x K) work for a database of any size. docs/metrics.md explains each figure.

A query for which nothing in the database is relevant has no AP and no recall: these are NaN, and
`mean_over_queries` leaves them out.

Source: McSherry and Najork, "Computing information retrieval performance measures efficiently in
the presence of tied scores", ECIR 2008, https://doi.org/10.1007/978-3-540-78646-7_38
"""

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# Below this the harmonic numbers come from a table, above from their expansion, where the first
# missing term, 1/(252 n^6), is under 1e-20.
_TABLE = 1024
_HARMONIC = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, 2 * _TABLE))])

# Elements of a histogram per block: temporary arrays stay in the processor's cache.
_BLOCK = 1 << 16


def average_precision(total: ArrayLike, relevant: ArrayLike, cutoff: int | None = None) -> Floats:
    """Expected average precision, (Q,): AP over the whole ranking, or AP@R with `cutoff` R.

    AP is the sum, over the ranks at which a relevant item stands, of the precision there, divided
    by the number of relevant items; AP@R takes the first R ranks only and divides by min(R, number
    of relevant items). NaN if nothing is relevant.

    With n items at a distance, p of them relevant, N0 items and P0 relevant ones nearer, the j-th
    of these ranks holds a relevant item with probability p/n, and then a further (j-1) a relevant
    ones stand before it, a = (p-1)/(n-1). So the first m of the n ranks add

        sum_{j=1..m} (p/n) (P0 + 1 + (j-1) a) / (N0 + j)
            = (p/n) [(P0 + 1 - a (N0 + 1)) (H(N0+m) - H(N0)) + a m]

    with H the harmonic numbers: m = n but for the distance that R cuts through.
    """
    total, relevant = _checked(total, relevant)
    scores = np.empty(len(total))
    for rows in _blocks(total):
        n, p, n_before, p_before = _groups(total[rows], relevant[rows])
        m = _ranks_counted(n, n_before, cutoff)
        share = p / np.maximum(n, 1)
        a = (p - 1) / np.maximum(n - 1, 1)
        a[n < 2] = 0
        sums = share * ((p_before + 1 - a * (n_before + 1)) * harmonic_between(n_before, m) + a * m)
        scores[rows] = sums.sum(axis=1)
    return _divide(scores, _most_hits(relevant, cutoff))


def average_precision_bounds(
    total: ArrayLike, relevant: ArrayLike, cutoff: int | None = None
) -> tuple[Floats, Floats]:
    """Smallest and largest AP (or AP@R) that any order of the ties can give, two arrays (Q,).

    The smallest has the relevant items last within each distance, the largest has them first.
    The ranks N0+1..N0+h that begin with P0 hits and are hits throughout add

        sum_{i=1..h} (P0 + i) / (N0 + i) = h + (P0 - N0) (H(N0+h) - H(N0)).
    """
    total, relevant = _checked(total, relevant)
    worst, best = np.empty(len(total)), np.empty(len(total))
    for rows in _blocks(total):
        n, p, n_before, p_before = _groups(total[rows], relevant[rows])
        m = _ranks_counted(n, n_before, cutoff)
        worst[rows] = _run_of_hits(n_before + n - p, p_before, np.maximum(m - (n - p), 0))
        best[rows] = _run_of_hits(n_before, p_before, np.minimum(m, p))
    divisor = _most_hits(relevant, cutoff)
    return _divide(worst, divisor), _divide(best, divisor)


def hits_at(total: ArrayLike, relevant: ArrayLike, ranks: Sequence[int]) -> Floats:
    """Expected number of relevant items among the first k, (Q, len(ranks)), for each k in `ranks`.

    Within a distance that k cuts through, each item is among the first with the same probability.
    """
    total, relevant = _checked(total, relevant)
    n_upto, p_upto = np.cumsum(total, axis=1), np.cumsum(relevant, axis=1)
    queries = np.arange(len(total))
    hits = np.empty((len(total), len(ranks)))
    for column, k in enumerate(ranks):
        if k < 1:
            raise ValueError(f"ranks count from 1, got {k}")
        # The first distance at which k items are reached; all items, if there are fewer than k.
        cut = np.minimum((n_upto < k).sum(axis=1), total.shape[1] - 1)
        n, p = total[queries, cut], relevant[queries, cut]
        m = np.minimum(k - (n_upto[queries, cut] - n), n)
        hits[:, column] = p_upto[queries, cut] - p + m * (p / np.maximum(n, 1))
    return hits


def precision_at(total: ArrayLike, relevant: ArrayLike, k: int) -> Floats:
    """Expected share of relevant items among the first k, (Q,); divides by k in any case."""
    return hits_at(total, relevant, [k])[:, 0] / k


def recall_at(total: ArrayLike, relevant: ArrayLike, k: int) -> Floats:
    """Expected share of the relevant items that are among the first k, (Q,)."""
    return _divide(hits_at(total, relevant, [k])[:, 0], _most_hits(np.asarray(relevant), None))


def precision_within(total: ArrayLike, relevant: ArrayLike, radius: int) -> Floats:
    """Share of relevant items within `radius` (distance <= radius), (Q,); 0 for an empty ball."""
    total, relevant = _checked(total, relevant)
    size = total[:, : radius + 1].sum(axis=1)
    return np.asarray(relevant[:, : radius + 1].sum(axis=1) / np.maximum(size, 1))


def recall_within(total: ArrayLike, relevant: ArrayLike, radius: int) -> Floats:
    """Share of the relevant items that are within `radius` (distance <= radius), (Q,)."""
    total, relevant = _checked(total, relevant)
    return _divide(relevant[:, : radius + 1].sum(axis=1), _most_hits(relevant, None))


def decided_at(total: ArrayLike, rank: int) -> Floats:
    """Whether the codes decide which items are the first `rank` ones, 1 or 0, (Q,).

    They do not if the items at `rank` and at the next rank are equally near. NaN where there is no
    next rank.
    """
    upto = np.cumsum(_checked(total, np.zeros_like(total))[0], axis=1)
    last = (upto >= rank).argmax(axis=1)  # the distance of the item at `rank`
    decided = upto[np.arange(len(upto)), last] == rank
    return np.where(upto[:, -1] > rank, decided, np.nan)


def precision_recall_curve(
    total: ArrayLike, relevant: ArrayLike, ranks: Sequence[int]
) -> tuple[Floats, Floats]:
    """Mean precision and mean recall over queries after each of `ranks`, two (len(ranks),) arrays.

    Queries for which nothing is relevant are left out.
    """
    total, relevant = _checked(total, relevant)
    answerable = relevant.any(axis=1)
    total, relevant = total[answerable], relevant[answerable]
    if not len(total):
        return np.full(len(ranks), np.nan), np.full(len(ranks), np.nan)
    hits = hits_at(total, relevant, ranks)
    recall = hits / relevant.sum(axis=1, keepdims=True)
    return hits.mean(axis=0) / np.asarray(ranks), recall.mean(axis=0)


def mean_over_queries(values: ArrayLike) -> float:
    """Mean of per-query values without the NaNs, those of queries that have no answer.

    NaN if no query has one.
    """
    values = np.asarray(values, dtype=np.float64)
    answered = values[~np.isnan(values)]
    return float(answered.mean()) if len(answered) else float("nan")


def or_none(value: float) -> float | None:
    """The value for JSON, which has no NaN."""
    return None if math.isnan(value) else value


def _checked(total: ArrayLike, relevant: ArrayLike) -> tuple[Counts, Counts]:
    total, relevant = np.asarray(total, np.int64), np.asarray(relevant, np.int64)
    if total.ndim != 2 or total.shape != relevant.shape:
        raise ValueError(
            "total and relevant must have one shape (queries, bits + 1), "
            f"got {total.shape} and {relevant.shape}"
        )
    return total, relevant


def _blocks(total: Counts) -> Iterator[slice]:
    step = max(1, _BLOCK // max(1, total.shape[1]))
    for start in range(0, len(total), step):
        yield slice(start, start + step)


def _groups(total: Counts, relevant: Counts) -> tuple[Floats, Floats, Floats, Floats]:
    """Items and relevant items at each distance, and before it: n, p, N0, P0."""
    n, p = total.astype(np.float64), relevant.astype(np.float64)
    return n, p, np.cumsum(n, axis=1) - n, np.cumsum(p, axis=1) - p


def _ranks_counted(n: Floats, n_before: Floats, cutoff: int | None) -> Floats:
    """How many of each distance's ranks stand before the cutoff: m."""
    if cutoff is None:
        return n
    if cutoff < 1:
        raise ValueError(f"the cutoff counts ranks from 1, got {cutoff}")
    return np.clip(cutoff - n_before, 0, n)


def _most_hits(relevant: Counts, cutoff: int | None) -> Counts:
    """Relevant items of each query, at most `cutoff`, (Q,)."""
    hits: Counts = relevant.sum(axis=1)
    return hits if cutoff is None else np.minimum(hits, cutoff)


def _divide(values: NDArray[np.generic], divisor: Counts) -> Floats:
    """Divide elementwise; NaN where the divisor is 0."""
    result = np.full(len(divisor), np.nan)
    np.divide(values, divisor, out=result, where=divisor > 0)
    return result


def _run_of_hits(n_before: Floats, p_before: Floats, hits: Floats) -> Floats:
    """Sum of the precisions of `hits` relevant items in a row, added over distances, (Q,)."""
    sums = hits + (p_before - n_before) * harmonic_between(n_before, hits)
    return np.asarray(sums.sum(axis=1))


def harmonic_between(first: Floats, count: Floats) -> Floats:
    """H(first + count) - H(first), elementwise, for whole numbers: 1/(first+1) + ... .

    H(n) = ln n + gamma + 1/(2n) - 1/(12 n^2) + 1/(120 n^4) - ...
    """
    low = first < _TABLE
    last = first + count
    result = np.log1p(count / np.where(low, 1, first))
    result += _tail(last) - _tail(first)
    start = first[low].astype(np.int64)
    end = last[low]
    small = end < len(_HARMONIC)
    upto = np.log(np.maximum(end, 1)) + np.euler_gamma + _tail(end)
    upto[small] = _HARMONIC[end[small].astype(np.int64)]
    result[low] = upto - _HARMONIC[start]
    return result


def _tail(n: Floats) -> Floats:
    x = 1 / np.maximum(n, 1)
    square = x * x
    return np.asarray(x / 2 - square / 12 + square * square / 120)
