"""A code set in a table of Lance, in a folder or an object store."""

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, NamedTuple

import lance
import numpy as np
import pyarrow
import pyarrow.compute
from lance import LanceOperation
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import CodeSetHeader, parse_header
from bitcodes.codes.paths import escaped
from bitcodes.databases.lance import rows as table_rows
from bitcodes.databases.lance.place import find_latest, lance_errors, parse_url
from bitcodes.databases.store import (
    Changes,
    Condition,
    Store,
    no_such_set,
    other_data,
    rows_missing,
)
from bitcodes.databases.whole_sets import changes_between, is_same, joined, stored_paths
from bitcodes.errors import CodeSetError
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.plain import MISSING, ROW_BITS, Keys, split_keys

_STORAGE = "2.0"
"""The version of Lance's files: codes are read five times as fast as from those of 2.1."""

_FETCHED = 1 << 16
"""Rows that are read at a time."""

_KEPT = timedelta(hours=1)
"""How long the files of old versions stay, for those who are reading them."""


class _Loaded(NamedTuple):
    """The codes that searches compare, in memory."""

    key: tuple[str, Condition, Measure]
    """Which codes these are: of which files, and what was asked of them."""
    searched: HammingIndex
    numbers: NDArray[np.int64]
    """The number of each row, ascending."""


