"""Code sets and indexes that were changed, with sizes and checksums that fit again."""

import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from attacks import arrays
from attacks.mutate import TEXTS

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import SUFFIXES
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.hamming.stored import index_path, update_index

BITS = 20
COUNT = 40
NAMES = ("cat", "dog")
Header = dict[str, Any]


def make_set(folder: Path) -> Path:
    """A code set with all files that a set can have, and an index with tables."""
    rng = np.random.default_rng(5)
    codes = np.packbits(rng.integers(0, 2, (COUNT, BITS), np.uint8), axis=1)
    codes[COUNT // 2 :] = codes[: COUNT // 2] ^ 128  # each with a near one
    codes[3] = codes[4]
    columns = ("labels", "features", "stat")
    known = {"fingerprint": "f" * 64, "backbone": "tiny", "engine": "torch", "dtype": "float32"}
    with CodeSetWriter(
        folder / "codes.npy",
        bits=BITS,
        columns=columns,
        root=folder / "images",
        class_names=NAMES,
        run=folder / "run",
        decode="full",
        source="0" * 64,
        **known,
    ) as writer:
        writer.append(
            codes,
            [f"{NAMES[row % 2]}/{row}\n\\.jpg" for row in range(COUNT)],
            labels=np.arange(COUNT) % 2,
            features=rng.normal(size=(COUNT, 3)),
            stat=np.full((COUNT, 2), 7),
        )
        writer.skip("torn.jpg", "truncated")
        code_set = writer.commit()
    update_index(code_set, tables=True)
    origin = {"images": ["images"], "folder": ".", "root": None, "part": None, "all_files": False}
    value = {"format": "bitcodes-origin/1", "source": "0" * 64, "encoded": [origin]}
    (folder / "codes.origin.json").write_text(json.dumps(value))
    return folder / "codes.npy"


def read_header(folder: Path) -> Header:
    """The header of the set in a folder."""
    header: Header = json.loads((folder / "codes.json").read_bytes())
    return header


def write_header(folder: Path, header: Header) -> None:
    """Write a header with a checksum that fits it, whatever it holds."""
    fields = {name: value for name, value in header.items() if name != "crc32"}
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    fields["crc32"] = zlib.crc32(text.encode("utf-8", "surrogatepass"))
    (folder / "codes.json").write_text(json.dumps(fields), encoding="utf-8")


def fit_header(folder: Path) -> None:
    """Let the header of a set fit its files again: their sizes, their checksums and its own."""
    header = read_header(folder)
    header["files"] = {
        role: _entry(folder / f"codes{suffix}")
        for role, suffix in SUFFIXES.items()
        if role != "header" and (folder / f"codes{suffix}").exists()
    }
    write_header(folder, header)


def fit_index(folder: Path) -> None:
    """Let the header of the index of a set fit the files of the index, and the codes."""
    index = index_path(folder / "codes.npy")
    header = json.loads((index / "index.json").read_bytes())
    codes = (folder / "codes.npy").read_bytes()
    header["files"] = {name: _entry(index / f"{name}.npy") for name in header["files"]}
    header["of"] = _entry(folder / "codes.npy")
    header["codes_crc32"] = zlib.crc32(codes[128:])
    (index / "index.json").write_text(json.dumps(header))


def _entry(file: Path) -> dict[str, int]:
    content = file.read_bytes()
    return {"size": len(content), "crc32": zlib.crc32(content)}


# -- what a set may not contain --------------------------------------------------------------------

Change = Callable[[Path], object]


def change_header(**changes: object) -> Change:
    """A change of some fields of the header; a value that is a function gets the old one."""

    def change(folder: Path) -> None:
        header = read_header(folder)
        for name, value in changes.items():
            header[name] = value(header[name]) if callable(value) else value
        write_header(folder, header)

    return change


def change_file(name: str, change: Callable[[bytes], bytes]) -> Change:
    """A change of the content of a file, with a header that fits it."""

    def apply(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))
        fit_header(folder)

    return apply


def change_array(role: str, change: Callable[[Any], Any]) -> Change:
    """A change of an array, with a header that fits it."""

    def apply(folder: Path) -> None:
        file = folder / f"codes{SUFFIXES[role]}"
        np.save(file, change(np.load(file)), allow_pickle=True)
        fit_header(folder)

    return apply


def put(array: Any, place: Any, value: Any) -> Any:
    """An array with one value changed."""
    array = array.copy()
    array[place] = value
    return array


def without(folder: Path) -> None:
    """A set whose header names no paths."""
    (folder / "codes.paths.txt").unlink()
    fit_header(folder)


