"""Pickles of text, numbers and arrays, read without trusting them.

A pickle is a program that may call any function that Python can import. Here it may call three
things only, and not even NumPy's own: stand-ins take the place of its array constructor, array
class and dtype class. They record their arguments, and an array is made only of what was checked.
"""

import io
import math
import pickle
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

_GLOBALS = {
    ("numpy.core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy._core.multiarray", "_reconstruct"): "_reconstruct",
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",  # how Python 3 writes bytes in an old protocol
}


_LONGEST_KEY = 10  # parts of a tuple


class RefusedPickle(Exception):
    """The pickle holds something that it should not; the message says what."""


@dataclass(frozen=True)
class Expected:
    """What a pickle may hold: dicts, lists, text, numbers, and arrays of these dtypes."""

    dtypes: Collection[str]
    """Kinds and sizes, such as "f4"."""
    kind: str
    """The same in words."""
    longest: int
    """Items of a list."""
    deepest: int = 2
    """Dicts and lists within each other."""
    most: int = 1_000_000
    """Values in all; one that is named twice counts twice."""


def unpickle(content: bytes, expected: Expected, boxed: bool = False) -> Any:
    """The value in a pickle of Python 2 or 3: text as str, tuples as lists.

    `boxed`: it is the one object in a NumPy array, as numpy.save writes objects. Raises
    RefusedPickle if it holds anything unexpected; a damaged pickle raises exceptions of any kind.
    """
    # Python 2 knew no bytes: what it wrote of arrays would be spoiled as text.
    value = _Unpickler(io.BytesIO(content), encoding="bytes").load()
    return _plain(_unbox(value) if boxed else value, expected, 0, iter(range(expected.most)))


# The unpickler in C keeps what it remembers in an array, as long as the largest number that a file
# names: twenty bytes could ask for gigabytes. The one in Python has a dict.
_Base: Any = pickle._Unpickler  # type: ignore[attr-defined, unused-ignore]


class BoundedUnpickler(_Base):  # type: ignore[misc]
    """An unpickler that takes no more time and memory than its pickle is long.

    A tuple of the same two tuples, of the same two tuples and so on, is a few bytes for each level,
    and its hash takes twice as long: so keys of dicts are looked at before they are hashed.
    """

    def _set_item(self) -> None:
        check_key(self.stack[-2])
        super().load_setitem()

    def _set_items(self) -> None:
        for key in self.stack[::2]:
            check_key(key)
        super().load_setitems()

    def _dict(self) -> None:
        for key in self.stack[::2]:
            check_key(key)
        super().load_dict()

    def _set(self) -> None:
        raise RefusedPickle("a thing of the kind set")

    def _buffer(self) -> None:  # its room is taken before it is read
        raise RefusedPickle("a thing of the kind bytearray")

    def get_extension(self, code: int) -> None:
        """Refuse a number that stands for a class which the program has registered."""
        raise RefusedPickle(f"extension {code}")

    dispatch: ClassVar = {
        **_Base.dispatch,
        pickle.SETITEM[0]: _set_item,
        pickle.SETITEMS[0]: _set_items,
        pickle.DICT[0]: _dict,
        pickle.EMPTY_SET[0]: _set,
        pickle.ADDITEMS[0]: _set,
        pickle.FROZENSET[0]: _set,
        pickle.BYTEARRAY8[0]: _buffer,
    }


class _Unpickler(BoundedUnpickler):
    def find_class(self, module: str, name: str) -> "_StandIn":
        try:
            return _StandIn(_GLOBALS[module, name])
        except KeyError:
            raise RefusedPickle(ascii(f"{module}.{name}"[:80])) from None

    def persistent_load(self, key: Any) -> None:
        raise RefusedPickle("a reference to something outside it")


