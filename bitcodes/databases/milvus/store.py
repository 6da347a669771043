"""A code set in Milvus: on a server, a cluster, or in a file of Milvus Lite."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pymilvus import MilvusClient, MilvusException

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape, escaped
from bitcodes.databases.milvus.connection import connect, database_errors, parse_url
from bitcodes.databases.milvus.rows import (
    Row,
    begins_with,
    has_class,
    schema,
    to_code_set,
    to_codes,
    to_rows,
    to_vectors,
)
from bitcodes.databases.milvus.versions import Version, Versions, description_of
from bitcodes.databases.store import Changes, Store, no_such_set, rows_missing, signed_header
from bitcodes.databases.whole_sets import (
    changes_between,
    is_same,
    joined,
    some_rows,
    stored_paths,
)
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import measure_of
from bitcodes.hamming.plain import ROW_BITS, Keys
from bitcodes.wording import counted

_MOST = 16_384
"""Results of one search; Milvus gives no more."""

_QUERIES = 16
"""Queries that are asked at a time."""

_ROWS = 4096
"""Rows that are read or sent at a time."""

_CONSISTENCY = "Bounded"
"""Reads may lag behind writes by seconds, but no read waits. A version is read only when it counts,
and then it has been seen complete."""


class MilvusStore(Store):
    """The set in the collection that a URL names; see Store.

    Milvus has neither transactions nor locks. So each change writes a new collection, which counts
    when it is complete.
    """

    grace: ClassVar[float] = 5
    """Seconds for which a version that no longer counts can still be read."""

    def __init__(self, url: str, table: str | None = None) -> None:
        self._place = parse_url(url, table)
        super().__init__(self._place.name, self._place.collection)
        self._depth = 0
        self._version: Version
        self._written: tuple[str, float] | None = None  # the version, and since when it counts

    @cached_property
    def _client(self) -> MilvusClient:
        return connect(self._place)

    @cached_property
    def _versions(self) -> Versions:
        return Versions(self._client, self._place)

    # --- reading ---

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See Store.reading: the version that counts now, which others replace but do not change.

        They drop it `grace` seconds later; if that is too soon, CodeSetError says so.
        """
        with database_errors(self.name):
            if not self._depth:
                version = self._current()
                if version is None:
                    raise no_such_set(self.name)
                self._version, self._matching = version, None
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1

    def _current(self) -> Version | None:
        if self._place.file is not None and not self._place.file.exists():
            return None  # a client would make it
        return self._versions.current()

    @property
    def head(self) -> CodeSet:
        """See Store.head."""
        with self.reading():
            return self._version.head

    @property
    def _count(self) -> int:
        return self._version.header.count

    def _count_matching(self) -> int:
        return self._count_rows(self._meets())

    def _count_rows(self, meets: Iterable[str]) -> int:
        found = self._client.query(
            self._version.collection,
            filter=" and ".join(meets),
            output_fields=["count(*)"],
            consistency_level=_CONSISTENCY,
        )
        return int(found[0]["count(*)"])

    def _meets(self) -> list[str]:
        """What a row must meet, as expressions."""
        classes, under = self._condition
        terms = []
        if classes is not None:
            terms.append(has_class(classes, self._version.head))
        if under is not None:
            terms.append(begins_with(escape(under)))
        return terms

    @property
    def version(self) -> str:
        """See Store.version: the collection, which never changes."""
        with self.reading():
            return self._version.collection

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors and row numbers, which Milvus keeps in memory; it tells no more."""
        with self.reading():
            head = self._version.head
            vectors = to_vectors(head.codes, measure_of(head))
            return self._version.header.count * int(vectors.shape[1] + 8)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> CodeSet:
        """See Store.take."""
        numbers = np.unique(np.asarray(rows, np.int64)).tolist()
        with self.reading():
            found = []
            for start in range(0, len(numbers), _ROWS):
                found += self._query(f"id in {numbers[start : start + _ROWS]}", *self._columns)
            if len(found) < len(numbers):
                raise rows_missing(self.name, len(numbers) - len(found))
            return to_code_set(found, self._version.head)

    def read(self, progress: Progress | None = None) -> CodeSet:
        """See Store.read."""
        with self.reading():
            found = list(self._all(self._columns, (), progress))
            return to_code_set(found, self._version.head)

    @property
    def _columns(self) -> list[str]:
        head = self._version.head
        stat = [] if head.stat is None else ["size", "mtime_ns"]
        return ["code", "path", *stat, *([] if head.labels is None else ["labels"])]

    def _all(
        self, columns: Sequence[str], meets: Iterable[str], progress: Progress | None = None
    ) -> Iterator[Row]:
        """All rows that meet something, in order."""
        done = 0
        for start in range(0, self._version.end, _ROWS):
            page = self._query(self._expression(range(start, start + _ROWS), meets), *columns)
            yield from page
            done += len(page)
            if progress is not None:
                progress(done, self._version.header.count)

    def _expression(self, rows: range, meets: Iterable[str]) -> str:
        """The expression for some rows that meet something; empty for all rows."""
        terms = [f"id >= {rows.start}"] if rows.start > 0 else []
        if rows.stop < self._version.end:
            terms.append(f"id < {rows.stop}")
        return " and ".join([*terms, *meets])

    def _query(self, expression: str, *columns: str) -> list[Row]:
        """The rows that meet an expression, in order."""
        found: list[Row] = self._client.query(
            self._version.collection,
            filter=expression or "id >= 0",
            output_fields=["id", *columns],
            consistency_level=_CONSISTENCY,
        )
        return sorted(found, key=lambda row: row["id"])

    # --- searching ---

    def _keys(self, queries: NDArray[np.uint8], k: int | None, radius: int) -> Iterable[Keys]:
        if self.measure != measure_of(self._version.head):
            yield from self._compared_here(queries, k, radius)
            return
        limit = _MOST if k is None else min(max(4 * k, 64), _MOST)
        rows = range(self._version.end)
        for start in range(0, len(queries), _QUERIES):
            some = queries[start : start + _QUERIES]
            for query, keys in zip(some, self._found(some, limit, radius, rows), strict=True):
                if _is_whole(keys, limit, k, rows):
                    yield keys[:k]
                else:
                    yield self._in_rows(query, k, radius, rows)

    def _in_rows(self, query: NDArray[np.uint8], k: int | None, radius: int, rows: range) -> Keys:
        """The keys of the codes within `radius` among some rows, or of the `k` nearest of them.

        If there are more than Milvus gives, it is asked for those of each half of the rows.
        """
        if radius < 0:
            return np.empty(0, np.int64)
        (keys,) = self._found(query[None], _MOST, radius, rows)
        if _is_whole(keys, _MOST, k, rows):
            return keys[:k]
        middle = (rows.start + rows.stop) // 2
        first = self._in_rows(query, k, radius, range(rows.start, middle))
        if k is not None and len(first) == k:
            # A later row at the distance of the k-th loses against it.
            radius = min(radius, (int(first[-1]) >> ROW_BITS) - 1)
        second = self._in_rows(query, k, radius, range(middle, rows.stop))
        return np.sort(np.concatenate([first, second]))[:k]

    def _found(
        self, queries: NDArray[np.uint8], limit: int, radius: int, rows: range
    ) -> list[Keys]:
        """The sorted keys that Milvus finds for each query among some rows, the nearest `limit`.

        Of codes at the distance of the last one, it finds any.
        """
        measure = self.measure
        params: dict[str, Any] = {"metric_type": "HAMMING", "params": {}}
        if radius < measure.largest:
            params["params"] = {"radius": radius + 1}  # which it excludes
        found = self._client.search(
            self._version.collection,
            data=[vector.tobytes() for vector in to_vectors(queries, measure)],
            anns_field="code",
            filter=self._expression(rows, self._meets()),
            limit=limit,
            search_params=params,
            consistency_level=_CONSISTENCY,
        )
        keys = [[int(hit["distance"]) << ROW_BITS | hit["id"] for hit in hits] for hits in found]
        return [np.sort(np.array(some, np.int64)) for some in keys]

    def _compared_here(
        self, queries: NDArray[np.uint8], k: int | None, radius: int
    ) -> Iterator[Keys]:
        """The keys by a measure that is not the set's own: all codes are read and compared."""
        found = list(self._all(["code"], self._meets()))
        numbers = np.array([row["id"] for row in found], np.int64)
        codes = to_codes([row["code"][0] for row in found], self.bits)
        index = HammingIndex(codes, self.bits, measure=self.measure)
        for query in queries:
            near = index.within(query[None], radius, k)
            yield near.distances.astype(np.int64) << ROW_BITS | numbers[near.rows]

    # --- writing ---

    def holds(self, code_set: CodeSet) -> bool:
        """See Store.holds: whether these files were stored last, and no row has gone."""
        with database_errors(self.name):
            if self._current() is None:
                return False
        with self.reading():
            header = self._version.header
            is_same = bool(header.files) and header == signed_header(code_set)
            return is_same and self._count_rows(()) == code_set.count

    def replace(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """See Store.replace."""
        with database_errors(self.name):
            self._current()  # refuses data of others
            self._write(code_set, np.arange(code_set.count), progress)

    def update(self, code_set: CodeSet, progress: Progress | None = None) -> Changes:
        """See Store.update. If anything differs, the whole set is written."""
        with database_errors(self.name):
            if self._current() is None:
                self.replace(code_set, progress)
                return Changes(code_set.count, 0, 0)
        with self.reading():
            self._check_model(code_set)
            before = self.read()
        changes = changes_between(before, code_set)
        if any(changes) or not is_same(before, code_set):
            self.replace(code_set, progress)
        return changes

    def append(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """See Store.append."""
        with self.reading():
            self._check_model(code_set)
            before, numbers = self._numbered()
            more = self._version.end + np.arange(code_set.count)
            self._write(joined(before, code_set), np.append(numbers, more), progress)

    def delete(self, paths: Sequence[str]) -> int:
        """See Store.delete."""
        with self.reading():
            before, numbers = self._numbered()
            gone = set(escaped(paths, 0, len(paths)))
            stays = [path not in gone for path in escaped(before.paths, 0, before.count)]
            left = np.flatnonzero(stays)
            if len(left) < before.count:
                self._write(some_rows(before, left), numbers[left], None)
            return before.count - len(left)

    def close(self) -> None:
        """See Store.close. After a change, this waits until older versions can be dropped."""
        if "_client" in self.__dict__:
            with suppress(MilvusException):  # the next push drops them
                self._drop_older()
            self._client.close()

    def _check_model(self, code_set: CodeSet) -> None:
        head = self._version.head
        head.check_same_model(code_set.name, code_set.bits, code_set.fingerprint)

    def _numbered(self) -> tuple[CodeSet, NDArray[np.int64]]:
        """All rows, and their numbers."""
        found = list(self._all(self._columns, ()))
        numbers = np.array([row["id"] for row in found], np.int64)
        return to_code_set(found, self._version.head), numbers

    def _write(
        self, code_set: CodeSet, numbers: NDArray[np.int64], progress: Progress | None
    ) -> None:
        """Write a version with rows of these numbers, and let it count."""
        stored_paths(code_set)  # refuses paths that come twice
        if self._written is not None and time.monotonic() >= self._written[1] + self.grace:
            self._drop_older()
        collection = self._versions.new_name()
        try:
            self._fill(collection, code_set, numbers, progress)
        except BaseException:
            with suppress(MilvusException):
                self._client.drop_collection(collection)
            raise
        self._versions.switch(collection)
        self._written = collection, time.monotonic()

    def _fill(
        self,
        collection: str,
        code_set: CodeSet,
        numbers: NDArray[np.int64],
        progress: Progress | None,
    ) -> None:
        """Make a collection that can be searched."""
        client, count = self._client, code_set.count
        end = int(numbers[-1]) + 1 if count else 0
        columns = schema(code_set, description_of(code_set, end))
        client.create_collection(collection, schema=columns, consistency_level=_CONSISTENCY)
        for start in range(0, count, _ROWS):
            stop = min(start + _ROWS, count)
            # What is sent twice, after a lost connection, is there once.
            client.upsert(collection, to_rows(code_set, numbers, start, stop))
            if progress is not None:
                progress(stop, count)
        client.flush(collection)
        index = client.prepare_index_params()
        index.add_index("code", index_type="BIN_FLAT", metric_type="HAMMING")
        client.create_index(collection, index)
        client.load_collection(collection)
        (found,) = client.query(
            collection, filter="", output_fields=["count(*)"], consistency_level="Strong"
        )
        if found["count(*)"] != count:
            raise CodeSetError(
                f"{self.name}: expected {counted(count, 'row')}, found {found['count(*)']:,}; push "
                "the code set again"
            )

    def _drop_older(self) -> None:
        """Drop versions before the one that this store has written, when they may be dropped."""
        if self._written is not None:
            collection, since = self._written
            older = self._versions.older(collection)
            if older:
                time.sleep(max(0, since + self.grace - time.monotonic()))
            for name in older:
                self._client.drop_collection(name)
            self._written = None


def _is_whole(keys: Keys, limit: int, k: int | None, rows: range) -> bool:
    """Whether the nearest `limit` codes, of which `keys` are, hold all that is looked for."""
    if len(keys) < limit or len(rows) <= limit:
        return True
    # Of codes at the last distance, any were found.
    return k is not None and len(keys) > k and keys[k - 1] >> ROW_BITS < keys[-1] >> ROW_BITS
