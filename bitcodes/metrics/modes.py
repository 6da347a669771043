"""What each search mode gains and costs: plain, re-ranked, asymmetric."""

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


def score_modes(
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
) -> SearchModes:
    """Search `queries` (Q, B) among `codes` (N, B) in each mode that the arrays allow.

    The plain mode takes the `shortlist` nearest codes; ties count by expectation. The other modes
    order the same shortlists by features (N, D) and (Q, D), and by hash outputs (Q, K) of the
    queries. Both label arrays are of one kind. All queries are searched at once, on all cores, and
    that is the time measured.

    Rows are shuffled first. In a list sorted by class, the order of ties by row would say more
    about the list than about the codes.
    """
    order = np.random.default_rng(0).permutation(len(codes))
    codes, labels = codes[order], labels[order]
    index = HammingIndex(codes, bits)
    total, relevant = index.count(queries, labels, query_labels)
    answerable = np.flatnonzero(relevant.any(axis=1))
    total, relevant, queries = total[answerable], relevant[answerable], queries[answerable]
    query_labels, answers = query_labels[answerable], relevant.sum(axis=1)
    if len(queries) * len(index) > _KERNELS:
        index.compile()  # not on the clock

    started = time.perf_counter()
    near = to_ragged(*index.search(queries, shortlist))
    seconds = time.perf_counter() - started

    def mode(name: str, rerank: Callable[[], Ranked], labels: Labels) -> ModeScore:
        """Figures of the shortlists in another order; `labels` are those of its rows."""
        started = time.perf_counter()
        rows = rerank().rows
        total_seconds = seconds + time.perf_counter() - started
        hits = _hits(near, rows, query_labels, labels)  # (Q, shortlist)
        precision = hits.cumsum(axis=1) / np.arange(1, hits.shape[1] + 1)
        ap = (precision * hits).sum(axis=1) / np.minimum(answers, shortlist)
        return ModeScore(
            name,
            mean_over_queries(ap),
            tuple(mean_over_queries(hits[:, :k].sum(axis=1) / k) for k in RANKS),
            len(queries) / total_seconds,
        )

    modes = [
        ModeScore(
            "by Hamming distance",
            mean_over_queries(average_precision(total, relevant, shortlist)),
            tuple(mean_over_queries(precision_at(total, relevant, k)) for k in RANKS),
            len(queries) / seconds,
        )
    ]
    if features is not None and query_features is not None:
        by_features = query_features[answerable]
        rows = order[near.rows]  # rows of the features, which are too large to shuffle
        own_labels = np.empty_like(labels)
        own_labels[order] = labels
        modes.append(
            mode(
                "by features",
                lambda: rerank_by_features(
                    by_features, features, near.offsets, rows, near.distances
                ),
                own_labels,
            )
        )
    if query_outputs is not None:
        outputs = query_outputs[answerable]
        modes.append(
            mode(
                "asymmetric, by hash outputs",
                lambda: rerank_asymmetric(
                    outputs, codes, bits, near.offsets, near.rows, near.distances
                ),
                labels,
            )
        )
    return SearchModes(len(queries), shortlist, tuple(modes))


def _hits(
    near: Within, rows: NDArray[np.int64], query_labels: Labels, labels: Labels
) -> NDArray[np.bool_]:
    """Which ranks of each query hold a relevant item, (Q, longest shortlist)."""
    sizes = np.diff(near.offsets)
    hits = np.zeros((len(sizes), int(sizes.max(initial=1))), np.bool_)
    for query, (start, stop) in enumerate(zip(near.offsets, near.offsets[1:], strict=False)):
        ours = query_labels[query : query + 1]
        hits[query, : stop - start] = relevance(ours, labels[rows[start:stop]])[0]
    return hits
