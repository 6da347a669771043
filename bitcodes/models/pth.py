"""Weights in a PyTorch file of the old kind (before version 1.6), read without PyTorch.

Such a file is five pickles (a magic number, the version, the machine, the tensors by name, the keys
of their storages), then for each key an int64 count and the numbers. A pickle may call any function
that Python can import; here it may name the few things below, and none of them is imported.
"""

import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitcodes.errors import ModelError
from bitcodes.unpickle import BoundedUnpickler

Arrays = Mapping[str, NDArray[Any]]
"""Tensors by name."""

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: str


@dataclass(frozen=True)
class _Tensor:
    """A tensor as pickled: a view of a storage; offset and strides count numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, storages: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if not all(type(n) is int for n in (self.offset, *self.shape, *self.strides)):
            raise ValueError("a tensor whose sizes are no whole numbers")
        numbers = storages[self.storage.key]
        last = sum((n - 1) * step for n, step in zip(self.shape, self.strides, strict=True))
        is_inside = 0 in self.shape or self.offset + last < len(numbers)
        is_larger = math.prod(self.shape) > len(numbers)
        if min((self.offset, *self.shape, *self.strides)) < 0 or not is_inside or is_larger:
            raise ValueError(f"a tensor of shape {self.shape} does not fit its storage")
        strides = [step * numbers.itemsize for step in self.strides]
        return np.lib.stride_tricks.as_strided(
            numbers[self.offset :], self.shape, strides, writeable=False
        )


class _Dict(dict[str, Any]):
    """Stands for an OrderedDict, which gets its items later."""

    def __init__(self, *items: object) -> None:
        if items:
            raise ValueError("it makes a dict of other things than its items")
        super().__init__()


_GLOBALS = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: _Tensor(*parts[:4]),
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
}


class _Unpickler(BoundedUnpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _GLOBALS:
            raise ValueError(f"it names {module}.{name}, which no file of weights needs")
        return _GLOBALS[module, name]

    def persistent_load(self, key: Any) -> _Storage:
        kind, dtype, number = key[:3]
        if kind != "storage" or not isinstance(dtype, str) or not isinstance(number, str):
            raise ValueError("it refers to something other than numbers")
        return _Storage(number, dtype)


def read_pth(content: bytes, path: Path) -> Arrays:
    """The tensors in an old PyTorch file of float32 and int64 tensors by name, in its order.

    They are views of `content`, that of the file `path`. Raises ModelError if it is a file of
    another kind, or damaged.
    """
    try:
        return _read(content)
    except Exception as error:  # a pickle that is cut or made up ends in errors of any kind
        raise ModelError(f"{path}: is damaged, or no file of weights: {error}") from None


def _read(content: bytes) -> Arrays:
    file = io.BytesIO(content)
    magic, version, _, tensors, keys = (_Unpickler(file).load() for _ in range(5))
    if (magic, version) != (_MAGIC, _VERSION):
        raise ValueError("expected the old format of PyTorch, version 1001")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ValueError("expected the names of its storages")
    dtypes = {tensor.storage.key: tensor.storage.dtype for tensor in tensors.values()}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        storages[key] = np.frombuffer(content, dtypes[key], count, file.tell())
        file.seek(storages[key].nbytes, io.SEEK_CUR)
    return {str(name): tensor.view(storages) for name, tensor in tensors.items()}
