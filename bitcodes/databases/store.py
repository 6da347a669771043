"""A store: the code set that a table of a database holds, searched and changed there."""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import CodeSetHeader
from bitcodes.codes.pack import check_codes
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain
from bitcodes.hamming.measure import Measure, measure_of
from bitcodes.hamming.plain import Ball, Keys
from bitcodes.hamming.searchable import Searchable, Within
from bitcodes.wording import command, counted

_STORED = "codes", "paths", "labels", "stat"
"""The files of a set that a store holds."""


class Changes(NamedTuple):
    """How many rows an update added, changed and removed."""

    added: int
    changed: int
    removed: int


class Condition(NamedTuple):
    """Which rows searches are among: all that is given must hold."""

    classes: tuple[int, ...] | None = None
    """Numbers of classes: a row must have one of them. The set must have labels."""
    under: str | None = None
    """The beginning of the path."""


class Store(Searchable):
    """A code set in a database. Each engine says how it finds, reads and writes rows.

    Rows are numbered as in the code set that `replace` was given. `delete` leaves a gap, and
    `append` goes on behind the last row. Each path has one row. Features are not kept. A change is
    seen whole or not at all; `reading` lets several calls see the same version. One thread uses a
    store at a time. All methods raise CodeSetError for what the database refuses.
    """

    name: str
    """The URL, without a password: what messages call the store."""
    table: str
    """The name of the table."""

    def __init__(self, name: str, table: str, measure: Measure | None = None) -> None:
        self.name, self.table = name, table
        self._measure = measure
        self._condition = Condition()
        self._matching: int | None = None  # how many rows meet the condition, while it is known

    def measured(self, measure: Measure | None) -> Self:
        """Let searches order by this measure, or by the set's own (None); returns the store."""
        if measure is not None and measure.bits != self.head.bits:
            raise CodeSetError(f"a measure of {measure.bits} bits for codes of {self.head.bits}")
        self._measure = measure
        return self

    @property
    def measure(self) -> Measure:
        """That of the set, unless `measured` set another."""
        return self._measure or measure_of(self.head)

    def filtered(self, condition: Condition) -> Self:
        """Let searches be among the rows that meet this; returns the store.

        `len` is then their number. What is read and written does not change.
        """
        self._condition, self._matching = condition, None
        return self

    def __len__(self) -> int:
        with self.reading():
            if self._condition == Condition():
                return self._count
            if self._matching is None:
                self._matching = self._count_matching()
            return self._matching

    @property
    @abstractmethod
    def _count(self) -> int:
        """How many rows there are, whether they meet the condition or not."""

    @abstractmethod
    def _count_matching(self) -> int:
        """How many rows meet the condition. `reading` forgets the number when it begins anew."""

    @property
    def fingerprint(self) -> str | None:  # type: ignore[override]
        """The fingerprint of the model that made the codes; None where unknown."""
        return self.head.fingerprint

    @property
    @abstractmethod
    def head(self) -> CodeSet:
        """The set without its rows: bits, model, class names. CodeSetError if there is no set."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes that the rows and their indexes take in the database."""

    @abstractmethod
    def reading(self) -> AbstractContextManager[None]:
        """While this is entered, all reads see one version, whatever others write meanwhile."""

    @property
    @abstractmethod
    def version(self) -> str:
        """Tells this content from what the table holds before and after a change."""

    @abstractmethod
    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> CodeSet:
        """Some rows, in ascending order, as a code set in memory; CodeSetError if one is gone."""

    @abstractmethod
    def read(self, progress: Progress | None = None) -> CodeSet:
        """All rows, in order, as a code set in memory."""

    def holds(self, code_set: CodeSet) -> bool:
        """Whether the store is known to hold this set, without a look at each row."""
        return False

    @abstractmethod
    def replace(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """Let the store hold this set, whatever it held before."""

    @abstractmethod
    def update(self, code_set: CodeSet, progress: Progress | None = None) -> Changes:
        """The same as `replace`, but write only rows that differ, if these are few.

        CodeSetError if the set is of another model.
        """

    @abstractmethod
    def append(self, code_set: CodeSet, progress: Progress | None = None) -> None:
        """Add the rows of a set of the same model. CodeSetError if one of its paths is there."""

    @abstractmethod
    def delete(self, paths: Sequence[str]) -> int:
        """Delete the rows of these paths; returns how many there were."""

    @abstractmethod
    def close(self) -> None:
        """End the connection."""

    @abstractmethod
    def _keys(self, queries: NDArray[np.uint8], k: int | None, radius: int) -> Iterable[Keys]:
        """The sorted keys of all codes within `radius` of a query, or of the `k` nearest.

        For each query (Q, B).
        """

    def paths_of(self, rows: Sequence[int] | NDArray[np.int64]) -> list[str]:
        """The paths of some rows, in ascending order."""
        return list(self.take(rows).paths)

    def labels_of(self, rows: Sequence[int] | NDArray[np.int64]) -> NDArray[Any] | None:
        """The labels of some rows, in ascending order; None if the set has none."""
        return self.take(rows).labels

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def search(
        self, queries: NDArray[np.uint8], k: int
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """See Searchable.search."""
        with self.reading():
            return super().search(queries, k)

    def within(self, queries: NDArray[np.uint8], radius: int, limit: int | None = None) -> Within:
        """See Searchable.within."""
        with self.reading():
            return super().within(queries, radius, limit)

    def _nearest(self, queries: NDArray[np.uint8], k: int, radius: int) -> Keys:
        check_codes(queries, self.bits)
        keys = np.full((len(queries), k), plain.MISSING, np.int64)
        for row, nearest in zip(keys, self._keys(queries, k, radius), strict=True):
            row[: len(nearest)] = nearest
        return keys

    def _ball(self, queries: NDArray[np.uint8], radius: int) -> Ball:
        check_codes(queries, self.bits)
        balls = list(self._keys(queries, None, radius))
        sizes = np.array([len(ball) for ball in balls], np.int64)
        return plain.offsets_of(sizes), np.concatenate([np.empty(0, np.int64), *balls])


def header_of(code_set: CodeSet) -> CodeSetHeader:
    """The header that a store keeps of a set: its places are absolute, for it has no folder."""
    run = None if code_set.run is None else str(code_set.run)
    places: dict[str, object] = {"root": code_set.root_name, "run": run, "files": {}}
    return code_set.header.model_copy(update=places)


def signed_header(code_set: CodeSet) -> CodeSetHeader:
    """The header of a set with the sizes and checksums of its files that become columns."""
    files = {role: entry for role, entry in code_set.header.files.items() if role in _STORED}
    return header_of(code_set).model_copy(update={"files": files})


def rows_missing(name: str, count: int) -> CodeSetError:
    """The error for rows that are not there."""
    return CodeSetError(f"{name}: {counted(count, 'row')} not there")


def other_data(name: str) -> CodeSetError:
    """The error for a table that bitcodes has not made."""
    return CodeSetError(
        f"{name}: expected a table of bitcodes, or none; found a table of other data, which is "
        "left alone; name another table (--table)"
    )


def no_such_set(name: str) -> CodeSetError:
    """The error for a store that holds no set."""
    return CodeSetError(
        f"{name}: there is no such code set; to store one there: "
        f"{command('push', 'codes.npy', name)}"
    )
