"""Search: queries and a code set -> the nearest images, ordered in one of three search modes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bitcodes.arguments import check_whole
from bitcodes.callbacks import Note, Progress
from bitcodes.choices import SearchOrder
from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.store import Store
from bitcodes.errors import CodeSetError, DataError
from bitcodes.tasks.opening import opened
from bitcodes.tasks.searching.own_files import one_more, without_own
from bitcodes.tasks.searching.queries import (
    Queries,
    QuerySource,
    decode_of,
    encode_queries,
    find_model,
    open_queries,
)
from bitcodes.tasks.searching.results import Fine, SearchResults
from bitcodes.tasks.searching.rows import Filter
from bitcodes.tasks.searching.searcher import Searcher, Terms

if TYPE_CHECKING:
    from bitcodes.models.encoder import Encoder
    from bitcodes.sources.lists import ImageList


def search(
    queries: QuerySource,
    database: CodeSet | Store | Path | str = "codes.npy",
    *,
    k: int | None = None,
    radius: int | None = None,
    order: SearchOrder | None = None,
    label: Sequence[str] = (),
    under: str | None = None,
    rerank: bool = False,
    asymmetric: bool = False,
    shortlist: int | None = None,
    exclude_self: bool = False,
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
    code set; `database` is a code set, its file, a store or its URL. The results are the `k`
    nearest (default 10), or all within `radius`, or the `k` nearest of these; ordered by (distance,
    row). For codes of two parts, the distance is the weighted sum of both (`order` "sum"), or the
    class distance, and at equal class distance the instance distance decides ("class"). Only images
    with one of the labels `label` and a path that begins with `under` are searched, where these are
    given. `rerank` orders by features instead, `asymmetric` by the query's hash outputs against the
    stored codes: all within `radius`, or the `shortlist` nearest (default 1,000), of which the
    first `k` are kept. `exclude_self` leaves each query's own file out. A saved index is used if
    it is good; else `note` is told why not.

    Queries that are images are encoded with the model that made the database: `run` (a run, a model
    file or a name of the built-in model), or else what its header names. Those that cannot be read
    are skipped and listed in the result. Raises CodeSetError if the model or the query codes are
    not the database's own (`force` compares them all the same), or if features or hash outputs are
    missing; DataError if there is no query, or no such label; ConfigError for a number out of
    range.
    """
    if rerank and asymmetric:
        raise ValueError("a shortlist is ordered by features or by hash outputs, not both")
    check_whole(1, k=k, shortlist=shortlist, threads=threads)
    check_whole(0, radius=radius)
    reranked: Fine | None = "features" if rerank else "outputs" if asymmetric else None
    terms = Terms(k, radius, order, reranked, shortlist)
    with opened(database) as place:
        searcher = Searcher(place, threads, note, Filter(tuple(label), under))
        prepared = _prepared(
            open_queries(queries, stdin),
            searcher.database,
            reranked,
            lambda: find_model(searcher.database, run, device, force, note),
            force,
            batch_size,
            workers,
            progress,
        )
        if exclude_self:
            return without_own(searcher.search(prepared, one_more(terms)))
        return searcher.search(prepared, terms)


def _prepared(
    source: "ImageList | CodeSet",
    database: CodeSet,
    reranked: Fine | None,
    model: "Callable[[], Encoder]",
    force: bool,
    batch_size: int,
    workers: int | None,
    progress: Progress | None,
) -> Queries:
    """Queries ready for searches: encoded by `model`, which is only made for images."""
    for code_set in (database, source):
        if reranked != "features" or not isinstance(code_set, CodeSet):
            continue
        if code_set.features is None:
            raise CodeSetError(
                f"{code_set.name} has no features to re-rank by; encode it again with --features"
            )
    if not isinstance(source, CodeSet):
        return encode_queries(
            source,
            model(),
            decode_of(database),
            features=reranked == "features",
            batch_size=batch_size,
            workers=workers,
            progress=progress,
        )
    if reranked == "outputs":
        raise CodeSetError(
            f"{source.name} holds codes, not the hash outputs that an asymmetric search needs; "
            "give the images themselves as queries"
        )
    database.check_same_model(source.name, source.bits, source.fingerprint, force)
    if not source.count:
        raise DataError("there are no queries: the code set of the queries is empty")
    return Queries(source)
