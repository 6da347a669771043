"""Rows of a code set by what is known of their images: the path, and the labels."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import DataError
from bitcodes.wording import closest, either, shortened

_LISTED = 20
"""Labels that an error lists."""


@dataclass(frozen=True)
class Filter:
    """Which images a search is among: all conditions that are given must hold."""

    label: tuple[str, ...] = ()
    """One of these labels."""
    under: str | None = None
    """The beginning of the path, such as a folder."""
    glob: str | None = None
    """A pattern for the whole path: * stands for any characters, ? for one, [ab] for a or b."""

    def __bool__(self) -> bool:
        return bool(self.label) or self.under is not None or self.glob is not None


class Rows:
    """Finds rows of one code set. Its paths are read at the first search by path."""

    def __init__(self, database: CodeSet) -> None:
        self._set = database

    def of_path(self, path: str) -> int:
        """The row of an image. DataError if there is none of this path."""
        order, hashes = self._hashes
        position = int(np.searchsorted(hashes, hash(path)))
        while position < len(hashes) and hashes[position] == hash(path):
            if self._set.paths[row := int(order[position])] == path:
                return row
            position += 1
        raise DataError(
            f"path: expected an image of {self._set.name}, as its paths name it; found "
            f"{shortened(repr(path))}"
        )

    def labels(self) -> list[tuple[str, int]]:
        """Each label with the number of images that have it; empty for a set without labels."""
        labels = self._set.labels
        if labels is None:
            return []
        count = len(self._set.class_names)
        if labels.ndim == 2:
            sizes = labels.sum(axis=0, dtype=np.int64)
        else:
            sizes = np.bincount(labels[labels >= 0], minlength=count)
        return [(self._name(number), int(size)) for number, size in enumerate(sizes)]

    def select(self, condition: Filter) -> NDArray[np.int64]:
        """The rows that a filter leaves, in order. DataError for a label that the set has not."""
        chosen = np.ones(self._set.count, np.bool_)
        if condition.label:
            chosen &= self._with_label(condition.label)
        if condition.under is not None or condition.glob is not None:
            matches = re.compile(fnmatch.translate(condition.glob or "*")).match
            under = condition.under or ""
            for row, path in enumerate(self._paths):  # in order: they are read block by block
                chosen[row] &= path.startswith(under) and matches(path) is not None
        return np.flatnonzero(chosen)

    def _with_label(self, names: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each row has one of some labels (N,)."""
        labels = self._set.labels
        if labels is None:
            raise DataError(f"label: {self._set.name} has no labels; encode it with a list file")
        known = [name for name, _ in self.labels()]
        for name in names:
            if name not in known:
                raise DataError(f"label: {_no_label(name, known)}")
        numbers = [known.index(name) for name in names]
        if labels.ndim == 2:
            return np.asarray(labels[:, numbers].any(axis=1))
        return np.isin(labels, numbers)

    def _name(self, number: int) -> str:
        names = self._set.class_names
        return names[number] if number < len(names) else str(number)

    @property
    def _paths(self) -> Sequence[str]:
        return self._set.paths

    @cached_property
    def _hashes(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows in the order of their paths' hashes, and these: 16 bytes per row."""
        hashes = np.fromiter(map(hash, self._paths), np.int64, self._set.count)
        order = np.argsort(hashes, kind="stable")
        return order, hashes[order]


def labels_of(code_set: CodeSet, row: int, names: Sequence[str]) -> tuple[str, ...]:
    """The labels of a row by `names`, or numbers where there are none; empty where unknown."""
    labels = code_set.labels
    if labels is None:
        return ()
    classes = [int(labels[row])] if labels.ndim == 1 else np.flatnonzero(labels[row]).tolist()
    return tuple(names[c] if c < len(names) else str(c) for c in classes if c >= 0)


def _no_label(name: str, known: Sequence[str]) -> str:
    if close := closest(name, known):
        return f"there is no label {shortened(repr(name), 40)}; did you mean {close!r}?"
    some = [*known[:_LISTED], f"{len(known) - _LISTED} more"] if len(known) > _LISTED else known
    return f"expected {either(some)}; found {shortened(repr(name), 40)}"
