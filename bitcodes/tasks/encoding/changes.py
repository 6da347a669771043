"""What has changed from one version of a code set to the next, for systems that follow it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.paths import escape
from bitcodes.files import atomic_write, check_replaceable

Rows = NDArray[np.int64]

_ODD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Changes:
    """Rows that differ between two versions of a set; a path tells which rows are of one image."""

    before: CodeSet | None
    after: CodeSet
    new: Rows
    """Rows of `after` whose paths `before` does not have."""
    changed: Rows
    """Rows of `after` with another code, or of another version of the file."""
    gone: Rows
    """Rows of `before` whose paths `after` does not have."""

    @property
    def kept(self) -> int:
        """How many rows are as they were."""
        return self.after.count - len(self.new) - len(self.changed)

    def write(self, file: Path) -> None:
        """Write a JSON line for each change, first those that are gone.

        It has what changed, the row, the path (escaped as in codes.paths.txt) and the code in hex.
        Raises BitcodesError for a file that holds something else.
        """
        check_changes_file(file)
        with atomic_write(file, "w") as out:
            out.writelines(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        kinds = (("gone", self.before, self.gone), ("new", self.after, self.new))
        for kind, code_set, rows in (*kinds, ("changed", self.after, self.changed)):
            if code_set is None:
                continue
            for row in rows.tolist():
                fields = {"change": kind, "row": row, "path": escape(code_set.paths[row])}
                if kind != "gone":
                    fields["code"] = code_set.codes[row].tobytes().hex()
                yield json.dumps(fields, ensure_ascii=False)


def check_changes_file(file: Path) -> None:
    """Raise BitcodesError unless changes may be written to `file`."""
    check_replaceable(file, "list of changes", b'{"change": ', within=20)


def changes_between(before: CodeSet | None, after: CodeSet) -> Changes:
    """Compare two versions of a set by path; without one before, all rows are new.

    Of several rows with one path, the first is compared with the first, and so on. Takes about 60
    bytes a row.
    """
    none = np.empty(0, np.int64)
    if before is None:
        return Changes(None, after, np.arange(after.count), none, none)
    old, new = _keys(before), _keys(after)
    order = np.argsort(old)
    places = np.searchsorted(old, new, sorter=order)
    partner = order[np.minimum(places, len(order) - 1)] if len(order) else np.zeros(0, np.int64)
    is_known = old[partner] == new if len(order) else np.zeros(len(new), np.bool_)
    rows = np.flatnonzero(is_known)
    is_same = _are_same(before, after, partner[rows] if len(order) else none, rows)
    return Changes(
        before, after, np.flatnonzero(~is_known), rows[~is_same], np.flatnonzero(~np.isin(old, new))
    )


def _keys(code_set: CodeSet) -> NDArray[np.uint64]:
    """A number for each row, from the hash of its path and how often the path came before."""
    hashes = np.fromiter(map(hash, code_set.paths), np.int64, code_set.count).view(np.uint64)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    positions = np.arange(len(order))
    is_first = np.ones(len(order), np.bool_)
    is_first[1:] = ordered[1:] != ordered[:-1]
    times = np.empty(len(order), np.uint64)
    times[order] = positions - np.maximum.accumulate(np.where(is_first, positions, 0))
    return hashes + times * _ODD


def _are_same(before: CodeSet, after: CodeSet, old: Rows, new: Rows) -> NDArray[np.bool_]:
    """Whether rows have the same codes, and are of the same version of their files."""
    if before.bits != after.bits or before.fingerprint != after.fingerprint:
        return np.zeros(len(new), np.bool_)
    is_same = (before.codes[old] == after.codes[new]).all(axis=1)
    if before.stat is not None and after.stat is not None:
        is_same &= (before.stat[old] == after.stat[new]).all(axis=1)
    return np.asarray(is_same)
