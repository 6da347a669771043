"""What the service holds: the sets, the batches that requests are put together in, the pictures."""

import asyncio
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any

from bitcodes.callbacks import Note
from bitcodes.errors import BitcodesError, DataError
from bitcodes.machine import core_count
from bitcodes.server import limits
from bitcodes.server.batching import Batcher, together
from bitcodes.server.metrics import Metrics
from bitcodes.server.plain import RowJob, search_rows
from bitcodes.server.preparing import Preparing
from bitcodes.tasks.duplicates.groups import Duplicates
from bitcodes.tasks.live_set import LiveSet, OpenSet
from bitcodes.tasks.pictures import picture, picture_stat
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.searching.searcher import Selection, Terms
from bitcodes.tasks.searching.single_queries import SingleQuery, as_one_search, encode_pictures
from bitcodes.wording import either, shortened

_EVERY = 0.5
"""Seconds between looks at the files of the sets."""


@dataclass(frozen=True)
class SearchJob:
    """The queries of one request, and how and where to search."""

    opened: OpenSet
    terms: Terms
    only: Selection | None
    queries: Sequence[SingleQuery]


@dataclass(frozen=True)
class ImageJob:
    """One image to encode for a search in a set."""

    live: LiveSet
    opened: OpenSet
    data: bytes


@dataclass(frozen=True)
class PictureJob:
    """One thumbnail to make."""

    opened: OpenSet
    row: int
    size: int


