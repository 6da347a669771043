"""What each stage of a search buys and costs: plain Hamming, re-ranked, asymmetric."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.hamming.index import HammingIndex, Within, to_ragged
from bitcodes.hamming.rerank import Ranked, rerank_asymmetric, rerank_by_features
from bitcodes.metrics.protocols import Labels, relevance
from bitcodes.metrics.ranking import average_precision, mean_over_queries, precision_at

RANKS = (1, 10, 100)

# Distances from which on the compiled kernels are worth their loading.
_KERNELS = 10**7


@dataclass(frozen=True)
class StageScore:
    """Figures of one way to order a shortlist; means over the queries that have an answer."""

    name: str
    map: float
    """mAP over the ranks of the shortlist, divided by min(shortlist, relevant items)."""
    precision: tuple[float, ...]
    """At each of RANKS."""
    queries_per_second: float


@dataclass(frozen=True)
class Stages:
    """The ways to order shortlists of `shortlist` items, beside each other, for `queries`."""

    queries: int
    shortlist: int
    scores: tuple[StageScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready summary, with None for what no query has."""

        def number(value: float) -> float | None:
            return None if math.isnan(value) else value

        return {
            "queries": self.queries,
            "shortlist": self.shortlist,
            "orders": [
                {
                    "name": score.name,
                    f"map@{self.shortlist}": number(score.map),
                    **{
                        f"precision@{k}": number(value)
                        for k, value in zip(RANKS, score.precision, strict=True)
                    },
                    "queries_per_second": score.queries_per_second,
                }
                for score in self.scores
            ],
        }


def score_stages(
    codes: NDArray[np.uint8],
    bits: int,
    labels: Labels,
    queries: NDArray[np.uint8],
    query_labels: Labels,
    *,
    features: NDArray[np.floating] | None = None,
    query_features: NDArray[np.floating] | None = None,
    query_outputs: NDArray[np.floating] | None = None,
    shortlist: int = 1000,
) -> Stages:
    """Search `queries` (Q, B) among `codes` (N, B) in each way that the arrays given allow.

    Plain Hamming finds the `shortlist` nearest; ties count by expectation. Then, from the same
    shortlists: re-ranked by features (N, D) and (Q, D), and by the queries' hash outputs (Q, K).
    The rows stand in random order for this: in a list sorted by class, an order of ties by row
    would say more of the list than of the codes. Labels are of one kind. Times are of searching all
    queries at once, all cores.
    """
    order = np.random.default_rng(0).permutation(len(codes))
    codes, labels = codes[order], labels[order]
    index = HammingIndex(codes, bits)
    total, relevant = index.count(queries, labels, query_labels)
    answerable = np.flatnonzero(relevant.any(axis=1))
    total, relevant, queries = total[answerable], relevant[answerable], queries[answerable]
    query_labels, known = query_labels[answerable], relevant.sum(axis=1)
    if len(queries) * len(index) > _KERNELS:
        index.compile()  # not on the clock

    started = time.perf_counter()
    found = to_ragged(*index.search(queries, shortlist))
    seconds = time.perf_counter() - started

    def stage(name: str, rerank: Callable[[], Ranked], labels: Labels) -> StageScore:
        """Figures of the shortlists in another order, given the labels of the rows it names."""
        started = time.perf_counter()
        rows = rerank().rows
        took = seconds + time.perf_counter() - started
        hits = _hits(found, rows, query_labels, labels)  # (Q, shortlist)
        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        ap = (precision * hits).sum(axis=1) / np.minimum(known, shortlist)
        return StageScore(
            name,
            mean_over_queries(ap),
            tuple(mean_over_queries(hits[:, :k].sum(axis=1) / k) for k in RANKS),
            len(queries) / took,
        )

    stages = [
        StageScore(
            "by Hamming distance",
            mean_over_queries(average_precision(total, relevant, shortlist)),
            tuple(mean_over_queries(precision_at(total, relevant, k)) for k in RANKS),
            len(queries) / seconds,
        )
    ]
    if features is not None and query_features is not None:
        by_features = query_features[answerable]
        rows = order[found.rows]  # as the features, which are too many to move, have them
        own_labels = np.empty_like(labels)
        own_labels[order] = labels
        stages.append(
            stage(
                "by features",
                lambda: rerank_by_features(
                    by_features, features, found.offsets, rows, found.distances
                ),
                own_labels,
            )
        )
    if query_outputs is not None:
        outputs = query_outputs[answerable]
        stages.append(
            stage(
                "asymmetric, by hash outputs",
                lambda: rerank_asymmetric(
                    outputs, codes, bits, found.offsets, found.rows, found.distances
                ),
                labels,
            )
        )
    return Stages(len(queries), shortlist, tuple(stages))


def _hits(
    found: Within, rows: NDArray[np.int64], query_labels: Labels, labels: Labels
) -> NDArray[np.bool_]:
    """Which ranks of each query hold a relevant item, (Q, longest shortlist)."""
    sizes = np.diff(found.offsets)
    hits = np.zeros((len(sizes), int(sizes.max(initial=1))), np.bool_)
    for query, (start, stop) in enumerate(zip(found.offsets, found.offsets[1:], strict=False)):
        chosen = labels[rows[start:stop]]
        hits[query, : stop - start] = relevance(query_labels[query : query + 1], chosen)[0]
    return hits
