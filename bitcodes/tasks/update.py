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
    """Rows of the old set that stay, in their order; `labels` are those of the source, if any."""

    start: int
    stop: int
    labels: list[NDArray[np.uint8] | None] | None

    @property
    def count(self) -> int:
        """How many rows."""
        return self.stop - self.start


@dataclass
class New:
    """Images that must be encoded."""

    items: list[Item]

    @property
    def count(self) -> int:
        """How many images."""
        return len(self.items)


@dataclass(frozen=True)
class Step(Batch):
    """What to do next: rows to keep and images to encode, which are the items of this batch."""

    parts: Sequence[Keep | New]


class Update:
    """From an old set, or none, to one that follows the source.

    With `append` the rows of the old set come first, but for those whose images have changed, and
    then what is new in the source; else the rows are in the order of the source, and the set will
    be the same as if it had been encoded anew.
    """

    def __init__(self, source: Source, base: CodeSet | None, append: bool) -> None:
        self.base = base
        self.append = append and base is not None
        self.kept = self.new = self.changed = 0
        root = base.root_name if base is not None and append else None
        self.source = source if root in (None, source.root) else source.rebase(root)

    @property
    def root(self) -> str | None:
        """What the paths of the new set are relative to."""
        return self.base.root_name if self.append and self.base else self.source.root

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names of the new set."""
        names = self.base.class_names if self.append and self.base else ()
        return names or self.source.class_names

    @property
    def single(self) -> bool:
        """Whether the labels of the new set are class numbers."""
        if self.append and self.base is not None and self.base.labels is not None:
            return self.base.labels.ndim == 1
        return self.source.single

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
        new = kept = 0
        for entry in self._entries():
            if position >= entry.count:
                position -= entry.count
                continue
            if position:  # within rows to keep
                assert isinstance(entry, Keep)
                labels = None if entry.labels is None else entry.labels[position:]
                entry = Keep(entry.start + position, entry.stop, labels)
                position = 0
            last = parts[-1] if parts else None
            if isinstance(entry, Keep):
                kept += entry.count
                if isinstance(last, Keep) and last.stop == entry.start:
                    last.stop = entry.stop
                    if last.labels is not None and entry.labels is not None:
                        last.labels += entry.labels
                else:
                    parts.append(entry)
            else:
                new += entry.count
                if isinstance(last, New):
                    last.items += entry.items
                else:
                    parts.append(entry)
            if new >= batch_size or kept >= _RUN:
                yield _step(parts)
                parts, new, kept = [], 0, 0
        if parts:
            yield _step(parts)

    def summary(self) -> str:
        """What was done, in words."""
        gone = (
            ""
            if self.append or self.base is None
            else (f", {max(0, self.base.count - self.kept - self.changed):,} gone")
        )
        return f"{self.kept:,} kept, {self.new:,} new, {self.changed:,} changed{gone}"

    def _entries(self) -> Iterator[Keep | New]:
        """Image by image, in the order of the new set."""
        self.kept = self.new = self.changed = 0
        if self.base is None:
            for item in self.source:
                yield New([item])
            return
        rows = _Rows(self.base)
        if self.append:
            changed = self._appended[1]
            start = 0
            for row in [*sorted(changed), self.base.count]:
                for begin in range(start, row, _RUN):
                    end = min(begin + _RUN, row)
                    self.kept += end - begin
                    yield Keep(begin, end, None)
                start = row + 1
            for item in self.source:
                row_ = rows.find(item)
                if row_ is None or row_ in changed:
                    self.new += row_ is None
                    self.changed += row_ is not None
                    yield New([item])
            return
        for item in self.source:
            row_ = rows.find(item)
            if row_ is not None and rows.is_current(row_, item):
                self.kept += 1
                yield Keep(row_, row_ + 1, None if item.labels is None else [item.labels])
            else:
                self.new += row_ is None
                self.changed += row_ is not None
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
