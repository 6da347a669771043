"""A code set that stays open for a service, and is opened again when its files change."""

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import Layout
from bitcodes.codes.paths import PathList, escape
from bitcodes.codes.version import Version
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


class OpenSet:
    """One version of a code set, with what has been found out about it; never changes."""

    def __init__(self, database: CodeSet, threads: int | None, note: Note | None) -> None:
        self.database = database
        self.searcher = Searcher(database, threads, note)
        self.rows = Rows(database)
        self.version = f"{zlib.crc32(database.header.model_dump_json().encode()):08x}"
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


class LiveSet:
    """A stored code set: its present version, and the model that made it.

    Raises CodeSetError if the set cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        run: Path | str | None = None,
        threads: int | None = None,
        note: Note | None = None,
    ) -> None:
        self.path = path
        self._run, self._threads, self._note = run, threads, note
        self._model: Encoder | None = None
        self._loading = Lock()
        self._files, self.current = self._open()

    @property
    def name(self) -> str:
        """What requests call it: the name of its file without the suffix."""
        return self.path.stem

    def refresh(self) -> bool:
        """Open the set again if it has changed. Whoever still uses the old version may go on.

        A set that cannot be opened is not taken: the old version stays, and the note is told.
        """
        if self._files.is_current():
            return False
        try:
            files, opened = self._open()
            opened.warm()
        except BitcodesError as error:
            if self._note is not None:
                self._note(f"{error}; the version before is searched until this is put right")
            return False
        with self._files:  # closes them
            self._files, self.current = files, opened
        return True

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
        """Close the files that tell of changes."""
        with self._files:
            pass

    def _open(self) -> tuple[Version, OpenSet]:
        files = Version(Layout(self.path))  # first, so that no change is missed
        try:
            return files, OpenSet(CodeSet.open(self.path), self._threads, self._note)
        except BaseException:
            with files:
                raise
