"""A code set that stays open for a service, and is opened again when it changes."""

import time
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import Layout
from bitcodes.codes.paths import PathList, escape
from bitcodes.codes.version import Version
from bitcodes.databases.urls import is_store_url, open_store
from bitcodes.errors import BitcodesError
from bitcodes.tasks.clusters import Cluster, Clusters
from bitcodes.tasks.duplicates.decisions import decisions_file
from bitcodes.tasks.duplicates.finding import RADIUS_SHARE, find_duplicates
from bitcodes.tasks.duplicates.groups import Duplicates
from bitcodes.tasks.searching.ordering import Ordering
from bitcodes.tasks.searching.rows import Filter, Rows
from bitcodes.tasks.searching.searcher import Searcher, Selection

if TYPE_CHECKING:  # codes need neither Pillow nor a model
    from bitcodes.models.encoder import Encoder

_KEPT = 16
"""Filters whose rows are kept, and radii whose groups of duplicates are."""

_EVERY = 2.0
"""Seconds between looks at a database."""


class OpenSet:
    """One version of a code set, with what has been found out about it; never changes.

    `stored` tells the version of a set that was read from a database, whose header does not.
    """

    def __init__(
        self, database: CodeSet, threads: int | None, note: Note | None, stored: str = ""
    ) -> None:
        self.database = database
        self.searcher = Searcher(database, threads, note)
        self.rows = Rows(database)
        content = database.header.model_dump_json() + stored
        self.version = f"{zlib.crc32(content.encode()):08x}"
        """Differs from that of another content; in addresses and caches."""
        self._threads = threads
        self._selected: OrderedDict[Filter, Selection] = OrderedDict()
        self._duplicates: OrderedDict[object, Duplicates] = OrderedDict()
        self._clusters = Clusters(database)
        self._lock, self._comparing = Lock(), Lock()

    @property
    def duplicate_radius(self) -> int:
        """The radius within which images are near-duplicates by default."""
        return self.database.bits // RADIUS_SHARE

    def warm(self) -> None:
        """Load the index, so that the next search need not."""
        self.searcher.index(Ordering.of(self.database)).compile()

    def lines(self, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """The paths of some rows, escaped as answers have them."""
        paths = self.database.paths
        if isinstance(paths, PathList):
            return [line.decode() for line in paths.lines(rows)]
        return [escape(paths[row]) for row in rows]

    def select(self, condition: Filter) -> Selection | None:
        """The rows that a filter leaves, in order; None for all. See Rows.select."""
        if not condition:
            return None
        with self._lock:
            if condition not in self._selected:
                self._selected[condition] = Selection(self.rows.select(condition))
                if len(self._selected) > _KEPT:
                    self._selected.popitem(last=False)
            return self._selected[condition]

    def cluster(self, name: str) -> tuple[Cluster, Sequence[Cluster]]:
        """A cluster of the set by name, and its parts; see Clusters.find."""
        with self._lock:
            return self._clusters.find(name)

    def duplicates(self, radius: int | None) -> Duplicates:
        """The groups of near-duplicates; at once if neither radius nor decisions are new."""
        with self._comparing:
            case = radius, self._decisions()
            if case not in self._duplicates:
                self._duplicates[case] = find_duplicates(
                    self.database, radius, threads=self._threads
                )
                if len(self._duplicates) > _KEPT:
                    self._duplicates.popitem(last=False)
            return self._duplicates[case]

    def _decisions(self) -> tuple[int, int] | None:
        """What tells the file of decisions from others that were there before."""
        if self.database.path is None:
            return None
        try:
            stat = decisions_file(self.database.path).stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino


class _StoredVersion:
    """The version of a set in a database, read into memory at once; used like Version.

    The connection stays open, for looks at whether the set has changed.
    """

    def __init__(self, url: str) -> None:
        self._store = open_store(url)
        self.table = self._store.table
        self._looked = time.monotonic()
        self._is_lost = False
        try:
            with self._store.reading():
                self.name, self.code_set = self._store.version, self._store.read()
        except BaseException:
            self._store.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._store.close()

    def is_current(self) -> bool:
        """Whether the database held this version a moment ago; False once it cannot be asked."""
        if time.monotonic() - self._looked < _EVERY:
            return True
        self._looked = time.monotonic()
        try:
            return not self._is_lost and self._store.version == self.name
        except BitcodesError:
            self._is_lost = True
            return False  # who opens it again learns the reason


class LiveSet:
    """A stored code set, in a file or at the URL of a database: its present version, and its model.

    A set in a database is read into memory. Raises CodeSetError if the set cannot be opened.
    """

    def __init__(
        self,
        source: Path | str,
        *,
        run: Path | str | None = None,
        threads: int | None = None,
        note: Note | None = None,
    ) -> None:
        self._url = str(source) if is_store_url(source) else None
        self.path = None if self._url is not None else Path(source)
        """The file; None for a set in a database."""
        self._run, self._threads, self._note = run, threads, note
        self._model: Encoder | None = None
        self._loading = Lock()
        self._told: str | None = None  # why a new version is not taken
        self._version, self.current = self._open()
        self.name = (
            self._version.table if isinstance(self._version, _StoredVersion) else Path(source).stem
        )
        """What requests call it: the name of its file without the suffix, or of its table."""

    @property
    def fault(self) -> str | None:
        """Why a set in a database cannot be read now, if so: what was read last is searched."""
        return self._told if self.path is None else None

    def refresh(self) -> bool:
        """Open the set again if it has changed. Whoever still uses the old version may go on.

        A set that cannot be opened is not taken: the old version stays, and the note is told once.
        """
        if self._version.is_current():
            return False
        try:
            version, opened = self._open()
            opened.warm()
        except BitcodesError as error:
            if self._note is not None and self._told != str(error):
                self._note(f"{error}; the version before is searched until this is put right")
            self._told = str(error)
            return False
        was, self._told = self.current.version, None
        with self._version:  # closes it
            self._version, self.current = version, opened
        return opened.version != was

    def model(self, opened: OpenSet) -> "Encoder":
        """The model that made a version of the set; loaded at its first use."""
        from bitcodes.models.onnx import OnnxModel
        from bitcodes.tasks.searching.queries import find_model

        with self._loading:
            fingerprint = opened.database.fingerprint
            if self._model is None or self._model.fingerprint() != fingerprint:
                model = find_model(opened.database, self._run, "auto", False, self._note)
                # Batches are computed side by side: each by one thread is the most images a second.
                self._model = model.with_threads(1) if isinstance(model, OnnxModel) else model
            return self._model

    def close(self) -> None:
        """Close what tells of changes."""
        with self._version:
            pass

    def _open(self) -> tuple[Version | _StoredVersion, OpenSet]:
        if self._url is not None:
            stored = _StoredVersion(self._url)
            return stored, OpenSet(stored.code_set, self._threads, self._note, stored.name)
        assert self.path is not None
        files = Version(Layout(self.path))  # first, so that no change is missed
        try:
            return files, OpenSet(CodeSet.open(self.path), self._threads, self._note)
        except BaseException:
            with files:
                raise
