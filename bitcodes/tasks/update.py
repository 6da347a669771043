"""What a code set must change to follow its source: rows to keep, images to encode."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.sources.item import GONE, Item
from bitcodes.sources.reading import Batch
from bitcodes.sources.source import Source

_BUFFER = 256  # paths read ahead
_RUN = 1 << 14  # rows kept in one step


@dataclass
class Keep:
    """Rows of the old set that stay; `labels` are those that the source has for them, or empty."""

    start: int
    stop: int
    labels: list[NDArray[np.uint8]]

    def __len__(self) -> int:
        return self.stop - self.start

    def extend(self, other: "Keep | New") -> bool:
        """Add what follows, if it is of the same kind and joins."""
        if not isinstance(other, Keep) or other.start != self.stop:
            return False
        self.stop = other.stop
        self.labels += other.labels
        return True


@dataclass
class New:
    """Images that must be encoded."""

    items: list[Item]

    def __len__(self) -> int:
        return len(self.items)

    def extend(self, other: "Keep | New") -> bool:
        """Add what follows, if it is of the same kind."""
        if isinstance(other, New):
            self.items += other.items
        return isinstance(other, New)


@dataclass(frozen=True)
class Step(Batch):
    """What to do next: rows to keep and images to encode, which are the items of this batch."""

    parts: Sequence[Keep | New]


class Update:
    """From an old set, or none, to one that follows the source.

    With `append` the rows of the old set come first, but for those whose images have changed, and
    then what is new in the source; else the rows are in the order of the source, and the set will
    be the same as if it had been encoded anew. Attributes of the new set: `root`, which its paths
    are relative to; `class_names`; `single`, whether its labels are class numbers.
    """

    def __init__(self, source: Source, base: CodeSet | None, append: bool) -> None:
        self.base = base
        self.append = append and base is not None
        self.kept_count = self.new_count = self.changed_count = 0
        self.root: str | None = source.root
        self.class_names = source.class_names
        self.single = source.single
        if append and base is not None:
            self.root = base.root_name
            if self.root not in (None, source.root):
                source = source.rebase(self.root)
            self.class_names = base.class_names or source.class_names
            if base.labels is not None:
                self.single = base.labels.ndim == 1
        self.source = source

    @cached_property
    def digest(self) -> str:
        """What the new set is made from: equal for equal rows of the same model."""
        if not self.append or self.base is None:
            return self.source.digest
        before = self.base.header.to_bytes()
        return hashlib.sha256(before + self.source.digest.encode()).hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether the old set is up to date."""
        assert self.base is not None
        if self.append:
            return not self._appended[0]
        return self.base.header.source == self.digest

    @property
    def count(self) -> int | None:
        """How many images the new set is made from; None where it is not known beforehand."""
        if self.append and self.base is not None:
            added, changed = self._appended
            return self.base.count - len(changed) + added
        return self.source.count

    def steps(self, position: int, batch_size: int) -> Iterator[Step]:
        """What to do from the image `position` on, in steps of at most `batch_size` new images.

        New images that lie apart come together in a step, so that the model has something to do.
        """
        parts: list[Keep | New] = []
        new_count = kept_count = 0
        for entry in self._entries():
            if position >= len(entry):
                position -= len(entry)
                continue
            if position and isinstance(entry, Keep):
                entry = Keep(entry.start + position, entry.stop, entry.labels[position:])
                position = 0
            if isinstance(entry, New):
                new_count += 1
            else:
                kept_count += len(entry)
            if not (parts and parts[-1].extend(entry)):
                parts.append(entry)
            if new_count >= batch_size or kept_count >= _RUN:
                yield _step(parts)
                parts, new_count, kept_count = [], 0, 0
        if parts:
            yield _step(parts)

    def summary(self) -> str:
        """What was done, in words."""
        counts = f"{self.kept_count:,} kept, {self.new_count:,} new, {self.changed_count:,} changed"
        if self.append or self.base is None:
            return counts
        return f"{counts}, {max(0, self.base.count - self.kept_count - self.changed_count):,} gone"

    def _entries(self) -> Iterator[Keep | New]:
        """Image by image, in the order of the new set; rows that an append keeps in runs."""
        self.kept_count = self.new_count = self.changed_count = 0
        rows = None if self.base is None else _Rows(self.base)
        changed: frozenset[int] = frozenset()
        if self.append and self.base is not None:
            changed = self._appended[1]
            self.kept_count = self.base.count - len(changed)
            ends = [*sorted(changed), self.base.count]
            for start, end in zip([0, *(row + 1 for row in ends)], ends, strict=False):
                for begin in range(start, end, _RUN):
                    yield Keep(begin, min(begin + _RUN, end), [])
        for item in self.source:
            row = None if rows is None else rows.find(item)
            if rows is None or row is None:
                self.new_count += 1
                yield New([item])
            elif self.append and row not in changed:
                continue
            elif not self.append and rows.is_current(row, item):
                self.kept_count += 1
                yield Keep(row, row + 1, [] if item.labels is None else [item.labels])
            else:
                self.changed_count += 1
                yield New([item])

    @cached_property
    def _appended(self) -> tuple[int, frozenset[int]]:
        """How many images an append encodes, and which rows of the old set it so replaces."""
        assert self.base is not None
        rows = _Rows(self.base)
        count = 0
        changed = set()
        for item in self.source:
            row = rows.find(item)
            if row is None:
                count += 1
            elif not rows.is_current(row, item):
                count += 1
                changed.add(row)
        return count, frozenset(changed)


def _step(parts: Sequence[Keep | New]) -> Step:
    items = [item for part in parts if isinstance(part, New) for item in part.items]
    return Step(items, parts)


class _Rows:
    """The rows of a set by path: at once for the row after the last match, else by a table."""

    def __init__(self, base: CodeSet) -> None:
        self._base = base
        self._stat = base.stat
        self._next = 0
        self._buffer: Sequence[str] = ()
        self._start = 0  # row of the first in the buffer

    def find(self, item: Item) -> int | None:
        if self._peek() != item.path:
            row = self._look_up(item.path)
            if row is None:
                return None
            self._next = row
        self._next += 1
        return self._next - 1

    def is_current(self, row: int, item: Item) -> bool:
        if self._stat is None:
            return False
        now = item.place.stat()
        return now != GONE and now == tuple(self._stat[row].tolist())

    def _peek(self) -> str | None:
        if self._next >= self._base.count:
            return None
        if not self._start <= self._next < self._start + len(self._buffer):
            self._start = self._next
            self._buffer = self._base.paths[self._next : self._next + _BUFFER]
        return self._buffer[self._next - self._start]

    def _look_up(self, path: str) -> int | None:
        hashes, order = self._table
        value = hash(path)
        place = int(np.searchsorted(hashes, value))
        while place < len(hashes) and hashes[place] == value:
            row = int(order[place])
            if self._base.paths[row] == path:
                return row
            place += 1
        return None

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hashes of the paths in ascending order, and their rows; 16 bytes a row."""
        hashes = np.fromiter(map(hash, self._base.paths), np.int64, self._base.count)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order
