"""Pickled NumPy arrays in a .npy file, read without trusting the file."""

import ast
from pathlib import Path
from typing import Any

from bitcodes.errors import ModelError
from bitcodes.unpickle import Expected, RefusedPickle, unpickle

_MAGIC = b"\x93NUMPY"
_LARGEST_HEADER = 10_000
_LAYERS = Expected(("f2", "f4", "f8"), "floating point numbers", longest=1000)


def read_pickled_arrays(path: Path) -> Any:
    """What `numpy.save` wrote of a dict (or list) of arrays, in Python 2 or 3; text as str.

    Only dicts, lists, tuples, text, numbers and arrays of floating point numbers are accepted; an
    array has the shape and dtype that it was stored with. Raises ModelError if the file holds
    anything else or is cut short.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return unpickle(content[_start_of_pickle(content) :], _LAYERS, boxed=True)
    except RefusedPickle as refused:
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
        raise RefusedPickle("no .npy header")
    width = 2 if content[6:7] == b"\x01" else 4
    length = int.from_bytes(content[8 : 8 + width], "little")
    start = 8 + width + length
    if length > _LARGEST_HEADER:
        raise RefusedPickle(f"a header of {length} bytes")
    header = ast.literal_eval(content[8 + width : start].decode("latin1"))
    if header != {"descr": "|O", "fortran_order": False, "shape": ()}:
        raise RefusedPickle(f"the header {ascii(header)[:200]}, which is not of one object")
    return start
