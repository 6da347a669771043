"""Pickled NumPy arrays, read without trusting the file.

A .npy file of dtype "object" is a pickle, and a pickle is a program that may call any function that
Python can import. Here it may call three things only, and these are not even NumPy's: stand-ins
take the place of its array constructor, array class and dtype class, note what they are given, and
make the array only from what has been checked.
"""

import ast
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import ModelError

_MAGIC = b"\x93NUMPY"
_LARGEST_HEADER = 10_000


class _Refused(Exception):
    """What is in the file is none of what an array is made of."""


class _Allowed:
    """The name of a thing of NumPy's; calling it makes a stand-in for what NumPy would make."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any) -> Any:
        if self._name == "dtype":
            return _Dtype(*arguments[:1])
        if self._name == "_reconstruct":
            return _Array()
        if self._name == "encode":  # how Python 3 writes bytes in an old protocol
            text, encoding = arguments
            if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
                raise _Refused("encoded text that is not latin1")
            return text.encode("latin1")
        raise _Refused(f"a call of numpy.{self._name}")

    def __setstate__(self, state: Any) -> None:
        raise _Refused(f"a change of numpy.{self._name}")


_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
}


class _Dtype:
    """A dtype as pickled: its kind and size, then its byte order."""

    def __init__(self, code: Any = None) -> None:
        self.code = _text(code)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2:
            raise _Refused("a dtype of an unknown form")
        self.order = _text(state[1])

    def numpy(self) -> np.dtype[Any]:
        if self.code not in ("f2", "f4", "f8") or self.order not in ("<", ">", "=", "|"):
            raise _Refused(f"an array of {self.code!r}, where floating point numbers are expected")
        return np.dtype(self.order + self.code)


class _Array:
    """An array as pickled: the shape, the dtype, the order of axes and the bytes."""

    def __init__(self) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def parts(self) -> tuple[tuple[int, ...], _Dtype, bool, Any]:
        state = self.state
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            sizes = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
            if sizes and len(shape) <= 8 and isinstance(dtype, _Dtype):
                return shape, dtype, bool(fortran), data
        raise _Refused("an array of an unknown form")

    def numpy(self) -> NDArray[Any]:
        shape, dtype, fortran, data = self.parts()
        kind = dtype.numpy()
        if not isinstance(data, bytes):
            raise _Refused("an array whose numbers are not bytes")
        count = 1
        for size in shape:
            count *= size
        if len(data) != count * kind.itemsize:
            raise _Refused(f"an array of shape {shape} with {len(data)} bytes")
        return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


# The unpickler in C keeps what it remembers in an array, as long as the largest number that a file
# names: twenty bytes could ask for gigabytes. The one in Python has a dict.
class _Unpickler(pickle._Unpickler):  # type: ignore[misc, name-defined, unused-ignore]
    def find_class(self, module: str, name: str) -> _Allowed:
        try:
            return _Allowed(_GLOBALS[module, name])
        except KeyError:
            raise _Refused(ascii(f"{module}.{name}"[:80])) from None

    def get_extension(self, code: int) -> None:
        raise _Refused(f"extension {code}")

    def persistent_load(self, key: Any) -> None:
        raise _Refused("a reference to something outside it")


def read_pickled_arrays(path: Path) -> Any:
    """What `numpy.save` wrote of a dict (or list) of arrays, in Python 2 or 3; text as str.

    Only dicts, lists, tuples, text, numbers and arrays of floating point numbers are admitted; an
    array comes as it was stored. Anything else in the file, and a file cut short, is a ModelError.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        start = _start_of_pickle(content)
        # Python 2 knew no bytes: what it wrote of arrays would be spoiled as text.
        whole = _Unpickler(io.BytesIO(content[start:]), encoding="bytes").load()
        if not isinstance(whole, _Array):
            raise _Refused("a pickle that is not an array")
        shape, dtype, _, data = whole.parts()
        if dtype.code not in ("O", "O8", "O4") or shape != () or not isinstance(data, list):
            raise _Refused("an array that is not one object")
        if len(data) != 1:
            raise _Refused(f"an array of one object with {len(data)}")
        return _plain(data[0], 0)
    except _Refused as refused:
        raise ModelError(
            f"{path}: is refused, because it holds {refused}; expected a pickled dict of arrays of "
            "numbers, as numpy.save writes it, and nothing else"
        ) from None
    except Exception as error:  # a pickle that is cut or made up ends in errors of any kind
        raise ModelError(
            f"{path}: is damaged or no file of numpy.save ({type(error).__name__}: {error})"
        ) from None


def _start_of_pickle(content: bytes) -> int:
    """Where the pickle begins in a .npy file: after its header, which must be of one object."""
    if content[:6] != _MAGIC:
        raise _Refused("no .npy header")
    width = 2 if content[6:7] == b"\x01" else 4
    length = int.from_bytes(content[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _LARGEST_HEADER:
        raise _Refused(f"a header of {length} bytes")
    header = ast.literal_eval(content[8 + width : start].decode("latin1"))
    if header != {"descr": "|O", "fortran_order": False, "shape": ()}:
        raise _Refused(f"the header {ascii(header)[:200]}, which is not of one object")
    return start


def _plain(value: Any, depth: int) -> Any:
    """What was read, with arrays in the place of stand-ins; raises _Refused for anything else."""
    if depth > 2:
        raise _Refused("more than arrays in lists in a dict")
    if isinstance(value, _Array):
        return value.numpy()
    if isinstance(value, dict):
        return {_key(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        if len(value) > 1000:
            raise _Refused(f"a list of {len(value)}")
        return [_plain(inner, depth + 1) for inner in value]
    if isinstance(value, bytes):
        return _text(value)
    if isinstance(value, (str, int, float, type(None))):
        return value
    raise _Refused(f"a thing of the kind {type(value).__name__.lstrip('_')}")


def _key(key: Any) -> str | int:
    if isinstance(key, (str, bytes)):
        return _text(key)
    if type(key) is int:
        return key
    raise _Refused(f"a key of the kind {type(key).__name__}")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return value
    raise _Refused("text of another kind")
