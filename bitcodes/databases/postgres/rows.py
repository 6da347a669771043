"""Rows of a table: how code sets become rows of COPY, and rows become code sets."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.columns import as_stored
from bitcodes.codes.header import CodeSetHeader
from bitcodes.codes.pack import code_bytes
from bitcodes.codes.paths import escaped, unescape
from bitcodes.errors import CodeSetError

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
"""What a binary COPY begins with: no flags, no extension."""
_TRAILER = b"\xff\xff"

_ROWS = 1 << 13
"""Rows that are sent at a time."""


class Layout(NamedTuple):
    """Which columns a table has, and of which types."""

    bits: int
    label_bits: int | None
    """None without labels, 0 for class numbers, C for 0/1 labels of C classes."""
    has_stat: bool

    @classmethod
    def of(cls, code_set: CodeSet) -> Self:
        """The layout for a set."""
        labels = code_set.labels
        width = None if labels is None else 0 if labels.ndim == 1 else labels.shape[1]
        return cls(code_set.bits, width, code_set.stat is not None)

    @classmethod
    def from_types(cls, types: Mapping[str, str]) -> Self:
        """The layout of a table whose columns have these types; ValueError if it is none of ours.

        An unknown column is another program's, and left alone.
        """
        labels = types.get("labels")
        width = None if labels is None else 0 if labels == "integer" else _width(labels)
        layout = cls(_width(types.get("code", "")), width, "mtime_ns" in types)
        if any(types.get(name) != kind for name, kind in layout.columns.items()):
            raise ValueError
        return layout

    @property
    def columns(self) -> dict[str, str]:
        """Each column and its type, in the order of rows in COPY; the path comes last."""
        columns = {"id": "bigint", "code": f"bit({self.bits})"}
        if self.label_bits is not None:
            columns["labels"] = f"bit({self.label_bits})" if self.label_bits else "integer"
        if self.has_stat:
            columns |= {"size": "bigint", "mtime_ns": "bigint"}
        return {**columns, "path": "text"}


def _width(kind: str) -> int:
    """The K of the type bit(K); ValueError for another type."""
    if not (kind.startswith("bit(") and kind.endswith(")")):
        raise ValueError
    return int(kind[4:-1])


def copy_blocks(
    code_set: CodeSet, first: int = 0, progress: Progress | None = None
) -> Iterator[bytes]:
    """The rows of a set as a binary COPY, their numbers from `first` on."""
    yield _SIGNATURE
    for start in range(0, code_set.count, _ROWS):
        stop = min(start + _ROWS, code_set.count)
        paths = escaped(code_set.paths, start, stop)
        rows = _fixed_part(code_set, start, stop)
        rows["id"]["value"] += first
        rows["path"] = [len(path) for path in paths]
        data, size = rows.tobytes(), rows.itemsize
        yield b"".join(
            piece
            for row, path in enumerate(paths)
            for piece in (data[row * size : (row + 1) * size], path)
        )
        if progress is not None:
            progress(stop, code_set.count)
    yield _TRAILER


def _fixed_part(code_set: CodeSet, start: int, stop: int) -> NDArray[Any]:
    """Rows without the bytes of paths, numbered from `start` on.

    Each value comes after its length in bytes, and bits after their number, too.
    """
    columns: dict[str, tuple[NDArray[Any], int]] = {
        "id": (np.arange(start, stop), 0),
        "code": (code_set.codes[start:stop], code_set.bits),
    }
    if code_set.labels is not None:
        labels = code_set.labels[start:stop]
        if labels.ndim == 1:
            columns["labels"] = labels, 0
        else:
            columns["labels"] = np.packbits(labels, axis=1), labels.shape[1]
    if code_set.stat is not None:
        for place, name in enumerate(("size", "mtime_ns")):
            columns[name] = code_set.stat[start:stop, place], 0
    fields: list[tuple[str, Any]] = [("columns", ">i2")]
    for name, (values, bits) in columns.items():
        kind = np.dtype((">u1" if bits else f">i{values.itemsize}", values.shape[1:]))
        bit_count = [("bits", ">i4")] if bits else []
        fields.append((name, [("length", ">i4"), *bit_count, ("value", kind)]))
    rows = np.zeros(stop - start, [*fields, ("path", ">i4")])
    rows["columns"] = len(columns) + 1
    for name, (values, bits) in columns.items():
        column = rows[name]
        column["length"] = column.dtype.itemsize - 4
        column["value"] = values
        if bits:
            column["bits"] = bits
    return rows


def to_code_set(
    rows: Iterable[tuple[Any, ...]], layout: Layout, header: CodeSetHeader, name: str
) -> CodeSet:
    """The code set of rows without their numbers, as a binary cursor gives them.

    CodeSetError, naming the store, if the rows are not what a code set may hold.
    """
    columns = list(zip(*rows, strict=True)) or [()] * (len(layout.columns) - 1)
    values = dict(zip(list(layout.columns)[1:], columns, strict=True))
    count = len(values["path"])
    arrays: dict[str, NDArray[Any]] = {}
    if layout.label_bits:
        labels = _bytes(values["labels"], layout.label_bits)
        arrays["labels"] = np.unpackbits(labels, axis=1, count=layout.label_bits)
    elif layout.label_bits == 0:
        arrays["labels"] = np.array(values["labels"], np.int32)
    if layout.has_stat:
        arrays["stat"] = np.array([values["size"], values["mtime_ns"]], np.int64).T
    try:
        paths = tuple(unescape(path.encode()) for path in values["path"])
        stored: dict[str, Any] = as_stored(arrays, count, len(header.class_names))
    except (CodeSetError, ValueError) as error:
        raise CodeSetError(f"{name}: {error}; push the code set with --update") from None
    codes = _bytes(values["code"], layout.bits)
    header = header.model_copy(update={"count": count})
    return CodeSet(None, header, codes, paths, **stored, url=name)


def _bytes(values: tuple[bytes, ...], bits: int) -> NDArray[np.uint8]:
    """Bit strings (N,), each after its length in four bytes, as packed bits (N, B)."""
    width = code_bytes(bits)
    joined = np.frombuffer(b"".join(values), np.uint8).reshape(-1, width + 4)
    return np.ascontiguousarray(joined[:, 4:])
