"""All figures of a retrieval evaluation, from a code set of queries and one of a database."""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import split_codes
from bitcodes.codes.paths import escape
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure, measure_of
from bitcodes.metrics.health import Health, code_health
from bitcodes.metrics.intervals import bootstrap_intervals
from bitcodes.metrics.modes import SearchModes
from bitcodes.metrics.orders import OrderScores
from bitcodes.metrics.protocols import Labels, labels_of
from bitcodes.metrics.ranking import (
    Counts,
    Floats,
    average_precision,
    average_precision_bounds,
    decided_at,
    hits_at,
    mean_over_queries,
    or_none,
    precision_recall_curve,
    precision_within,
    recall_within,
)
from bitcodes.metrics.two_stage import two_stage_radius, two_stage_scores
from bitcodes.notebook import ShownAsHtml
from bitcodes.wording import counted

CUTOFFS = (1000, 5000)
METRICS = ("map", *(f"map@{cutoff}" for cutoff in CUTOFFS))
"""The figures that can be the main one of a data set."""
RANKS = (1, 10, 100, 1000)
RADIUS = 2
Sets = tuple[CodeSet, CodeSet]
"""Queries and database."""

PAGE = 10
"""How many results `search` shows by default: do the codes decide which?"""
_POINTS = 120  # of curves
FIGURES = (
    *METRICS,
    *(f"precision@{rank}" for rank in RANKS),
    *(f"decided@{PAGE}", "map_class_bits"),
    *(f"precision_within_{RADIUS}", f"recall_within_{RADIUS}", "two_stage"),
)
"""The names of all figures; an evaluation has those that its codes and features allow."""


@dataclass(frozen=True)
class ClassScore:
    """mAP over the whole ranking, for the queries of one class; NaN if none has a relevant item."""

    name: str
    queries: int
    map: float


class Curves(NamedTuple):
    """Mean precision and mean recall over the queries after each of some ranks, all (R,)."""

    ranks: NDArray[np.int64]
    precision: Floats
    recall: Floats

    def to_dict(self) -> dict[str, list[Any]]:
        """A JSON-ready form."""
        means = {"precision": self.precision, "recall": self.recall}
        values = {name: list(map(or_none, mean.tolist())) for name, mean in means.items()}
        return {"ranks": self.ranks.tolist(), **values}


