"""Code sets read with NumPy alone, and what commands must say of them: slow, and by themselves.

Reading follows docs/code-format.md and raises AssertionError, or whatever NumPy raises, for a set
that this page does not allow.
"""

import io
import json
import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SUFFIXES = {
    "codes": ".npy",
    "paths": ".paths.txt",
    "labels": ".labels.npy",
    "features": ".features.npy",
    "stat": ".stat.npy",
    "skipped": ".skipped.txt",
}
_FIELDS = {
    *("format", "bits", "count", "bit_order", "root", "fingerprint", "backbone", "run", "engine"),
    *("dtype", "decode", "source", "class_names", "files", "crc32"),
}
_TEXTS = ("root", "fingerprint", "backbone", "run", "engine", "dtype", "decode", "source")


@dataclass
class Plain:
    """A code set as it stands in its files."""

    folder: Path
    header: dict[str, Any]
    codes: Array
    lines: list[bytes]
    labels: Array | None
    features: Array | None
    stat: Array | None

    @property
    def bits(self) -> Array:
        """(N, K)"""
        return np.unpackbits(self.codes, axis=1, count=self.header["bits"])

    def path(self, row: int) -> str:
        """The path of a row."""
        return os.fsdecode(unescaped(self.lines[row]))

    @property
    def root(self) -> str | None:
        """The absolute folder of the paths; None for a URL or an unknown one."""
        root = self.header["root"]
        if root is None or "://" in root:
            return None
        return os.path.abspath(self.folder / os.fsdecode(unescaped(root.encode())))  # noqa: PTH100

    def names(self, row: int, names: list[str]) -> list[bytes]:
        """The labels of a row by these class names, which are as they stand in a header."""
        if self.labels is None:
            return []
        own = self.labels[row]
        numbers = [int(own)] if self.labels.ndim == 1 else np.flatnonzero(own).tolist()
        labels = [names[one] if one < len(names) else str(one) for one in numbers if one >= 0]
        return [unescaped(label.encode()) for label in labels]


def unescaped(line: bytes) -> bytes:
    """A path without its escapes; AssertionError for one that the format does not know."""
    line.decode("utf-8")
    plain = {b"\\": b"\\", b"n": b"\n", b"r": b"\r", b"t": b"\t"}

    def replace(match: re.Match[bytes]) -> bytes:
        assert match[1] in plain or re.fullmatch(rb"x[0-9a-f]{2}", match[1]), match[0]
        return plain.get(match[1]) or bytes([int(match[1][1:], 16)])

    return re.sub(rb"\\(x[0-9a-f]{2}|[\\nrt]|.?)", replace, line, flags=re.DOTALL)


def checksum(fields: dict[str, Any]) -> int:
    """The CRC-32 of a header's fields."""
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def read_array(data: bytes, dtype: str, shape: tuple[int | None, ...]) -> Array:
    """An array of this dtype and shape (None: any size), with nothing before or behind it."""
    file = io.BytesIO(data)
    array = np.load(file, allow_pickle=False)
    assert file.tell() == len(data), "bytes behind the array"
    assert array.dtype.str == np.dtype(dtype).str, array.dtype
    assert len(array.shape) == len(shape), array.shape
    assert all(b is None or a == b for a, b in zip(array.shape, shape, strict=True)), array.shape
    assert array.ndim < 2 or array.flags.c_contiguous or not array.size, "Fortran order"
    return np.ascontiguousarray(array)


def _content(file: Path) -> bytes:
    assert file.is_file(), f"{file} is no file"
    return file.read_bytes()


