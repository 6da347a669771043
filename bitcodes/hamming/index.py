"""Exact search of binary codes by Hamming distance."""

from collections.abc import Iterator
from typing import overload

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming import plain
from bitcodes.hamming.grouped import Groups, group_rows
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.plain import Histograms, Labels, Pairs
from bitcodes.hamming.scanner import Scanner
from bitcodes.hamming.searchable import Searchable, Within, check_radius
from bitcodes.hamming.tables import TableSearch
from bitcodes.wording import counted


class Index(Searchable):
    """Exact top-k, radius and counting search over N codes of `bits` bits, 1 to 1024.

    The base of HammingIndex, GroupedIndex and MultiIndex, which give the same answers. `finder`,
    by default the scanner, finds codes; where there are `groups`, these turn codes into rows.
    Distances, and so a radius, are those of `measure`: Hamming distances, unless it is weighted.
    Answers do not depend on `threads`, and many threads may search one index at once.
    """

    def __init__(
        self, scanner: Scanner, groups: Groups | None = None, finder: TableSearch | None = None
    ) -> None:
        self.scanner = scanner
        self._groups = groups
        self._finder = finder or scanner
        self.threads = scanner.threads

    @property
    def measure(self) -> Measure:
        """How far apart two codes are."""
        return self.scanner.measure

    def __len__(self) -> int:
        return self.scanner.count if self._groups is None else len(self._groups.rows)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {counted(len(self), 'code')} of {counted(self.bits, 'bit')}>"
        )

    def _nearest(self, queries: NDArray[np.uint8], k: int, radius: int) -> plain.Keys:
        keys = self._finder.nearest(self.measure.lanes(queries), k, radius)
        return keys if self._groups is None else self._groups.expand_nearest(keys)

    def _ball(self, queries: NDArray[np.uint8], radius: int) -> plain.Ball:
        ball = self._finder.ball(self.measure.lanes(queries), radius)
        return ball if self._groups is None else self._groups.expand_ball(*ball)

    def pairs(self, radius: int, progress: Progress | None = None) -> Iterator[Pairs]:
        """Every pair of rows at distance <= `radius`, once, in blocks of bounded size.

        `progress` is called with how much of the work is done, and how much there is.
        """
        check_radius(radius)
        pairs = self.scanner.pairs(radius, progress)
        return pairs if self._groups is None else self._groups.expand_pairs(pairs)

    @overload
    def count(self, queries: NDArray[np.uint8]) -> Histograms: ...
    @overload
    def count(
        self, queries: NDArray[np.uint8], labels: Labels, query_labels: Labels
    ) -> tuple[Histograms, Histograms]: ...
    def count(
        self,
        queries: NDArray[np.uint8],
        labels: Labels | None = None,
        query_labels: Labels | None = None,
    ) -> Histograms | tuple[Histograms, Histograms]:
        """How many codes lie at each distance 0..D from each query: (Q, D + 1) int64.

        D is the largest distance, K unless distances are weighted. With `labels` (of the N codes)
        and `query_labels`, the pair (total, relevant) of such histograms. Integer labels (N,) and
        (Q,): relevant means equal. 0/1 labels (N, C) and (Q, C): relevant means that at least one
        label is shared.
        """
        query_lanes = self.measure.lanes(queries)
        if (labels is None) != (query_labels is None):
            raise ValueError("labels and query_labels go together")
        if labels is not None and query_labels is not None:
            self._check_labels(labels, query_labels, len(queries))
        scanner = self.scanner
        if self._groups is not None:  # a code for each row
            codes = np.repeat(self._groups.codes, np.diff(self._groups.starts), axis=0)
            scanner = Scanner(codes, self.measure, self.threads, scanner.work)
            labels = None if labels is None else labels[self._groups.rows]
        total, relevant = scanner.histograms(query_lanes, query_labels, labels)
        return total if labels is None else (total, relevant)

    def compile(self) -> None:
        """Use the compiled kernels from now on; compile or load those of `search` at once.

        Otherwise an index uses NumPy until its searches add up to PLAIN_LIMIT distances: a small
        search does not wait for a compiler, and many of them are fast.
        """
        self._finder.compile()

    def _check_labels(self, labels: Labels, query_labels: Labels, queries: int) -> None:
        fits = labels.ndim in (1, 2) and len(labels) == len(self)
        if not fits or query_labels.shape != (queries, *labels.shape[1:]):
            raise CodeSetError(
                f"labels of shape {labels.shape} and query labels of shape {query_labels.shape}: "
                f"expected ({len(self)},) and ({queries},), "
                f"or ({len(self)}, C) and ({queries}, C)"
            )


class HammingIndex(Index):
    """An index that compares queries with every code.

    `codes` is a code set, or packed codes (N, ceil(bits / 8)) uint8, memory-mapped or not, with
    `bits` (default: all of the bytes). They are copied once into lanes, uint64 (W, N). `threads`
    defaults to all cores, `measure` to the Hamming distance. Raises CodeSetError for codes of a
    wrong shape, dtype or padding.
    """

    def __init__(
        self,
        codes: CodeSet | NDArray[np.uint8],
        bits: int | None = None,
        threads: int | None = None,
        measure: Measure | None = None,
    ) -> None:
        if isinstance(codes, np.ndarray):
            packed, bits = codes, 8 * codes.shape[-1] if bits is None else bits
        elif bits in (None, codes.bits):
            packed, bits = codes.codes, codes.bits
        else:
            raise CodeSetError(f"bits={bits}: the code set has {codes.bits} bits")
        super().__init__(Scanner(packed, _measure(measure, bits), threads))
        self.scanner.make_lanes()
        self.fingerprint = None if isinstance(codes, np.ndarray) else codes.fingerprint


class GroupedIndex(Index):
    """An index that keeps each code once, `distinct` (M, B), with the rows that have it."""

    def __init__(
        self,
        groups: Groups,
        bits: int,
        threads: int | None = None,
        measure: Measure | None = None,
    ) -> None:
        super().__init__(Scanner(groups.codes, _measure(measure, bits), threads), groups)
        self.groups = groups
        self.distinct = groups.codes


def group(codes: NDArray[np.uint8], bits: int, threads: int | None = None) -> GroupedIndex:
    """Build the grouped index of packed codes (N, B)."""
    return GroupedIndex(group_rows(codes, bits), bits, threads)


def to_ragged(distances: NDArray[np.int32], rows: NDArray[np.int64]) -> Within:
    """Results of `search`, both (Q, k), in the form of `within`: without the -1 of missing ones."""
    there = rows >= 0
    offsets = plain.offsets_of(there.sum(axis=1))
    return Within(offsets, distances[there], rows[there], np.zeros(len(rows), np.bool_))


def _measure(measure: Measure | None, bits: int) -> Measure:
    """The measure of an index of codes of `bits` bits; None is the Hamming distance."""
    if measure is not None and measure.bits != bits:
        raise CodeSetError(f"a measure of {measure.bits} bits for codes of {bits} bits")
    return measure or Measure(bits)
