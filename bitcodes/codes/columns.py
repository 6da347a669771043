"""The arrays of a code set: what each must look like, in memory and as a .npy file."""

import io
import math
import mmap
import struct
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitcodes.codes.pack import code_bytes, require
from bitcodes.errors import CodeSetError
from bitcodes.files import NotAFileError, open_regular
from bitcodes.wording import counted

NPY_HEADER = 128  # bytes before the data, the same as np.save takes for arrays of these shapes

_DIMENSIONS = 3
"""The most that an array of ours has."""

Array = npt.NDArray[Any]

# Little-endian on every machine, so that the same set is the same bytes.
LABELS = np.dtype("<i4")
MULTI_HOT = np.dtype("u1")
DTYPES: Mapping[str, np.dtype[Any]] = {
    "codes": np.dtype("u1"),
    "labels": MULTI_HOT,
    "features": np.dtype("<f2"),
    "stat": np.dtype("<i8"),
}
OPTIONAL = ("labels", "features", "stat")


def stored_type(role: str, count: int, width: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """The dtype and shape of an array with `width` columns; class numbers have a width of 0."""
    if role == "labels" and not width:
        return LABELS, (count,)
    return DTYPES[role], (count, width)


def as_stored(
    arrays: Mapping[str, npt.ArrayLike | None], count: int, classes: int
) -> dict[str, Array]:
    """Check the optional columns of `count` codes and convert them; those that are None go.

    labels: any integers or booleans to int32 (N,), or uint8 (N, C) multi-hot, that fit `classes`
    names (0: unknown). features: floats (N, D) to float16. stat, sizes in bytes and modification
    times in ns: integers to int64 (N, 2). CodeSetError where they do not fit.
    """
    as_labels = partial(_as_labels, classes=classes)
    convert: dict[str, Callable[[Array, int], Array]]
    convert = {"labels": as_labels, "features": _as_features, "stat": _as_stat}
    return {
        name: np.ascontiguousarray(convert[name](np.asarray(array), count))
        for name, array in arrays.items()
        if array is not None
    }


def _has_columns(array: Array) -> bool:
    """Whether each row holds something; an array of no rows may be of any width."""
    return array.ndim < 2 or array.shape[1] > 0 or not len(array)


def _as_labels(array: Array, count: int, classes: int) -> Array:
    fits = array.dtype.kind in "iub" and array.ndim in (1, 2) and len(array) == count
    fits = fits and _has_columns(array)
    expected = f"labels must be integers (N,), or zeros and ones (N, C), for N = {count} codes"
    require(fits, expected, array)
    kind = LABELS if array.ndim == 1 else MULTI_HOT
    converted = array.astype(kind)
    if not np.array_equal(converted, array):
        raise CodeSetError(f"labels must fit {kind.name}, found {array.min()} to {array.max()}")
    check_labels(converted, classes)
    return converted


def check_labels(labels: Array, classes: int) -> None:
    """Raise CodeSetError unless stored labels are those of `classes` classes (0: not known)."""
    if labels.ndim == 2:
        if classes and labels.shape[1] != classes:
            raise CodeSetError(
                f"labels (N, {labels.shape[1]}) do not fit {classes} class names; "
                "expected a column for each class"
            )
        if labels.size and labels.max() > 1:
            raise CodeSetError(f"multi-hot labels must be zeros and ones, found {labels.max()}")
    elif classes and labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise CodeSetError(
            f"labels must be 0 to {classes - 1}, numbers of the {classes} class names; "
            f"found {labels.min()} to {labels.max()}"
        )


def _as_features(array: Array, count: int) -> Array:
    fits = array.dtype.kind == "f" and array.ndim == 2 and len(array) == count
    fits = fits and _has_columns(array)
    require(fits, f"features must be floats of the shape (N, D) for N = {count} codes", array)
    with np.errstate(over="ignore"):  # reported below
        converted = array.astype(DTYPES["features"])
    if not np.isfinite(converted).all():
        row = int(np.flatnonzero(~np.isfinite(converted).all(axis=1))[0])
        raise CodeSetError(
            f"features are stored as float16, up to 65504; found {array[row].min()} to "
            f"{array[row].max()} in row {row}"
        )
    return converted


def check_features(features: Array) -> None:
    """Raise CodeSetError if stored features are not finite."""
    step = max(1, (1 << 22) // max(1, features.shape[1]))
    for start in range(0, len(features), step):
        finite = np.isfinite(features[start : start + step]).all(axis=1)
        if not finite.all():
            row = start + int(np.flatnonzero(~finite)[0])
            raise CodeSetError(f"features of row {row} are not finite; encode the images again")


def _as_stat(array: Array, count: int) -> Array:
    fits = array.dtype.kind in "iu" and array.shape == (count, 2)
    require(fits, f"stat must be integers of the shape ({count}, 2)", array)
    return array.astype(DTYPES["stat"])


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The 128 bytes that np.save writes before an array in C order of this dtype and shape."""
    text = str({"descr": dtype.str, "fortran_order": False, "shape": shape})[:-1] + ", }"
    room = NPY_HEADER - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", room) + text.ljust(room - 1).encode() + b"\n"


def map_file(path: Path) -> mmap.mmap | bytes:
    """Map a file for reading; bytes where it is empty. OSError, or CodeSetError if not a file."""
    try:
        with open_regular(path) as file:
            if not file.seek(0, io.SEEK_END):
                return b""
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except NotAFileError:
        raise CodeSetError(f"{path}: expected a file, found a folder or a device") from None


def read_npy(data: mmap.mmap | bytes, path: Path) -> Array:
    """View the array of a mapped .npy file, without reading it and never unpickling.

    CodeSetError, naming `path`, unless the file is one whole plain array in C order.
    """
    start = io.BytesIO(data[:4096])
    try:
        version = np.lib.format.read_magic(start)
        if version == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(start)
        elif version not in ((2, 0), (3, 0)):
            raise ValueError(f"version {version} of the format")
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(start)
        fits = len(shape) <= _DIMENSIONS and all(type(n) is int and 0 <= n < 2**63 for n in shape)
        if not dtype.itemsize or not fits:
            raise ValueError(f"the shape {shape} of {dtype}")
    except Exception as error:  # numpy's parser lets many types escape on a damaged header
        found = (str(error) or type(error).__name__).splitlines()[0][:120]
        raise CodeSetError.damaged(
            path, f"expected a NumPy array file (.npy), found {found}"
        ) from None
    if dtype.hasobject:
        raise CodeSetError(f"{path}: expected numbers, found Python objects, which are not read")
    if fortran_order and len(shape) > 1:
        raise CodeSetError(
            f"{path}: expected rows one after another (C order), found Fortran order; "
            "save the array again with np.save(path, np.ascontiguousarray(array))"
        )
    size = start.tell() + dtype.itemsize * math.prod(shape)
    if size != len(data):
        raise CodeSetError.damaged(
            path, f"expected {size} bytes for {dtype} {shape}, found {len(data)}"
        )
    try:
        return np.ndarray(shape, dtype=dtype, buffer=data, offset=start.tell())
    except (ValueError, OverflowError) as error:  # no rows, but of a size beyond all memory
        raise CodeSetError.damaged(path, f"the shape {shape} of {dtype}: {error}") from None


def check_stored(role: str, array: Array, count: int, bits: int, path: Path) -> None:
    """Raise CodeSetError, naming `path`, unless an array has the dtype and shape of its role."""
    widths = {"codes": code_bytes(bits), "stat": 2}
    width = widths.get(role, array.shape[1] if array.ndim > 1 else 0)
    dtype, shape = stored_type(role, count, width)
    if array.dtype != dtype or array.shape != shape or not _has_columns(array):
        raise CodeSetError.damaged(
            path,
            f"expected {role} as {dtype.name} {shape}, for {counted(count, 'code')} of "
            f"{counted(bits, 'bit')}, found {array.dtype} {array.shape}",
        )
