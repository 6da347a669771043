"""Search: queries and a code set -> the nearest images, ordered in one of three search modes."""

from pathlib import Path
from typing import IO

from bitcodes.callbacks import Note, Progress
from bitcodes.choices import SearchOrder
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError, DataError
from bitcodes.tasks.queries import (
    Queries,
    QuerySource,
    decode_of,
    encode_queries,
    find_model,
    open_queries,
)
from bitcodes.tasks.results import Fine, SearchResults
from bitcodes.tasks.searcher import Searcher, Terms


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
            decode_of(database),
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

    reranked: Fine | None = "features" if rerank else "outputs" if asymmetric else None
    terms = Terms(k, radius, order, reranked, shortlist)
    return Searcher(database, threads, note).search(prepared, terms)