def encoded(text: object, encoding: object) -> bytes:
    """What `_codecs.encode` makes: bytes, as Python 3 writes them in an old protocol."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise RefusedPickle("encoded text that is not latin1")
    return text.encode("latin1")


def check_key(key: Any) -> None:
    """Raise RefusedPickle unless this is a key that is quickly hashed: no tuple in a tuple."""
    parts = key if isinstance(key, tuple) and len(key) <= _LONGEST_KEY else (key,)
    for part in parts:
        if not isinstance(part, (bytes, str, int, float, type(None))):
            raise RefusedPickle(f"a key of the kind {type(key).__name__.lstrip('_')}")


class _StandIn:
    """One of _GLOBALS by its name; calling it makes a stand-in for what NumPy would make."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *arguments: Any) -> Any:
        if self._name == "dtype":
            return _Dtype(*arguments[:1])
        if self._name == "_reconstruct":
            return _Array()
        if self._name == "encode":
            return encoded(*arguments)
        raise RefusedPickle(f"a call of numpy.{self._name}")

    def __setstate__(self, state: Any) -> None:
        raise RefusedPickle(f"a change of numpy.{self._name}")


class _Dtype:
    """A dtype as pickled: its kind and size, then its byte order."""

    def __init__(self, code: Any = None) -> None:
        self.code = _text(code)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2:
            raise RefusedPickle("a dtype of an unknown form")
        self.order = _text(state[1])

    def numpy(self, expected: Expected) -> np.dtype[Any]:
        if self.code not in expected.dtypes or self.order not in ("<", ">", "=", "|"):
            raise RefusedPickle(f"an array of {self.code!r}, where {expected.kind} are expected")
        return np.dtype(self.order + self.code)


class _Array:
    """An array as pickled: the shape, the dtype, the order of axes and the bytes."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def parts(self) -> tuple[tuple[int, ...], _Dtype, bool, Any]:
        state = self.state
        if isinstance(state, tuple) and len(state) == 5:
            _, shape, dtype, fortran, data = state
            sizes = isinstance(shape, tuple) and all(type(n) is int and n >= 0 for n in shape)
            if sizes and len(shape) <= 8 and isinstance(dtype, _Dtype):
                return shape, dtype, bool(fortran), data
        raise RefusedPickle("an array of an unknown form")

    def numpy(self, expected: Expected) -> NDArray[Any]:
        shape, dtype, fortran, data = self.parts()
        kind = dtype.numpy(expected)
        if not isinstance(data, bytes):
            raise RefusedPickle("an array whose numbers are not bytes")
        if len(data) != math.prod(shape) * kind.itemsize:
            raise RefusedPickle(f"an array of shape {shape} with {len(data)} bytes")
        return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")


def _unbox(value: Any) -> Any:
    """The object in an array of one object."""
    if not isinstance(value, _Array):
        raise RefusedPickle("a pickle that is not an array")
    shape, dtype, _, data = value.parts()
    is_box = dtype.code in ("O", "O8", "O4") and shape == ()
    if not is_box or not isinstance(data, list) or len(data) != 1:
        raise RefusedPickle("an array that is not one object")
    return data[0]


def _plain(value: Any, expected: Expected, depth: int, room: Iterator[int]) -> Any:
    """The value with arrays in place of stand-ins; raises RefusedPickle for anything else.

    `room` has an item for each value that there may still be.
    """
    if next(room, None) is None:
        raise RefusedPickle(f"more than {expected.most:,} values")
    if depth > expected.deepest:
        raise RefusedPickle("more than arrays in lists in a dict")
    if isinstance(value, _Array):
        return value.numpy(expected)
    if isinstance(value, dict):
        return {
            key if type(key) is int else _text(key): _plain(inner, expected, depth + 1, room)
            for key, inner in value.items()
        }
    if isinstance(value, (list, tuple)):
        if len(value) > expected.longest:
            raise RefusedPickle(f"a list of {len(value)}")
        return [_plain(inner, expected, depth + 1, room) for inner in value]
    return value if isinstance(value, (int, float, type(None))) else _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin1")
    if isinstance(value, str):
        return value
    raise RefusedPickle(f"a thing of the kind {type(value).__name__.lstrip('_')}")
