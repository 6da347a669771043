"""The files of an index: a folder beside the code set, whose arrays are mapped when opened."""

import glob
import json
import mmap
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from bitcodes.callbacks import Note
from bitcodes.codes.codeset import VERIFY_BYTES, CodeSet
from bitcodes.codes.columns import map_file, read_npy
from bitcodes.errors import BitcodesError, CodeSetError
from bitcodes.files import change_names, fsync_dir, lock, make_readable, write_json_atomic
from bitcodes.hamming.checking import BadIndexError, check_groups, check_tables, expect_names
from bitcodes.hamming.fallback import kernels_load
from bitcodes.hamming.grouped import Groups
from bitcodes.hamming.index import GroupedIndex, HammingIndex, Index, group
from bitcodes.hamming.measure import Measure
from bitcodes.hamming.multi import MultiIndex, extend, with_tables
from bitcodes.hamming.tables import Tables
from bitcodes.wording import command

FORMAT = "bitcodes-index/1"
_HEADER = "index.json"
_HEADER_BYTES = 1 << 16
_OLD = "old"  # the name of an index that is moved aside

COMPARE_BYTES = 10**8
"""How large an index is compared with its code set when it is opened: that takes up to 0.4 s."""

TABLES_FROM, TABLES_UP_TO = 10**6, 128
"""By default, an index has tables from so many distinct codes on, and up to so many bits: longer
codes need more tables, and longer ones."""

SavedIndex = GroupedIndex | MultiIndex
"""What can be saved."""


def index_path(codes: Path) -> Path:
    """The folder that holds the grouped index of the code set stored at `codes`."""
    return codes.with_suffix(".index")


def save_index(index: SavedIndex, code_set: CodeSet) -> Path:
    """Store the index of a stored code set beside it, replacing another; return the folder.

    Removes what a killed process left. Raises BitcodesError if another process stores one.
    """
    if code_set.path is None:
        raise CodeSetError(
            "this code set is in memory, but its index is stored beside its files: save it first"
        )
    folder = index_path(code_set.path)
    if folder.exists() and not (folder / _HEADER).exists():
        raise CodeSetError(
            f"{folder} is not an index, but has the name of this set's index: rename it"
        )
    with _locked(code_set.path):
        staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            _write(index, code_set, staging)
            _put_in_place(staging, folder)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
    return folder


def remove_left(codes: Path) -> None:
    """Remove what a killed process left beside the index of the set stored at `codes`.

    If it had moved the index aside, it is put back. Does nothing while another process stores one.
    """
    folder = index_path(codes)
    if _left(folder) or os.path.lexists(_lock_file(folder)):
        with suppress(BitcodesError), _locked(codes):
            pass


@contextmanager
def _locked(codes: Path) -> Iterator[None]:
    """Lock the index of a set, and remove what a killed process left."""
    folder = index_path(codes)
    with lock(_lock_file(folder), f"the index of {codes}"):
        for left in _left(folder):
            if not os.path.lexists(folder) and (left / _OLD).is_dir():
                (left / _OLD).rename(folder)
            shutil.rmtree(left, ignore_errors=True)
        yield


def _left(folder: Path) -> list[Path]:
    """What lies beside an index under the names that a process gives to it while it stores one."""
    return list(folder.parent.glob(f".{glob.escape(folder.name)}.*"))


def _lock_file(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}-lock")


def _write(index: SavedIndex, code_set: CodeSet, staging: Path) -> None:
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
    make_readable(staging)


