"""Changes to arrays and to .npy files, as bytes: of their headers, shapes, dtypes and values."""

import io
import struct
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_DTYPES = ("i1", "u1", "<i2", "<u2", "<i4", ">i4", "<u4", "<i8", ">i8", "<u8", "<f2", ">f2", "<f4")
_MORE_DTYPES = ("<f8", "?", "<c8", "S1", "U1", "M8[s]", "V2", "O")

HEADERS = (
    "{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (9223372036854775807, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 9223372036854775807), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (1180591620717411303424, 0), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (True, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (3.0, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': 3, }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': [36, 3], }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': ('36', '3'), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1, " * 65 + "), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1, " * 33 + "), }",
    "{'descr': '|u1', 'fortran_order': 0, 'shape': (36, 3), }",
    "{'descr': '|u1', 'fortran_order': 'no', 'shape': (36, 3), }",
    "{'descr': '|u1', 'shape': (36, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (36, 3), 'more': 1, }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': '|V0', 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': '<U0', 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': [('a', '|u1'), ('b', '|O')], 'fortran_order': False, 'shape': (36,), }",
    "{'descr': [('a', '|u1', (1000000, 1000000))], 'fortran_order': False, 'shape': (36,), }",
    "{'descr': '|u1, |u1', 'fortran_order': False, 'shape': (36,), }",
    "{'descr': None, 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': 7, 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': 'u99', 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': '|u1\x1b[31m', 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': '\u202e', 'fortran_order': False, 'shape': (36, 3), }",
    "__import__('os').system('true')",
    "[" * 200 + "]" * 200,
    "(" * 1000,
    "9" * 5000,
    "{'descr': '|u1', 'fortran_order': False, 'shape': (" + "9" * 5000 + ", 3), }",
    "{}",
    "",
    "\0",
    "'" * 50,
    "{'descr': '|u1', 'fortran_order': False, 'shape': (36, 3), }  # \\",
    "{b'descr': '|u1', 'fortran_order': False, 'shape': (36, 3), }",
    "{'descr': '|u1', 'fortran_order': False, 'shape': (36L, 3L), }",
    "{'descr': '|u1', 'fortran_order': True, 'shape': (36, 3), }",
)


def to_npy(array: Array) -> bytes:
    """An array as a .npy file."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def with_header(header: str, data: bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with any text for a header."""
    text = header.encode("latin1" if version < (3, 0) else "utf-8", "replace")
    text = text.ljust(-(-(len(text) + 11) // 64) * 64 - 11) + b"\n"
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text + data


def changed_npy(data: bytes, random: Random) -> tuple[bytes, str]:
    """A .npy file with another header or other ends, and what was changed."""
    array = np.load(io.BytesIO(data))
    raw = array.tobytes()
    kind = random.randrange(8)
    if kind < 3:
        header = random.choice(HEADERS)
        own = f"({', '.join(map(str, array.shape))},)"
        if random.random() < 0.5:
            header = header.replace("(36, 3)", own).replace("'|u1'", repr(array.dtype.str))
        version = random.choice([(1, 0), (1, 0), (2, 0), (3, 0), (9, 9), (0, 1)])
        return with_header(header, raw, version), f"header {header[:60]!r} {version}"
    if kind == 3:
        version = random.choice([(2, 0), (3, 0)])
        own = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {array.shape}, }}"
        return with_header(own, raw, version), f"version {version}"
    if kind == 4:
        return data + random.randbytes(random.randint(1, 9)), "bytes behind"
    if kind == 5:
        cut = random.randrange(len(data))
        return data[:cut], f"cut at {cut}"
    if kind == 6:
        place = random.randrange(min(len(data), 128))
        return data[:place] + random.randbytes(1) + data[place + 1 :], f"byte {place} of the header"
    return random.randbytes(8) + data, "bytes before"


