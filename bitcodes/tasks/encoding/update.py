"""What a code set must change to follow its source: rows to keep, images to encode."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self, overload

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.sources.archives import is_archive
from bitcodes.sources.item import GONE, Item
from bitcodes.sources.paths import below, folder_of, joined, place, place_from_here
from bitcodes.sources.reading import MAX_HELD, Batch, held_bytes
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

    def extend(self, other: "Part") -> bool:
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

    def extend(self, other: "Part") -> bool:
        """Add what follows, if it is of the same kind."""
        if isinstance(other, New):
            self.items += other.items
        return isinstance(other, New)


@dataclass
class Skipped:
    """An image of the old set that had no row there, and has none in the new one."""

    path: str
    reason: str

    def __len__(self) -> int:
        return 1

    def extend(self, other: "Part") -> bool:
        """Nothing joins: there are few of these."""
        return False


Part = Keep | New | Skipped


@dataclass(frozen=True)
class Step(Batch):
    """What to do next: rows to keep and images to encode, which are the items of this batch."""

    parts: Sequence[Part]


@dataclass(frozen=True)
class Frame:
    """What rows of the new set depend on, besides their step."""

    root: str | None
    """What the paths of the new set are relative to."""
    single: bool
    """Whether its labels are class numbers."""
    base: CodeSet | None
    """The old set."""
    base_paths: Sequence[str]
    """Paths of the old set, relative to `root`."""

    @classmethod
    def of(cls, base: CodeSet | None, root: str | None, single: bool, append: bool) -> Self:
        """The frame of an update of `base`, an old set or none, with `append` or without."""
        paths: Sequence[str] = () if base is None else base.paths
        if base is not None and append and base.root_name not in (None, root):
            paths = _Moved(base.paths, str(base.root_name), str(root))
        return cls(root, single, base, paths)

    def place(self, path: str) -> str:
        """Where an image of the new set lies, from the working folder if it is below that."""
        return place_from_here(self.root, path)


@dataclass(frozen=True)
class _Additions:
    """What an append does to the old set."""

    count: int
    """How many images it encodes."""
    changed: frozenset[int]
    """Rows that are encoded again."""
    gone: frozenset[int]
    """Rows that are dropped."""
    skipped: list[Skipped]
    """Images that were skipped before and are not tried again."""

    @property
    def replaced(self) -> list[int]:
        """Rows that do not stay where they are, in their order."""
        return sorted(self.changed | self.gone)


class Update:
    """From an old set, or none, to one that follows the source.

    With `append` the rows of the old set come first, but for those whose images have changed, and
    then what is new in the source; else the rows are in the order of the source, and the set will
    be the same as if it had been encoded anew. With `append` and `drops`, rows that the source does
    not have are dropped if `drops` says so of their absolute paths. If the old set is of one
    archive, and something else is appended, its paths become relative to the archive's folder:
    0.jpg becomes shard.tar/0.jpg.
    Attributes of the new set: `root`, which its paths are relative to; `class_names`; `single`,
    whether its labels are class numbers; `frame`, all that rows depend on.
    """

    def __init__(
        self,
        source: Source,
        base: CodeSet | None,
        append: bool,
        drops: Callable[[str], bool] | None = None,
    ) -> None:
        self.base = base
        self.append = append and base is not None
        self._drops = drops
        self.kept_count = self.new_count = self.changed_count = 0
        self.root: str | None = source.root
        self.class_names = source.class_names
        self.single = source.single
        if append and base is not None:
            self.root = base.root_name
            if self.root is not None and self.root != source.root and _is_archive(self.root):
                self.root = folder_of(self.root)
            if self.root is not None or source.is_archive:
                source = source.rebase(self.root)
            self.class_names = base.class_names or source.class_names
            if base.labels is not None:
                self.single = base.labels.ndim == 1
        self.source = source
        self.frame = Frame.of(base, self.root, self.single, self.append)

    @cached_property
    def digest(self) -> str:
        """What the new set is made from: equal for equal rows of the same model."""
        if not self.append or self.base is None:
            return self.source.digest
        digest = hashlib.sha256(self.base.header.to_bytes() + self.source.digest.encode())
        if self._drops is not None:
            digest.update(f"\0{sorted(self._additions.gone)}".encode())
        return digest.hexdigest()

    @property
    def is_empty(self) -> bool:
        """Whether the old set is up to date."""
        assert self.base is not None
        if self.append:
            additions = self._additions
            is_same = len(additions.skipped) == len(self.base.skipped)
            return is_same and not (additions.count or additions.gone)
        before = self.base.header.source
        return before == self.digest or (before is not None and before == self.source.old_digest)

    @property
    def count(self) -> int | None:
        """How many images the new set is made from; None where it is not known beforehand."""
        if self.append and self.base is not None:
            additions = self._additions
            kept = self.base.count - len(additions.replaced)
            return kept + additions.count + len(additions.skipped)
        return self.source.count

    def steps(self, position: int, batch_size: int) -> Iterator[Step]:
        """What to do from the image `position` on, in steps of at most `batch_size` new images.

        New images that lie apart come together in a step, so that the model has something to do.
        """
        return steps_of(self._entries(), position, batch_size)

    def summary(self, count: int) -> str:
        """What was done, in words; `count` is the number of rows that came of it."""
        told = f"{self.kept_count:,} kept, {self.new_count:,} new, {self.changed_count:,} changed"
        if self.base is not None and not (self.append and self._drops is None):
            gone = self.base.count - self.kept_count - self.changed_count
            told += f", {max(0, gone):,} gone"
        unread = self.kept_count + self.new_count + self.changed_count - count
        return told + f"; {unread:,} of these cannot be read" * (unread > 0)

    @property
    def old_count(self) -> int:
        """How many images the old set has."""
        return 0 if self.base is None else self.base.count

    def shares_images(self) -> bool:
        """Whether any image of the source is in the old set."""
        assert self.base is not None
        rows = _Rows(self.base, self.frame.base_paths)
        return any(rows.find(item) is not None for item in self.source)

    def paths_left(self) -> list[str]:
        """Absolute paths of the images of the old set that the source does not have."""
        assert self.base is not None
        rows = _Rows(self.base, self.frame.base_paths)
        for item in self.source:
            rows.find(item)
        return [self._absolute(self.frame.base_paths[row]) for row in rows.left()]

    def keeps_all(self) -> bool:
        """Whether the source has every image of the old set, unchanged."""
        assert self.base is not None
        rows = _Rows(self.base, self.frame.base_paths)
        found = ((rows.find(item), item) for item in self.source)
        current = {row for row, item in found if row is not None and rows.is_current(row, item)}
        return len(current) == self.base.count

    def _absolute(self, path: str) -> str:
        return path if self.root is None else joined(self.root, path)

    def _entries(self) -> Iterator[Part]:
        """Image by image, in the order of the new set; rows that an append keeps in runs."""
        self.kept_count = self.new_count = self.changed_count = 0
        rows = None if self.base is None else _Rows(self.base, self.frame.base_paths)
        changed: frozenset[int] = frozenset()
        if self.append and self.base is not None:
            changed, replaced = self._additions.changed, self._additions.replaced
            yield from self._additions.skipped
            self.kept_count = self.base.count - len(replaced)
            ends = [*replaced, self.base.count]
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
    def _additions(self) -> _Additions:
        assert self.base is not None
        rows = _Rows(self.base, self.frame.base_paths)
        skipped = dict(self._base_skipped())
        count = 0
        changed = set()
        for item in self.source:
            row = rows.find(item)
            if row is None:
                count += 1
                skipped.pop(item.path, None)
            elif not rows.is_current(row, item) or self._is_relabelled(row, item):
                count += 1
                changed.add(row)
        gone: frozenset[int] = frozenset()
        if (drops := self._drops) is not None:
            paths = self.frame.base_paths
            gone = frozenset(row for row in rows.left() if drops(self._absolute(paths[row])))
            for path in [path for path in skipped if drops(self._absolute(path))]:
                del skipped[path]
        return _Additions(count, frozenset(changed), gone, list(skipped.values()))

    def _is_relabelled(self, row: int, item: Item) -> bool:
        """Whether the source, which the set follows, has another label for a row."""
        labels = None if self.base is None or self._drops is None else self.base.labels
        if labels is None or item.labels is None:
            return False
        if labels.ndim == 1:
            return int(item.labels.argmax()) != int(labels[row])
        return not np.array_equal(labels[row], item.labels)

    def _base_skipped(self) -> Iterator[tuple[str, Skipped]]:
        assert self.base is not None
        for path, reason in self.base.skipped:
            if self.base.root_name not in (None, self.root):
                path = below(place(str(self.base.root_name), path), str(self.root))
            yield path, Skipped(path, reason)


def _is_archive(root: str) -> bool:
    return is_archive(root.split("?")[0]) and not os.path.isdir(root)  # noqa: PTH112


def steps_of(entries: Iterable[Part], position: int, batch_size: int) -> Iterator[Step]:
    """Entries of an update from the image `position` on, in steps as of Update.steps.

    New images come one by one.
    """
    parts: list[Part] = []
    new_count = kept_count = held = 0
    for entry in entries:
        if position >= len(entry):
            position -= len(entry)
            continue
        if position and isinstance(entry, Keep):
            entry = Keep(entry.start + position, entry.stop, entry.labels[position:])
            position = 0
        if isinstance(entry, New):
            new_count += 1
            held += sum(map(held_bytes, entry.items))
        elif isinstance(entry, Keep):
            kept_count += len(entry)
        if not (parts and parts[-1].extend(entry)):
            parts.append(entry)
        if new_count >= batch_size or kept_count >= _RUN or held >= MAX_HELD:
            yield _step(parts)
            parts, new_count, kept_count, held = [], 0, 0, 0
    if parts:
        yield _step(parts)


def _step(parts: Sequence[Part]) -> Step:
    items = [item for part in parts if isinstance(part, New) for item in part.items]
    return Step(items, parts)


class _Moved(Sequence[str]):
    """Paths that are relative to one folder or archive, made relative to another when used."""

    def __init__(self, paths: Sequence[str], root: str, base: str) -> None:
        self._paths, self._root, self._base = paths, root, base

    def __len__(self) -> int:
        return len(self._paths)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self._move(path) for path in self._paths[index]]
        return self._move(self._paths[index])

    def __iter__(self) -> Iterator[str]:
        return map(self._move, self._paths)

    def _move(self, path: str) -> str:
        return below(joined(self._root, path), self._base)


class _Rows:
    """The rows of a set by path: at once for the row after the last match, else by a table."""

    def __init__(self, base: CodeSet, paths: Sequence[str]) -> None:
        self._base = base
        self._paths = paths
        self._stat = base.stat
        self._is_matched = np.zeros(base.count, np.bool_)
        self._next = 0
        self._buffer: Sequence[str] = ()
        self._start = 0  # row of the first in the buffer

    def find(self, item: Item) -> int | None:
        if self._peek() != item.path:
            row = self._look_up(item)
            if row is None:
                return None
            self._next = row
        self._is_matched[self._next] = True
        self._next += 1
        return self._next - 1

    def is_current(self, row: int, item: Item) -> bool:
        if self._stat is None:
            return False
        now = item.place.stat()
        return now != GONE and now == tuple(self._stat[row].tolist())

    def left(self) -> list[int]:
        """The rows that no image was found for so far."""
        left: list[int] = np.flatnonzero(~self._is_matched).tolist()
        return left

    def _peek(self) -> str | None:
        if self._next >= self._base.count:
            return None
        if not self._start <= self._next < self._start + len(self._buffer):
            self._start = self._next
            self._buffer = self._paths[self._next : self._next + _BUFFER]
        return self._buffer[self._next - self._start]

    def _look_up(self, item: Item) -> int | None:
        """The row of an image. Of several with its path, which tars and lists may have: one that
        no image had yet, best one that is current; or else the first.
        """
        hashes, order = self._table
        value = hash(item.path)
        first, last = np.searchsorted(hashes, value), np.searchsorted(hashes, value, "right")
        rows = [row for row in order[first:last].tolist() if self._paths[row] == item.path]
        if len(rows) < 2:
            return rows[0] if rows else None
        free = [row for row in rows if not self._is_matched[row]]
        current = (row for row in free if self.is_current(row, item))
        row: int = next(current, (free or rows)[0])
        return row

    @cached_property
    def _table(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Hashes of the paths in ascending order, and their rows; 16 bytes a row."""
        hashes = np.fromiter(map(hash, self._paths), np.int64, self._base.count)
        order = np.argsort(hashes, kind="stable")
        return hashes[order], order