class Service:
    """Answers requests about some code sets; used inside one event loop, between start and stop."""

    searches: Batcher[SearchJob | RowJob, Any]
    images: Batcher[ImageJob, SingleQuery]
    pictures: Batcher[PictureJob, bytes]

    def __init__(
        self, sets: Sequence[LiveSet], note: Note, preparing: Preparing | None = None
    ) -> None:
        self.sets = {live.name: live for live in sets}
        self.preparing = preparing
        self.metrics = Metrics()
        self.is_ready = self.is_ending = False
        self.takes_decisions = False
        """Whether people may decide on duplicates."""
        self._note = note
        self._kept = _Kept(limits.CACHED_BYTES)
        self._comparing = ThreadPoolExecutor(1, thread_name_prefix="bitcodes-duplicates")
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Load the indexes and begin to take requests."""
        batches, waiting = self.metrics.batches, self.metrics.waiting

        def observe(kind: str) -> partial[None]:
            return partial(_observe, batches.labels(kind))

        self.searches = Batcher(
            search_together,
            most=limits.MAX_SCAN,
            waiting=limits.MAX_WAITING,
            observe=observe("search"),
        )
        self.images = Batcher(
            encode_together,
            most=limits.MAX_BATCH,
            waiting=limits.MAX_WAITING,
            threads=core_count(),
            observe=observe("image"),
        )
        self.pictures = Batcher(
            self._make_pictures, most=1, waiting=limits.MAX_WAITING, threads=core_count()
        )
        waiting.labels("search").set_function(lambda: len(self.searches))
        waiting.labels("image").set_function(lambda: len(self.images))
        for live in list(self.sets.values()):
            await asyncio.to_thread(self.use, live)
        self._tasks = [asyncio.create_task(self._watch())]

    def use(self, live: LiveSet) -> None:
        """Answer requests about a set from now on, when its index is loaded."""
        live.current.warm()
        self.metrics.codes.labels(live.name).set_function(partial(_count, live))
        self.sets[live.name] = live
        self.preparing = None
        self.is_ready = True

    async def stop(self) -> None:
        """End what start began."""
        self.is_ready = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.preparing is not None:
            await asyncio.to_thread(self.preparing.stop)
        for batcher in (self.searches, self.images, self.pictures):
            await batcher.close()
        self._comparing.shutdown(wait=False, cancel_futures=True)
        for live in self.sets.values():
            live.close()

    def find(self, name: str | None) -> LiveSet:
        """The set of this name, by default the first. DataError if there is none."""
        if not self.sets:
            raise DataError("there is no code set yet: the page of the service offers to make it")
        if name is None:
            return next(iter(self.sets.values()))
        if name not in self.sets:
            raise DataError(f"set: expected {either(self.sets)}; found {shortened(repr(name), 40)}")
        return self.sets[name]

    async def thumbnail(self, job: PictureJob, tag: str) -> bytes:
        """A thumbnail as a JPEG file, from memory if it was made before."""
        data = self._kept.get(tag)
        if data is None:
            data = await self.pictures.submit(job)
            self._kept.put(tag, data)
        return data

    async def duplicates(self, opened: OpenSet, radius: int | None) -> Duplicates:
        """The groups of duplicates; one request at a time finds them, and goes on if it is late."""
        finding = asyncio.get_running_loop().run_in_executor(
            self._comparing, opened.duplicates, radius
        )
        return await asyncio.shield(finding)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            for live in list(self.sets.values()):
                if await asyncio.to_thread(live.refresh):
                    self.metrics.reopened.labels(live.name).inc()
                    self._note(f"{live.current.database.name} has changed: it was opened again")

    def _make_pictures(self, jobs: Sequence[PictureJob]) -> list[bytes | Exception]:
        return [_picture(job) for job in jobs]


def picture_tag(opened: OpenSet, row: int, size: str) -> str:
    """What tells one thumbnail from any other: of another set, or of a file that has changed."""
    stat = picture_stat(opened.database, row)
    name = f"{opened.database.name} {opened.version} {row} {stat}"
    return f"{zlib.crc32(name.encode('utf-8', 'surrogateescape')):08x}-{row}-{size}"


def search_together(jobs: Sequence[SearchJob | RowJob]) -> list[Any]:
    """Do the searches of several requests: one scan for all that search alike.

    The result of a RowJob is its answer as bytes, that of another are SearchResults; or the error.
    """
    rows = [job for job in jobs if isinstance(job, RowJob)]
    others = [job for job in jobs if isinstance(job, SearchJob)]
    of_rows, of_others = iter(search_rows(rows)), iter(_search_all(others))
    return [next(of_rows if isinstance(job, RowJob) else of_others) for job in jobs]


def _search_all(jobs: Sequence[SearchJob]) -> list[SearchResults | Exception]:
    return together(jobs, lambda job: (id(job.opened), job.terms, id(job.only)), _search_alike)


def _search_alike(jobs: Sequence[SearchJob]) -> list[SearchResults]:
    opened, terms, only = jobs[0].opened, jobs[0].terms, jobs[0].only
    queries = [query for job in jobs for query in job.queries]
    found = opened.searcher.search(
        as_one_search(opened.database, queries, terms.reranked), terms, only
    )
    left = iter(found.queries)
    return [replace(found, queries=tuple(islice(left, len(job.queries)))) for job in jobs]


def encode_together(jobs: Sequence[ImageJob]) -> list[SingleQuery | Exception]:
    """Encode the images of several requests in one batch, or one for each version of a set."""
    return together(jobs, lambda job: id(job.opened), _encode_alike)


def _encode_alike(jobs: Sequence[ImageJob]) -> list[SingleQuery | BitcodesError]:
    live, opened = jobs[0].live, jobs[0].opened
    images = [job.data for job in jobs]
    return encode_pictures(live.model(opened), opened.database, images, limits.MAX_PIXELS)


def _picture(job: PictureJob) -> bytes | Exception:
    try:
        return picture(job.opened.database, job.row, job.size)
    except BitcodesError as error:
        return error


def _count(live: LiveSet) -> int:
    return live.current.database.count


def _observe(histogram: object, size: int) -> None:
    histogram.observe(size)  # type: ignore[attr-defined]


class _Kept:
    """The last used values, up to so many bytes."""

    def __init__(self, most: int) -> None:
        self._most, self._size = most, 0
        self._values: OrderedDict[str, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> bytes | None:
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: str, value: bytes) -> None:
        with self._lock:
            self._size += len(value) - len(self._values.pop(key, b""))
            self._values[key] = value
            while self._size > self._most:
                self._size -= len(self._values.popitem(last=False)[1])
