"""Files that torch.save wrote, looked at before PyTorch reads them.

`torch.load(weights_only=True)` runs no code of a file. But a few hundred bytes can name the same
list in the same list, and so on: comparing or printing it takes 2**60 steps, and so does its hash
if it is the key of a dict. A tensor can also be larger than all numbers in the file. So the pickle
in a file is read with stand-ins first, which count.
"""

import io
import math
import re
import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import Any, BinaryIO

import torch

from bitcodes.documents import DEEPEST
from bitcodes.files import open_regular
from bitcodes.unpickle import BoundedUnpickler, RefusedPickle, check_key, encoded

MOST_VALUES = 1_000_000
"""Values in a file; one that is named twice counts twice. A tensor is about ten values."""
MOST_SHARED = 16
"""How often all numbers in a file may be part of tensors, on average."""

_FEW_NUMBERS = 1_000_000  # tensors may always have these
_NUMBER_BYTES = {
    **{"ByteStorage": 1, "CharStorage": 1, "BoolStorage": 1, "UntypedStorage": 1},
    **{"HalfStorage": 2, "BFloat16Storage": 2, "ShortStorage": 2},
    **{"FloatStorage": 4, "IntStorage": 4, "DoubleStorage": 8, "LongStorage": 8},
    **{"ComplexFloatStorage": 8, "ComplexDoubleStorage": 16},
}
_DICTS = ("collections.OrderedDict", "collections.Counter")
_KEYS = ("builtins.set", "__builtin__.set", *_DICTS)
_OTHERS = (
    *("builtins.complex", "__builtin__.complex"),
    *("torch.Size", "torch.device", "torch._utils._rebuild_parameter"),
)
_ENCODE = "_codecs.encode"
_TENSOR = "torch._utils._rebuild_tensor_v2"
_STORAGE = re.compile(r"torch(?:\.storage)?\.(\w+Storage)")


def load_torch(path: Path) -> Any:
    """The value in a file of torch.save, with tensors on the CPU.

    Raises RefusedPickle if it holds anything but tensors, numbers and text in lists and dicts, or
    too much of it; a damaged file raises exceptions of many kinds.
    """
    with open_regular(path) as file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        is_zip = file.read(4) == b"PK\3\4"
        file.seek(0)
        if is_zip:
            _check_zip(file, size)
        else:
            _check_old(file, size)
    return torch.load(path, map_location="cpu", weights_only=True)


def _check_zip(file: BinaryIO, size: int) -> None:
    """Check the pickle in a zip, which torch.save writes from version 1.6 on."""
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len({one.filename.lower() for one in members}) != len(members):
            raise RefusedPickle("two parts of one name")
        if sum(one.file_size for one in members) > size:
            raise RefusedPickle("parts that are larger than the file")
        for one in members:
            if one.filename.endswith("data.pkl"):
                _check(io.BytesIO(archive.read(one)), size)


def _check_old(file: BinaryIO, size: int) -> None:
    """Check the five pickles at the beginning of an old file; see bitcodes.models.pth."""
    for _ in range(5):
        _check(file, size)


def _check(file: BinaryIO, size: int) -> None:
    unpickler = _Unpickler(file, size)
    numbers = _Count(unpickler.load()).numbers
    if numbers > max(_FEW_NUMBERS, MOST_SHARED * unpickler.stored):
        raise RefusedPickle(f"tensors of {numbers:,} numbers that share {unpickler.stored:,}")


class _Made:
    """Stands for what a call makes: the arguments, and the numbers in it if it is a tensor."""

    def __init__(self, parts: tuple[Any, ...], numbers: int = 0) -> None:
        self.parts = parts
        self.numbers = numbers


class _Dict(dict[Any, Any]):
    """Stands for an OrderedDict or a Counter."""

    def __init__(self, parts: tuple[Any, ...]) -> None:
        super().__init__()
        self.parts = parts

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise RefusedPickle("a dict with attributes of an unknown form")
        self.parts = (*self.parts, state)


class _Storage:
    """The numbers that tensors are views of."""

    def __init__(self, kind: str, count: int) -> None:
        self.kind = kind
        self.count = count


