"""Groups of rows with the same code: every distinct code once, with the rows that have it.

A trained hash layer sends thousands of images to one code. Searching the distinct codes and
expanding them into rows then saves most of the work, and gives the same answers.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.hamming import plain
from bitcodes.hamming.plain import Ball, Keys, Pairs, offsets_of

_ROWS = 1 << 20
"""About how many rows are expanded at a time."""


class Groups(NamedTuple):
    """The M distinct codes of N rows; `group_rows` makes them."""

    codes: NDArray[np.uint8]
    """(M, B) in the order of their first rows."""
    starts: NDArray[np.int64]
    """(M + 1,) code m is that of `rows[starts[m]:starts[m + 1]]`."""
    rows: NDArray[np.int64]
    """(N,) the rows of each code in order."""

    @property
    def all_distinct(self) -> bool:
        """Whether the number of a code is its row."""
        return len(self.rows) == len(self.codes)

    def sizes(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows have each of some codes, given by their numbers."""
        return np.asarray(self.starts[codes + 1] - self.starts[codes])

    def expand_nearest(self, keys: Keys) -> Keys:
        """The keys (Q, k) of the nearest rows, from those of the nearest codes; changes `keys`."""
        # The k codes that come first by (distance, first row) hold the k first rows: a code behind
        # them has k rows before its own first one.
        if self.all_distinct:
            return keys
        k = keys.shape[1]
        is_code = keys != plain.MISSING
        sizes = np.zeros_like(keys)
        sizes[is_code] = np.minimum(self.sizes(keys[is_code] & plain.ROW), k)
        # As many codes as hold k rows, and the others at the distance of the last of them.
        held = np.cumsum(sizes, axis=1) >= k
        last = np.where(held[:, -1], held.argmax(axis=1), k - 1)
        taken = is_code & (keys <= (keys[np.arange(len(keys)), last] | plain.ROW)[:, None])
        sizes[~taken] = 0
        for here in _blocks(np.cumsum(sizes.sum(axis=1))):
            rows = self._rows_of(keys[here][taken[here]], sizes[here][taken[here]])
            start = 0
            for keys_of_query, size in zip(keys[here], sizes[here].sum(axis=1), strict=True):
                expanded = np.sort(rows[start : start + size])[:k]
                keys_of_query[: len(expanded)] = expanded
                start += size
        return keys

    def expand_ball(self, offsets: NDArray[np.int64], keys: Keys) -> Ball:
        """Sorted keys of rows from those of codes, both ragged."""
        if self.all_distinct:
            return offsets, keys
        sizes = self.sizes(keys & plain.ROW)
        offsets = offsets_of(sizes)[offsets]
        keys = self._rows_of(keys, sizes)
        for query in range(len(offsets) - 1):
            keys[offsets[query] : offsets[query + 1]].sort()
        return offsets, keys

    def _rows_of(self, keys: Keys, sizes: NDArray[np.int64]) -> Keys:
        """Keys of the first `sizes` rows of each code, from keys of codes."""
        rows = self.rows[ranges(self.starts[keys & plain.ROW], sizes)]
        return np.repeat(keys & ~plain.ROW, sizes) | rows

    def expand_pairs(self, pairs: Iterable[Pairs]) -> Iterator[Pairs]:
        """Pairs of rows from those of codes, and those of equal rows before them."""
        # A row with the rows behind it in its group, and with all those of a near group.
        stops = np.repeat(self.starts[1:], np.diff(self.starts))
        none = np.zeros(len(self.rows), np.int32)
        yield from self._expand(self.rows, np.arange(1, len(self.rows) + 1), stops, none)
        for first, second, distances in pairs:
            sizes = self.sizes(first)
            places = ranges(self.starts[first], sizes)
            second, distances = np.repeat(second, sizes), np.repeat(distances, sizes)
            starts, stops = self.starts[second], self.starts[second + 1]
            yield from self._expand(self.rows[places], starts, stops, distances)

    def _expand(
        self,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        distances: NDArray[np.int32],
    ) -> Iterator[Pairs]:
        """Each of `rows` with the rows at places `starts` to `stops`, in blocks."""
        sizes = stops - starts
        for here in _blocks(np.cumsum(sizes)):
            one = np.repeat(rows[here], sizes[here])
            other = self.rows[ranges(starts[here], sizes[here])]
            if len(one):
                ordered = np.minimum(one, other), np.maximum(one, other)
                yield Pairs(*ordered, np.repeat(distances[here], sizes[here]))


def group_rows(codes: NDArray[np.uint8], bits: int) -> Groups:
    """Group the rows of packed codes (N, B). CodeSetError for a wrong shape, dtype or padding."""
    order, starts, sizes = plain.equal_runs(to_lanes(codes, bits))
    count = len(codes)
    if len(starts) == count:
        return Groups(codes, np.arange(count + 1), np.arange(count))
    numbers = np.full(count, -1)
    numbers[order[starts]] = np.arange(len(starts))
    by_first_row = numbers[numbers >= 0]
    sizes = sizes[by_first_row]
    rows = order[ranges(starts[by_first_row], sizes)]
    starts = offsets_of(sizes)
    return Groups(codes[rows[starts[:-1]]], starts, rows)


def extend_groups(
    groups: Groups, added: NDArray[np.uint8], bits: int, known: NDArray[np.int64]
) -> Groups:
    """The groups of the same rows and some more behind them, packed (A, B).

    `known` (A,) are the numbers that their codes have already, -1 where they are new.
    """
    count, first_row = len(groups.codes), len(groups.rows)
    new = np.flatnonzero(known < 0)
    fresh = group_rows(added[new], bits)
    numbers = known.copy()
    numbers[new[fresh.rows]] = count + np.repeat(np.arange(len(fresh.codes)), np.diff(fresh.starts))
    old_sizes = np.diff(groups.starts)
    added_sizes = np.bincount(numbers, minlength=count + len(fresh.codes))
    sizes = added_sizes.copy()
    sizes[:count] += old_sizes
    starts = offsets_of(sizes)
    rows = np.empty(first_row + len(added), np.int64)
    rows[ranges(starts[:count], old_sizes)] = groups.rows
    # The new rows of a code lie at the end of its group.
    order = np.argsort(numbers, kind="stable")
    rows[ranges(starts[1:] - added_sizes, added_sizes)] = first_row + order
    return Groups(np.concatenate([groups.codes, fresh.codes]), starts, rows)


def _blocks(ends: NDArray[np.int64]) -> Iterator[slice]:
    """Items that expand to about `_ROWS` rows together; `ends` (N,) are the sums of theirs."""
    done = 0
    while done < len(ends):
        before = ends[done - 1] if done else 0
        until = max(int(np.searchsorted(ends, before + _ROWS, "right")), done + 1)
        yield slice(done, until)
        done = until


def ranges(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """`starts[i], starts[i] + 1, ...`, `sizes[i]` of them, for each i, one after another."""
    ends = np.cumsum(sizes)
    ranges: NDArray[np.int64] = np.repeat(starts - (ends - sizes), sizes)
    ranges += np.arange(len(ranges))
    return ranges