def read_plain(codes: Path) -> Plain:
    """The set with these codes; an exception if it is not valid."""
    stem = codes.name.removesuffix(".npy")
    header = json.loads(_content(codes.with_name(f"{stem}.json")))
    assert set(header) <= _FIELDS, "unknown fields"
    fields = {name: value for name, value in header.items() if name != "crc32"}
    assert header["crc32"] == checksum(fields)
    assert header["format"] == "bitcodes/1" and header["bit_order"] == "msb"
    defaults = dict.fromkeys(_TEXTS, None) | {"class_names": [], "count": 0}
    header = {**defaults, **header}
    bits, count = header["bits"], header["count"]
    assert type(bits) is int and bits > 0 and type(count) is int
    for name in _TEXTS:
        if header[name] is not None:
            unescaped(header[name].encode())
    data = {}
    for role, entry in header["files"].items():
        data[role] = _content(codes.with_name(stem + SUFFIXES[role]))
        assert entry == {"size": len(data[role]), "crc32": zlib.crc32(data[role])}, role
    array = read_array(data["codes"], "u1", (count, -(-bits // 8)))
    assert not np.unpackbits(array, axis=1)[:, bits:].any(), "padding"
    classes = len(header["class_names"])
    labels = None
    if "labels" in data:
        first = np.load(io.BytesIO(data["labels"]), allow_pickle=False)
        kind, shape = ("<i4", (count,)) if first.ndim == 1 else ("u1", (count, None))
        labels = read_array(data["labels"], kind, shape)
        if labels.ndim == 2:
            assert labels.max(initial=0) <= 1 and classes in (0, labels.shape[1])
        elif classes and count:
            assert labels.min() >= 0 and labels.max() < classes
    features = read_array(data["features"], "<f2", (count, None)) if "features" in data else None
    assert features is None or np.isfinite(features).all()
    stat = read_array(data["stat"], "<i8", (count, 2)) if "stat" in data else None
    assert data["paths"].endswith(b"\n") or not data["paths"]
    lines = data["paths"].split(b"\n")[:-1]
    assert len(lines) == count, "paths"
    return Plain(codes.parent, header, array, lines, labels, features, stat)


def distances_between(queries: Array, codes: Array) -> Array:
    """Hamming distances of zeros and ones (Q, K) and (N, K), (Q, N)."""
    one, other = queries.astype(np.int64), codes.astype(np.int64)
    return one @ (1 - other).T + (1 - one) @ other.T


def nearest(distances: Array, k: int | None, radius: int | None) -> list[tuple[int, int]]:
    """(distance, row) of the nearest of one query's distances (N,), in order."""
    pairs = sorted(zip(distances.tolist(), range(len(distances)), strict=True))
    if radius is not None:
        pairs = [pair for pair in pairs if pair[0] <= radius]
    return pairs[:k]


def wrong_hits(found: Any, query: Array, codes: Array, k: int) -> str | None:
    """What is wrong with the JSON of a search by one query (K,) in codes (N, K), if anything."""
    expected = nearest(distances_between(query[None], codes)[0], k, None)
    actual = [(hit["distance"], hit["row"]) for hit in found["queries"][0]["results"]]
    return None if actual == expected else f"expected {expected}, found {actual}"


def expected_map(distances: Array, relevant: Array) -> float | None:
    """The mean AP over queries, ties counted by the mean over their orders; both (Q, N)."""
    scores = []
    for row, good in zip(distances, relevant, strict=True):
        if not good.any():
            continue
        before = hits = 0
        total = 0.0
        for distance in np.unique(row):
            here = row == distance
            n, p = int(here.sum()), int(good[here].sum())
            others = (p - 1) / (n - 1) if n > 1 else 0.0
            for place in range(n):
                total += p / n * (hits + 1 + place * others) / (before + place + 1)
            before, hits = before + n, hits + p
        scores.append(total / int(good.sum()))
    return float(np.mean(scores)) if scores else None


def relevance(queries: Plain, database: Plain) -> Array:
    """Which rows share a class with which queries, (Q, N)."""
    assert queries.labels is not None and database.labels is not None
    width = max(
        int(one.max(initial=0)) + 1 if one.ndim == 1 else one.shape[1]
        for one in (queries.labels, database.labels)
    )

    def as_sets(labels: Array) -> Array:
        if labels.ndim == 2:
            return labels.astype(np.int64)
        return (labels[:, None] == np.arange(width)).astype(np.int64)

    if queries.labels.ndim == database.labels.ndim == 1:
        return np.asarray(queries.labels[:, None] == database.labels)
    return np.asarray(as_sets(queries.labels) @ as_sets(database.labels).T > 0)


def groups(database: Plain, radius: int) -> list[list[int]]:
    """Rows of near-duplicates, each group rising: files that are there, each once."""
    rows = list(range(len(database.codes)))
    near = distances_between(database.bits, database.bits) <= radius
    seen: set[int] = set()
    result = []
    root = database.root
    for row in rows:
        if row in seen:
            continue
        group, waiting = {row}, [row]
        while waiting:
            fresh = set(np.flatnonzero(near[waiting.pop()]).tolist()) - group
            group |= fresh
            waiting += fresh
        seen |= group
        result.append(_of_files(database, root, sorted(group)))
    return sorted(group for group in result if len(group) > 1)


def _of_files(database: Plain, root: str | None, rows: list[int]) -> list[int]:
    if len(rows) < 2 or root is None or not os.path.isdir(root):  # noqa: PTH112
        return rows
    files: dict[tuple[int, int], int] = {}
    for row in sorted(rows, key=lambda row: (database.path(row), row)):
        try:
            status = os.stat(os.path.join(root, database.path(row)))  # noqa: PTH116, PTH118
        except OSError:
            continue
        files.setdefault((status.st_dev, status.st_ino), row)
    return sorted(files.values())
