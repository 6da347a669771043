"""The grouped index: every distinct code once, with the rows that have it.

A trained hash layer sends thousands of images to one code. Searching the distinct codes and
expanding them into rows then saves most of the work, and gives the same answers.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.hamming import plain
from bitcodes.hamming.finders import Ball, CodeFinder, Histograms, Keys, Lanes, Pairs, Progress
from bitcodes.hamming.index import Index
from bitcodes.hamming.scanner import Scanner

_PAIRS = 1 << 20
"""About how many pairs of rows are expanded at a time."""


class GroupedIndex(Index):
    """An index that keeps each distinct code once, with the rows that have it.

    `codes` (M, B) are the distinct codes in the order of their first rows, `starts` (M + 1,) and
    `rows` (N,) int64 the rows of each in order: code m is that of `rows[starts[m]:starts[m + 1]]`.
    `group` makes them.
    """

    def __init__(
        self,
        codes: NDArray[np.uint8],
        starts: NDArray[np.int64],
        rows: NDArray[np.int64],
        bits: int,
        threads: int | None = None,
    ) -> None:
        scanner = Scanner(codes, bits, threads)
        super().__init__(scanner, RowFinder(codes, starts, rows, scanner, scanner))
        self.distinct = codes
        self.starts = starts
        self.rows = rows

    def code_pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """`pairs` of distinct codes, by their numbers, instead of rows."""
        return self.scanner.pairs(radius, progress)


class RowFinder:
    """The rows of the distinct codes that `codes_finder` and, for counts and pairs, a scan find."""

    def __init__(
        self,
        codes: NDArray[np.uint8],
        starts: NDArray[np.int64],
        rows: NDArray[np.int64],
        finder: CodeFinder,
        scanner: Scanner,
    ) -> None:
        self._codes = codes
        self._starts = starts
        self._rows = rows
        self._finder = finder
        self._scanner = scanner

    def __len__(self) -> int:
        return len(self._rows)

    def compile(self) -> None:
        """See Index.compile."""
        self._finder.compile()

    @property
    def _all_distinct(self) -> bool:
        """Whether the number of a code is its row."""
        return len(self._rows) == len(self._codes)

    def pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """See Index.pairs."""
        # A row with the rows behind it in its group, and with all those of a near group.
        group = np.repeat(np.arange(len(self._codes)), np.diff(self._starts))
        behind = np.arange(1, len(self._rows) + 1)
        none = np.zeros(len(self._rows), np.int32)
        yield from self._expand(self._rows, behind, self._starts[group + 1], none)
        for first, second, distances in self._scanner.pairs(radius, progress):
            sizes = self._sizes(first)
            places = _ranges(self._starts[first], sizes)
            second, distances = np.repeat(second, sizes), np.repeat(distances, sizes)
            yield from self._expand(
                self._rows[places], self._starts[second], self._starts[second + 1], distances
            )

    def _expand(
        self,
        rows: NDArray[np.int64],
        starts: NDArray[np.int64],
        stops: NDArray[np.int64],
        distances: NDArray[np.int32],
    ) -> Iterator[Pairs]:
        """Each of `rows` with the rows at places `starts` to `stops`, in blocks."""
        sizes = stops - starts
        ends = np.cumsum(sizes)
        done = 0
        while done < len(rows):
            before = ends[done - 1] if done else 0
            until = max(int(np.searchsorted(ends, before + _PAIRS, "right")), done + 1)
            here = slice(done, until)
            one = np.repeat(rows[here], sizes[here])
            other = self._rows[_ranges(starts[here], sizes[here])]
            if len(one):
                yield Pairs(
                    np.minimum(one, other),
                    np.maximum(one, other),
                    np.repeat(distances[here], sizes[here]),
                )
            done = until

    def nearest(self, queries: Lanes, k: int, radius: int) -> Keys:
        """See plain.nearest."""
        # The k codes that come first by (distance, first row) hold the k first rows: a code behind
        # them has k rows before its own first one.
        keys = self._finder.nearest(queries, k, radius)
        if self._all_distinct:
            return keys
        for keys_of_query in keys:
            codes = keys_of_query[: np.searchsorted(keys_of_query, plain.MISSING)]
            if not len(codes):
                continue
            sizes = np.minimum(self._sizes(codes & plain.ROW), k)
            # As many codes as hold k rows, and the others at the distance of the last of them.
            last = codes[min(np.searchsorted(np.cumsum(sizes), k), len(codes) - 1)]
            codes = codes[: np.searchsorted(codes, last | plain.ROW, "right")]
            expanded = np.sort(self._rows_of(codes, sizes[: len(codes)]))[:k]
            keys_of_query[: len(expanded)] = expanded
        return keys

    def ball(self, queries: Lanes, radius: int) -> Ball:
        """See plain.ball."""
        offsets, codes = self._finder.ball(queries, radius)
        if self._all_distinct:
            return offsets, codes
        sizes = self._sizes(codes & plain.ROW)
        offsets = np.concatenate([[0], np.cumsum(sizes)])[offsets]
        keys = self._rows_of(codes, sizes)
        for query in range(len(offsets) - 1):
            keys[offsets[query] : offsets[query + 1]].sort()
        return offsets, keys

    def _sizes(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows have each of some distinct codes."""
        sizes: NDArray[np.int64] = self._starts[codes + 1] - self._starts[codes]
        return sizes

    def _rows_of(self, keys: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keys of the first `sizes` rows of each code, from keys of codes."""
        rows = self._rows[_ranges(self._starts[keys & plain.ROW], sizes)]
        expanded: NDArray[np.int64] = np.repeat(keys & ~plain.ROW, sizes) | rows
        return expanded

    def histograms(self, queries: Lanes) -> Histograms:
        """See plain.histograms."""
        return self._row_scanner().histograms(queries)

    def labelled_histograms(
        self, queries: Lanes, query_labels: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[Histograms, Histograms]:
        """See plain.labelled_histograms."""
        return self._row_scanner().labelled_histograms(queries, query_labels, labels[self._rows])

    def _row_scanner(self) -> Scanner:
        """A scanner with a code for each of `rows`, for counting."""
        codes = np.repeat(self._codes, np.diff(self._starts), axis=0)
        return Scanner(codes, self._scanner.bits, self._scanner.threads, self._scanner.work)


def group(codes: NDArray[np.uint8], bits: int, threads: int | None = None) -> GroupedIndex:
    """Build the grouped index of packed codes (N, B)."""
    order, starts, sizes = plain.equal_runs(to_lanes(codes, bits))
    count = len(codes)
    if len(starts) == count:
        return GroupedIndex(codes, np.arange(count + 1), np.arange(count), bits, threads)
    # The place of each code among all, by first row.
    first = order[starts]
    is_first = np.zeros(count, np.bool_)
    is_first[first] = True
    by_first_row = np.empty(len(first), np.int64)
    by_first_row[np.cumsum(is_first)[first] - 1] = np.arange(len(first))
    sizes = sizes[by_first_row]
    rows = order[_ranges(starts[by_first_row], sizes)]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return GroupedIndex(codes[rows[starts[:-1]]], starts, rows, bits, threads)


def extend_groups(
    index: GroupedIndex, added: NDArray[np.uint8], known: NDArray[np.int64]
) -> GroupedIndex:
    """The grouped index of the same codes and some more rows behind them, packed (A, B).

    `known` (A,) are the numbers that their codes have in the index, -1 where they are new.
    """
    first_row = len(index.rows)
    new = np.flatnonzero(known < 0)
    fresh = group(added[new], index.bits, index.threads)
    numbers = known.copy()
    numbers[new[fresh.rows]] = len(index.distinct) + np.repeat(
        np.arange(len(fresh.distinct)), np.diff(fresh.starts)
    )
    sizes = np.bincount(numbers, minlength=len(index.distinct) + len(fresh.distinct))
    old_sizes = np.diff(index.starts)
    sizes[: len(old_sizes)] += old_sizes
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    rows = np.empty(first_row + len(added), np.int64)
    rows[_ranges(starts[: len(old_sizes)], old_sizes)] = index.rows
    # The new rows of a code lie at the end of its group.
    order = np.argsort(numbers, kind="stable")
    added_sizes = np.bincount(numbers, minlength=len(sizes))
    rows[_ranges(starts[1:] - added_sizes, added_sizes)] = first_row + order
    distinct = np.concatenate([index.distinct, fresh.distinct])
    return GroupedIndex(distinct, starts, rows, index.bits, index.threads)


def _ranges(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """`starts[i], starts[i] + 1, ...`, `sizes[i]` of them, for each i, one after another."""
    ends = np.cumsum(sizes)
    ranges: NDArray[np.int64] = np.repeat(starts - (ends - sizes), sizes)
    ranges += np.arange(len(ranges))
    return ranges
