"""The functions of plain.py on the compiled kernels, with threads over chunks of the codes.

Each takes the arguments of its twin in plain.py, then `threads`; see scanner.py.

Importing this module loads numba; the first use of a kernel compiles it, unless an earlier process
on this machine did (numba keeps it in __pycache__, or in the user's cache folder).
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, cast

import numpy as np
from numba.core import event
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_bits, to_lanes
from bitcodes.hamming import compile_callbacks, kernels
from bitcodes.hamming.kernels import count as counting
from bitcodes.hamming.kernels import scan, sliced
from bitcodes.hamming.kernels.planes import ALIGNMENT, BLOCK, TABLE_ROWS, WORDS
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.plain import MISSING, Histograms, Keys, Labels, Lanes, Piece
from bitcodes.hamming.threads import THREADED_FROM, in_company, in_order, starts_at_once

_SLICED_FROM = 10
"""Queries from which turning blocks on their side pays."""

_FEW_CODES = 1 << 21
"""Codes up to which threads take some of many queries each, instead of some of the codes."""

_QUERIES = 32
"""Queries that are worth a thread of their own, which slices all codes for itself."""

_KEYS = 1 << 20
"""Candidate keys held at a time, all threads together (8 MB); more only where k alone is more."""

_CHUNK = 1 << 20
"""Comparisons of words that are worth handing to a thread."""

_PIECE = 1 << 20
"""Keys after which a search by radius hands over what it has."""

_SLICED_COUNT_UP_TO = 128
"""Largest distance that is counted on bit planes: more distances take long to compile."""

_SLICED_COUNT_BLOCKS = 16
"""Blocks whose tables are held at a time for counting: about what a second-level cache holds."""

_COUNT_CHUNK = 1 << 18
"""Codes that are sorted by class at a time for counting."""

_Counter = Callable[[slice, Histograms, Histograms], None]
"""Adds the histograms of some queries to those of others and of relevant codes, (q, K + 1)."""


def nearest(
    queries: Lanes, lanes: Lanes, k: int, radius: int, measure: Measure, threads: int
) -> Keys:
    """See plain.nearest."""
    keys = np.full((queries.shape[1], k), MISSING, np.int64)
    k = min(k, lanes.shape[1])
    if not k:
        return keys
    room = k + max(k // 2, 64)  # cutting back is a pass over the keys: not too often
    memory = max(room, measure.largest // 2)  # the larger of keys and histogram, in keys
    step = max(1, _KEYS // (memory * threads))
    for start in range(0, len(keys), step):
        some = slice(start, start + step)
        keys[some, :k] = _nearest(queries[:, some], lanes, k, room, radius, measure, threads)
    return keys


def _nearest(
    queries: Lanes, lanes: Lanes, k: int, room: int, radius: int, measure: Measure, threads: int
) -> Keys:
    """`nearest` for as many queries as there is memory for the candidates of."""
    query_count, code_count = queries.shape[1], lanes.shape[1]
    lock = threading.Lock()

    def search(some: Lanes, chunks: Iterable[tuple[int, int]], best: NDArray[np.int64]) -> Keys:
        scan = _Scan(some, lanes, measure, room, k, radius)
        for start, stop in chunks:
            scan.run(start, stop)
            with lock:
                scan.share(best)
        return scan.nearest()

    def search_alone(some: Lanes) -> Keys:
        return search(
            some, [(0, code_count)], np.full(some.shape[1], measure.largest + 1, np.int64)
        )

    if threads == 1 or query_count * lanes.size < THREADED_FROM:
        if query_count < _SLICED_FROM:
            bounded = min(radius, measure.largest)
            few = lanes, _rows(queries), k, bounded, room, measure.terms
            return cast(Keys, scan.nearest_of_few(*few))
        return search_alone(queries)
    if query_count >= _QUERIES * threads and code_count <= _FEW_CODES:
        # Several parts a thread where that costs little: cores are not equally fast.
        shares = threads * min(4, query_count // (_QUERIES * threads))
        parts = np.array_split(queries, shares, axis=1)
        return np.concatenate(list(in_order(search_alone, parts, threads)))

    # Few queries: the threads take turns at the codes, and tell each other their bounds.
    chunks = _chunks(0, code_count, query_count * len(lanes), threads)
    work = iter(chunks)
    best = np.full(query_count, measure.largest + 1, np.int64)  # the least bound of any thread
    try:
        keys = in_company(lambda: search(queries, work, best), min(threads, len(chunks)))
    finally:
        chunks.clear()  # when interrupted, do no more than the chunks under way
    return np.sort(np.concatenate(keys, axis=1))[:, :k]


@starts_at_once
def near_pieces(
    queries: Lanes, lanes: Lanes, radius: int, start: int, measure: Measure, threads: int
) -> Iterator[Piece]:
    """See plain.near_pieces; for few queries.

    A piece is about a million keys at most, and few are waiting, whatever the number of results.
    Pieces and their order do not depend on timing.
    """

    def search(chunk: tuple[int, int]) -> tuple[list[Piece], int]:
        start, stop = chunk
        scan = _Scan(queries, lanes, measure, 4 * BLOCK, 0, radius)
        pieces, size = [], 0
        while start < stop and size < _PIECE:
            start = scan.run(start, stop)
            pieces.append(scan.drain())
            size += len(pieces[-1][0])
        return pieces, start

    chunks = _chunks(start, lanes.shape[1], queries.size, threads)
    results = in_order(search, chunks, threads)
    for (pieces, place), (_, stop) in zip(results, chunks, strict=True):
        yield from pieces
        while place < stop:
            more, place = search((place, stop))
            yield from more


def histograms(
    queries: Lanes,
    lanes: Lanes,
    measure: Measure,
    query_labels: Labels | None,
    labels: Labels | None,
    threads: int,
) -> tuple[Histograms, Histograms]:
    """See plain.histograms."""
    counts = np.zeros(
        (2, queries.shape[1], measure.largest + 1), np.int64
    )  # of others and relevant codes
    if query_labels is None or labels is None:
        none = np.zeros((2, queries.shape[1]), np.int64)
        _count(_ranges(queries, lanes, none, measure), counts, threads)
        return counts[0], counts[1]
    for start in range(0, lanes.shape[1], _COUNT_CHUNK):
        chunk = lanes[:, start : start + _COUNT_CHUNK]
        some = labels[start : start + _COUNT_CHUNK]
        if labels.ndim == 1:
            order = np.argsort(some, kind="stable")
            ends = [np.searchsorted(some[order], query_labels, side) for side in ("left", "right")]
            ordered = np.take(chunk, order, axis=1)
            counter = _ranges(queries, ordered, np.stack(ends), measure)
        else:
            chunk = np.ascontiguousarray(chunk)
            counter = _shared(queries, chunk, query_labels, some, measure)
        _count(counter, counts, threads)
    return counts.sum(axis=0), counts[1]


def _count(counter: _Counter, counts: Histograms, threads: int) -> None:
    """Add to counts (2, Q, D + 1), the queries shared out among threads."""
    queries = counts.shape[1]
    size = min(256, -(-queries // (4 * threads))) or 1
    batches = [slice(start, start + size) for start in range(0, queries, size)]
    deque(in_order(lambda some: counter(some, *counts[:, some]), batches, threads), maxlen=0)


def _ranges(queries: Lanes, lanes: Lanes, ends: NDArray[np.int64], measure: Measure) -> _Counter:
    """Counts codes; those from `ends[0]` to `ends[1]`, (2, Q), are relevant."""
    places, parts = _places(measure), _parts(measure)
    groups = len(places) // 3
    rows = 1 + sum(-(-bits // 3) * 3 << shift for bits, shift in measure.parts)

    def count(some: slice, others: Histograms, relevant: Histograms) -> None:
        first, last = np.ascontiguousarray(ends[:, some])
        if measure.largest > _SLICED_COUNT_UP_TO:
            arguments = _rows(queries[:, some]), first, last, others, relevant, measure.terms
            counting.count_ranges(lanes, *arguments)
            return
        counting.count_ranges_sliced(
            *(lanes, first, last, others, relevant),
            *(_patterns(queries[:, some], places), places),
            _aligned_zeros(64 * len(lanes) + 1, WORDS),
            _aligned_zeros(_SLICED_COUNT_BLOCKS * groups, TABLE_ROWS, WORDS),
            _aligned_zeros(2 * rows, WORDS),
            parts,
        )

    return count


def _shared(
    queries: Lanes, lanes: Lanes, query_labels: Labels, labels: Labels, measure: Measure
) -> _Counter:
    """Counts codes; those that share a label with the query, (N, C) and (Q, C), are relevant."""
    rows, terms = _rows(queries), measure.terms
    masks = to_lanes(pack_bits(labels != 0), labels.shape[1])  # (V, N)
    query_masks = _rows(to_lanes(pack_bits(query_labels != 0), labels.shape[1]))  # (Q, V)
    label_words = (0,) * len(masks)

    def count(some: slice, others: Histograms, relevant: Histograms) -> None:
        arguments = masks, query_masks[some], others, relevant, terms, label_words
        counting.count_shared(lanes, rows[some], *arguments)

    return count


class _Scan:
    """What one thread knows while it searches: bounds and candidates of some queries."""

    def __init__(
        self, queries: Lanes, lanes: Lanes, measure: Measure, room: int, k: int, radius: int
    ) -> None:
        count = queries.shape[1]
        self._k = k
        self._candidates = scan.Candidates(
            bounds=np.full(count, min(radius, measure.largest) + 1, np.int64),
            keys=np.empty((count, room), np.int64),
            counts=np.zeros(count, np.int64),
            nearer=np.zeros(count, np.int64),
            histograms=np.zeros((count if k else 0, measure.largest + 1), np.int32),
            spans=np.zeros((count if k else 0, measure.largest // scan.SPAN + 1), np.int32),
        )
        arguments: list[Any] = [_rows(queries), self._candidates, k, measure.terms]
        if count < _SLICED_FROM:
            self._scan: Callable[..., int] = scan.scan
        else:
            self._scan = sliced.scan_sliced
            arguments.append(_sliced_arguments(queries, measure))
        self._lanes, self._arguments = lanes, arguments

    def run(self, start: int, stop: int) -> int:
        """Scan the codes `start` to `stop`; the row to go on from after a `drain`."""
        return self._scan(self._lanes, start, stop, *self._arguments)

    def share(self, best: NDArray[np.int64]) -> None:
        """Lower the bounds by those of other threads, `best` (Q,), and these by the own ones."""
        scan.share_bounds(self._candidates, best)

    def nearest(self) -> NDArray[np.int64]:
        """The k least keys of each query, sorted, MISSING behind them."""
        return cast(Keys, scan.sort_nearest(self._candidates, self._k))

    def drain(self) -> Piece:
        """Hand over all candidates, in the order of queries, then rows."""
        query = np.flatnonzero(self._candidates.counts)
        counts = self._candidates.counts[query]
        width = counts.max(initial=0)
        keys = self._candidates.keys[query, :width][np.arange(width) < counts[:, None]]
        self._candidates.counts[:] = 0
        return np.repeat(query, counts), keys


def _sliced_arguments(queries: Lanes, measure: Measure) -> tuple[Any, ...]:
    """What scan_sliced needs beside what scan needs; see there."""
    places = _places(measure)
    columns = max(1, (measure.largest - 1).bit_length())
    return (
        *(places, _patterns(queries, places)),
        _aligned_zeros(64 * len(queries) + 1, WORDS),
        _aligned_zeros(len(places) // 3, TABLE_ROWS, WORDS),
        *(_parts(measure), (0,) * columns),
    )


def _parts(measure: Measure) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]:
    """For each part of a code two tuples, for their lengths.

    The first is as long as the sums and carries to add are many: two a group, but a lone bit has no
    carry. The second is as long as the logarithm of the part's weight.
    """
    return tuple(
        ((0,) * (2 * (bits // 3) + bits % 3), (0,) * shift) for bits, shift in measure.parts
    )


def _patterns(queries: Lanes, places: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Which row of each table a query takes, in bytes: (Q, G); see write_table."""
    bit = np.zeros((len(places), queries.shape[1]), np.uint16)
    is_bit = places < 64 * len(queries)
    shifts = (places[is_bit, None] % 64).astype(np.uint64)
    bit[is_bit] = queries[places[is_bit] // 64] >> shifts & np.uint64(1)
    parity = bit[0::3] ^ bit[1::3] ^ bit[2::3]
    row = parity + 2 * bit[1::3] + 4 * bit[2::3]  # (G, Q)
    return _rows(row * np.uint16(8 * WORDS))


@cache
def _places(measure: Measure) -> NDArray[np.int64]:
    """The planes of each part, and behind them the zero plane, up to a multiple of 3."""
    zero = 64 * measure.lane_count
    padded = [(places, np.full(-len(places) % 3, zero)) for places in measure.places]
    return np.concatenate([array for pair in padded for array in pair])


def _aligned_zeros(*shape: int) -> Lanes:
    size = int(np.prod(shape)) * 8
    memory = np.zeros(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size].view(np.uint64).reshape(shape)


def _rows(lanes: NDArray[Any]) -> NDArray[Any]:
    """(W, Q) as (Q, W), C-contiguous."""
    return np.ascontiguousarray(lanes.T)


def _chunks(start: int, stop: int, words: int, threads: int) -> list[tuple[int, int]]:
    """Rows `start` to `stop` in pieces of whole blocks: some a thread, none of little work.

    `words` are those that a row is compared in, of all queries.
    """
    size = max(_CHUNK // max(words, 1), -(-(stop - start) // (8 * threads)), 1)
    size = -(-size // BLOCK) * BLOCK
    return [(first, min(first + size, stop)) for first in range(start, stop, size)]


class _Announcer(event.Listener):
    """Tells the callbacks of `on_compile` when numba is about to compile one of the kernels."""

    def on_start(self, event: Any) -> None:
        if event.data["dispatcher"].py_func.__module__.startswith(f"{kernels.__name__}."):
            while compile_callbacks:
                compile_callbacks.pop()()

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _Announcer())  # type: ignore[no-untyped-call]
