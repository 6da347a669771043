"""What a code set was made from: the images named and the folder, so that encode can repeat it.

It is kept beside the set, in codes.origin.json, which is no part of the set: a set without it is
complete. It is of this state of the set only if it holds the digest of the header's `source`. Both
change together, so that a killed encode can be repeated.
"""

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Self, get_args

from bitcodes.choices import ListLabels
from bitcodes.codes.codeset import CodeSet, recorded_set
from bitcodes.codes.layout import ORIGIN, Layout
from bitcodes.codes.paths import escape, unescape
from bitcodes.codes.writer import MakeOrigin
from bitcodes.documents import read_json
from bitcodes.errors import CodeSetError
from bitcodes.files import atomic_write
from bitcodes.sources.paths import is_remote, name_from_here, quote_path
from bitcodes.sources.source import Source, open_stream
from bitcodes.wording import command

FORMAT = "bitcodes-origin/1"
STDIN = "-"
_LABELS: tuple[ListLabels, ...] = get_args(ListLabels)


@dataclass(frozen=True)
class Origin:
    """One call of encode: what it was given, with absolute paths."""

    images: tuple[str, ...]
    folder: Path
    """The working folder."""
    root: Path | None = None
    part: tuple[int, int] | None = None
    """I and N of a part."""
    all_files: bool = False
    labels: ListLabels = "auto"
    """What the numbers in lists are."""

    @classmethod
    def of(
        cls,
        images: Sequence[str],
        root: Path | None,
        part: tuple[int, int] | None,
        all_files: bool = False,
        labels: ListLabels = "auto",
    ) -> Self:
        """The origin of a call from the working folder."""
        folder = Path.cwd()
        names = (name if is_no_path(name) else os.path.abspath(name) for name in images)  # noqa: PTH100
        root = None if root is None else root.absolute()
        return cls(tuple(names), folder, root, part, all_files, labels)

    def covers(self, others: Sequence["Origin"]) -> set[int]:
        """The numbers of those origins that are this one together; empty if there are none such."""
        inside = {number for number, other in enumerate(others) if self._contains(other)}
        names = {name for number in inside for name in others[number].images}
        return inside if names == set(self.images) else set()

    def includes(self, others: Sequence["Origin"]) -> bool:
        """Whether there are others, and all that they name is named here too."""
        return bool(others) and all(map(self._contains, others))

    def among(self, others: Sequence["Origin"], numbers: Collection[int]) -> tuple["Origin", ...]:
        """The others, of which those with these numbers are repeated with the options of this."""
        return tuple(
            replace(other, all_files=self.all_files, labels=self.labels) if i in numbers else other
            for i, other in enumerate(others)
        )

    def _contains(self, other: "Origin") -> bool:
        is_alike = (self.root, self.part) == (other.root, other.part)
        return is_alike and set(other.images) <= set(self.images)

    def open(self) -> Source:
        """The images again, as they are now; DataError as from open_stream."""
        source = open_stream(self.images, self.root, None, self.folder, self.all_files, self.labels)
        return source if self.part is None else source.part(*self.part)


def origin_file(codes: Path) -> Path:
    """Where the origin of the set `codes` is kept."""
    return Layout(codes).final(ORIGIN)


def origins_after(codes: Path, origin: Origin, append: bool, force: bool) -> tuple[Origin, ...]:
    """The origins of the set `codes` after a call of encode; empty if they will not be known."""
    if not append or not os.path.lexists(codes):
        return (origin,)
    if force:  # it appends or replaces
        return ()
    before = read_origins(CodeSet.open(codes, verify=False), codes)
    if not before:
        return ()
    numbers = origin.covers(before)
    return origin.among(before, numbers) if numbers else (*before, origin)


def origin_maker(codes: Path, origins: Sequence[Origin]) -> MakeOrigin | None:
    """What makes the file of these origins for the set `codes`; None if they are not known."""
    return partial(_to_bytes, Layout(codes), tuple(origins)) if origins else None


def write_origins(code_set: CodeSet, codes: Path, origins: Sequence[Origin]) -> None:
    """Keep the origins of a set that is up to date: the first encoded, the others appended."""
    if tuple(origins) == read_origins(code_set, codes):
        return
    with suppress(OSError), atomic_write(origin_file(codes)) as file:  # where it may be written
        file.write(_to_bytes(Layout(codes), origins, code_set.header.source))