def _put_in_place(staging: Path, folder: Path) -> None:
    """Rename a finished index; FileInUseError where one in use cannot be replaced (Windows)."""
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    old = aside / _OLD
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
    code_set: CodeSet,
    threads: int | None = None,
    outgrown: bool = False,
    thorough: bool = False,
) -> SavedIndex | None:
    """The saved index of a code set, its files mapped; None if there is none.

    Sizes, dtypes and shapes are always compared; checksums for up to VERIFY_BYTES and the content
    for up to COMPARE_BYTES, both for any size if `thorough`. Raises CodeSetError if it is of
    another version of the codes, or damaged. With `outgrown`, it may be of the first rows alone;
    None if it is of other codes.
    """
    if code_set.path is None or not index_path(code_set.path).exists():
        return None
    folder = index_path(code_set.path)
    again = f"build it again: {command('index', str(code_set.path))}"
    try:
        header = json.loads(_mapped(folder / _HEADER)[:_HEADER_BYTES])
        if header["format"] != FORMAT:
            raise CodeSetError(f"{folder}: expected {FORMAT}, found {header['format']}; {again}")
        count = header["count"]
        if outgrown:
            if (
                header["bits"] != code_set.bits
                or not 0 <= count <= code_set.count
                or header["codes_crc32"] != _crc32_of_codes(code_set, count)
            ):
                return None
        elif (header["of"], header["bits"], count) != (
            _checksum_of(code_set),
            code_set.bits,
            code_set.count,
        ):
            raise CodeSetError(f"the index of {code_set.path} is outdated and not used; {again}")
        expect_names(header["files"])
        size = sum(entry["size"] for entry in header["files"].values())
        checksums, thorough = thorough or size <= VERIFY_BYTES, thorough or size <= COMPARE_BYTES
        arrays = {}
        for name, expected in header["files"].items():
            file = folder / f"{name}.npy"
            data = _mapped(file)
            actual = _entry([data]) if checksums else {**expected, "size": len(data)}
            if expected != actual:
                raise CodeSetError(f"{file} was changed or cut off; {again}")
            try:
                arrays[name] = read_npy(data, file)
            except CodeSetError:
                raise BadIndexError(f"{file.name} holds no array of an index") from None
        groups = Groups(*(arrays.pop(name) for name in Groups._fields))
        codes = code_set.codes[:count] if thorough else None
        check_groups(groups, code_set.bits, count, codes)
        grouped = GroupedIndex(groups, code_set.bits, threads)
        if not arrays:
            return grouped
        tables = Tables(**{name.removeprefix("table-"): array for name, array in arrays.items()})
        check_tables(tables, code_set.bits, groups.codes, thorough)
        return MultiIndex(grouped, tables)
    except BadIndexError as error:
        raise CodeSetError(f"{folder} is damaged: {error}; {again}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CodeSetError(f"{folder}: cannot be read ({error!r:.200}); {again}") from error


def open_index(
    code_set: CodeSet,
    threads: int | None = None,
    note: Note | None = None,
    thorough: bool = False,
    measure: Measure | None = None,
) -> Index:
    """The saved index of a code set if there is a good one, else an index of its rows.

    Both give the same answers, whose distances are those of `measure`, by default Hamming
    distances. `note` is called with the reason if a saved index is not used. For `thorough`, see
    load_index. Tables are of no use for weighted distances: the distinct codes are scanned then.
    """
    try:
        saved = load_index(code_set, threads, thorough=thorough)
    except CodeSetError as error:
        if note is not None:
            note(str(error))
        saved = None
    if saved is None:
        return HammingIndex(code_set, threads=threads, measure=measure)
    saved.fingerprint = code_set.fingerprint
    if measure is None or measure.is_plain:
        return saved
    grouped = saved.grouped if isinstance(saved, MultiIndex) else saved
    weighted = GroupedIndex(grouped.groups, code_set.bits, threads, measure)
    weighted.fingerprint = code_set.fingerprint
    return weighted


def _mapped(file: Path) -> mmap.mmap | bytes:
    try:
        return map_file(file)
    except CodeSetError:
        raise BadIndexError(f"{file.name} is no file") from None


def _checksum_of(code_set: CodeSet) -> dict[str, int]:
    """Size and CRC-32 of the codes of a stored set: what an index must be of."""
    entry = code_set.header.files.get("codes")
    if entry is not None:
        return {"size": entry.size, "crc32": entry.crc32}
    return {"size": code_set.codes.nbytes, "crc32": _crc32_of_codes(code_set, code_set.count)}


def open_groups(code_set: CodeSet, threads: int | None = None) -> GroupedIndex:
    """The grouped index of a code set: the saved one if there is a good one, else a new one."""
    index = open_index(code_set, threads, thorough=True)
    if isinstance(index, MultiIndex):
        return index.grouped
    return (
        index if isinstance(index, GroupedIndex) else group(code_set.codes, code_set.bits, threads)
    )


def update_index(
    code_set: CodeSet, tables: bool | None = None, afresh: bool = False
) -> tuple[SavedIndex, str]:
    """Build and save the index of a stored code set; also what was done, "built" or "updated".

    `tables` says whether it has tables; None: if there are TABLES_FROM distinct codes or more, of
    one part, and the kernels can be compiled. An index with tables of the set's first rows is
    extended, unless `afresh`.
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
            old = load_index(code_set, outgrown=True, thorough=True)
        except CodeSetError:
            old = None
        # Tables that are made for far fewer codes are not good ones.
        if isinstance(old, MultiIndex) and code_set.count <= 2 * len(old):
            return extend(old, np.asarray(code_set.codes[len(old) :])), "updated"
    grouped = group(code_set.codes, code_set.bits)
    if tables is None:
        tables = len(grouped.distinct) >= TABLES_FROM and code_set.bits <= TABLES_UP_TO
        tables &= code_set.parts is None  # the distances of two parts are weighted
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
    with file.open("rb") as stream:
        return _entry(iter(lambda: stream.read(1 << 22), b""))


def _entry(blocks: Iterable[Buffer]) -> dict[str, int]:
    """What the header says of a file: its size in bytes and the CRC-32 of its content."""
    crc32, size = 0, 0
    for block in blocks:
        view = memoryview(block)
        crc32, size = zlib.crc32(view, crc32), size + view.nbytes
    return {"size": size, "crc32": crc32}
