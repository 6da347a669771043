"""Changes to code sets and their indexes, with sizes and checksums that fit."""

import json
import os
import shutil
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from mutated.arrays import changed_array, changed_npy, to_npy
from mutated.reference import SUFFIXES, checksum
from mutated.texts import CONTROLS, changed_json, changed_lines

GROUPS = ("codes", "starts", "rows")
TABLES = ("table-cuts", "table-offsets", "table-codes", "table-ids", "table-costs")


def change(folder: Path, random: Random) -> str:
    """Change something of the set codes.npy in a folder; what."""
    functions, weights = zip(*_CHANGES, strict=True)
    return str(random.choices(functions, weights)[0](folder, random))


def seal(folder: Path, stem: str = "codes") -> None:
    """Let the header of a set say the sizes and checksums of its files, and its own."""
    file = folder / f"{stem}.json"
    header = json.loads(file.read_bytes())
    for role in header["files"]:
        data = (folder / (stem + SUFFIXES[role])).read_bytes()
        header["files"][role] = {"size": len(data), "crc32": zlib.crc32(data)}
    write_header(file, header)


def write_header(file: Path, header: dict[str, Any]) -> None:
    """Write a header with its checksum."""
    fields = {name: value for name, value in header.items() if name != "crc32"}
    content = json.dumps({**fields, "crc32": checksum(fields)}, ensure_ascii=True)
    file.write_text(content)


def seal_index(folder: Path, follow: bool) -> None:
    """Let the header of an index say the sizes and checksums of its files; `follow` the codes."""
    file = folder / "codes.index/index.json"
    header = json.loads(file.read_bytes())
    for name in header["files"]:
        data = (file.parent / f"{name}.npy").read_bytes()
        header["files"][name] = {"size": len(data), "crc32": zlib.crc32(data)}
    if follow:
        data = (folder / "codes.npy").read_bytes()
        header["of"] = {"size": len(data), "crc32": zlib.crc32(data)}
        header["codes_crc32"] = zlib.crc32(data[128:])
    file.write_text(json.dumps(header))


def _header(folder: Path, random: Random) -> str:
    """A change of fields; the checksum of the header fits if it is still a mapping."""
    file = folder / "codes.json"
    header = json.loads(file.read_bytes())
    del header["crc32"]
    if random.random() < 0.3:
        key = random.choice([one for one, value in header.items() if isinstance(value, str)])
        header[key] = random.choice([CONTROLS, "a\x00b", "\x1b]0;x\x07", "\u202e", "a" * 6000])
        write_header(file, header)
        return f"header: {key} = {header[key][:40]!r}"
    data, what = changed_json(json.dumps(header).encode(), random)
    try:
        value = json.loads(data)
        if not isinstance(value, dict):
            raise ValueError
        write_header(file, value)
    except (ValueError, RecursionError):
        file.write_bytes(data)
    return f"header: {what}"


def _class_names(folder: Path, random: Random) -> str:
    file = folder / "codes.json"
    header = json.loads(file.read_bytes())
    own = list(header["class_names"])
    choices: list[list[Any]] = [own[:-1], [*own, "more"], own[::-1], [CONTROLS] * 3, ["a"] * 3]
    choices += [[], [1, 2, 3], ["", "", ""], [None], [own], ["a,b", "c\td", "e\nf"], ["\\x"] * 3]
    choices += [[str(number) for number in range(100_000)], ["[red]a", "<b>", "\u202e"]]
    header["class_names"] = random.choice(choices)
    write_header(file, header)
    return f"class names {header['class_names'][:3]!r}"


def _npy(folder: Path, random: Random) -> str:
    role = _role(folder, random, ("codes", "labels", "features", "stat"))
    file = folder / f"codes{SUFFIXES[role]}"
    data, what = changed_npy(file.read_bytes(), random)
    file.write_bytes(data)
    seal(folder)
    if role == "codes":
        seal_index(folder, True)
    return f".npy of {role}: {what}"