def changed_array(array: Array, random: Random) -> tuple[Array, str]:
    """An array with one thing changed, and what."""
    name, change = random.choice(_CHANGES)
    for _ in range(5):
        try:
            other = change(array.copy(), random)
        except (IndexError, ValueError, TypeError, OverflowError):
            name, change = random.choice(_CHANGES)
            continue
        return other, name
    return array[:-1], "without the last row"


def _place(array: Array, random: Random) -> tuple[int, ...]:
    return tuple(random.randrange(size) for size in array.shape)


def _cast(array: Array, random: Random) -> Array:
    dtype = random.choice(_DTYPES + _MORE_DTYPES)
    with np.errstate(all="ignore"):
        return array.astype(dtype)


def _set(value: Callable[[Array, Random], Any]) -> Callable[[Array, Random], Array]:
    def change(array: Array, random: Random) -> Array:
        for _ in range(random.choice([1, 1, 1, 3])):
            array[_place(array, random)] = value(array, random)
        return array

    return change


def _limits(array: Array) -> Any:
    return np.iinfo(array.dtype) if array.dtype.kind in "iu" else np.finfo(array.dtype)


def _swap(array: Array, random: Random) -> Array:
    one, other = random.randrange(len(array)), random.randrange(len(array))
    array[[one, other]] = array[[other, one]]
    return array


def _double(array: Array, random: Random) -> Array:
    array[random.randrange(len(array))] = array[random.randrange(len(array))]
    return array


def _flip(array: Array, random: Random) -> Array:
    data = bytearray(array.tobytes())
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    return np.frombuffer(bytes(data), array.dtype).reshape(array.shape)


def _add(array: Array, random: Random) -> Array:
    place = _place(array, random)
    with np.errstate(all="ignore"):
        array[place] += random.choice([1, -1, 2, 100])
    return array


def _fill(array: Array, random: Random) -> Array:
    array[...] = random.choice([0, 1, array.flat[0], _limits(array).max])
    return array


def _noise(array: Array, random: Random) -> Array:
    data = random.randbytes(array.nbytes)
    return np.frombuffer(data, array.dtype).reshape(array.shape)


_CHANGES: list[tuple[str, Callable[[Array, Random], Array]]] = [
    ("another dtype", _cast),
    ("another dtype", _cast),
    ("without the last row", lambda array, random: array[:-1]),
    ("without the first row", lambda array, random: array[1:]),
    ("one more row", lambda array, random: np.concatenate([array, array[-1:]])),
    ("no rows", lambda array, random: array[:0]),
    ("one more dimension", lambda array, random: array[..., None]),
    ("one more dimension in front", lambda array, random: array[None]),
    ("flat", lambda array, random: array.ravel()),
    ("a number", lambda array, random: array.ravel()[0].reshape(())),
    ("transposed", lambda array, random: np.asfortranarray(array)),
    ("turned", lambda array, random: np.ascontiguousarray(array.T)),
    ("fewer columns", lambda array, random: np.ascontiguousarray(array[:, :-1])),
    ("no columns", lambda array, random: np.ascontiguousarray(array[:, :0])),
    ("more columns", lambda array, random: np.concatenate([array, array], axis=1)),
    ("reversed", lambda array, random: np.ascontiguousarray(array[::-1])),
    ("sorted", lambda array, random: np.sort(array, axis=0)),
    ("two rows swapped", _swap),
    ("two rows swapped", _swap),
    ("a row doubled", _double),
    ("a row doubled", _double),
    ("a bit turned", _flip),
    ("a bit turned", _flip),
    ("a value changed by a little", _add),
    ("a value changed by a little", _add),
    ("the largest value", _set(lambda array, random: _limits(array).max)),
    ("the least value", _set(lambda array, random: _limits(array).min)),
    ("minus one", _set(lambda array, random: -1)),
    ("zero", _set(lambda array, random: 0)),
    ("a row number too large", _set(lambda array, random: len(array))),
    ("not a number", _set(lambda array, random: float("nan"))),
    ("infinite", _set(lambda array, random: random.choice([float("inf"), float("-inf")]))),
    ("all the same", _fill),
    ("noise", _noise),
]
