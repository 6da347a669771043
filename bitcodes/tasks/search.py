"""Search: queries and a code set -> the nearest images, ordered in one of three search modes."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note, Progress
from bitcodes.choices import SearchOrder
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError, DataError
from bitcodes.hamming.checking import BadIndexError
from bitcodes.hamming.index import HammingIndex, Index, to_ragged
from bitcodes.hamming.rerank import rerank_asymmetric, rerank_by_features
from bitcodes.hamming.stored import open_index
from bitcodes.tasks.ordering import Ordering
from bitcodes.tasks.queries import (
    Queries,
    QuerySource,
    encode_queries,
    find_model,
    open_queries,
)
from bitcodes.tasks.results import Fine, Hit, QueryResult, SearchResults
from bitcodes.wording import command

K = 10
SHORTLIST = 1000


def search(
    queries: QuerySource,
    database: CodeSet | Path | str = "codes.npy",
    *,
    k: int | None = None,
    radius: int | None = None,
    order: SearchOrder | None = None,
    rerank: bool = False,
    asymmetric: bool = False,
    shortlist: int | None = None,
    run: Path | str | None = None,
    device: str = "auto",
    batch_size: int = 64,
    workers: int | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Progress | None = None,
    note: Note | None = None,
    stdin: IO[bytes] | None = None,
) -> SearchResults:
    """Find the images of `database` whose codes are nearest to those of the queries, exactly.

    `queries` are images (files, folders, list files, an ImageList; "-" for paths on `stdin`) or a
    code set; `database` is a code set or its file. The results are the `k` nearest (default 10), or
    all within `radius`, or the `k` nearest of these; ordered by (distance, row). For codes of two
    parts, the distance is the weighted sum of both (`order` "sum"), or the class distance, and at
    equal class distance the instance distance decides ("class"). `rerank` orders by
    features instead, `asymmetric` by the query's hash outputs against the stored codes: all within
    `radius`, or the `shortlist` nearest (default 1,000), of which the first `k` are kept. A saved
    index is used if it is good; else `note` is told why not.

    Queries that are images are encoded with the model that made the database: `run` (a run, a model
    file or a name of the built-in model), or else what its header names. Those that cannot be read
    are skipped and listed in the result. Raises CodeSetError if the model or the query codes are
    not the database's own (`force` compares them all the same), or if features or hash outputs are
    missing; DataError if there is no query.
    """
    if rerank and asymmetric:
        raise ValueError("a shortlist is ordered by features or by hash outputs, not both")
    if not isinstance(database, CodeSet):
        database = CodeSet.open(database)
    source = open_queries(queries, stdin)
    for code_set in (database, source):
        if rerank and isinstance(code_set, CodeSet) and code_set.features is None:
            raise CodeSetError(
                f"{code_set.name} has no features to re-rank by; encode it again with --features"
            )
    if not isinstance(source, CodeSet):
        prepared = encode_queries(
            source,
            find_model(database, run, device, force, note),
            "reduced" if database.header.decode == "reduced" else "full",
            features=rerank,
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
    elif asymmetric:
        raise CodeSetError(
            f"{source.name} holds codes, not the hash outputs that an asymmetric search needs; "
            "give the images themselves as queries"
        )
    else:
        database.check_same_model(source.name, source.bits, source.fingerprint, force)
        if not source.count:
            raise DataError("there are no queries: the code set of the queries is empty")
        prepared = Queries(source)

    if k is None and radius is None:
        k = K
    reranked: Fine | None = "features" if rerank else "outputs" if asymmetric else None
    if reranked is not None and radius is None:
        shortlist = max(shortlist or SHORTLIST, k or K)
    ordering = Ordering.of(database, order)
    index = open_index(database, threads, note, measure=ordering.measure)
    bound = None if radius is None else ordering.within(radius)
    arguments = (prepared, database, ordering, reranked, k, bound, shortlist)
    try:
        matches = _find(index, *arguments)
        if not isinstance(index, HammingIndex):
            _check(matches, prepared, database, ordering)
    except (CodeSetError, IndexError, MemoryError, OverflowError, ValueError) as error:
        if isinstance(index, HammingIndex):
            raise
        if note is not None:
            note(
                f"the index of {database.name} is damaged ({error}), so all codes are compared; "
                f"build it again: {command('index', database.name)}"
            )
        by_row = HammingIndex(database, threads=threads, measure=ordering.measure)
        matches = _find(by_row, *arguments)
    return SearchResults(
        codes=database.name,
        bits=database.bits,
        count=database.count,
        k=k,
        radius=radius,
        shortlist=shortlist,
        reranked=reranked,
        queries=tuple(
            _result(query, prepared.codes, matches, database, ordering)
            for query in range(prepared.codes.count)
        ),
        skipped=prepared.skipped,
        has_features=database.features is not None,
        order=ordering.name,
    )


@dataclass(frozen=True)
class _Matches:
    """Ragged: query q owns offsets[q]:offsets[q + 1]."""

    offsets: NDArray[np.int64]  # (Q + 1,)
    rows: NDArray[np.int64]  # (M,)
    distances: NDArray[np.int32]  # (M,)
    scores: NDArray[np.float32] | None  # (M,) distances of features or hash outputs
    more: NDArray[np.bool_]  # (Q,)
    tied: NDArray[np.bool_]  # (Q,)
    ties: int | None = None  # images as near as the last hit that are no hits, of one query


def _check(matches: _Matches, queries: Queries, database: CodeSet, ordering: Ordering) -> None:
    """Raise BadIndexError unless the rows that a saved index gave are at the distances it says."""
    rows = matches.rows
    if len(rows) and not (rows.min() >= 0 and rows.max() < database.count):
        raise BadIndexError("it names rows that are not there")
    query = np.repeat(np.arange(len(matches.offsets) - 1), np.diff(matches.offsets))
    for start in range(0, len(rows), 1 << 16):
        part = slice(start, start + (1 << 16))
        pairs = database.codes[rows[part]], queries.codes.codes[query[part]]  # both (n, B)
        if not np.array_equal(ordering.measure.between(*pairs), matches.distances[part]):
            raise BadIndexError("its codes are not those of the set")


def _find(
    index: Index,
    queries: Queries,
    database: CodeSet,
    ordering: Ordering,
    reranked: Fine | None,
    k: int | None,
    radius: int | None,
    shortlist: int | None,
) -> _Matches:
    codes = queries.codes.codes
    limit = k if reranked is None else shortlist
    tied = np.zeros(len(codes), np.bool_)
    if radius is not None:
        near = index.within(codes, radius, limit=k if reranked is None else None)
    else:
        assert limit is not None
        # One more tells whether the next one is at the distance of the last.
        distances, rows = index.search(codes, limit + 1)
        tied = (distances[:, limit] >= 0) & (distances[:, limit] == distances[:, limit - 1])
        near = to_ragged(distances[:, :limit], rows[:, :limit])
    if reranked is None:
        ties = None
        if len(codes) == 1 and tied[0]:  # for many queries this would take as long again
            within = index.within(codes, int(near.distances[-1]))
            ties = len(within.rows) - len(near.rows)
        return _Matches(near.offsets, near.rows, near.distances, None, near.more, tied, ties)
    shortlisted = (near.offsets, near.rows, near.distances, k)
    if reranked == "features":
        assert queries.codes.features is not None and database.features is not None
        ranked = rerank_by_features(queries.codes.features, database.features, *shortlisted)
    else:
        assert queries.outputs is not None
        outputs = ordering.measure.weigh(queries.outputs)
        ranked = rerank_asymmetric(outputs, database.codes, database.bits, *shortlisted)
    cut = np.diff(ranked.offsets) < np.diff(near.offsets)
    more = cut if radius is not None else np.zeros_like(cut)
    return _Matches(ranked.offsets, ranked.rows, ranked.distances, ranked.scores, more, tied)


def _result(
    query: int, queries: CodeSet, matches: _Matches, database: CodeSet, ordering: Ordering
) -> QueryResult:
    """The matches of one query, with their files and labels."""
    names = database.class_names or queries.class_names
    span = slice(int(matches.offsets[query]), int(matches.offsets[query + 1]))
    rows = matches.rows[span].tolist()
    distances = matches.distances[span].tolist()
    scores = [None] * len(rows) if matches.scores is None else matches.scores[span].tolist()
    files = [database.file(row) for row in rows]
    labels = [_labels_of(database, row, names) for row in rows]
    file = queries.file(query)
    own = _labels_of(queries, query, queries.class_names or database.class_names)
    if file is not None:
        file = Path(os.path.abspath(file))  # noqa: PTH100 - keeps links
    if not own and file is not None:
        own = _known_labels(file, files, labels, names)
    hits = tuple(
        Hit(
            rank=number + 1,
            row=row,
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


def _labels_of(code_set: CodeSet, row: int, names: tuple[str, ...]) -> tuple[str, ...]:
    labels = code_set.labels
    if labels is None:
        return ()
    classes = [int(labels[row])] if labels.ndim == 1 else np.flatnonzero(labels[row]).tolist()
    return tuple(names[c] if c < len(names) else str(c) for c in classes if c >= 0)


def _known_labels(
    file: Path, files: list[Path | None], labels: list[tuple[str, ...]], names: tuple[str, ...]
) -> tuple[str, ...]:
    """Labels of a query without its own: those of its row in the database, else of its folder."""
    for other, names_of_row in zip(files, labels, strict=True):
        if other == file and names_of_row:
            return names_of_row
    return (file.parent.name,) if file.parent.name in names and any(labels) else ()
