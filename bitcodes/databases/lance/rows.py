"""Rows of a table: how code sets become Arrow's columns, and columns become code sets."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow
import pyarrow.compute
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.columns import as_stored
from bitcodes.codes.header import CodeSetHeader
from bitcodes.codes.pack import check_codes, code_bytes
from bitcodes.codes.paths import escape, escaped, unescape
from bitcodes.databases.store import Condition, signed_header
from bitcodes.errors import CodeSetError

HEADER = b"bitcodes"
"""The key of the table's metadata that holds the header."""

_ROWS = 1 << 16
"""Rows that are written at a time."""


def schema_of(code_set: CodeSet) -> pyarrow.Schema:
    """The columns for a set, and its header with the checksums of its files."""
    vector = pyarrow.list_(pyarrow.uint8(), code_bytes(code_set.bits))
    fields = {"id": pyarrow.int64(), "code": vector}
    labels = code_set.labels
    if labels is not None and labels.ndim == 1:
        fields["labels"] = pyarrow.int32()
    elif labels is not None:
        fields["labels"] = pyarrow.list_(pyarrow.uint8(), labels.shape[1])
    if code_set.stat is not None:
        fields |= dict.fromkeys(("size", "mtime_ns"), pyarrow.int64())
    return pyarrow.schema(
        {**fields, "path": pyarrow.string()}, {HEADER: signed_header(code_set).to_bytes()}
    )


def batches(
    code_set: CodeSet, first: int = 0, progress: Progress | None = None
) -> Iterator[pyarrow.RecordBatch]:
    """The rows of a set, their numbers from `first` on."""
    schema = schema_of(code_set)
    for start in range(0, code_set.count, _ROWS):
        stop = min(start + _ROWS, code_set.count)
        columns = {
            "id": pyarrow.array(np.arange(first + start, first + stop)),
            "path": pyarrow.array(escaped(code_set.paths, start, stop)).cast(pyarrow.string()),
            **_values(code_set, start, stop),
        }
        yield pyarrow.record_batch([columns[name] for name in schema.names], schema)
        if progress is not None:
            progress(stop, code_set.count)


def _values(code_set: CodeSet, start: int, stop: int) -> dict[str, pyarrow.Array]:
    arrays = {"code": code_set.codes, "labels": code_set.labels}
    if code_set.stat is not None:
        arrays |= {"size": code_set.stat[:, 0], "mtime_ns": code_set.stat[:, 1]}
    return {name: _column(array[start:stop]) for name, array in arrays.items() if array is not None}


def _column(array: NDArray[Any]) -> pyarrow.Array:
    values = pyarrow.array(np.ascontiguousarray(array).ravel())
    if array.ndim == 1:
        return values
    return pyarrow.FixedSizeListArray.from_arrays(values, array.shape[1])


def to_array(column: pyarrow.ChunkedArray) -> NDArray[Any]:
    """A column of numbers (N,), or of lists of one length (N, C)."""
    kind, values = column.type, column.combine_chunks()
    if pyarrow.types.is_fixed_size_list(kind):
        flat: NDArray[Any] = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(-1, kind.list_size)
    one: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    return one


def in_order(table: pyarrow.Table) -> pyarrow.Table:
    """Rows in the order of their numbers, which they have unless another program wrote some."""
    numbers = to_array(table["id"])
    return table if (np.diff(numbers) > 0).all() else table.sort_by("id")


def to_code_set(table: pyarrow.Table, header: CodeSetHeader, name: str) -> CodeSet:
    """The code set of rows. CodeSetError, naming the store, if it may not hold them."""
    arrays: dict[str, NDArray[Any]] = {}
    try:
        codes = to_array(table["code"])
        check_codes(codes, header.bits)
        if "labels" in table.column_names:
            arrays["labels"] = to_array(table["labels"])
        if "size" in table.column_names:
            arrays["stat"] = np.stack([to_array(table[n]) for n in ("size", "mtime_ns")], axis=1)
        paths = tuple(unescape(path.encode()) for path in table["path"].to_pylist())
        stored: dict[str, Any] = as_stored(arrays, len(codes), len(header.class_names))
    except (CodeSetError, KeyError, ValueError, AttributeError) as error:
        raise CodeSetError(f"{name}: {error}; push the code set again") from None
    header = header.model_copy(update={"count": len(codes), "files": {}})
    return CodeSet(None, header, codes, paths, **stored, url=name)


def meets(table: pyarrow.Table, condition: Condition) -> NDArray[np.bool_]:
    """Which rows meet a condition (N,); the table has the columns that `asked` names."""
    chosen = np.ones(len(table), np.bool_)
    if condition.classes is not None:
        labels = to_array(table["labels"])
        if labels.ndim == 1:
            chosen &= np.isin(labels, condition.classes)
        else:
            chosen &= labels[:, list(condition.classes)].any(axis=1)
    if condition.under is not None:
        begins = pyarrow.compute.starts_with(table["path"], escape(condition.under))
        chosen &= to_array(begins)
    return chosen


def asked(condition: Condition) -> list[str]:
    """The columns that a condition is about."""
    columns = {"labels": condition.classes, "path": condition.under}
    return [name for name, value in columns.items() if value is not None]
