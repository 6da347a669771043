"""Search: queries and a code set -> the nearest images, ordered in one of three search modes."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import Index, Within, to_ragged
from bitcodes.hamming.rerank import rerank_asymmetric, rerank_by_features
from bitcodes.hamming.stored import open_index
from bitcodes.tasks.queries import (
    Queries,
    QuerySource,
    check_not_empty,
    encode_queries,
    find_model,
    name_of,
    open_queries,
    stored_queries,
)
from bitcodes.tasks.results import Fine, Hit, QueryResult, SearchResults

if TYPE_CHECKING:
    from bitcodes.sources.reading import Decode

K = 10
SHORTLIST = 1000


def search(
    queries: QuerySource,
    database: CodeSet | Path | str = "codes.npy",
    *,
    k: int | None = None,
    radius: int | None = None,
    rerank: bool = False,
    asymmetric: bool = False,
    shortlist: int | None = None,
    run: Path | None = None,
    device: str = "auto",
    batch_size: int = 64,
    workers: int | None = None,
    threads: int | None = None,
    force: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    note: Callable[[str], None] | None = None,
    stdin: IO[bytes] | None = None,
) -> SearchResults:
    """Find the images of `database` whose codes are nearest to those of the queries, exactly.

    `queries` are images (files, folders, list files, an ImageList; "-" for paths on `stdin`) or a
    code set; `database` is a code set or its file. The results are the `k` nearest (default 10), or
    all within `radius`, or the `k` nearest of these; ordered by (distance, row). `rerank` orders by
    features instead, `asymmetric` by the query's hash outputs against the stored codes: all within
    `radius`, or the `shortlist` nearest (default 1,000), of which the first `k` are kept. A saved
    index is used if it is good; else `note` is told why not.

    Queries that are images are encoded with the model that made the database: `run`, a run or model
    file, or else what its header names. Those that cannot be read are skipped and listed in the
    result. Raises CodeSetError if the model or the query codes are not the database's own (`force`
    compares them all the same), or if features or hash outputs are missing; DataError if there is
    no query.
    """
    if rerank and asymmetric:
        raise ValueError("a shortlist is ordered by features or by hash outputs, not both")
    if not isinstance(database, CodeSet):
        database = CodeSet.open(database)
    source = open_queries(queries, stdin)
    if rerank and database.features is None:
        raise CodeSetError(
            f"{name_of(database)} has no features to re-rank by; encode it again with --features"
        )
    if isinstance(source, CodeSet):
        if asymmetric:
            raise CodeSetError(
                f"{name_of(source)} holds codes, not the hash outputs that an asymmetric search "
                "needs; give the images themselves as queries"
            )
        prepared = stored_queries(source, database, rerank, force)
    else:
        model = find_model(database, run, device, force)
        decode: Decode = "reduced" if database.header.decode == "reduced" else "full"
        prepared = encode_queries(source, model, decode, batch_size, workers, progress)
    check_not_empty(prepared)

    if k is None and radius is None:
        k = K
    reranked: Fine | None = "features" if rerank else "outputs" if asymmetric else None
    if reranked is not None and radius is None:
        shortlist = max(shortlist or SHORTLIST, k or K)
    index = open_index(database, threads, note)
    matches = _find(index, prepared, database, reranked, k, radius, shortlist)
    return SearchResults(
        codes=name_of(database),
        bits=database.bits,
        count=database.count,
        k=k,
        radius=radius,
        shortlist=shortlist,
        reranked=reranked,
        queries=tuple(
            _result(query, prepared, matches, database) for query in range(len(prepared.codes))
        ),
        skipped=prepared.skipped,
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


def _find(
    index: Index,
    queries: Queries,
    database: CodeSet,
    reranked: Fine | None,
    k: int | None,
    radius: int | None,
    shortlist: int | None,
) -> _Matches:
    if reranked is None:
        if radius is None:
            assert k is not None
            near, tied = _nearest(index, queries.codes, k)
        else:
            near = index.within(queries.codes, radius, limit=k)
            tied = np.zeros_like(near.more)
        return _Matches(near.offsets, near.rows, near.distances, None, near.more, tied)
    if radius is None:
        assert shortlist is not None
        near, tied = _nearest(index, queries.codes, shortlist)
    else:
        near = index.within(queries.codes, radius)
        tied = np.zeros_like(near.more)
    shortlisted = (near.offsets, near.rows, near.distances)
    if reranked == "features":
        assert queries.features is not None and database.features is not None
        ranked = rerank_by_features(queries.features, database.features, *shortlisted, k)
    else:
        assert queries.outputs is not None
        ranked = rerank_asymmetric(queries.outputs, database.codes, database.bits, *shortlisted, k)
    cut = np.diff(ranked.offsets) < np.diff(near.offsets)
    more = cut if radius is not None else np.zeros_like(cut)
    return _Matches(ranked.offsets, ranked.rows, ranked.distances, ranked.scores, more, tied)


def _nearest(index: Index, codes: NDArray[np.uint8], k: int) -> tuple[Within, NDArray[np.bool_]]:
    """The k nearest, and of which queries the next one is at the distance of the last (Q,)."""
    distances, rows = index.search(codes, k + 1)
    tied = (distances[:, k] >= 0) & (distances[:, k] == distances[:, k - 1])
    return to_ragged(distances[:, :k], rows[:, :k]), tied


def _result(query: int, queries: Queries, matches: _Matches, database: CodeSet) -> QueryResult:
    """The matches of one query, with their files and labels."""
    names = database.class_names or queries.class_names
    span = slice(int(matches.offsets[query]), int(matches.offsets[query + 1]))
    rows = matches.rows[span].tolist()
    distances = matches.distances[span].tolist()
    scores = [None] * len(rows) if matches.scores is None else matches.scores[span].tolist()
    files = [_file(database, row) for row in rows]
    labels = [_labels_of(database.labels, row, names) for row in rows]
    file = queries.file(query)
    own = _labels_of(queries.labels, query, queries.class_names or database.class_names)
    if not own and file is not None:
        own = _known_labels(file, files, labels, names)
    hits = tuple(
        Hit(
            rank=number + 1,
            row=row,
            path=database.paths[row],
            file=files[number],
            distance=distances[number],
            similarity=1 - distances[number] / database.bits,
            fine_distance=scores[number],
            labels=labels[number],
            relevant=_share(own, labels[number]),
        )
        for number, row in enumerate(rows)
    )
    more, tied = bool(matches.more[query]), bool(matches.tied[query])
    return QueryResult(queries.paths[query], file, own, hits, more, tied)


def _file(database: CodeSet, row: int) -> Path | None:
    return None if database.root is None else database.absolute_path(row)


def _labels_of(labels: NDArray[Any] | None, row: int, names: tuple[str, ...]) -> tuple[str, ...]:
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


def _share(own: tuple[str, ...], labels: tuple[str, ...]) -> bool | None:
    """Whether a query and a hit share a label; None if either has none."""
    return not set(own).isdisjoint(labels) if own and labels else None
