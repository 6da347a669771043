"""Export: the rows of a code set as one file for other programs, such as databases.

A row is a number, a path, labels and a code. docs/code-format.md describes the files.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.choices import RowFormat
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import code_lanes, to_words
from bitcodes.codes.paths import escape, escape_controls, escaped
from bitcodes.databases.store import header_of
from bitcodes.errors import ConfigError
from bitcodes.files import atomic_write
from bitcodes.tasks.export import check_free
from bitcodes.tasks.opening import open_codes
from bitcodes.tasks.searching.rows import labels_of
from bitcodes.wording import either, escape_in_json

SUFFIXES: dict[str, RowFormat] = {
    ".parquet": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
}
"""What ends of file names mean."""

_ROWS = 1 << 16
"""Rows that are written at a time; a row group of Parquet has as many."""


@dataclass(frozen=True)
class ExportedRows:
    """The file that holds the rows of a code set."""

    file: Path
    format: RowFormat
    bits: int
    count: int


class _Block(NamedTuple):
    """Some rows, one after the other."""

    first: int
    """The number of the first."""
    paths: list[str]
    """As in codes.paths.txt."""
    labels: list[tuple[str, ...]] | None
    """The names of each row's labels; None for a set without labels."""
    codes: NDArray[np.uint8]
    """(n, ceil(K/8))."""


def row_format(out: Path) -> RowFormat:
    """The format that the end of a file's name means. ConfigError if it means none."""
    try:
        return SUFFIXES[out.suffix.lower()]
    except KeyError:
        raise ConfigError(
            f"{out.name}: expected a name that ends in {either(SUFFIXES)} for the rows "
            "of a code set, or one that ends in .onnx, and no code set, for a model"
        ) from None


def export_rows(
    codes: CodeSet | Path | str,
    out: Path,
    format: RowFormat | None = None,
    *,
    force: bool = False,
    progress: Progress | None = None,
) -> ExportedRows:
    """Write the rows of a code set, its file or the URL of its database, whole or not at all.

    By default, the format is that of the name of the file `out`. Raises ConfigError if there is
    none, BitcodesError if the file is there and `force` does not allow replacing it, and what
    `write_rows` raises.
    """
    format = format or row_format(out)
    check_free(out, force)
    code_set = open_codes(codes, progress)
    with atomic_write(out) as file:
        write_rows(code_set, file, format, progress)
    return ExportedRows(out, format, code_set.bits, code_set.count)


def write_rows(
    codes: CodeSet | Path | str,
    file: IO[bytes],
    format: RowFormat,
    progress: Progress | None = None,
) -> None:
    """Write the rows of a code set to an open file, which need not be able to seek.

    ConfigError if Parquet is asked for and pyarrow is missing, CodeSetError for a damaged set.
    """
    code_set = open_codes(codes, progress)
    write = {"parquet": _write_parquet, "ndjson": _write_ndjson, "csv": _write_csv}[format]
    write(file, code_set, _blocks(code_set, progress))


def _blocks(code_set: CodeSet, progress: Progress | None) -> Iterator[_Block]:
    names = [escape(name) for name in code_set.class_names]
    for start in range(0, code_set.count, _ROWS):
        stop = min(start + _ROWS, code_set.count)
        labels = None
        if code_set.labels is not None:
            labels = [labels_of(code_set, row, names) for row in range(start, stop)]
        paths = [path.decode() for path in escaped(code_set.paths, start, stop)]
        yield _Block(start, paths, labels, code_set.codes[start:stop])
        if progress is not None:
            progress(stop, code_set.count)


def _write_ndjson(file: IO[bytes], code_set: CodeSet, blocks: Iterable[_Block]) -> None:
    for block in blocks:
        rows = _columns(code_set, block)
        rows["code"] = _in_hex(block)
        for values in zip(*rows.values(), strict=True):
            text = json.dumps(dict(zip(rows, values, strict=True)), ensure_ascii=False)
            file.write(escape_in_json(text).encode() + b"\n")


def _write_csv(file: IO[bytes], code_set: CodeSet, blocks: Iterable[_Block]) -> None:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n")
    label = _label_column(code_set)
    writer.writerow(["id", "path", *label, "code"])
    for block in blocks:
        labels = [] if block.labels is None else [map(",".join, block.labels)]
        texts = [map(escape_controls, texts) for texts in (block.paths, *labels)]
        writer.writerows(zip(_numbers(block), *texts, _in_hex(block), strict=True))
    text.detach()


def _write_parquet(file: IO[bytes], code_set: CodeSet, blocks: Iterable[_Block]) -> None:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise ConfigError("Parquet needs pyarrow: pip install 'bitcodes[parquet]'") from None
    words = [f"w{number}" for number in range(code_lanes(code_set.bits))]
    label: dict[str, Any] = {"label": pyarrow.string(), "labels": pyarrow.list_(pyarrow.string())}
    fields = {"id": pyarrow.int64(), "path": pyarrow.string()}
    fields |= {name: label[name] for name in _label_column(code_set)}
    fields |= dict.fromkeys(words, pyarrow.uint64())
    schema = pyarrow.schema(fields, {"bitcodes": header_of(code_set).to_bytes()})
    with parquet.ParquetWriter(file, schema) as writer:
        for block in blocks:
            columns = _columns(code_set, block)
            columns |= zip(words, to_words(block.codes, code_set.bits), strict=True)
            writer.write_table(pyarrow.table(columns, schema))


def _columns(code_set: CodeSet, block: _Block) -> dict[str, Any]:
    """The values of each column but that of the codes."""
    columns: dict[str, Any] = {"id": _numbers(block), "path": block.paths}
    if block.labels is not None:
        (name,) = _label_column(code_set)
        one = [next(iter(labels), None) for labels in block.labels]
        columns[name] = one if name == "label" else block.labels
    return columns


def _label_column(code_set: CodeSet) -> list[str]:
    """The name of the column of labels, if there are any."""
    if code_set.labels is None:
        return []
    return ["label" if code_set.labels.ndim == 1 else "labels"]


def _numbers(block: _Block) -> range:
    return range(block.first, block.first + len(block.paths))


def _in_hex(block: _Block) -> list[str]:
    return [code.tobytes().hex() for code in block.codes]
