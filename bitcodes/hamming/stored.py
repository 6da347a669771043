"""The files of an index: a folder beside the code set, whose arrays are mapped when opened."""

import json
import shutil
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Note
from bitcodes.codes.codeset import VERIFY_BYTES, CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.files import change_names, fsync_dir, write_json_atomic
from bitcodes.hamming.fallback import kernels_load
from bitcodes.hamming.grouped import Groups
from bitcodes.hamming.index import GroupedIndex, HammingIndex, Index, group
from bitcodes.hamming.multi import MultiIndex, extend, with_tables
from bitcodes.hamming.tables import Tables

FORMAT = "bitcodes-index/1"
_HEADER = "index.json"

TABLES_FROM, TABLES_UP_TO = 10**6, 128
"""By default, an index has tables from so many distinct codes on, and up to so many bits: longer
codes need more tables, and longer ones."""

SavedIndex = GroupedIndex | MultiIndex
"""What can be saved."""


def index_path(codes: Path) -> Path:
    """The folder that holds the grouped index of the code set stored at `codes`."""
    return codes.with_suffix(".index")


def save_index(index: SavedIndex, code_set: CodeSet) -> Path:
    """Store the index of a stored code set beside it, replacing another; return the folder."""
    if code_set.path is None:
        raise CodeSetError(
            "this code set is in memory, but its index is stored beside its files: save it first"
        )
    folder = index_path(code_set.path)
    if folder.exists() and not (folder / _HEADER).exists():
        raise CodeSetError(
            f"{folder} is not an index, but has the name of this set's index: rename it"
        )
    staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        arrays = _arrays(index)
        for name, array in arrays.items():
            np.save(staging / f"{name}.npy", array)
        header = {
            "format": FORMAT,
            "bits": index.bits,
            "count": len(index),
            "distinct": len(index.distinct),
            "of": _checksum_of(code_set),
            "codes_crc32": _crc32_of_codes(code_set, len(index)),
            "files": {name: _checksum(staging / f"{name}.npy") for name in arrays},
        }
        write_json_atomic(staging / _HEADER, header)
        staging.chmod(0o755)
        _put_in_place(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    return folder


def _put_in_place(staging: Path, folder: Path) -> None:
    """Rename a finished index; FileInUseError where one in use cannot be replaced (Windows)."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    old = aside / "old"
    try:
        if folder.exists():
            # Between the two renames there is no index, and a search scans the rows.
            change_names(lambda: folder.rename(old), folder)
        try:
            change_names(lambda: staging.rename(folder), folder)
        except BaseException:
            if old.exists():
                old.rename(folder)
            raise
    finally:
        if not old.exists() or folder.exists():
            shutil.rmtree(aside, ignore_errors=True)
    fsync_dir(folder.parent)


def load_index(
    code_set: CodeSet, threads: int | None = None, outgrown: bool = False
) -> SavedIndex | None:
    """The saved index of a code set, its files mapped; None if there is none.

    Sizes are always compared with the header, checksums if the files are small enough, as when a
    code set is opened. Raises CodeSetError if it is of another version of the codes, or damaged.
    With `outgrown`, it may be of the first rows alone; None if it is of other codes.
    """
    if code_set.path is None or not index_path(code_set.path).exists():
        return None
    folder = index_path(code_set.path)
    again = f"build it again: bitcodes index {code_set.path}"
    try:
        header = json.loads((folder / _HEADER).read_bytes())
        if header["format"] != FORMAT:
            raise CodeSetError(f"{folder}: expected {FORMAT}, found {header['format']}; {again}")
        if outgrown:
            count = header["count"]
            if (
                header["bits"] != code_set.bits
                or count > code_set.count
                or header["codes_crc32"] != _crc32_of_codes(code_set, count)
            ):
                return None
        elif header["of"] != _checksum_of(code_set) or header["bits"] != code_set.bits:
            raise CodeSetError(
                f"{folder} is the index of other codes than those in {code_set.path}; {again}"
            )
        arrays = {}
        small = sum(entry["size"] for entry in header["files"].values()) <= VERIFY_BYTES
        for name, expected in header["files"].items():
            file = folder / f"{name}.npy"
            actual = _checksum(file) if small else {**expected, "size": file.stat().st_size}
            if expected != actual:
                raise CodeSetError(f"{file} was changed or cut off; {again}")
            arrays[name] = np.load(file, mmap_mode="r", allow_pickle=False)
        groups = Groups(*(arrays.pop(name) for name in Groups._fields))
        grouped = GroupedIndex(groups, code_set.bits, threads)
        if not arrays:
            return grouped
        tables = Tables(**{name.removeprefix("table-"): array for name, array in arrays.items()})
        return MultiIndex(grouped, tables)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CodeSetError(f"{folder}: cannot be read ({error}); {again}") from error


def open_index(code_set: CodeSet, threads: int | None = None, note: Note | None = None) -> Index:
    """The saved index of a code set if there is a good one, else an index of its rows.

    Both give the same answers. `note` is called with the reason if a saved index is not used.
    """
    try:
        saved = load_index(code_set, threads)
    except CodeSetError as error:
        if note is not None:
            note(str(error))
        saved = None
    return HammingIndex(code_set, threads=threads) if saved is None else saved


def _checksum_of(code_set: CodeSet) -> dict[str, int]:
    """Size and CRC-32 of the codes of a stored set: what an index must be of."""
    entry = code_set.header.files.get("codes")
    if entry is not None:
        return {"size": entry.size, "crc32": entry.crc32}
    return {"size": code_set.codes.nbytes, "crc32": _crc32_of_codes(code_set, code_set.count)}


def open_groups(code_set: CodeSet, threads: int | None = None) -> GroupedIndex:
    """The grouped index of a code set: the saved one if there is a good one, else a new one."""
    index = open_index(code_set, threads)
    if isinstance(index, MultiIndex):
        return index.grouped
    return (
        index if isinstance(index, GroupedIndex) else group(code_set.codes, code_set.bits, threads)
    )


def update_index(
    code_set: CodeSet, tables: bool | None = None, afresh: bool = False
) -> tuple[SavedIndex, str]:
    """Build and save the index of a stored code set; also what was done, "built" or "updated".

    `tables` says whether it has tables; None: if there are TABLES_FROM distinct codes or more, and
    the kernels can be compiled. An index with tables of the set's first rows is extended, unless
    `afresh`.
    """
    try:
        index, done = _updated(code_set, tables, afresh)
    except CodeSetError:
        if tables or kernels_load():
            raise
        index, done = _updated(code_set, False, afresh)
    save_index(index, code_set)
    return index, done


def _updated(code_set: CodeSet, tables: bool | None, afresh: bool) -> tuple[SavedIndex, str]:
    if tables is not False and not afresh:
        try:
            old = load_index(code_set, outgrown=True)
        except CodeSetError:
            old = None
        # Tables that are made for far fewer codes are not good ones.
        if isinstance(old, MultiIndex) and code_set.count <= 2 * len(old):
            return extend(old, np.asarray(code_set.codes[len(old) :])), "updated"
    grouped = group(code_set.codes, code_set.bits)
    if tables is None:
        tables = len(grouped.distinct) >= TABLES_FROM and code_set.bits <= TABLES_UP_TO
    return with_tables(grouped) if tables else grouped, "built"


def _crc32_of_codes(code_set: CodeSet, count: int) -> int:
    """CRC-32 of the first codes, which tells whether rows were only added since."""
    crc32 = 0
    for start in range(0, count, 1 << 20):
        stop = min(start + (1 << 20), count)
        crc32 = zlib.crc32(np.ascontiguousarray(code_set.codes[start:stop]).data, crc32)
    return crc32


def _arrays(index: SavedIndex) -> dict[str, NDArray[Any]]:
    """The arrays to store, by the names of their files."""
    grouped = index.grouped if isinstance(index, MultiIndex) else index
    arrays: dict[str, NDArray[Any]] = grouped.groups._asdict()
    if isinstance(index, MultiIndex):
        arrays |= {f"table-{name}": array for name, array in index.tables._asdict().items()}
    return arrays


def _checksum(file: Path) -> dict[str, int]:
    crc32, size = 0, 0
    with file.open("rb") as stream:
        while data := stream.read(1 << 22):
            crc32, size = zlib.crc32(data, crc32), size + len(data)
        return {"size": size, "crc32": crc32}
