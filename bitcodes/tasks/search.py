"""Searching: queries and a code set -> results, encoding queries that are images."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.errors import CodeSetError, DataError
from bitcodes.hamming.index import HammingIndex, Within, to_ragged
from bitcodes.hamming.rerank import rerank_asymmetric, rerank_by_features
from bitcodes.hamming.stored import open_index
from bitcodes.runs import LATEST, RUNS
from bitcodes.sources.lists import ImageList, shown
from bitcodes.tasks.results import Fine, Hit, QueryResult, SearchResults

# The model and encoding are imported only for queries that are images: codes need no torch.
if TYPE_CHECKING:
    from bitcodes.models.encoder import Encoder
    from bitcodes.sources.reading import Decode

K = 10
SHORTLIST = 1000


def search(
    queries: ImageList | CodeSet,
    database: CodeSet,
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
) -> SearchResults:
    """Find the images of `database` whose codes are nearest to those of the queries, exactly.

    The `k` nearest (default 10), or all within `radius`, or the `k` nearest of these; ordered by
    (distance, row). `rerank` orders by features instead, `asymmetric` by the query's hash outputs
    against the stored codes: all within `radius`, or the `shortlist` nearest (default 1,000), of
    which the first `k` are kept. A saved index is used if it is good; else `note` is told why not.

    Queries that are images are encoded with the model that made the database: `run`, a run or model
    file, or else what its header names. Those that cannot be read are left out and told in the
    result. Raises CodeSetError where the model or the query codes are not the database's own
    (`force` compares them all the same), where features or hash outputs are missing, DataError
    without any query.
    """
    if rerank and asymmetric:
        raise ValueError("a shortlist is ordered by features or by hash outputs, not both")
    if rerank and database.features is None:
        raise CodeSetError(
            f"{_name(database)} has no features to re-rank by; encode it again with --features"
        )
    if isinstance(queries, CodeSet):
        if asymmetric:
            raise CodeSetError(
                f"{_name(queries)} holds codes, not the hash outputs that an asymmetric search "
                "needs; give the images themselves as queries"
            )
        asked = _stored(queries, database, rerank, force)
    else:
        model = _find_model(database, run, device, force)
        decode: Decode = "reduced" if database.header.decode == "reduced" else "full"
        asked = _encoded(queries, model, decode, batch_size, workers, progress)
    if asked.codes.shape[0] == 0:
        raise DataError(_nothing_asked(asked.skipped))

    if k is None and radius is None:
        k = K
    reranked: Fine | None = "features" if rerank else "outputs" if asymmetric else None
    if reranked is not None and radius is None:
        shortlist = max(shortlist or SHORTLIST, k or K)
    index = open_index(database, threads, note)
    found = _find(index, asked, database, reranked, k, radius, shortlist)
    return SearchResults(
        codes=_name(database),
        bits=database.bits,
        count=database.count,
        k=k,
        radius=radius,
        shortlist=shortlist,
        reranked=reranked,
        queries=tuple(_results(asked, found, database)),
        skipped=asked.skipped,
    )


# -- queries ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Asked:
    """Q queries, encoded."""

    codes: NDArray[np.uint8]  # (Q, B)
    features: NDArray[np.floating] | None  # (Q, D)
    outputs: NDArray[np.float32] | None  # (Q, K)
    paths: Sequence[str]
    root: Path | None
    labels: NDArray[Any] | None  # (Q,) classes or (Q, C)
    class_names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def file(self, query: int) -> Path | None:
        if self.root is None:
            return None
        return Path(os.path.abspath(self.root / self.paths[query]))  # noqa: PTH100 - keeps links


def _stored(queries: CodeSet, database: CodeSet, rerank: bool, force: bool) -> _Asked:
    if queries.bits != database.bits:
        raise CodeSetError(
            f"{_name(queries)} has codes of {queries.bits} bits and {_name(database)} of "
            f"{database.bits}: they are not of one model"
        )
    _check_same_model(database, queries.fingerprint, _name(queries), force)
    if rerank and queries.features is None:
        raise CodeSetError(
            f"{_name(queries)} has no features to re-rank by; encode it again with --features"
        )
    return _Asked(
        queries.codes,
        queries.features,
        None,
        queries.paths,
        queries.root,
        queries.labels,
        queries.class_names,
    )


def _encoded(
    queries: ImageList,
    model: "Encoder",
    decode: "Decode",
    batch_size: int,
    workers: int | None,
    progress: Callable[[int, int | None], None] | None,
) -> _Asked:
    from bitcodes.models.encoding import encode_batches
    from bitcodes.sources.reading import batches_of
    from bitcodes.sources.source import listed

    outputs = [np.empty((0, model.bits), np.float32)]
    features = [np.empty((0, model.feature_dim), np.float32)]
    positions: list[int] = []
    skipped: list[tuple[str, str]] = []
    batches = batches_of(listed(queries), batch_size)
    for batch in encode_batches(
        model, batches, decode=decode, batch_size=batch_size, workers=workers
    ):
        begin = len(positions) + len(skipped)
        outputs.append(batch.outputs)
        features.append(batch.features)
        positions += (batch.good + begin).tolist()
        skipped += [(batch.items[number].path, reason) for number, reason in batch.skipped]
        if progress is not None:
            progress(len(positions) + len(skipped), len(queries))
    all_outputs = np.concatenate(outputs)
    return _Asked(
        pack_outputs(all_outputs),
        np.concatenate(features),
        all_outputs,
        [queries.paths[position] for position in positions],
        queries.root,
        None if queries.labels is None else queries.labels[positions],
        queries.class_names,
        tuple(skipped),
    )


def _find_model(database: CodeSet, run: Path | None, device: str, force: bool) -> "Encoder":
    from bitcodes.models.engines import load_like

    if run is None:
        run = _recorded_run(database)
    model = load_like(database.header, run, device)
    if model.bits != database.bits:
        raise CodeSetError(
            f"{model.path} makes codes of {model.bits} bits and {_name(database)} has codes of "
            f"{database.bits}: it was made by another model; name that one with --run"
        )
    _check_same_model(database, model.fingerprint(), str(model.path), force)
    return model


def _recorded_run(database: CodeSet) -> Path:
    """The run that the header names, where it is still there, else the newest one."""
    recorded = database.header.run
    if recorded is not None and database.path is not None:
        run = database.path.parent / recorded
        if run.exists():
            return run
    latest = RUNS / LATEST
    if recorded is not None and latest.exists():
        return latest  # it may be the same model in another place: the fingerprint will tell
    made = "does not say which model made it" if recorded is None else f"was made with {recorded}"
    gone = "" if recorded is None else ", which is not there"
    raise CodeSetError(f"{_name(database)} {made}{gone}; name the run or the model file with --run")


def _check_same_model(database: CodeSet, fingerprint: str | None, name: str, force: bool) -> None:
    if None in (database.fingerprint, fingerprint) or database.fingerprint == fingerprint or force:
        return
    recorded = "" if database.header.run is None else f", from {database.header.run}"
    raise CodeSetError(
        f"{_name(database)} is of model {database.fingerprint}{recorded}, but {name} is of model "
        f"{fingerprint}: distances between their codes mean nothing. If the run was trained on, "
        "encode the images again (encode --force); --force here compares them all the same"
    )


def _nothing_asked(skipped: Sequence[tuple[str, str]]) -> str:
    if not skipped:
        return "there are no queries: the code set that was to give them is empty"
    if len(skipped) == 1:
        path, reason = skipped[0]
        return f"the query {shown(path)} cannot be read: {reason}"
    path, reason = skipped[0]
    return f"none of the {len(skipped):,} queries can be read; {shown(path)}: {reason}"


# -- answers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """Ragged: query q owns offsets[q]:offsets[q + 1]."""

    offsets: NDArray[np.int64]  # (Q + 1,)
    rows: NDArray[np.int64]  # (M,)
    distances: NDArray[np.int32]  # (M,)
    scores: NDArray[np.float32] | None  # (M,) distances of features or hash outputs
    more: NDArray[np.bool_]  # (Q,)
    tied: NDArray[np.bool_]  # (Q,)


def _find(
    index: HammingIndex,
    asked: _Asked,
    database: CodeSet,
    reranked: Fine | None,
    k: int | None,
    radius: int | None,
    shortlist: int | None,
) -> _Found:
    if reranked is None:
        if radius is None:
            assert k is not None
            near, tied = _nearest(index, asked.codes, k)
        else:
            near = index.within(asked.codes, radius, limit=k)
            tied = np.zeros_like(near.more)
        return _Found(near.offsets, near.rows, near.distances, None, near.more, tied)
    if radius is None:
        assert shortlist is not None
        near, tied = _nearest(index, asked.codes, shortlist)
    else:
        near = index.within(asked.codes, radius)
        tied = np.zeros_like(near.more)
    shortlisted = (near.offsets, near.rows, near.distances)
    if reranked == "features":
        assert asked.features is not None and database.features is not None
        ranked = rerank_by_features(asked.features, database.features, *shortlisted, k)
    else:
        assert asked.outputs is not None
        ranked = rerank_asymmetric(asked.outputs, database.codes, database.bits, *shortlisted, k)
    cut = np.diff(ranked.offsets) < np.diff(near.offsets)
    more = cut if radius is not None else np.zeros_like(cut)
    return _Found(ranked.offsets, ranked.rows, ranked.distances, ranked.scores, more, tied)


def _nearest(
    index: HammingIndex, codes: NDArray[np.uint8], k: int
) -> tuple[Within, NDArray[np.bool_]]:
    """The k nearest, and of which queries the next one is at the distance of the last (Q,)."""
    distances, rows = index.search(codes, k + 1)
    tied = (distances[:, k] >= 0) & (distances[:, k] == distances[:, k - 1])
    return to_ragged(distances[:, :k], rows[:, :k]), tied


def _results(asked: _Asked, found: _Found, database: CodeSet) -> list[QueryResult]:
    names = database.class_names or asked.class_names
    query_names = asked.class_names or database.class_names
    results = []
    for query in range(len(asked.codes)):
        file = asked.file(query)
        span = range(int(found.offsets[query]), int(found.offsets[query + 1]))
        rows = [int(found.rows[place]) for place in span]
        files = [_file(database, row) for row in rows]
        labels = [_labels_of(database.labels, row, names) for row in rows]
        own = _labels_of(asked.labels, query, query_names)
        if not own and file is not None:
            own = _known_labels(file, files, labels, names)
        hits = tuple(
            Hit(
                rank=rank,
                row=row,
                path=database.paths[row],
                file=files[rank - 1],
                distance=int(found.distances[place]),
                similarity=1 - int(found.distances[place]) / database.bits,
                fine_distance=None if found.scores is None else float(found.scores[place]),
                labels=labels[rank - 1],
                relevant=not set(own).isdisjoint(labels[rank - 1])
                if own and labels[rank - 1]
                else None,
            )
            for rank, (place, row) in enumerate(zip(span, rows, strict=True), 1)
        )
        more, tied = bool(found.more[query]), bool(found.tied[query])
        results.append(QueryResult(asked.paths[query], file, own, hits, more, tied))
    return results


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
    """Labels of a query that came without: those of its own row, if found, or of its folder."""
    for other, known in zip(files, labels, strict=True):
        if other == file and known:
            return known
    return (file.parent.name,) if file.parent.name in names and any(labels) else ()


def _name(code_set: CodeSet) -> str:
    return "the code set" if code_set.path is None else str(code_set.path)
