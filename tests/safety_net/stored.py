"""Results as they were stored, and whether the ones of now are the same.

The only place that says what may differ: folders of the machine, durations, versions, the wording
of reasons, and floats in their last digits. Everything else is compared byte for byte, or field by
field with its type.
"""

import difflib
import io
import json
import re
import shutil
import zlib
from collections.abc import Collection, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

STORE = "python -m pytest tests/safety_net --store"

# Fields of JSON documents that are of another value each time; of these only the type is compared.
VARYING = frozenset(
    {"seconds", "train_seconds", "validation_seconds", "images_per_second", "queries_per_second"}
)
# Sentences for people, whose wording may change: only whether there is one, or how many.
WORDED = frozenset({"reason", "notes", "advice"})
TOLERANCE = 1e-6  # of floats, relative

_SKIPPED = ".skipped.txt"
_SUFFIXES = (
    *(".npy", ".paths.txt", ".labels.npy", ".features.npy", ".stat.npy", _SKIPPED),
    ".json",  # last, for it differs where any other does
)


class Stored:
    """The stored results of one test; `place` is the working folder of its commands."""

    def __init__(self, folder: Path, place: Path, storing: bool) -> None:
        self._folder = folder
        self._place = place
        self._names: set[str] = set()
        self.storing = storing
        if storing:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def document(
        self,
        name: str,
        value: Any,
        varying: Collection[str] = (),
        tolerance: float = TOLERANCE,
    ) -> None:
        """Compare a JSON document with the stored one; of the fields `varying` only the types."""
        now = self._plain(value, VARYING.union(varying))
        stored = self._exchange(f"{name}.json", _json(now, indent=1))
        differences = list(_differences(json.loads(stored), json.loads(_json(now)), tolerance))
        assert not differences, f"{self._folder.name}/{name}:\n  " + "\n  ".join(differences)

    def text(self, name: str, content: str | bytes) -> None:
        """Compare a text byte for byte, but for the folder that it was made in."""
        differences = self._compare_text(name, content)
        assert not differences, f"{self._folder.name}/{name}:\n{differences}"

    def code_set(
        self, file: Path | str, varying: Collection[str] = (), trained: bool = False
    ) -> None:
        """Compare all files of a code set, and which there are, byte for byte.

        In the header the fields `varying` are left out, with the checksums that depend on them. The
        features of a `trained` model may be a step of float16 from the stored ones.
        """
        codes = self._place / file
        stem = codes.name.removesuffix(".npy")
        header = check_header(codes)
        there = [suffix for suffix in _SUFFIXES if codes.with_name(stem + suffix).is_file()]
        differences = {}
        for suffix in there:
            name = stem + suffix
            content = codes.with_name(name).read_bytes()
            if suffix == ".json":
                here = str(self._place).encode() in content
                if trained or varying or here or _SKIPPED in there:
                    content = _without(header, varying, trained)
                differences[name] = self._compare_text(name, content)
            elif suffix == _SKIPPED:
                content = re.sub(rb"\t[^\t\n]+\n", b"\t<reason>\n", content)
                differences[name] = self._compare_text(name, content)
            elif suffix == ".paths.txt":
                differences[name] = self._compare_text(name, content)
            else:
                steps = 1 if trained and suffix == ".features.npy" else 0
                differences[name] = self._compare_array(name, content, steps)
        told = [f"{name}: {text}" for name, text in differences.items() if text]
        assert not told, f"{self._folder.name}:\n" + "\n".join(told)

    def check_all_compared(self) -> None:
        """Fail where a stored result was not compared with anything."""
        there = {path.name for path in self._folder.glob("*")}
        assert there == self._names, f"stored, and not compared: {there - self._names}"

    def _compare_text(self, name: str, content: str | bytes) -> str:
        """How a text differs from the stored one, line by line; empty if it does not."""
        text = content.decode("utf-8", "surrogateescape") if isinstance(content, bytes) else content
        text = text.replace(str(self._place), "<place>")
        now = text.encode("utf-8", "surrogateescape")
        stored = self._exchange(name, now)
        if now == stored:
            return ""
        before = stored.decode("utf-8", "surrogateescape")
        lines = difflib.unified_diff(before.split("\n"), text.split("\n"), "stored", "now", n=1)
        return "\n".join(lines)

    def _compare_array(self, name: str, now: bytes, steps: int) -> str:
        """How a .npy file differs from the stored one, by more than `steps` of its floats."""
        stored = self._exchange(name, now)
        if now == stored:
            return ""
        one, other = np.load(io.BytesIO(stored)), np.load(io.BytesIO(now))
        if (one.dtype, one.shape) != (other.dtype, other.shape):
            return f"stored {one.dtype} {one.shape}, now {other.dtype} {other.shape}"
        if steps:
            allowed = steps * np.spacing(np.maximum(abs(one), abs(other)))
            changed = abs(one.astype(float) - other) > allowed
        else:
            changed = one != other
        rows = np.flatnonzero(changed.reshape(len(one), -1).any(axis=1))
        if not len(rows):
            return "" if steps else "the same values, written in another way"
        first = rows[0]
        return f"rows {rows.tolist()}; in {first} stored {one[first]}, now {other[first]}"

    def _exchange(self, name: str, now: bytes) -> bytes:
        """What was stored by this name; while storing, `now` is put there."""
        assert name not in self._names, f"two results are called {name}"
        self._names.add(name)
        file = self._folder / name
        if self.storing:
            file.write_bytes(now)
        assert file.is_file(), f"{file} is missing; to store it: {STORE}"
        return file.read_bytes()

    def _plain(self, value: Any, varying: Collection[str]) -> Any:
        if isinstance(value, str):
            return value.replace(str(self._place), "<place>")
        if isinstance(value, list):
            return [self._plain(one, varying) for one in value]
        if isinstance(value, dict):
            return {key: self._field(key, one, varying) for key, one in value.items()}
        return value

    def _field(self, key: str, value: Any, varying: Collection[str]) -> Any:
        if key in varying:
            return f"<{type(value).__name__}>"
        if key in WORDED:
            return len(value) if isinstance(value, list) else value and "<words>"
        return self._plain(value, varying)