def _array(folder: Path, random: Random) -> str:
    role = _role(folder, random, ("codes", "labels", "labels", "features", "stat"))
    file = folder / f"codes{SUFFIXES[role]}"
    array, what = changed_array(np.load(file), random)
    file.write_bytes(to_npy(array))
    header = json.loads((folder / "codes.json").read_bytes())
    if role == "codes" and random.random() < 0.3 and array.ndim == 2:
        header["count"] = len(array)
        write_header(folder / "codes.json", header)
        what += ", the count too"
    if role == "labels" and random.random() < 0.5:
        header["class_names"] = []
        write_header(folder / "codes.json", header)
        what += ", no class names"
    seal(folder)
    if role == "codes":
        seal_index(folder, random.random() < 0.7)
    return f"{role}: {what}"


def _bits(folder: Path, random: Random) -> str:
    """Another number of bits, with codes of that width."""
    bits = random.choice([1, 7, 8, 17, 19, 21, 24, 64, 65, 1000, 1024, 1025, 4096, 2**20])
    file = folder / "codes.npy"
    codes = np.load(file)
    width = -(-bits // 8)
    wide = np.frombuffer(random.randbytes(len(codes) * width), np.uint8).reshape(-1, width).copy()
    if random.random() < 0.8 and bits % 8:
        wide[:, -1] &= 0xFF << (8 - bits % 8) & 0xFF
    file.write_bytes(to_npy(wide))
    header = json.loads((folder / "codes.json").read_bytes())
    write_header(folder / "codes.json", {**header, "bits": bits})
    seal(folder)
    seal_index(folder, True)
    return f"{bits} bits"


def _lines(role: str, folder: Path, random: Random) -> str:
    file = folder / f"codes{SUFFIXES[role]}"
    if not file.exists():
        role, file = "paths", folder / f"codes{SUFFIXES['paths']}"
    data, what = changed_lines(file.read_bytes(), random)
    file.write_bytes(data)
    seal(folder)
    return f"{role}: {what}"


def _many(folder: Path, random: Random) -> str:
    """Nothing in any file: a set of no images; or every file in reverse order."""
    header = json.loads((folder / "codes.json").read_bytes())
    for role in header["files"]:
        file = folder / f"codes{SUFFIXES[role]}"
        if file.suffix == ".txt":
            file.write_bytes(b"")
        else:
            file.write_bytes(to_npy(np.load(file)[:0]))
    write_header(folder / "codes.json", {**header, "count": 0})
    seal(folder)
    seal_index(folder, random.random() < 0.5)
    return "no rows at all"


def _files(folder: Path, random: Random) -> str:
    """A file of the set is missing, of another kind, or there without being listed."""
    header = json.loads((folder / "codes.json").read_bytes())
    role = random.choice([*header["files"], "header"])
    file = folder / ("codes.json" if role == "header" else f"codes{SUFFIXES[role]}")
    kind = random.randrange(9)
    content = file.read_bytes()
    file.unlink()
    if kind == 0:
        return f"{role} missing"
    if kind == 1:
        file.mkdir()
        return f"{role} is a folder"
    if kind == 2 and hasattr(os, "mkfifo"):
        os.mkfifo(file)
        return f"{role} is a named pipe"
    if kind == 3:
        file.symlink_to(file.name)
        return f"{role} is a link to itself"
    if kind == 4:
        file.write_bytes(b"")
        return f"{role} is empty"
    file.write_bytes(content)
    if kind == 5 and role != "header":
        del header["files"][role]
        write_header(folder / "codes.json", header)
        return f"{role} not listed"
    staging = folder / ".codes.npy.staging"
    staging.mkdir()
    if kind == 6:
        roles = random.choice([[], ["header"], ["codes", "header"], ["../x"], [1], "codes", None])
        fields = {"format": "bitcodes-commit/1", "files": roles}
        crc = zlib.crc32(json.dumps(fields, separators=(",", ":")).encode())
        (staging / "commit").write_text(json.dumps({**fields, "crc32": crc}, indent=2) + "\n")
        return f"a commit of {roles}"
    if kind == 7:
        data = random.choice(
            [b"", b"{", b"[" * 100_000, b"\xff", b"null", b"[]", random.randbytes(50)]
        )
        (staging / "commit").write_bytes(data)
        return f"a commit that is {data[:10]!r}"
    data = random.choice([b"", b"{}\n", b"[" * 100_000, b"\xff", b"1 2 3\n", random.randbytes(50)])
    (staging / "journal").write_bytes(data)
    (staging / "plan").write_bytes(random.choice([b"", content]))
    return f"a journal that is {data[:10]!r}"


def _origin(folder: Path, random: Random) -> str:
    file = folder / "codes.origin.json"
    data, what = changed_json(file.read_bytes(), random)
    file.write_bytes(data)
    return f"origin: {what}"


def _index_header(folder: Path, random: Random) -> str:
    file = folder / "codes.index/index.json"
    data, what = changed_json(file.read_bytes(), random)
    file.write_bytes(data)
    return f"index.json: {what}"


def _index_array(names: tuple[str, ...], folder: Path, random: Random) -> str:
    name = random.choice(names)
    file = folder / f"codes.index/{name}.npy"
    array = np.load(file)
    if random.random() < 0.15:
        data, what = changed_npy(file.read_bytes(), random)
    elif array.dtype.kind in "iu" and random.random() < 0.3:
        array = array.copy()
        place = tuple(random.randrange(size) for size in array.shape)
        other = array[tuple(random.randrange(size) for size in array.shape)]
        array[place], what = other, "a value of another place"
        data = to_npy(array)
    else:
        array, what = changed_array(array, random)
        data = to_npy(array)
    file.write_bytes(data)
    seal_index(folder, False)
    if random.random() < 0.3:
        header_file = file.with_name("index.json")
        header = json.loads(header_file.read_bytes())
        key = random.choice(["count", "distinct", "bits"])
        header[key] = random.choice([header[key] - 1, array.size, 0])
        header_file.write_text(json.dumps(header))
        what += f", {key} = {header[key]}"
    return f"index, {name}: {what}"


def _index_files(folder: Path, random: Random) -> str:
    file = folder / f"codes.index/{random.choice(GROUPS + TABLES)}.npy"
    header_file = file.with_name("index.json")
    header = json.loads(header_file.read_bytes())
    kind = random.randrange(5)
    if kind == 0:
        del header["files"][file.stem]
        header_file.write_text(json.dumps(header))
        return f"index: {file.stem} not listed"
    if kind == 1:
        other = random.choice(GROUPS + TABLES)
        shutil.copy(file.with_name(f"{other}.npy"), folder / "x")
        shutil.copy(folder / "x", file)
        (folder / "x").unlink()
        seal_index(folder, False)
        return f"index: {file.stem} is {other}"
    file.unlink()
    if kind == 2:
        return f"index: {file.stem} missing"
    if kind == 3:
        file.mkdir()
        return f"index: {file.stem} is a folder"
    if hasattr(os, "mkfifo"):
        os.mkfifo(file)
    return f"index: {file.stem} is a named pipe"


def _role(folder: Path, random: Random, roles: tuple[str, ...]) -> str:
    there = [role for role in roles if (folder / f"codes{SUFFIXES[role]}").exists()]
    return random.choice(there)


_CHANGES: list[tuple[Callable[[Path, Random], str], int]] = [
    (_header, 14),
    (_class_names, 4),
    (_npy, 12),
    (_array, 20),
    (_bits, 3),
    (partial(_lines, "paths"), 8),
    (partial(_lines, "skipped"), 4),
    (_many, 1),
    (_files, 6),
    (_origin, 5),
    (_index_header, 6),
    (partial(_index_array, GROUPS), 14),
    (partial(_index_array, TABLES), 14),
    (_index_files, 3),
]
