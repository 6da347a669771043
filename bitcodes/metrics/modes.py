"""What each search mode gains and costs: plain, re-ranked, asymmetric."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.hamming.index import HammingIndex, to_ragged
from bitcodes.hamming.measure import measure_of
from bitcodes.hamming.rerank import Ranked, rerank_asymmetric, rerank_by_features
from bitcodes.metrics.protocols import Labels, labels_of, relevance
from bitcodes.metrics.ranking import average_precision, hits_at, mean_over_queries, or_none

RANKS = (1, 10, 100)

# From so many distances on, loading the compiled kernels pays.
_KERNELS = 10**7


@dataclass(frozen=True)
class ModeScore:
    """Figures of one search mode: means over the queries that have a relevant item."""

    name: str
    map: float
    """mAP over the ranks of the shortlist, divided by min(shortlist, relevant items)."""
    precision: tuple[float, ...]
    """At each of RANKS."""
    queries_per_second: float


@dataclass(frozen=True)
class SearchModes:
    """The search modes compared on the same `queries`, with `shortlist` items per query."""

    queries: int
    shortlist: int
    scores: tuple[ModeScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready summary, with None for what no query has."""
        columns = [f"map@{self.shortlist}", *(f"precision@{k}" for k in RANKS)]
        return {
            "queries": self.queries,
            "shortlist": self.shortlist,
            "orders": [
                {
                    "name": score.name,
                    **dict(zip(columns, map(or_none, (score.map, *score.precision)), strict=True)),
                    "queries_per_second": score.queries_per_second,
                }
                for score in self.scores
            ],
        }


def score_modes(
    queries: CodeSet,
    database: CodeSet,
    rows: NDArray[np.int64],
    outputs: NDArray[np.floating] | None = None,
    shortlist: int = 1000,
) -> SearchModes:
    """Search some of the queries, `rows` (R,), in each mode that the two labelled sets allow.

    The plain mode takes the `shortlist` nearest codes; ties count by expectation. The other modes
    order the same shortlists by features, if both sets have them, and by the hash outputs (R, K) of
    these queries. All are searched at once, on all cores, and that is the time measured.

    Rows of the database are shuffled first. In a list sorted by class, the order of ties by row
    would say more about the list than about the codes.
    """
    order = np.random.default_rng(0).permutation(database.count)
    query_labels, labels = labels_of(queries, database)
    codes, shuffled_labels = database.codes[order], labels[order]
    measure = measure_of(database)
    index = HammingIndex(codes, database.bits, measure=measure)
    total, relevant = index.count(queries.codes[rows], shuffled_labels, query_labels[rows])
    answerable = np.flatnonzero(relevant.any(axis=1))
    rows, total, relevant = rows[answerable], total[answerable], relevant[answerable]
    answers = relevant.sum(axis=1)
    if len(rows) * len(index) > _KERNELS:
        index.compile()  # not on the clock

    started = time.perf_counter()
    near = to_ragged(*index.search(queries.codes[rows], shortlist))
    seconds = time.perf_counter() - started

    def mode(name: str, rerank: Callable[[], Ranked], labels: Labels) -> ModeScore:
        """Figures of the shortlists in another order; `labels` are those of its rows."""
        started = time.perf_counter()
        ranked = rerank().rows.reshape(len(rows), min(shortlist, len(index)))
        total_seconds = seconds + time.perf_counter() - started
        hits = np.empty(ranked.shape, np.bool_)
        for place, query in enumerate(rows):
            ours = query_labels[query : query + 1]
            hits[place] = relevance(ours, labels[ranked[place]])[0]
        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        ap = (precision * hits).sum(axis=1) / np.minimum(answers, shortlist)
        at_ranks = tuple(mean_over_queries(hits[:, :k].sum(axis=1) / k) for k in RANKS)
        return ModeScore(name, mean_over_queries(ap), at_ranks, len(rows) / total_seconds)

    ap = average_precision(total, relevant, shortlist)
    at_ranks = map(mean_over_queries, (hits_at(total, relevant, RANKS) / RANKS).T)
    plain = ModeScore(
        "by Hamming distance", mean_over_queries(ap), tuple(at_ranks), len(rows) / seconds
    )
    modes = [plain]
    if (features := database.features) is not None and queries.features is not None:
        # The features are too large to shuffle.
        near_features = near.offsets, order[near.rows], near.distances
        rerank = partial(rerank_by_features, queries.features[rows], features, *near_features)
        modes.append(mode("by features", rerank, labels))
    if outputs is not None:
        near_codes = near.offsets, near.rows, near.distances
        weighed = measure.weigh(outputs[answerable])
        rerank = partial(rerank_asymmetric, weighed, codes, database.bits, *near_codes)
        modes.append(mode("asymmetric, by hash outputs", rerank, shuffled_labels))
    return SearchModes(len(rows), shortlist, tuple(modes))