@dataclass(frozen=True, eq=False)
class Evaluation(ShownAsHtml):
    """The result of an evaluation: the scores of every query, and their means, the figures."""

    bits: int
    queries: int
    database: int
    unanswerable: int
    """Queries for which nothing in the database is relevant: left out of every figure."""
    self_matches: int
    """(query, database row) pairs that are the same file."""
    excluded_self: bool
    """Whether these pairs were left out."""
    scores: dict[str, Floats]
    """Figure -> a score per query, (queries,); NaN for queries that it leaves out."""
    tie_ranges: dict[str, tuple[float, float]]
    """Figure -> least and greatest mAP that an order of the items at equal distance can give."""
    classes: tuple[ClassScore, ...]
    total: Counts
    """(queries, D + 1): how many database items are at each distance."""
    relevant: Counts
    """(queries, D + 1): how many of them are relevant."""
    health: Health
    """How well the codes of the database use their bits."""
    query_digest: str
    """SHA-256 in hex of the queries' files and labels; equal if scores can be paired."""
    about: dict[str, Any]
    """Origin of the codes, as far as known: files, fingerprint, run, data, protocol."""
    notes: tuple[str, ...]
    """What a reader of the figures should know, one sentence each."""
    sets: Sets
    """The code sets: queries, database."""
    stages: SearchModes | None = None
    """The search modes compared, if requested."""
    orders: OrderScores | None = None
    """What each order is worth inside the classes, if requested."""

    def __repr__(self) -> str:
        return (
            f"<Evaluation: {self.metric.replace('map', 'mAP')} "
            f"{self.figures[self.metric]:.4f}, {_queries(self.queries)} "
            f"against {counted(self.database, 'image')}, {counted(self.bits, 'bit')}>"
        )

    @property
    def metric(self) -> str:
        """The main figure: what the data set says, else mAP over the whole ranking."""
        return str(self.about.get("metric") or "map")

    @property
    def class_bits(self) -> int:
        """The class bits of the codes: all, unless the codes have two parts."""
        parts = self.sets[1].parts
        return self.bits if parts is None else parts.class_bits

    @property
    def figures(self) -> dict[str, float]:
        """The mean of each score over the queries that have it; NaN if none has."""
        return {name: mean_over_queries(values) for name, values in self.scores.items()}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The 95 % interval of each figure, by resampling the queries; NaN if there is none."""
        intervals = bootstrap_intervals(np.stack(list(self.scores.values()), axis=1)).tolist()
        return {name: (low, high) for name, (low, high) in zip(self.scores, intervals, strict=True)}

    @cached_property
    def curves(self) -> Curves:
        """Mean precision and mean recall at up to 120 ranks, evenly spread over their logarithms.

        NaN if nothing in the database is relevant to any query.
        """
        ranks = np.unique(np.geomspace(1, self.database, _POINTS).round().astype(np.int64))
        return Curves(ranks, *precision_recall_curve(self.total, self.relevant, ranks.tolist()))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready summary, with None for figures that do not exist."""
        return {
            **self.about,
            "bits": self.bits,
            "queries": self.queries,
            "database": self.database,
            "unanswerable_queries": self.unanswerable,
            "self_matches": self.self_matches,
            "excluded_self": self.excluded_self,
            "figures": {name: or_none(value) for name, value in self.figures.items()},
            "intervals": _json_ranges(self.intervals),
            "tie_ranges": _json_ranges(self.tie_ranges),
            "curves": self.curves.to_dict(),
            "classes": [{**vars(entry), "map": or_none(entry.map)} for entry in self.classes],
            "stages": None if self.stages is None else self.stages.to_dict(),
            "orders": None if self.orders is None else self.orders.to_dict(),
            "codes": self.health.to_dict(),
            "notes": list(self.notes),
        }


