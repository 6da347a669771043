"""Rows of a code set by what is known of their images: the path, and the labels."""

import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.store import Condition
from bitcodes.errors import DataError
from bitcodes.wording import closest, either, shortened

_LISTED = 20
"""Labels that an error lists."""

_NUMBER = re.compile("[0-9]{1,9}")
"""A class without a name."""


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


ALL = Filter()
"""The filter that leaves all images."""


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
            numbers = _class_numbers(self._set, condition.label, len(self.labels()))
            chosen &= self._of_class(numbers)
        if condition.under is not None or condition.glob is not None:
            matches = re.compile(fnmatch.translate(condition.glob or "*")).match
            under = condition.under or ""
            for row, path in enumerate(self._paths):  # in order: they are read block by block
                chosen[row] &= path.startswith(under) and matches(path) is not None
        return np.flatnonzero(chosen)

    def _of_class(self, numbers: Sequence[int]) -> NDArray[np.bool_]:
        """Whether each row is of one of some classes (N,)."""
        labels = self._set.labels
        assert labels is not None
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


def condition_of(head: CodeSet, condition: Filter) -> Condition:
    """What a filter asks of a store with this head.

    DataError for a label that the set has not; ValueError for a pattern.
    """
    if condition.glob is not None:
        raise ValueError("a store is not searched by a pattern for paths")
    classes = None
    if condition.label:
        # The head does not tell how many numbers without names there are.
        labels = head.labels
        count = labels.shape[1] if labels is not None and labels.ndim == 2 else None
        classes = _class_numbers(head, condition.label, count)
    return Condition(classes, condition.under)


def _class_numbers(code_set: CodeSet, names: Sequence[str], count: int | None) -> tuple[int, ...]:
    """The numbers of classes by name. DataError for one that the set has not.

    Classes without names are named by their numbers, up to `count` if that is known.
    """
    if code_set.labels is None:
        raise DataError(f"label: {code_set.name} has no labels; encode it with a list file")
    if not code_set.class_names and count is None:
        for name in names:
            if _NUMBER.fullmatch(name) is None:
                raise DataError(
                    f"label: expected the number of a class, for {code_set.name} has no names of "
                    f"them; found {shortened(repr(name), 40)}"
                )
        return tuple(map(int, names))
    known = code_set.class_names or tuple(map(str, range(count or 0)))
    for name in names:
        if name not in known:
            raise DataError(f"label: {_no_label(name, known)}")
    return tuple(map(known.index, names))


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