class LanceStore(Store):
    """The set in the table that a URL names; see Store.

    Each change writes one version. A search compares all codes of the latest, in memory: reading
    them takes less time than to look up parts in indexes of Lance.
    """

    def __init__(self, url: str, table: str | None = None) -> None:
        self._place = parse_url(url, table)
        super().__init__(self._place.name, self._place.table)
        self._depth = 0
        self._version: Any = None
        self._loaded: _Loaded | None = None

    # --- reading ---

    @contextmanager
    def reading(self) -> Iterator[None]:
        """See Store.reading: the latest version, whose files stay for an hour."""
        if not self._depth:
            self._version, self._matching = self._find(), None
        if self._version is None:
            raise no_such_set(self.name)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _find(self) -> Any:
        """The latest version; None if there is none. CodeSetError for other data."""
        version = find_latest(self._place)
        if version is not None and table_rows.HEADER not in (version.schema.metadata or {}):
            raise other_data(self.name)
        return version

    def _header(self) -> CodeSetHeader:
        """The header of the version that is being read."""
        content = self._version.schema.metadata[table_rows.HEADER]
        return parse_header(content, f"the header of {self.name}")

    @property
    def head(self) -> CodeSet:
        """See Store.head."""
        with self.reading():
            table = self._version.schema.empty_table()
            return table_rows.to_code_set(table, self._header(), self.name)

    @property
    def _count(self) -> int:
        with lance_errors(self.name):
            return int(self._version.count_rows())

    @property
    def version(self) -> str:
        """See Store.version: the number of Lance's, and a digest for a table that is made anew."""
        with self.reading():
            content = self._version.schema.metadata[table_rows.HEADER]
            return f"{self._version.version} {zlib.crc32(content):08x}"

    def _count_matching(self) -> int:
        return len(self._load().numbers)

    @property
    def nbytes(self) -> int:
        """See Store.nbytes."""
        with self.reading():
            return sum(
                file.file_size_bytes or 0
                for fragment in self._version.get_fragments()
                for file in fragment.metadata.files
            )

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> CodeSet:
        """See Store.take."""
        wanted = np.unique(np.asarray(rows, np.int64))
        with self.reading():
            if not len(wanted):
                return self.head
            found = table_rows.to_code_set(
                self._table(filter=_among(wanted)), self._header(), self.name
            )
        if found.count < len(wanted):
            raise rows_missing(self.name, len(wanted) - found.count)
        return found

    def read(self, progress: Progress | None = None) -> CodeSet:
        """See Store.read."""
        with self.reading():
            return table_rows.to_code_set(self._table(progress=progress), self._header(), self.name)

    def _table(
        self,
        columns: list[str] | None = None,
        filter: str | None = None,
        progress: Progress | None = None,
    ) -> pyarrow.Table:
        """Some columns of some rows, or all, of the version that is being read."""
        batches, done = [], 0
        with lance_errors(self.name):
            total = self._version.count_rows()
            for batch in self._version.to_batches(columns, filter, batch_size=_FETCHED):
                batches.append(batch)
                done += len(batch)
                if progress is not None:
                    progress(done, total)
        schema = self._version.schema
        chosen = schema if columns is None else pyarrow.schema([schema.field(n) for n in columns])
        return table_rows.in_order(pyarrow.Table.from_batches(batches, chosen))

    # --- searching ---

    def _keys(self, queries: NDArray[np.uint8], k: int | None, radius: int) -> Iterator[Keys]:
        loaded = self._load()
        if k is None:
            offsets, keys = loaded.searched._ball(queries, radius)
            found = np.split(keys, offsets[1:-1])
        else:
            found = list(loaded.searched._nearest(queries, k, radius))
        for keys in found:
            distances, places = split_keys(keys[keys != MISSING])
            yield distances.astype(np.int64) << ROW_BITS | loaded.numbers[places]

    def _load(self) -> _Loaded:
        """The codes to compare, read anew if the table has changed or something else is asked."""
        files = str([fragment.metadata for fragment in self._version.get_fragments()])
        key = files, self._condition, self.measure
        if self._loaded is None or self._loaded.key != key:
            self._loaded = None  # its memory first
            table = self._table(["id", "code", *table_rows.asked(self._condition)])
            chosen = table_rows.meets(table, self._condition)
            codes = table_rows.to_array(table["code"])[chosen]
            index = HammingIndex(codes, self.measure.bits, measure=self.measure)
            self._loaded = _Loaded(key, index, table_rows.to_array(table["id"])[chosen])
        return self._loaded

    # --- writing ---

    @contextmanager
    def _writing(self) -> Iterator[bool]:
        """A time without other writers; yields whether there is a set, which reads then see."""
        with self._place.writing():
            self._version = self._find()
            self._depth += 1
            try:
                yield self._version is not None
            finally:
                self._depth -= 1

    def holds(self, code_set: CodeSet) -> bool:
        """See Store.holds: the latest change has written a set of this header and checksums."""
        version = self._find()
        if version is None or not code_set.header.files:
            return False
        with lance_errors(self.name):
            change = version.read_transaction(version.version)
        is_whole = change is not None and isinstance(change.operation, LanceOperation.Overwrite)
        schema = table_rows.schema_of(code_set)
        return is_whole and bool(schema.equals(version.schema, check_metadata=True))

    def replace(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """See Store.replace."""
        with self._writing():
            self._write(code_set, progress)

    def update(self, code_set: CodeSet, progress: Progress | None = None) -> Changes:
        """See Store.update: what differs is counted, and a version of all rows is written."""
        with self._writing() as is_there:
            if not is_there:
                self._write(code_set, progress)
                return Changes(code_set.count, 0, 0)
            self._check_model(code_set)
            before = self.read()
            changes = changes_between(before, code_set)
            if any(changes) or not is_same(before, code_set):
                self._write(code_set, progress)
            return changes

    def append(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """See Store.append."""
        with self._writing(), self.reading():
            self._check_model(code_set)
            stored_paths(joined(self.read(), code_set))  # refuses paths twice
            numbers = table_rows.to_array(self._table(["id"])["id"])
            self._write(code_set, progress, first=int(numbers.max(initial=-1)) + 1)

    def delete(self, paths: Sequence[str]) -> int:
        """See Store.delete."""
        with self._writing(), self.reading():
            table = self._table(["id", "path"])
            names = [path.decode() for path in escaped(paths, 0, len(paths))]
            gone = pyarrow.compute.is_in(table["path"], pyarrow.array(names, pyarrow.string()))
            numbers = table_rows.to_array(table["id"].filter(gone))
            if len(numbers):
                with lance_errors(self.name):
                    self._version.delete(_among(numbers))
            return len(numbers)

    def close(self) -> None:
        """See Store.close; nothing stays open."""
        self._version = self._loaded = None

    def _check_model(self, code_set: CodeSet) -> None:
        self.head.check_same_model(code_set.name, code_set.bits, code_set.fingerprint)

    def _write(
        self, code_set: CodeSet, progress: Progress | None, first: int | None = None
    ) -> None:
        """Write a version with the rows of a set alone, or with those behind the present ones.

        `first` is the number of the first of these.
        """
        stored_paths(code_set)  # refuses paths that come twice
        failures: list[BaseException] = []

        def batches() -> Iterator[pyarrow.RecordBatch]:
            try:
                yield from table_rows.batches(code_set, first or 0, progress)
            except BaseException as error:
                failures.append(error)  # Lance would tell its text alone
                raise

        schema = table_rows.schema_of(code_set)
        reader = pyarrow.RecordBatchReader.from_batches(schema, batches())
        mode = "overwrite" if first is None else "append"
        try:
            with lance_errors(self.name):
                written = lance.write_dataset(
                    reader, self._place.uri, mode=mode, data_storage_version=_STORAGE
                )
        except CodeSetError:
            if failures:
                raise failures[0] from None
            raise
        with suppress(CodeSetError), lance_errors(self.name):  # else the next change does
            written.cleanup_old_versions(_KEPT, error_if_tagged_old_versions=False)


def _among(numbers: NDArray[np.int64]) -> str:
    """The condition that a row has one of some numbers."""
    return f"id IN ({','.join(map(str, numbers.tolist()))})"