class _Name:
    """A function or a class that a file may name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, *arguments: Any) -> Any:
        if self.name == _TENSOR:
            return _tensor(*arguments)
        if self.name == _ENCODE:
            return encoded(*arguments)
        if self.name in _KEYS:
            _check_keys(arguments)
        elif self.name not in _OTHERS:
            raise RefusedPickle(f"a call of {self.name}")
        return _Dict(arguments) if self.name in _DICTS else _Made(arguments)


def _check_keys(arguments: tuple[Any, ...]) -> None:
    """Check what a set, an OrderedDict or a Counter is made of: keys, pairs of them, or a dict."""
    if len(arguments) > 1 or not all(isinstance(one, (list, tuple, dict)) for one in arguments):
        raise RefusedPickle("a dict or set made of other things than a list")
    for one in (key for inner in arguments for key in inner):
        if isinstance(one, (list, tuple)) and len(one) == 2:
            check_key(one[0])
        else:
            check_key(one)


def _tensor(*arguments: Any) -> _Made:
    storage, offset, shape, strides = arguments[:4]
    if isinstance(shape, _Made) and len(shape.parts) == 1:  # torch.Size
        shape = shape.parts[0]
    if not isinstance(storage, _Storage) or not _whole((offset,), shape, strides):
        raise RefusedPickle("a tensor of an unknown form")
    if len(shape) != len(strides) or len(shape) > 64:
        raise RefusedPickle(f"a tensor of {len(shape)} dimensions with {len(strides)} strides")
    numbers = math.prod(shape)
    last = sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if numbers and offset + last >= storage.count:
        raise RefusedPickle(f"a tensor of {numbers:,} numbers, which are not in the file")
    return _Made(arguments[4:], numbers)


def _whole(*groups: Any) -> bool:
    return all(
        isinstance(group, (tuple, list)) and all(type(n) is int and 0 <= n < 2**63 for n in group)
        for group in groups
    )


class _Unpickler(BoundedUnpickler):
    def __init__(self, file: BinaryIO, size: int) -> None:
        super().__init__(file, encoding="bytes")
        self._room = size
        self._storages: dict[Any, _Storage] = {}

    @property
    def stored(self) -> int:
        """The numbers in all storages."""
        return sum(storage.count for storage in self._storages.values())

    def find_class(self, module: str, name: str) -> _Name:
        full = f"{module}.{name}"
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if full in (_ENCODE, _TENSOR, *_KEYS, *_OTHERS) or _STORAGE.fullmatch(full) or is_dtype:
            return _Name(full)
        raise RefusedPickle(ascii(full[:80]))

    def persistent_load(self, key: Any) -> _Storage:
        """The storage that a reference names: its kind, name, device and count of numbers."""
        form = key[:1] + key[5:] if isinstance(key, tuple) and len(key) > 4 else None
        if form not in (("storage",), (b"storage",), ("storage", None), (b"storage", None)):
            raise RefusedPickle("a reference to something other than numbers")
        _, kind, name, device, count = key[:5]
        match = _STORAGE.fullmatch(kind.name) if isinstance(kind, _Name) else None
        if match is None or type(count) is not int or not isinstance(device, (str, bytes)):
            raise RefusedPickle("numbers of an unknown form")
        check_key(name)
        storage = self._storages.get(name)
        if storage is None:
            storage = self._storages[name] = _Storage(match[1], count)
            self._room -= max(0, count) * _NUMBER_BYTES.get(match[1], 1)
        if (storage.kind, storage.count) != (match[1], count):
            raise RefusedPickle("numbers of two kinds under one name")
        if count < 0 or self._room < 0:
            raise RefusedPickle(f"{count:,} numbers, which are not in the file")
        return storage


class _Count:
    """Counts what a value holds, as often as it is named; raises RefusedPickle if it is too much.

    `numbers` are those in tensors.
    """

    def __init__(self, value: Any) -> None:
        self.numbers = 0
        room = MOST_VALUES
        waiting = [(value, 0)]
        while waiting:
            one, depth = waiting.pop()
            inner = self._inner(one)
            room -= 1 + len(inner)
            if room < 0:
                raise RefusedPickle(f"more than {MOST_VALUES:,} values")
            if inner and depth == DEEPEST:
                raise RefusedPickle(f"more than {DEEPEST} lists and dicts within each other")
            waiting.extend((each, depth + 1) for each in inner)

    def _inner(self, value: Any) -> Collection[Any]:
        if isinstance(value, _Dict):
            return [*value.values(), *value.parts]
        if isinstance(value, dict):
            return value.values()
        if isinstance(value, _Made):
            self.numbers += value.numbers
            return value.parts
        return value if isinstance(value, (list, tuple)) else ()