RULES: dict[str, Change] = {
    "a file that the header does not fit in size": lambda folder: (
        folder / "codes.labels.npy"
    ).write_bytes((folder / "codes.labels.npy").read_bytes() + b"\0"),
    "a file that the header does not fit in content": lambda folder: (
        folder / "codes.stat.npy"
    ).write_bytes((folder / "codes.stat.npy").read_bytes()[:-1] + b"\1"),
    "a header whose own checksum is another": lambda folder: (folder / "codes.json").write_bytes(
        (folder / "codes.json").read_bytes().replace(b"tiny", b"tinY")
    ),
    "a file that is missing": lambda folder: (folder / "codes.labels.npy").unlink(),
    "a header that is missing": lambda folder: (folder / "codes.json").unlink(),
    "a set without paths": without,
    "another format": change_header(format="bitcodes/2"),
    "the other order of bits": change_header(bit_order="lsb"),
    "an unknown field": change_header(author="me"),
    "an unknown file": change_header(files=lambda old: {**old, "notes": {"size": 1, "crc32": 1}}),
    "a field of another kind": change_header(bits="20"),
    "a number of bits below 1": change_header(bits=0),
    "a field twice": lambda folder: (folder / "codes.json").write_text(
        (folder / "codes.json").read_text().replace("{", '{"bits": 20, ', 1)
    ),
    "a header that is no JSON": lambda folder: (folder / "codes.json").write_bytes(b"\xff{"),
    "a header that is too deep": lambda folder: (folder / "codes.json").write_text("[" * 10**5),
    "a header that is too large": lambda folder: (folder / "codes.json").write_bytes(
        b" " * (17 << 20)
    ),
    "another count": change_header(count=COUNT + 1),
    "codes of another width": change_header(bits=BITS + 8),
    "codes of another dtype": change_array("codes", lambda old: old.astype(np.uint16)),
    "codes in Fortran order": change_array("codes", np.asfortranarray),
    "a bit behind the K bits": change_array("codes", lambda old: put(old, (7, -1), 1)),
    "Python objects": change_array("labels", lambda old: old.astype(object)),
    "bytes behind an array": change_file("codes.stat.npy", lambda old: old + b"\0"),
    "an array that is cut": change_file("codes.features.npy", lambda old: old[:-1]),
    "no array at all": change_file("codes.labels.npy", lambda old: b"labels"),
    "a label that is no class": change_array("labels", lambda old: put(old, 3, 2)),
    "a negative label": change_array("labels", lambda old: put(old, 3, -1)),
    "labels of another dtype": change_array("labels", lambda old: old.astype(np.int64)),
    "a multi-hot label of 2": change_array(
        "labels", lambda old: put(np.eye(2, dtype=np.uint8)[old], (0, 0), 2)
    ),
    "a column for no class": change_array("labels", lambda old: np.eye(3, dtype=np.uint8)[old]),
    "labels in no columns": change_array("labels", lambda old: np.zeros((COUNT, 0), np.uint8)),
    "features in no columns": change_array("features", lambda old: old[:, :0]),
    "a feature that is not finite": change_array("features", lambda old: put(old, (5, 1), np.nan)),
    "features of another dtype": change_array("features", lambda old: old.astype(np.float32)),
    "a stat of three columns": change_array("stat", lambda old: np.repeat(old[:, :1], 3, axis=1)),
    "a line of paths too few": change_file(
        "codes.paths.txt", lambda old: old[: old.rindex(b"\n", 0, -1) + 1]
    ),
    "a last line without its end": change_file("codes.paths.txt", lambda old: old[:-1]),
    "an unknown escape": change_file("codes.paths.txt", lambda old: old.replace(b"\\n", b"\\q", 1)),
    "a path that is not UTF-8": change_file(
        "codes.paths.txt", lambda old: old.replace(b"cat", b"c\xe9t", 1)
    ),
    "a skip without a reason": change_file("codes.skipped.txt", lambda old: old[:4] + b"\n"),
}
"""Each rule by its name in docs/code-format.md, where its error is, and what breaks it."""


# -- sets that are only odd, or more than that -----------------------------------------------------


def _with_array(name: str, data: bytes) -> Change:
    def change(folder: Path) -> None:
        (folder / name).write_bytes(data)
        fit_header(folder)

    return change


def _with_paths(text: str) -> Change:
    """A set of which every path is this, escaped as the format says."""
    line = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    data = f"{line}\n".encode("utf-8", "surrogateescape") * COUNT
    data = data.replace(b"\xff", b"\\xff")
    return change_file("codes.paths.txt", lambda old: data)


def odd_sets() -> dict[str, Change]:
    """Changes after which a set may be read or refused, but nothing else may come of it."""
    changes = dict(RULES)
    for name, data in arrays.files().items():
        for file in ("codes.npy", "codes.labels.npy", "codes.features.npy", "codes.stat.npy"):
            changes[f"{file}: {name}"] = _with_array(file, data)
    for number, text in enumerate(TEXTS):
        for field in ("root", "run", "fingerprint", "backbone", "engine", "decode", "source"):
            changes[f"{field}: text {number}"] = change_header(**{field: text})
        changes[f"class names: text {number}"] = change_header(class_names=[text, "dog"])
        if "\ud800" not in text:
            changes[f"paths: text {number}"] = _with_paths(text)
    for number in (-1, 2**31, 2**63, 10**30, 1e308):
        changes[f"bits: {number}"] = change_header(bits=number)
        changes[f"count: {number}"] = change_header(count=number)
    return changes


class ChangedSet:
    """A set that is put back after it was changed and read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = make_set(folder)
        self._whole = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def read(self, reader: Callable[[Path], object]) -> None:
        """Read it, and put it back."""
        try:
            reader(self.file)
        finally:
            self.restore()

    def restore(self) -> None:
        """Put it back."""
        for path in self.folder.rglob("*"):
            if path.is_file() and path not in self._whole:
                path.unlink()
        for path, content in self._whole.items():
            path.unlink(missing_ok=True)  # it may be mapped still
            path.write_bytes(content)


def set_at(file: Path) -> CodeSet:
    """Open a set and look at all that is in it, as commands would."""
    code_set = CodeSet.open(file)
    list(code_set.paths)
    code_set.verify()
    for value in (code_set.skipped, code_set.root, code_set.run, code_set.root_name):
        repr(value)
    return code_set