def check_header(codes: Path) -> dict[str, Any]:
    """The header of a code set, after a check that it says of each file what it is."""
    stem = codes.name.removesuffix(".npy")
    content = codes.with_name(f"{stem}.json").read_bytes()
    header: dict[str, Any] = json.loads(content)
    assert content == _json(header), "the header is not as docs/code-format.md has it"
    fields = {name: value for name, value in header.items() if name != "crc32"}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert zlib.crc32(canonical.encode()) == header["crc32"]
    for role, entry in header["files"].items():
        suffix = {"codes": ".npy", "paths": ".paths.txt", "skipped": _SKIPPED}.get(role)
        file = codes.with_name(stem + (suffix or f".{role}.npy")).read_bytes()
        assert entry == {"size": len(file), "crc32": zlib.crc32(file)}, role
    return header


def _without(header: dict[str, Any], varying: Collection[str], trained: bool) -> bytes:
    """The header as it is stored where its checksums are not the same each time."""
    fields = {name: f"<{name}>" if name in varying else value for name, value in header.items()}
    fields["crc32"] = "<checked>"
    fields["files"] = dict(header["files"])
    for role, worded in (("skipped", True), ("features", trained)):
        if worded and role in fields["files"]:
            fields["files"][role] = "<checked>"
    return _json(fields)


def _json(value: Any, indent: int = 2) -> bytes:
    return json.dumps(value, indent=indent, ensure_ascii=False).encode() + b"\n"


def _differences(stored: Any, now: Any, tolerance: float, at: str = "") -> Iterator[str]:
    if type(stored) is not type(now):
        yield f"{at or 'all'}: stored {stored!r}, now {now!r}"
    elif isinstance(stored, dict):
        for key in [*stored, *(key for key in now if key not in stored)]:
            if key not in now:
                yield f"{at}.{key}: stored, and not there any more"
            elif key not in stored:
                yield f"{at}.{key}: new, {now[key]!r}"
            else:
                yield from _differences(stored[key], now[key], tolerance, f"{at}.{key}")
    elif isinstance(stored, list):
        if len(stored) != len(now):
            yield f"{at}: {len(stored)} stored, now {len(now)}"
        for i, (one, other) in enumerate(zip(stored, now, strict=False)):
            yield from _differences(one, other, tolerance, f"{at}[{i}]")
    elif isinstance(stored, float):
        if abs(stored - now) > tolerance * max(1e-3, abs(stored), abs(now)):
            yield f"{at}: stored {stored}, now {now}"
    elif stored != now:
        yield f"{at}: stored {stored!r}, now {now!r}"


class _Items(HTMLParser):
    """The text of each list item of a page, and its headings."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.headings: list[str] = []
        self._into: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("li", "h2"):
            self._into = self.items if tag == "li" else self.headings
            self._into.append("")
        elif tag != "wbr" and self._into is not None:
            self._into[-1] += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("li", "h2"):
            self._into = None
        elif self._into is not None:
            self._into[-1] += "\n"

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data


def check_page(page: str, queries: list[str], hits: list[tuple[str, int | None, int]]) -> None:
    """Check what a page shows, whatever its markup: the queries, and of each item, in order,
    path, distance (None: not shown) and rank, all of them in the text of an li element.
    """
    parser = _Items()
    parser.feed(page)
    headings = [text.strip() for text in parser.headings]
    assert [heading for heading in headings if heading in queries] == queries
    assert len(parser.items) == len(hits)
    for text, (path, distance, rank) in zip(parser.items, hits, strict=True):
        lines = [line.strip() for line in text.split("\n")]
        assert path in lines, f"{path} is not in the item {text!r}"
        numbers = [
            int(word) for word in " ".join(lines).replace(path, "").split() if word.isdigit()
        ]
        if rank in numbers:
            numbers.remove(rank)
        assert distance is None or distance in numbers, f"distance {distance} is not in {text!r}"