def score_code_sets(
    queries: CodeSet,
    database: CodeSet,
    *,
    exclude_self: bool = False,
    force: bool = False,
    about: Mapping[str, Any] = {},
    notes: Sequence[str] = (),
    two_stage: Floats | None = None,
) -> Evaluation:
    """Evaluate the codes of `queries` against those of `database`; both need labels.

    `exclude_self` leaves the database row of a query's own file out of its results. `force` allows
    sets of different models. If both have features, the two-stage score is added. `two_stage`, that
    score per query from an earlier call on the same sets, saves most of the time. `about` and
    `notes` become part of the result. Codes of two parts are ranked by the sum of both distances,
    but what counts within a radius is counted by the class bits. Raises CodeSetError if the sets do
    not fit together.
    """
    query_labels, labels = _check(queries, database, force)
    measure = measure_of(database)
    total, relevant = HammingIndex(database, measure=measure).count(
        queries.codes, labels, query_labels
    )

    if exclude_self and None in (queries.root, database.root):
        raise CodeSetError(
            "excluding the queries' own files needs code sets with paths; these have none"
        )
    pairs = _self_pairs(queries, database)
    excluded = pairs if exclude_self else pairs[:0]
    both_labels = query_labels, labels
    _remove_pairs(excluded, (queries, database), both_labels, (total, relevant), measure)

    remarks = list(notes)
    answerable = relevant.any(axis=1)
    scores = _ranking_scores(total, relevant)
    class_queries, class_database = _class_parts(queries, database)
    index = HammingIndex(class_database)
    if database.parts is None:
        near = total, relevant
    else:
        near = index.count(class_queries.codes, labels, query_labels)
        sets = class_queries, class_database
        _remove_pairs(excluded, sets, both_labels, near, Measure(class_database.bits))
        scores["map_class_bits"] = average_precision(*near)
    scores |= _scores_within(*near)
    if two_stage is not None:
        scores["two_stage"] = np.array(two_stage, np.float64)
    elif queries.features is None or database.features is None:
        remarks.append(
            "No two-stage score: it needs features in both code sets (encode --features)."
        )
    else:
        features = queries.features, database.features
        arrays = (class_queries.codes, *features, *both_labels)
        radius = two_stage_radius(class_queries.bits)
        scores["two_stage"] = two_stage_scores(index, *arrays, radius, exclude=excluded)
    for values in scores.values():
        values[~answerable] = np.nan

    if unanswerable := int((~answerable).sum()):
        remarks.append(
            f"Left out of every figure: {unanswerable:,} of {_queries(queries.count)} with nothing "
            "relevant in the database."
        )
    if overlap := len(np.unique(pairs[:, 0])):
        fate = "is passed over" if exclude_self else "finds itself (exclude-self passes it over)"
        remarks.append(f"In the database too: {_queries(overlap)}, and each {fate}.")
    if database.count < max(RANKS):
        remarks.append(
            f"The database has {counted(database.count, 'image')}: no precision at larger ranks."
        )
    return Evaluation(
        bits=queries.bits,
        queries=queries.count,
        database=database.count,
        unanswerable=unanswerable,
        self_matches=len(pairs),
        excluded_self=exclude_self,
        scores=scores,
        tie_ranges=_tie_ranges(total, relevant),
        classes=_per_class(query_labels, scores["map"], queries.class_names),
        total=total,
        relevant=relevant,
        health=code_health(database.codes, database.bits),
        query_digest=_query_digest(queries, query_labels),
        about={
            **about,
            "query_codes": _path(queries),
            "database_codes": _path(database),
            "fingerprint": queries.fingerprint,
        },
        notes=tuple(remarks),
        sets=(queries, database),
    )


def led_by(evaluation: Evaluation, metric: str) -> Evaluation:
    """The evaluation with one of METRICS as its main figure, which comes first."""
    scores = {metric: evaluation.scores[metric], **evaluation.scores}
    return replace(evaluation, scores=scores, about={**evaluation.about, "metric": metric})


def _queries(number: int) -> str:
    return counted(number, "query", "queries")


def _check(queries: CodeSet, database: CodeSet, force: bool) -> tuple[Labels, Labels]:
    """Labels of both sets as one kind; raises CodeSetError if the sets do not fit together."""
    database.check_same_model(queries.name, queries.bits, queries.fingerprint, force)
    if queries.class_names and database.class_names and queries.class_names != database.class_names:
        raise CodeSetError(
            f"the queries ({queries.name}) have the classes {_some(queries.class_names)} and the "
            f"database ({database.name}) {_some(database.class_names)}: "
            "their labels do not mean the same; encode both with lists of one dataset"
        )
    for whose, code_set in (("queries", queries), ("database", database)):
        if code_set.count == 0:
            raise CodeSetError(
                f"the {whose} ({code_set.name}) hold no codes: name a set that has some"
            )
    if queries.features is not None and database.features is not None:
        widths = queries.features.shape[1], database.features.shape[1]
        if widths[0] != widths[1]:
            raise CodeSetError(
                f"the queries ({queries.name}) have features of {counted(widths[0], 'number')} and "
                f"the database ({database.name}) of {widths[1]:,}: they are not of one model"
            )
    return labels_of(queries, database)


def _ranking_scores(total: Counts, relevant: Counts) -> dict[str, Floats]:
    scores = {"map": average_precision(total, relevant)}
    for cutoff in CUTOFFS:
        scores[f"map@{cutoff}"] = average_precision(total, relevant, cutoff)
    size = total.sum(axis=1)
    for rank, hits in zip(RANKS, hits_at(total, relevant, RANKS).T, strict=True):
        scores[f"precision@{rank}"] = np.where(size >= rank, hits / rank, np.nan)
    scores[f"decided@{PAGE}"] = decided_at(total, PAGE)
    return scores


