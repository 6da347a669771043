"""The arrays of a code set: what each must look like, in memory and as a .npy file."""

import io
import math
import mmap
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitcodes.codes.pack import check_codes, code_bytes
from bitcodes.errors import CodeSetError

NPY_HEADER = 128  # bytes before the data, the same as np.save takes for arrays of these shapes

Array = npt.NDArray[Any]

# Little-endian on every machine, so that the same set is the same bytes.
CODES = np.dtype("u1")
LABELS = np.dtype("<i4")
MULTI_HOT = np.dtype("u1")
FEATURES = np.dtype("<f2")
STAT = np.dtype("<i8")


def as_codes(codes: Array, bits: int) -> npt.NDArray[np.uint8]:
    """Check codes and return them in C order, (N, ceil(bits/8)) uint8."""
    check_codes(codes, bits)
    return np.ascontiguousarray(codes)


def as_labels(labels: npt.ArrayLike, count: int, classes: int = 0) -> Array:
    """Check labels: int32 (N,), or uint8 (N, C) multi-hot; converted from any integers, booleans.

    `classes`, where not 0, is the number of class names that the labels must fit.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "iub" or array.ndim not in (1, 2) or len(array) != count:
        raise CodeSetError(
            f"labels must be integers (N,), or zeros and ones (N, C), for N = {count} codes; "
            f"found {array.dtype} {array.shape}"
        )
    kind = LABELS if array.ndim == 1 else MULTI_HOT
    converted = np.ascontiguousarray(array.astype(kind))
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


def as_features(features: Array, count: int) -> npt.NDArray[np.float16]:
    """Check features (N, D), any floats, and convert them to float16."""
    array = np.asarray(features)
    if array.dtype.kind != "f" or array.ndim != 2 or len(array) != count:
        raise CodeSetError(
            f"features must be floats of the shape (N, D) for N = {count} codes; "
            f"found {array.dtype} {array.shape}"
        )
    with np.errstate(over="ignore"):  # reported below
        converted = np.ascontiguousarray(array.astype(FEATURES))
    if not np.isfinite(converted).all():
        row = int(np.flatnonzero(~np.isfinite(converted).all(axis=1))[0])
        raise CodeSetError(
            f"features are stored as float16, up to 65504; found {array[row].min()} to "
            f"{array[row].max()} in row {row}"
        )
    return converted


def as_stat(stat: npt.ArrayLike, count: int) -> npt.NDArray[np.int64]:
    """Check sizes in bytes and modification times in ns of source files: int64 (N, 2)."""
    array = np.asarray(stat)
    if array.dtype.kind not in "iu" or array.shape != (count, 2):
        raise CodeSetError(
            f"stat must be integers of the shape ({count}, 2), found {array.dtype} {array.shape}"
        )
    return np.ascontiguousarray(array.astype(STAT))


def npy_header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """The 128 bytes that np.save writes before an array in C order of this dtype and shape."""
    text = str({"descr": dtype.str, "fortran_order": False, "shape": shape})[:-1] + ", }"
    room = NPY_HEADER - 10
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", room) + text.ljust(room - 1).encode() + b"\n"


def map_file(path: Path) -> mmap.mmap | bytes:
    """Map a file for reading; bytes where it is empty. OSError, or CodeSetError if not a file."""
    if path.exists() and not path.is_file():  # a named pipe would wait for a writer for ever
        raise CodeSetError(f"{path}: expected a file, found a folder or a device")
    with path.open("rb") as file:
        if not file.seek(0, io.SEEK_END):
            return b""
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def read_npy(data: mmap.mmap | bytes, path: Path) -> Array:
    """View the array of a mapped .npy file, without reading it and never unpickling.

    CodeSetError, naming `path`, unless the file is one whole plain array in C order.
    """
    start = io.BytesIO(data[:4096])
    try:
        if np.lib.format.read_magic(start) == (1, 0):
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(start)
        else:
            shape, fortran_order, dtype = np.lib.format.read_array_header_2_0(start)
        if not dtype.itemsize or not all(type(n) is int and 0 <= n < 2**63 for n in shape):
            raise ValueError(f"the shape {shape} of {dtype}")
    except Exception as error:  # numpy's parser lets many types escape on a damaged header
        raise CodeSetError(
            f"{path}: expected a NumPy array file (.npy), found {_brief(error)}; "
            "the file is damaged or of another kind, copy or encode the set again"
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
        raise CodeSetError(
            f"{path}: expected {size} bytes for {dtype} {shape}, found {len(data)}; "
            "the file was cut off or changed, copy or encode the set again"
        )
    array: Array = np.ndarray(shape, dtype=dtype, buffer=data, offset=start.tell())
    return array


def check_stored(role: str, array: Array, count: int, bits: int, path: Path) -> None:
    """Raise CodeSetError, naming `path`, unless an array has the dtype and shape of its role."""
    dtype, shape = {
        "codes": (CODES, f"({count}, {code_bytes(bits)})"),
        "labels": (LABELS if array.ndim == 1 else MULTI_HOT, f"({count},) or ({count}, classes)"),
        "features": (FEATURES, f"({count}, width)"),
        "stat": (STAT, f"({count}, 2)"),
    }[role]
    width = {"codes": code_bytes(bits), "stat": 2}.get(role)
    fits = array.ndim == 2 or (role == "labels" and array.ndim == 1)
    if fits and array.ndim == 2 and width is not None:
        fits = array.shape[1] == width
    if not fits or array.dtype != dtype or len(array) != count:
        raise CodeSetError(
            f"{path}: expected {role} as {dtype.name} {shape}, for {count} codes of {bits} bits, "
            f"found {array.dtype} {array.shape}; copy or encode the set again"
        )


def _brief(error: Exception) -> str:
    text = str(error).splitlines()
    return (text[0] if text else type(error).__name__)[:120]
