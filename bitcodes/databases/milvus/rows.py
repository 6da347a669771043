"""Rows of a collection: how code sets become rows, and rows become code sets."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymilvus import CollectionSchema, DataType, MilvusClient

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.columns import as_stored
from bitcodes.codes.pack import code_bytes, pack_bits, unpack_bits
from bitcodes.codes.paths import escaped, unescape
from bitcodes.errors import CodeSetError
from bitcodes.hamming.measure import Measure, measure_of

Row = dict[str, Any]

_LONGEST = 65_535
"""Bytes of a text; Milvus takes no more."""

_SKIPPED = {0x0A: 0x0B, 0x0D: 0x0E, 0xD800: 0xE000}
"""Characters that no stored path has, and the next one that one may have."""

_CLASSES = "classes"
"""What a row with several labels calls the numbers of its classes."""


def schema(head: CodeSet, description: str) -> CollectionSchema:
    """The columns of a collection for a set."""
    made = MilvusClient.create_schema(auto_id=False, description=description)
    made.add_field("id", DataType.INT64, is_primary=True)
    vector_bits = 8 * to_vectors(head.codes[:0], measure_of(head)).shape[1]
    made.add_field("code", DataType.BINARY_VECTOR, dim=vector_bits)
    made.add_field("path", DataType.VARCHAR, max_length=_LONGEST)
    if head.labels is not None:
        made.add_field("labels", DataType.INT32 if head.labels.ndim == 1 else DataType.JSON)
    if head.stat is not None:
        made.add_field("size", DataType.INT64)
        made.add_field("mtime_ns", DataType.INT64)
    return made


def to_vectors(codes: NDArray[np.uint8], measure: Measure) -> NDArray[np.uint8]:
    """Vectors (N, V) whose Hamming distance is the distance of packed codes (N, B).

    Codes of two parts are followed by their class bits, until these are there as often as they
    count.
    """
    if measure.is_plain:
        return codes
    bits = unpack_bits(codes, measure.bits)  # (N, K)
    class_bits = bits[:, : measure.bits - measure.instance_bits]
    return pack_bits(np.concatenate([bits, *[class_bits] * (measure.weight - 1)], axis=1))


def to_codes(vectors: Sequence[bytes], bits: int) -> NDArray[np.uint8]:
    """The codes (N, B) of vectors."""
    width = code_bytes(bits)
    codes = np.frombuffer(b"".join(vector[:width] for vector in vectors), np.uint8)
    codes = codes.reshape(-1, width).copy()
    codes[:, -1] &= 256 - (1 << 8 * width - bits)  # the bits after them are of class bits
    return codes


def to_rows(code_set: CodeSet, numbers: NDArray[np.int64], start: int, stop: int) -> list[Row]:
    """Some rows of a set as the client takes them; `numbers` (N,) are those of all."""
    vectors = to_vectors(code_set.codes[start:stop], measure_of(code_set))
    columns: dict[str, Any] = {
        "id": numbers[start:stop].tolist(),
        "code": [vector.tobytes() for vector in vectors],
        "path": [path.decode() for path in escaped(code_set.paths, start, stop)],
    }
    if code_set.labels is not None:
        labels = code_set.labels[start:stop]
        columns["labels"] = labels.tolist() if labels.ndim == 1 else list(_numbers(labels))
    if code_set.stat is not None:
        columns["size"], columns["mtime_ns"] = code_set.stat[start:stop].T.tolist()
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _numbers(labels: NDArray[np.uint8]) -> Iterator[dict[str, list[int]]]:
    for row in labels:
        yield {_CLASSES: np.flatnonzero(row).tolist()}


def to_code_set(rows: Sequence[Row], head: CodeSet) -> CodeSet:
    """The code set of rows, which has what `head` has.

    CodeSetError, naming the store, if the rows are not what a code set may hold.
    """
    arrays: dict[str, NDArray[Any]] = {}
    if head.labels is not None:
        labels = np.zeros((len(rows), *head.labels.shape[1:]), head.labels.dtype)
        for place, row in enumerate(rows):
            if labels.ndim == 1:
                labels[place] = row["labels"]
            else:
                labels[place, row["labels"][_CLASSES]] = 1
        arrays["labels"] = labels
    if head.stat is not None:
        stat = [(row["size"], row["mtime_ns"]) for row in rows]
        arrays["stat"] = np.array(stat, np.int64).reshape(-1, 2)
    try:
        paths = tuple(unescape(row["path"].encode()) for row in rows)
        stored: dict[str, Any] = as_stored(arrays, len(rows), len(head.class_names))
    except (CodeSetError, ValueError) as error:
        raise CodeSetError(f"{head.name}: {error}; push the code set again") from None
    codes = to_codes([row["code"][0] for row in rows], head.bits)
    header = head.header.model_copy(update={"count": len(rows)})
    return CodeSet(None, header, codes, paths, **stored, url=head.name)


def literal(text: str) -> str:
    """A text in an expression."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def has_class(numbers: Sequence[int], head: CodeSet) -> str:
    """The expression for rows that have one of some classes."""
    listed = ", ".join(map(str, numbers))
    if head.labels is not None and head.labels.ndim == 2:
        return f'json_contains_any(labels["{_CLASSES}"], [{listed}])'
    return f"labels in [{listed}]"


def begins_with(beginning: str) -> str:
    """The expression for rows whose path, as it is stored, begins so."""
    # No pattern: versions of Milvus differ in how they mark what is no part of one.
    terms = [f"path >= {literal(beginning)}"]
    if stem := beginning.rstrip(chr(sys.maxunicode)):
        after = ord(stem[-1]) + 1
        terms.append(f"path < {literal(stem[:-1] + chr(_SKIPPED.get(after, after)))}")
    return " and ".join(terms)