def _scores_within(total: Counts, relevant: Counts) -> dict[str, Floats]:
    return {
        f"precision_within_{RADIUS}": precision_within(total, relevant, RADIUS),
        f"recall_within_{RADIUS}": recall_within(total, relevant, RADIUS),
    }


def _class_parts(queries: CodeSet, database: CodeSet) -> tuple[CodeSet, CodeSet]:
    """Both sets with the class bits alone; the same ones if their codes have one part."""
    parts = database.parts
    if parts is None:
        return queries, database
    first = parts.class_bits
    codes = (split_codes(each.codes, each.bits, first)[0] for each in (queries, database))
    ours, theirs = (CodeSet.from_arrays(some, first) for some in codes)
    return ours, theirs


def _tie_ranges(total: Counts, relevant: Counts) -> dict[str, tuple[float, float]]:
    ranges = {}
    for name, cutoff in (("map", None), *((f"map@{cutoff}", cutoff) for cutoff in CUTOFFS)):
        low, high = average_precision_bounds(total, relevant, cutoff)
        ranges[name] = (mean_over_queries(low), mean_over_queries(high))
    return ranges


def _per_class(
    query_labels: Labels, scores: Floats, class_names: tuple[str, ...]
) -> tuple[ClassScore, ...]:
    """The mAP of the queries of each class, or with each label, in class order."""
    if query_labels.ndim == 2:
        members = {c: query_labels[:, c].astype(bool) for c in range(query_labels.shape[1])}
    else:
        members = {int(c): query_labels == c for c in np.unique(query_labels)}
    return tuple(
        ClassScore(
            name=class_names[c] if 0 <= c < len(class_names) else str(c),
            queries=int(mask.sum()),
            map=mean_over_queries(scores[mask]),
        )
        for c, mask in members.items()
        if mask.any()
    )


def _self_pairs(queries: CodeSet, database: CodeSet) -> NDArray[np.int64]:
    """(query, row) pairs of the same file, (M, 2); none if the paths are unknown."""
    queries_of: dict[str, list[int]] = {}
    for query, file in enumerate(_files(queries)):
        queries_of.setdefault(file, []).append(query)
    pairs = [
        (query, row)
        for row, file in enumerate(_files(database) if queries_of else ())
        for query in queries_of.get(file, ())
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _files(code_set: CodeSet) -> Iterator[str]:
    """The normal absolute path of each image, if the set knows its root."""
    if (root := code_set.root) is not None:
        for path in code_set.paths:
            yield os.path.normpath(os.path.join(root, path))  # noqa: PTH118 - pathlib takes 5 times


def _query_digest(queries: CodeSet, query_labels: Labels) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(query_labels).tobytes())
    for file in _files(queries):
        digest.update(os.fsencode(file) + b"\0")
    return digest.hexdigest()


def _remove_pairs(
    pairs: NDArray[np.int64],
    sets: Sets,
    labels: tuple[Labels, Labels],
    counts: tuple[Counts, Counts],
    measure: Measure,
) -> None:
    """Remove the pairs from the histograms, in place."""
    query, row = pairs.T
    distances = measure.between(sets[0].codes[query], sets[1].codes[row])
    ours, theirs = labels[0][query], labels[1][row]
    same = ours == theirs if ours.ndim == 1 else np.logical_and(ours, theirs).any(axis=1)
    np.subtract.at(counts[0], (query, distances), 1)
    np.subtract.at(counts[1], (query, distances), same.astype(np.int64))


def _path(code_set: CodeSet) -> str | None:
    return None if code_set.path is None else escape(str(code_set.path))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f", ... ({len(names)})" if len(names) > 5 else "")


def _json_ranges(ranges: dict[str, tuple[float, float]]) -> dict[str, list[float] | None]:
    return {name: None if math.isnan(low) else [low, high] for name, (low, high) in ranges.items()}
