"""What each order of results is worth inside a class: copies found, and neighbours that look alike.

All figures are expectations over the orders of the items at equal distance; see `ranking`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import split_codes
from bitcodes.codes.parts import Parts
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure
from bitcodes.metrics.protocols import Labels, relevance
from bitcodes.metrics.ranking import (
    Floats,
    average_precision,
    decided_at,
    mean_over_queries,
    or_none,
    recall_at,
)

NEIGHBOURS = 10

# Queries at a time: the histograms of weighted distances are long.
_BLOCK = 250

Codes = NDArray[np.uint8]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class OrderScore:
    """Figures of one order."""

    name: str
    map: float
    """mAP of the queries over the whole ranking."""
    copy_at_1: float
    """How often the nearest item of a copy is its original."""
    copy_recall: float
    """How often its original is among the nearest NEIGHBOURS items."""
    in_class: float
    """Share of a query's NEIGHBOURS nearest of its class by features that are so by code."""
    decided: float
    """Share of the queries whose NEIGHBOURS nearest items are decided by the codes."""
    distinct: int
    """Number of different codes in the database."""

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form, with None for what does not exist."""
        return {
            "name": self.name,
            "map": or_none(self.map),
            "copy@1": or_none(self.copy_at_1),
            f"copy@{NEIGHBOURS}": or_none(self.copy_recall),
            f"in_class@{NEIGHBOURS}": or_none(self.in_class),
            f"decided@{NEIGHBOURS}": or_none(self.decided),
            "distinct_codes": self.distinct,
        }


@dataclass(frozen=True)
class OrderScores:
    """The orders of one model, and the sizes of the samples that they were measured with."""

    changes: tuple[str, ...]
    """How copies were changed."""
    originals: int
    """Images of the database that were copied, each in every way."""
    queries: int
    """Queries whose neighbours by code were compared with those by features."""
    scores: tuple[OrderScore, ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready form."""
        return {
            "changes": list(self.changes),
            "originals": self.originals,
            "queries": self.queries,
            "orders": [score.to_dict() for score in self.scores],
        }


@dataclass(frozen=True, eq=False)
class OrderTrial:
    """What orders are tried on: packed codes of one model, and what should be near to what.

    Q queries, N items in the database, C copies; S of the queries have neighbours by features.
    """

    queries: Codes  # (Q, B)
    database: Codes  # (N, B)
    copies: Codes  # (C, B)
    query_labels: Labels
    labels: Labels
    originals: Rows
    """(C,) rows of the database."""
    asked: Rows
    """(S,) rows of the queries."""
    near: Rows
    """(S, NEIGHBOURS) rows of the database as `nearest_of_class` gives them."""

    def score(self, name: str, measure: Measure, bits: int) -> OrderScore:
        """Figures of codes of `bits` bits if the first `measure.bits` of them are compared."""
        first = measure.bits
        queries, database, copies = (
            codes if first == bits else split_codes(codes, bits, first)[0]
            for codes in (self.queries, self.database, self.copies)
        )
        index = HammingIndex(database, first, measure=measure)
        precision, decided = self._ranked(index, queries)
        own = recalls(index, database, copies, self.originals[:, None], (1, NEIGHBOURS))
        agreement = recalls(index, database, queries[self.asked], self.near, (NEIGHBOURS,))
        return OrderScore(
            name,
            map=mean_over_queries(precision),
            copy_at_1=mean_over_queries(own[:, 0]),
            copy_recall=mean_over_queries(own[:, 1]),
            in_class=mean_over_queries(agreement),
            decided=mean_over_queries(decided),
            distinct=len(np.unique(database, axis=0)),
        )

    def _ranked(self, index: HammingIndex, queries: Codes) -> tuple[Floats, Floats]:
        """Average precision of each query (Q,), and whether its first items are decided (Q,)."""
        parts = []
        for block in _blocks(len(queries)):
            counts = index.count(queries[block], self.labels, self.query_labels[block])
            parts.append((average_precision(*counts), decided_at(counts[0], NEIGHBOURS)))
        precision, decided = (np.concatenate(part) for part in zip(*parts, strict=True))
        return precision, np.where(np.isnan(precision), np.nan, decided)


def orders_of(bits: int, parts: Parts | None) -> Iterator[tuple[str, Measure]]:
    """The name of each order that codes of `bits` bits have, and its measure.

    Codes of two parts have three: the class bits alone, and the two orders of `search`, of which
    the last is the default.
    """
    if parts is None:
        yield "Hamming distance", Measure(bits)
        return
    yield "class bits alone", Measure(parts.class_bits)
    yield "class", Measure.class_first(parts)
    yield "sum", Measure.summed(parts)


def recalls(
    index: HammingIndex, database: Codes, queries: Codes, wanted: Rows, ranks: tuple[int, ...]
) -> Floats:
    """The expected share of the rows `wanted` that are among the first k, (Q, len(ranks)).

    `database` are the codes of the index (N, B). `wanted` (Q, W) are rows of it, -1 for none; a
    query without any has NaN.
    """
    parts = [np.empty((0, len(ranks)))]
    for block in _blocks(len(queries)):
        total = index.count(queries[block])  # (q, D + 1)
        relevant = np.zeros_like(total)
        query, place = np.nonzero(wanted[block] >= 0)
        rows = wanted[block][query, place]
        distances = index.measure.between(queries[block][query], database[rows])
        np.add.at(relevant, (query, distances), 1)
        parts.append(np.stack([recall_at(total, relevant, k) for k in ranks], axis=1))
    return np.concatenate(parts)


def nearest_of_class(
    queries: NDArray[np.floating],
    query_labels: Labels,
    database: NDArray[np.floating],
    labels: Labels,
) -> Rows:
    """The rows of the NEIGHBOURS nearest items by features of those that are relevant to a query.

    Features (S, D) and (N, D), compared by Euclidean distance, ties by row; labels of one kind.
    Returns (S, NEIGHBOURS), with -1 where fewer items are relevant.
    """
    items = np.asarray(database, np.float32)
    squares = (items**2).sum(axis=1)
    near = np.full((len(queries), NEIGHBOURS), -1)
    for block in _blocks(len(queries)):
        distances = squares - 2 * (np.asarray(queries[block], np.float32) @ items.T)  # (s, N)
        distances[~relevance(query_labels[block], labels)] = np.inf
        order = np.argsort(distances, axis=1, kind="stable")[:, :NEIGHBOURS]
        is_there = np.isfinite(np.take_along_axis(distances, order, axis=1))
        near[block, : order.shape[1]] = np.where(is_there, order, -1)
    return near


def _blocks(count: int) -> Iterator[slice]:
    for start in range(0, count, _BLOCK):
        yield slice(start, start + _BLOCK)
