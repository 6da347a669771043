"""The grouped index: every distinct code once, with the rows that have it; and its files.

A trained hash layer sends thousands of images to one code. Searching the distinct codes and
expanding them into rows then saves most of the work, and gives the same answers.
"""

import json
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import to_lanes
from bitcodes.errors import CodeSetError
from bitcodes.files import fsync_dir, write_json_atomic
from bitcodes.hamming import plain
from bitcodes.hamming.index import HammingIndex, Pairs

if TYPE_CHECKING:
    from bitcodes.codes.codeset import CodeSet

FORMAT = "bitcodes-index/1"
_HEADER = "index.json"

_ROW = (1 << plain.ROW_BITS) - 1

_PAIRS = 1 << 20
"""About how many pairs of rows are expanded at a time."""


class GroupedIndex(HammingIndex):
    """A HammingIndex that keeps each distinct code once, with the rows that have it.

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
        super().__init__(codes, bits, threads)
        self.distinct = codes
        self.starts = starts
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def code_pairs(
        self, radius: int, progress: Callable[[int, int | None], None] | None = None
    ) -> Iterator[Pairs]:
        """`pairs` of distinct codes, by their numbers, instead of rows."""
        return super().pairs(radius, progress)

    def pairs(
        self, radius: int, progress: Callable[[int, int | None], None] | None = None
    ) -> Iterator[Pairs]:
        """See HammingIndex.pairs."""
        # A row with the rows behind it in its group, and with all those of a near group.
        group = np.repeat(np.arange(len(self.distinct)), np.diff(self.starts))
        behind = np.arange(1, len(self.rows) + 1)
        none = np.zeros(len(self.rows), np.int32)
        yield from self._expand(self.rows, behind, self.starts[group + 1], none)
        for first, second, distances in self.code_pairs(radius, progress):
            sizes = self._sizes(first)
            places = _ranges(self.starts[first], sizes)
            second, distances = np.repeat(second, sizes), np.repeat(distances, sizes)
            yield from self._expand(
                self.rows[places], self.starts[second], self.starts[second + 1], distances
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
            other = self.rows[_ranges(starts[here], sizes[here])]
            if len(one):
                yield Pairs(
                    np.minimum(one, other),
                    np.maximum(one, other),
                    np.repeat(distances[here], sizes[here]),
                )
            done = until

    def _nearest(self, query_lanes: NDArray[np.uint64], k: int, radius: int) -> NDArray[np.int64]:
        # The k codes that come first by (distance, first row) hold the k first rows: a code behind
        # them has k rows before its own first one.
        keys = super()._nearest(query_lanes, k, radius)  # (Q, k) of codes
        for found in keys:
            codes = found[: np.searchsorted(found, plain.MISSING)]
            if not len(codes):
                continue
            taken = np.minimum(self._sizes(codes & _ROW), k)
            # As many codes as hold k rows, and the others at the distance of the last of them.
            last = codes[min(np.searchsorted(np.cumsum(taken), k), len(codes) - 1)]
            codes = codes[: np.searchsorted(codes, last | _ROW, "right")]
            expanded = np.sort(self._rows_of(codes, taken[: len(codes)]))[:k]
            found[: len(expanded)] = expanded
        return keys

    def _ball(
        self, query_lanes: NDArray[np.uint64], radius: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        offsets, codes = super()._ball(query_lanes, radius)
        sizes = self._sizes(codes & _ROW)
        offsets = np.concatenate([[0], np.cumsum(sizes)])[offsets]
        keys = self._rows_of(codes, sizes)
        for query in range(len(offsets) - 1):
            keys[offsets[query] : offsets[query + 1]].sort()
        return offsets, keys

    def _sizes(self, codes: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many rows have each of some distinct codes."""
        sizes: NDArray[np.int64] = self.starts[codes + 1] - self.starts[codes]
        return sizes

    def _rows_of(self, keys: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Keys of the first `sizes` rows of each code, from keys of codes."""
        rows = self.rows[_ranges(self.starts[keys & _ROW], sizes)]
        expanded: NDArray[np.int64] = np.repeat(keys & ~_ROW, sizes) | rows
        return expanded

    def _histograms(self, query_lanes: NDArray[np.uint64]) -> NDArray[np.int64]:
        return self._by_row()._histograms(query_lanes)

    def _labelled_histograms(
        self, query_lanes: NDArray[np.uint64], query_labels: NDArray[Any], labels: NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return self._by_row()._labelled_histograms(query_lanes, query_labels, labels[self.rows])

    def _by_row(self) -> HammingIndex:
        """An index with a code for each of `rows`, for counting."""
        codes = np.repeat(self.distinct, np.diff(self.starts), axis=0)
        index = HammingIndex(codes, self.bits, self.threads)
        index._asked = self._asked
        return index


def group(codes: NDArray[np.uint8], bits: int, threads: int | None = None) -> GroupedIndex:
    """Build the grouped index of packed codes (N, B)."""
    order, starts, sizes = plain.equal_runs(to_lanes(codes, bits))
    by_first_row = np.argsort(order[starts])
    rows = order[_ranges(starts[by_first_row], sizes[by_first_row])]
    starts = np.concatenate([[0], np.cumsum(sizes[by_first_row])]).astype(np.int64)
    return GroupedIndex(codes[rows[starts[:-1]]], starts, rows, bits, threads)


# --- files ----------------------------------------------------------------------------------------


def index_path(codes: Path) -> Path:
    """The folder that holds the grouped index of the code set stored at `codes`."""
    return codes.with_suffix(".index")


def save_index(index: GroupedIndex, code_set: "CodeSet") -> Path:
    """Store the index of a stored code set beside it, replacing another; return the folder."""
    if code_set.path is None:
        raise CodeSetError(
            "only the index of a code set that is stored can be saved; save it first"
        )
    folder = index_path(code_set.path)
    if folder.exists() and not (folder / _HEADER).exists():
        raise CodeSetError(f"{folder} is in the way and no index: rename it, the index goes there")
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        arrays: dict[str, NDArray[Any]] = {
            "codes": index.distinct,
            "starts": index.starts,
            "rows": index.rows,
        }
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array)
        header = {
            "format": FORMAT,
            "bits": index.bits,
            "count": len(index),
            "distinct": len(index.distinct),
            "of": _checksum_of(code_set),
            "files": {name: _checksum(staging / f"{name}.npy") for name in arrays},
        }
        write_json_atomic(staging / _HEADER, header)
        staging.chmod(0o755)
        if folder.exists():
            # Between the two renames there is no index, and a search scans the rows.
            old = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            folder.rename(old / "old")
            staging.rename(folder)
            shutil.rmtree(old)
        else:
            staging.rename(folder)
        fsync_dir(folder.parent)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def load_index(code_set: "CodeSet", threads: int | None = None) -> GroupedIndex | None:
    """The saved index of a code set, its files mapped; None where there is none.

    Raises CodeSetError where it is of another version of the codes, or damaged.
    """
    if code_set.path is None or not index_path(code_set.path).exists():
        return None
    folder = index_path(code_set.path)
    again = f"build it again: bitcodes index {code_set.path}"
    try:
        header = json.loads((folder / _HEADER).read_bytes())
        if header["format"] != FORMAT:
            raise CodeSetError(f"{folder}: expected {FORMAT}, found {header['format']}; {again}")
        if header["of"] != _checksum_of(code_set) or header["bits"] != code_set.bits:
            raise CodeSetError(
                f"{folder} is of other codes than {code_set.path} holds now; {again}"
            )
        arrays = {}
        for name in ("codes", "starts", "rows"):
            file = folder / f"{name}.npy"
            if header["files"][name] != _checksum(file):
                raise CodeSetError(f"{file} was changed or cut off; {again}")
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CodeSetError(f"{folder}: cannot be read ({error}); {again}") from error
    return GroupedIndex(**arrays, bits=code_set.bits, threads=threads)


def open_index(
    code_set: "CodeSet",
    threads: int | None = None,
    note: Callable[[str], None] | None = None,
) -> HammingIndex:
    """The saved grouped index of a code set where it has a good one, else an index of its rows.

    Both give the same answers. `note` is told why a saved index was not used.
    """
    try:
        saved = load_index(code_set, threads)
    except CodeSetError as error:
        if note is not None:
            note(str(error))
        saved = None
    return HammingIndex(code_set, threads=threads) if saved is None else saved


def _checksum_of(code_set: "CodeSet") -> dict[str, int]:
    """Size and CRC-32 of the codes of a stored set: what an index must be of."""
    entry = code_set.header.files.get("codes")
    if entry is not None:
        return {"size": entry.size, "crc32": entry.crc32}
    data = np.ascontiguousarray(code_set.codes)
    return {"size": data.nbytes, "crc32": zlib.crc32(data.data)}


def _checksum(file: Path) -> dict[str, int]:
    crc32, size = 0, 0
    with file.open("rb") as stream:
        while data := stream.read(1 << 22):
            crc32, size = zlib.crc32(data, crc32), size + len(data)
        return {"size": size, "crc32": crc32}


def _ranges(starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """`starts[i], starts[i] + 1, ...`, `sizes[i]` of them, for each i, one after another."""
    ends = np.cumsum(sizes)
    ranges: NDArray[np.int64] = np.repeat(starts - (ends - sizes), sizes)
    ranges += np.arange(len(ranges))
    return ranges
