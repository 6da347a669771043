"""A code set opened for searches: its indexes are loaded once, and stay for the next search."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note
from bitcodes.choices import SearchOrder
from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.store import Store
from bitcodes.errors import CodeSetError
from bitcodes.hamming.checking import BadIndexError
from bitcodes.hamming.index import HammingIndex, Index, to_ragged
from bitcodes.hamming.rerank import rerank_asymmetric, rerank_by_features
from bitcodes.hamming.searchable import Searchable, Within
from bitcodes.hamming.stored import open_index
from bitcodes.tasks.searching.ordering import Ordering
from bitcodes.tasks.searching.queries import Queries
from bitcodes.tasks.searching.results import Fine, Hit, QueryResult, SearchResults
from bitcodes.tasks.searching.rows import ALL, Filter, Rows, condition_of, labels_of
from bitcodes.wording import command

K = 10
SHORTLIST = 1000


@dataclass(frozen=True)
class Terms:
    """How a search is done: how many results, within which radius, in which order.

    Without `k` and `radius`, these are the 10 nearest. `reranked` says what orders the `shortlist`
    nearest (by default 1,000), or all within the radius.
    """

    k: int | None = None
    radius: int | None = None
    order: SearchOrder | None = None
    reranked: Fine | None = None
    shortlist: int | None = None
    """With a radius, the most images that are re-ranked; None for all within it."""
    counts_ties: bool = True
    """Whether images as near as the last result of a single query are counted."""

    def completed(self) -> "Terms":
        """The same with the defaults filled in."""
        k = K if self.k is None and self.radius is None else self.k
        shortlist = self.shortlist
        if self.reranked is not None and self.radius is None:
            shortlist = max(shortlist or SHORTLIST, k or K)
        return replace(self, k=k, shortlist=shortlist)


class Searcher:
    """Searches one code set again and again; many threads may do so at once.

    A saved index is used if it is good; else `note` is told why not. A store is searched where it
    is, and only the rows of results are read; `database` is then the set without its rows. Only
    the images that `condition` leaves are searched: DataError for a label that the set has not.
    """

    def __init__(
        self,
        database: CodeSet | Store,
        threads: int | None = None,
        note: Note | None = None,
        condition: Filter = ALL,
    ) -> None:
        self._store = database if isinstance(database, Store) else None
        self.database = database.head if isinstance(database, Store) else database
        self._threads = threads
        self._note = note
        self._indexes: dict[SearchOrder | None, Index] = {}
        self._orderings: dict[SearchOrder | None, Ordering] = {}
        self._only = None
        self._condition = condition
        if self._store is not None:
            condition_of(self.database, condition)  # an unknown label is told at once
        elif condition:
            self._only = Selection(Rows(self.database).select(condition))

    def search(
        self, queries: Queries, terms: Terms, only: "Selection | None" = None
    ) -> SearchResults:
        """The nearest images of each query, among the rows of `only` if it is given."""
        terms = terms.completed()
        only = only or self._only
        if self._store is not None:
            with self._store.reading():  # all of it sees one version
                return self._search_store(self._store, queries, terms)
        ordering = self._ordering(terms.order)
        shortlist = self._shortlist(queries, ordering, terms, only)
        count = self.database.count if only is None else len(only.rows)
        return _results(self.database, count, shortlist, queries, ordering, terms)

    def _search_store(self, store: Store, queries: Queries, terms: Terms) -> SearchResults:
        self.database.check_same_model(store.name, store.bits, store.fingerprint)
        ordering = Ordering.of(self.database, terms.order)
        store.measured(ordering.measure).filtered(condition_of(store.head, self._condition))
        shortlist = _find(store, queries, ordering, terms)
        rows, places = np.unique(shortlist.rows, return_inverse=True)
        taken = shortlist._replace(rows=places.reshape(-1))
        return _results(store.take(rows), len(store), taken, queries, ordering, terms, rows)

    def index(self, ordering: Ordering) -> Index:
        """The index for an ordering, opened at its first use."""
        if ordering.name not in self._indexes:
            self._indexes[ordering.name] = open_index(
                self.database, self._threads, self._note, measure=ordering.measure
            )
        return self._indexes[ordering.name]

    def _ordering(self, order: SearchOrder | None) -> Ordering:
        """An order of the code set, made at its first use."""
        if order not in self._orderings:
            self._orderings[order] = Ordering.of(self.database, order)
        return self._orderings[order]

    def nearest(self, queries: Queries, terms: Terms) -> "Shortlist":
        """Rows and distances alone, of a plain search; `terms` must be completed."""
        return self._shortlist(queries, self._ordering(terms.order), terms, None)

    def _shortlist(
        self, queries: Queries, ordering: Ordering, terms: Terms, only: "Selection | None"
    ) -> "Shortlist":
        database = self.database
        if only is not None:
            some = only.index(database, ordering, self._threads)
            return _find(some, queries, ordering, terms)
        index = self.index(ordering)
        try:
            shortlist = _find(index, queries, ordering, terms)
            if not isinstance(index, HammingIndex):
                _check(shortlist, queries, database, ordering)
        except (CodeSetError, IndexError, MemoryError, OverflowError, ValueError) as error:
            if isinstance(index, HammingIndex):
                raise
            if self._note is not None:
                self._note(
                    f"the index of {database.name} is damaged ({error}), so all codes are "
                    f"compared; build it again: {command('index', database.name)}"
                )
            by_row = HammingIndex(database, threads=self._threads, measure=ordering.measure)
            self._indexes[ordering.name] = by_row
            shortlist = _find(by_row, queries, ordering, terms)
        return shortlist


class Selection:
    """Some rows of a set, in order, to search among."""

    def __init__(self, rows: NDArray[np.int64]) -> None:
        self.rows = rows
        self._indexes: dict[SearchOrder | None, _IndexOfSome] = {}

    def index(self, database: CodeSet, ordering: Ordering, threads: int | None) -> "_IndexOfSome":
        """The index of these rows for an ordering, made at its first use."""
        if ordering.name not in self._indexes:
            codes = np.ascontiguousarray(database.codes[self.rows])
            by_row = HammingIndex(codes, database.bits, threads, ordering.measure)
            self._indexes[ordering.name] = _IndexOfSome(by_row, self.rows)
        return self._indexes[ordering.name]


class _IndexOfSome:
    """An index of some rows of a set, which gives rows of the set."""

    def __init__(self, index: HammingIndex, rows: NDArray[np.int64]) -> None:
        self._index = index
        self._rows = np.append(rows, -1)  # -1 stays what it is

    def search(
        self, queries: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        distances, rows = self._index.search(queries, k)
        return distances, self._rows[rows]

    def within(self, queries: NDArray[np.uint8], radius: int, limit: int | None = None) -> Within:
        near = self._index.within(queries, radius, limit)
        return near._replace(rows=self._rows[near.rows])


class Shortlist(NamedTuple):
    """The nearest codes. Ragged: query q owns offsets[q]:offsets[q + 1]."""

    offsets: NDArray[np.int64]  # (Q + 1,)
    rows: NDArray[np.int64]  # (M,)
    distances: NDArray[np.int32]  # (M,)
    more: NDArray[np.bool_]  # (Q,)
    tied: NDArray[np.bool_]  # (Q,)
    ties: int | None = None  # images as near as the last hit that are no hits, of one query
    scores: NDArray[np.float32] | None = None  # (M,) distances of features or hash outputs


def _check(shortlist: Shortlist, queries: Queries, database: CodeSet, ordering: Ordering) -> None:
    """Raise BadIndexError unless the rows that a saved index gave are at the distances it says."""
    rows = shortlist.rows
    if len(rows) and not (rows.min() >= 0 and rows.max() < database.count):
        raise BadIndexError("it names rows that are not there")
    query = np.repeat(np.arange(len(shortlist.offsets) - 1), np.diff(shortlist.offsets))
    for start in range(0, len(rows), 1 << 16):
        part = slice(start, start + (1 << 16))
        pairs = database.codes[rows[part]], queries.codes.codes[query[part]]  # both (n, B)
        if not np.array_equal(ordering.measure.between(*pairs), shortlist.distances[part]):
            raise BadIndexError("its codes are not those of the set")


def _find(
    index: "Searchable | _IndexOfSome", queries: Queries, ordering: Ordering, terms: Terms
) -> Shortlist:
    codes = queries.codes.codes
    limit = terms.k if terms.reranked is None else terms.shortlist
    tied = np.zeros(len(codes), np.bool_)
    if terms.radius is not None:
        near = index.within(codes, ordering.within(terms.radius), limit)
    else:
        assert limit is not None
        # One more tells whether the next one is at the distance of the last.
        distances, rows = index.search(codes, limit + 1)
        tied = (distances[:, limit] >= 0) & (distances[:, limit] == distances[:, limit - 1])
        near = to_ragged(distances[:, :limit], rows[:, :limit])
    ties = None
    counts_ties = terms.counts_ties and terms.reranked is None
    if counts_ties and len(codes) == 1 and tied[0]:  # for many it would take as long again
        within = index.within(codes, int(near.distances[-1]))
        ties = len(within.rows) - len(near.rows)
    return Shortlist(near.offsets, near.rows, near.distances, near.more, tied, ties)


def _reranked(
    near: Shortlist, queries: Queries, database: CodeSet, ordering: Ordering, terms: Terms
) -> Shortlist:
    """The shortlist in the order that was asked for, or the first k of it."""
    if terms.reranked is None:
        return near
    shortlisted = (near.offsets, near.rows, near.distances, terms.k)
    if terms.reranked == "features":
        assert queries.codes.features is not None and database.features is not None
        ranked = rerank_by_features(queries.codes.features, database.features, *shortlisted)
    else:
        assert queries.outputs is not None
        outputs = ordering.measure.weigh(queries.outputs)
        ranked = rerank_asymmetric(outputs, database.codes, database.bits, *shortlisted)
    cut = near.more | (np.diff(ranked.offsets) < np.diff(near.offsets))
    more = cut if terms.radius is not None else np.zeros_like(cut)
    return Shortlist(
        ranked.offsets, ranked.rows, ranked.distances, more, near.tied, None, ranked.scores
    )


def _results(
    database: CodeSet,
    count: int,
    shortlist: Shortlist,
    queries: Queries,
    ordering: Ordering,
    terms: Terms,
    numbers: NDArray[np.int64] | None = None,
) -> SearchResults:
    """Results among `count` images, from the rows of `database`.

    `numbers` (N,) are those that its rows have in the store that they were taken from.
    """
    matches = _reranked(shortlist, queries, database, ordering, terms)
    results = (
        _result(query, queries.codes, matches, database, ordering, numbers)
        for query in range(queries.codes.count)
    )
    return SearchResults(
        codes=database.name,
        bits=database.bits,
        count=count,
        k=terms.k,
        radius=terms.radius,
        shortlist=terms.shortlist,
        reranked=terms.reranked,
        queries=tuple(results),
        skipped=queries.skipped,
        has_features=database.features is not None,
        order=ordering.name,
    )


def _result(
    query: int,
    queries: CodeSet,
    matches: Shortlist,
    database: CodeSet,
    ordering: Ordering,
    numbers: NDArray[np.int64] | None,
) -> QueryResult:
    """The matches of one query, with their files and labels."""
    names = database.class_names or queries.class_names
    span = slice(int(matches.offsets[query]), int(matches.offsets[query + 1]))
    rows = matches.rows[span].tolist()
    distances = matches.distances[span].tolist()
    scores = [None] * len(rows) if matches.scores is None else matches.scores[span].tolist()
    files = [database.file(row) for row in rows]
    labels = [labels_of(database, row, names) for row in rows]
    file = queries.file(query)
    own = labels_of(queries, query, queries.class_names or database.class_names)
    if file is not None:
        file = Path(os.path.abspath(file))  # noqa: PTH100 - keeps links
    if not own and file is not None:
        own = _known_labels(file, files, labels, names)
    hits = tuple(
        Hit(
            rank=number + 1,
            row=row if numbers is None else int(numbers[row]),
            path=database.paths[row],
            file=files[number],
            distance=ordering.shown(distances[number]),
            similarity=ordering.similarity(distances[number]),
            fine_distance=scores[number],
            labels=labels[number],
            relevant=not set(own).isdisjoint(labels[number]) if own and labels[number] else None,
            instance_distance=ordering.instance_distance(distances[number]),
        )
        for number, row in enumerate(rows)
    )
    more, tied = bool(matches.more[query]), bool(matches.tied[query])
    return QueryResult(queries.paths[query], file, own, hits, more, tied, matches.ties)


def _known_labels(
    file: Path, files: list[Path | None], labels: list[tuple[str, ...]], names: tuple[str, ...]
) -> tuple[str, ...]:
    """Labels of a query without its own: those of its row in the database, else of its folder."""
    for other, names_of_row in zip(files, labels, strict=True):
        if other == file and names_of_row:
            return names_of_row
    return (file.parent.name,) if file.parent.name in names and any(labels) else ()
