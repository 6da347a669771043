"""Copies of the hits of a search in a folder, named so that they sort by rank."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedReader
from itertools import count
from pathlib import Path

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.urls import is_store_url, open_store
from bitcodes.errors import ConfigError, DataError, ImageError
from bitcodes.files import atomic_write, check_folder_of, give_name
from bitcodes.sources.item import Place
from bitcodes.sources.members import find_places
from bitcodes.sources.paths import name_from_here, quote_path
from bitcodes.sources.system_names import is_system_name
from bitcodes.tasks.encoding.origin import Origin, read_origins
from bitcodes.tasks.searching.results import QueryResult, SearchResults
from bitcodes.wording import counted

_MAX_PROBLEMS = 5
_MAX_NAME = 200  # bytes; file systems allow 255
_FORBIDDEN = re.compile('[\x00-\x1f\x7f-\x9f/\\\\:*?"<>|\u2028-\u202e\u2066-\u2069]')


@dataclass(frozen=True)
class Copies:
    """What `copy_hits` did."""

    folder: Path
    count: int
    problems: tuple[tuple[str, str], ...]
    """Path, as the code set has it, and reason of each hit that could not be copied."""

    def remarks(self) -> Iterator[str]:
        """What was not copied and why, then how many images were copied and where to."""
        for path, reason in self.problems[:_MAX_PROBLEMS]:
            yield f"not copied: {quote_path(path)}: {reason}"
        if len(self.problems) > _MAX_PROBLEMS:
            yield f"not copied: {counted(len(self.problems) - _MAX_PROBLEMS, 'more image')}"
        yield f"copied {counted(self.count, 'image')} to {self.folder}"


def check_folder(folder: Path, codes: Path | str, name: str = "--copy-to") -> None:
    """Raise ConfigError if `folder` is no place for images of the set `codes`.

    It is none if it is a file, or lies in a folder of which the next encode would take the images.
    `name` is the option that named it.
    """
    if os.path.lexists(folder) and not folder.is_dir():
        raise ConfigError(f"{name} {folder}: expected a folder, found a file")
    target = Path(os.path.realpath(folder))
    for place, all_files in _encoded_folders(codes):
        real = Path(os.path.realpath(place))
        if not target.is_relative_to(real):
            continue
        inside = target.relative_to(real).parts
        if all_files or not any(map(is_system_name, inside)):
            raise ConfigError(
                f"{name} {folder} lies in {name_from_here(str(place))}, which was encoded: the "
                "next encode would take its files for new images; name a folder outside of it"
            )


def _encoded_folders(codes: Path | str) -> Iterator[tuple[Path, bool]]:
    """The folders that encode goes through for a set, and whether it takes hidden ones too."""
    origins: tuple[Origin, ...] = ()
    if is_store_url(codes):
        with open_store(str(codes)) as store:
            code_set = store.head
    else:
        code_set = CodeSet.open(codes, verify=False)
        origins = read_origins(code_set, Path(codes))
    for origin in origins:
        for name in origin.images:
            if os.path.isdir(name):  # noqa: PTH112
                yield Path(name), origin.all_files
    if not origins and code_set.root is not None and code_set.root.is_dir():
        yield code_set.root, False


def copy_hits(results: SearchResults, folder: Path) -> Copies:
    """Copy the files of all hits into `folder`, as "01 name.jpg"; never replace a file.

    Where there are several queries, each has a subfolder, "1 query name". A name that is taken gets
    a number: "01 name (2).jpg". Hits in archives are unpacked. `folder` is made if it is not there,
    but not the folder that it lies in. Raises BitcodesError if it cannot be made or written to;
    images that cannot be read are listed in the result.
    """
    check_folder_of(folder)
    targets: dict[Path, list[tuple[Path, str]]] = {}
    problems = []
    for place, query in enumerate(results.queries, 1):
        inside = folder / _subfolder(place, query, len(results.queries))
        digits = max(2, len(str(len(query.hits))))
        for hit in query.hits:
            if hit.file is None:
                problems.append((hit.path, "it is not known where this image is"))
                continue
            name = f"{hit.rank:0{digits}} {_safe(hit.path)}"
            targets.setdefault(hit.file, []).append((inside / name, hit.path))
    copied = 0
    for file, source in find_places(targets):
        for target, path in targets[file]:
            try:
                _copy(source, target)
                copied += 1
            except ImageError as error:
                problems.append((path, str(error)))
    return Copies(folder, copied, tuple(problems))


def _subfolder(place: int, query: QueryResult, queries: int) -> str:
    if queries == 1:
        return ""
    return f"{place:0{len(str(queries))}} {Path(_safe(query.path)).stem}"


def _safe(path: str) -> str:
    """The file name of a path, without characters that some system refuses, and not too long."""
    name = _FORBIDDEN.sub("_", path.rstrip("/").rpartition("/")[2]).strip(". ") or "image"
    stem, suffix = os.path.splitext(name)  # noqa: PTH122
    while len(os.fsencode(stem + suffix)) > _MAX_NAME:
        stem, suffix = (stem[:-1], suffix) if stem else ("image", "")
    return stem + suffix


def _copy(place: Place, target: Path) -> None:
    def write(source: bytes | BufferedReader) -> Path:
        """Write what the place gives; only that can be the image's fault."""
        return _write(source, target)

    copy, (_, time) = place.read(write)
    if time >= 0:
        os.utime(copy, ns=(time, time))


def _write(source: bytes | BufferedReader, target: Path) -> Path:
    """Write a copy, whole or not at all, under the first name that is free; returns that."""
    names = iter(numbered_names(target))
    name = target

    def rename(temporary: Path, target: Path) -> None:
        nonlocal name
        name = next(name for name in names if give_name(temporary, name))

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, rename=rename, durable=False) as file:
            if isinstance(source, bytes):
                file.write(source)
            else:
                shutil.copyfileobj(source, file)
    except OSError as error:
        raise DataError(
            f"cannot copy to {quote_path(str(target))}: {error.strerror}; name another folder"
        ) from None
    return name


def numbered_names(target: Path) -> Iterator[Path]:
    """The path itself, then "name (2).jpg" and so on beside it."""
    yield target
    for number in count(2):
        yield target.with_name(f"{target.stem} ({number}){target.suffix}")
