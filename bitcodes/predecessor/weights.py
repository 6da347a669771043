"""Pickled NumPy arrays in a .npy file, read without trusting the file."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format

from bitcodes.documents import read_bytes
from bitcodes.errors import ModelError
from bitcodes.unpickle import Expected, RefusedPickle, unpickle

_LAYERS = Expected(("f2", "f4", "f8"), "floating point numbers", longest=1000)
_MOST_BYTES = 1 << 31


def read_pickled_arrays(path: Path) -> Any:
    """What `numpy.save` wrote of a dict (or list) of arrays, in Python 2 or 3; text as str.

    Only dicts, lists, tuples, text, numbers and arrays of floating point numbers are accepted; an
    array has the shape and dtype that it was stored with. Raises ModelError if the file holds
    anything else or is cut short.
    """
    try:
        content = read_bytes(path, ModelError, _MOST_BYTES)
    except FileNotFoundError:
        raise ModelError(f"{path}: cannot be read: No such file") from None
    try:
        return unpickle(_pickle_in(content), _LAYERS, boxed=True)
    except RefusedPickle as refused:
        raise ModelError(
            f"{path}: is refused, because it holds {refused}; expected a pickled dict of arrays of "
            "numbers, as numpy.save writes it, and nothing else"
        ) from None
    except Exception as error:  # a pickle that is cut or made up ends in errors of any kind
        raise ModelError(
            f"{path}: is damaged or no file of numpy.save ({type(error).__name__}: {error})"
        ) from None


def _pickle_in(content: bytes) -> bytes:
    """The pickle in a .npy file: what follows its header, which must be of one object."""
    if not content.startswith(format.MAGIC_PREFIX):
        raise RefusedPickle("no .npy header")
    file = io.BytesIO(content)
    is_first = format.read_magic(file) == (1, 0)
    header = (format.read_array_header_1_0 if is_first else format.read_array_header_2_0)(file)
    if header != ((), False, np.dtype(object)):
        raise RefusedPickle(f"the header {ascii(header)[:200]}, which is not of one object")
    return file.read()