def _to_bytes(layout: Layout, origins: Sequence[Origin], source: str | None) -> bytes:
    def stored(path: str | Path) -> str:
        return escape(str(path) if is_no_path(str(path)) else layout.header_path(path))

    entries: list[dict[str, Any]] = [
        {
            "images": [stored(name) for name in origin.images],
            "folder": stored(origin.folder),
            "root": None if origin.root is None else stored(origin.root),
            "part": origin.part,
            "all_files": origin.all_files,
            "labels": origin.labels,
        }
        for origin in origins
    ]
    value = {"format": FORMAT, "source": source, "encoded": entries}
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def read_origins(code_set: CodeSet, codes: Path) -> tuple[Origin, ...]:
    """What a set was made from; empty if that is not known."""
    folder = Path(os.path.abspath(codes)).parent  # noqa: PTH100 - keeps links
    file = Layout(codes).resolve().get(ORIGIN, origin_file(codes))
    try:
        value = read_json(file, CodeSetError)
        if value["format"] != FORMAT or value["source"] != code_set.header.source:
            return ()
        return tuple(_parse(entry, folder) for entry in value["encoded"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError):
        return ()
    except CodeSetError:  # it is no JSON, or no file
        return ()


def is_made_of(codes: Path, images: Sequence[str], fingerprint: str) -> bool:
    """Whether there is a set `codes`, made of what `images` name by the model of a fingerprint."""
    code_set = recorded_set(codes)
    if code_set is None or code_set.fingerprint != fingerprint:
        return False
    return read_origins(code_set, codes) == (Origin.of(images, None, None),)


def origins_to_repeat(code_set: CodeSet, codes: Path) -> tuple[Origin, ...]:
    """What a set was made from; CodeSetError if that is not known or cannot be named again."""
    origins = read_origins(code_set, codes)
    again = command("encode", "IMAGES", "-o", codes)
    if not origins:
        raise CodeSetError(
            f"{codes} does not say which images it was made from; name them: {again}"
        )
    if any(STDIN in origin.images for origin in origins):
        raise CodeSetError(
            f"{codes} was made from paths on standard input; give them again: "
            f"{command('encode', STDIN, '-o', codes)}"
        )
    return origins


def origins_merged(code_sets: Sequence[CodeSet], codes: Sequence[Path]) -> tuple[Origin, ...]:
    """The origins of the sets `codes` together; empty if they are not known.

    All parts of one call in their order have one origin, that of the whole. Other parts have none.
    """
    each = [read_origins(*pair) for pair in zip(code_sets, codes, strict=True)]
    origins = tuple(dict.fromkeys(chain.from_iterable(each)))
    parts = [origin.part for origin in origins]
    if not all(each):
        return ()
    if parts == [None] * len(parts):
        return origins
    wholes = {replace(origin, part=None) for origin in origins}
    is_whole = len(wholes) == 1 and parts == [(i + 1, len(parts)) for i in range(len(parts))]
    return tuple(wholes) if is_whole and len(parts) == len(each) else ()


def origins_in_words(origins: Sequence[Origin]) -> str:
    """The images as one would name them from the working folder."""
    names = (name for origin in origins for name in origin.images)
    return ", ".join(quote_path(name_from_here(name)) for name in names)


def _parse(entry: dict[str, Any], folder: Path) -> Origin:
    def place(text: str) -> str:
        name = unescape(text.encode())
        return name if is_no_path(name) else os.path.normpath(folder / name)

    root, part = entry["root"], entry["part"]
    return Origin(
        tuple(place(name) for name in entry["images"]),
        Path(place(entry["folder"])),
        None if root is None else Path(place(root)),
        None if part is None else (int(part[0]), int(part[1])),
        entry.get("all_files") is True,
        next((labels for labels in _LABELS if entry.get("labels") == labels), "auto"),
    )


def is_no_path(name: str) -> bool:
    """Whether what is named is no file of this system: standard input, or a URL."""
    return name == STDIN or is_remote(name)
