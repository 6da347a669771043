"""Joining code sets of one model into one."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath

import numpy as np

from bitcodes.callbacks import Note, Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.columns import OPTIONAL
from bitcodes.codes.layout import is_foreign
from bitcodes.codes.paths import RowNumbers, with_slashes
from bitcodes.codes.writer import CodeSetWriter, MakeOrigin, plan_of
from bitcodes.errors import CodeSetError
from bitcodes.wording import counted

_ROWS = 1 << 16
_PART = " part "  # in the source of a part's header, between its digest and I/N
_SOME = 10  # numbers in a message
_COMPARED = 10**7
"""Up to so many rows in all, paths are compared; it takes 40 bytes and a few microseconds a row."""


def merge(
    sets: Sequence[CodeSet],
    out: str | os.PathLike[str],
    *,
    force: bool = False,
    progress: Progress | None = None,
    note: Note | None = None,
    source: str | None = None,
    origin: MakeOrigin | None = None,
) -> CodeSet:
    """Write the rows of `sets`, one set after the other, as one code set, and return it.

    All sets must be of one model, encoded in the same way, with the same columns and class names.
    All parts of one source (encode --part) in order give the same set as encoding it at once. Paths
    stay as they are if all sets have one root; else they become relative to the folder that holds
    all roots. Raises CodeSetError if sets do not fit together, if one of them is given twice, or if
    a part of a source is missing. `force` replaces a set. `note` is told if an image is in several
    sets: it has a row of each. (It is not looked for in more than ten million rows.)
    `source` is the digest of what all were made of together, if the caller knows it. For `origin`,
    see CodeSetWriter.commit.
    """
    if not sets:
        raise CodeSetError("no code sets to merge: name at least one")
    first = next((code_set for code_set in sets if code_set.count), sets[0])
    for other in sets:
        _check_alike(first, other)
    _check_different(sets)
    _check_parts(sets)
    root = _root(sets)
    source = source or _source(sets)
    if note is not None and source is None and (shared := _shared(sets, root)):
        note(shared)
    total = sum(code_set.count for code_set in sets)
    done = 0
    plan = {**plan_of(first), "root": root, "source": source}
    with CodeSetWriter(out, force=force, **plan) as writer:
        for code_set in sets:
            prefix = _prefix(code_set, root)
            for path, reason in code_set.skipped:
                writer.skip(_moved_skip(code_set, path, prefix), reason)
            for start in range(0, code_set.count, _ROWS):
                stop = min(start + _ROWS, code_set.count)
                if prefix:
                    arrays = {name: getattr(code_set, name)[start:stop] for name in plan["columns"]}
                    paths = [_moved(path, prefix) for path in code_set.paths[start:stop]]
                    writer.append(code_set.codes[start:stop], paths, **arrays)
                else:
                    writer.copy(code_set, start, stop)
                done += stop - start
                if progress is not None:
                    progress(done, total)
        return writer.commit(origin)


def _check_alike(first: CodeSet, other: CodeSet) -> None:
    names = ("bits", "parts", "fingerprint", "engine", "dtype", "decode", "class_names")
    pairs = [(name, getattr(first.header, name), getattr(other.header, name)) for name in names]
    if other.count:  # without rows, it does not tell what its columns are like
        columns = [(name, getattr(first, name), getattr(other, name)) for name in OPTIONAL]
        pairs += [(name, _kind(one), _kind(two)) for name, one, two in columns]
    for name, one, two in pairs:
        if one != two:
            raise CodeSetError(
                f"{other.path} cannot be merged with {first.path}: "
                f"expected {name} {one}, found {two}"
            )


def _check_different(sets: Sequence[CodeSet]) -> None:
    """Raise CodeSetError if two are of one file, whatever names it has."""
    names: dict[object, str] = {}
    for code_set in sets:
        if code_set.path is None:
            file: object = id(code_set)
        else:
            try:
                status = code_set.path.stat()
                file = status.st_dev, status.st_ino
            except OSError:  # as long as a change of the set is not finished
                file = code_set.path.resolve()
        if file in names:
            raise CodeSetError(
                f"the same code set is given twice: {names[file]} and {code_set.name}; "
                "name each set once"
            )
        names[file] = code_set.name


def _check_parts(sets: Sequence[CodeSet]) -> None:
    """Raise CodeSetError if sets are parts of one source, and one is missing or there twice."""
    parts: dict[tuple[str, int], dict[int, str]] = {}
    for code_set in sets:
        digest, _, part = (code_set.header.source or "").partition(_PART)
        number, _, count = part.partition("/")
        if not (number.isdecimal() and count.isdecimal()):
            continue
        others = parts.setdefault((digest, int(count)), {})
        if int(number) in others:
            raise CodeSetError(
                f"{others[int(number)]} and {code_set.name} are both part {part} of the same "
                "images; name one of them"
            )
        others[int(number)] = code_set.name
    for (_, total), names in parts.items():
        if missing := sorted(set(range(1, total + 1)) - names.keys()):
            some = ", ".join(map(str, missing[:_SOME])) + ", ..." * (len(missing) > _SOME)
            raise CodeSetError(
                f"expected all {total} parts of the images that {next(iter(names.values()))} is a "
                f"part of; missing: {some}. Encode them (--part {missing[0]}/{total}), and name "
                "them too"
            )


def _shared(sets: Sequence[CodeSet], root: str | None) -> str:
    """How many paths are in several sets, in words; "" if none is, or paths are unknown."""
    if any(isinstance(code_set.paths, RowNumbers) for code_set in sets):
        return ""
    if sum(code_set.count for code_set in sets) > _COMPARED:
        return ""
    hashes = [
        np.unique(np.fromiter(map(hash, _paths(one, root)), np.int64, one.count)) for one in sets
    ]
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    shared = values[counts > 1]
    if not len(shared):
        return ""
    first = next(one for one, own in zip(sets, hashes, strict=True) if np.isin(own, shared).any())
    known = set(shared.tolist())
    path = next(path for path in _paths(first, root) if hash(path) in known)
    images = counted(len(shared), "image")
    return f"note: {images} in more than one of these sets, with a row of each: {path}"


def _paths(code_set: CodeSet, root: str | None) -> Iterator[str]:
    """The paths of a set, relative to `root`."""
    prefix = _prefix(code_set, root)
    return (_moved(path, prefix) for path in code_set.paths)


def _kind(column: "np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None") -> str:
    return "none" if column is None else f"{column.dtype} {column.shape[1:]}"


def _root(sets: Sequence[CodeSet]) -> str | None:
    """The one root of all, else the folder that all lie in; None where one is unknown."""
    names = {code_set.root_name for code_set in sets}
    if len(names) == 1:
        return names.pop()
    roots = sorted(name for name in names if name is not None)
    if len(roots) < len(names):
        raise CodeSetError(
            "some of these code sets have a root, the folder of their images, others have none; "
            "encode them again, or give all of them a root"
        )
    if all("://" in name for name in roots) and (url := _common_url(roots)) is not None:
        return url
    if any(is_foreign(name) for name in roots):
        raise CodeSetError(
            f"these code sets have roots that cannot be merged: {', '.join(roots)}; their images "
            "must lie on one server or on this system, so search these sets one by one"
        )
    try:
        return with_slashes(os.path.commonpath(roots))
    except ValueError:  # on different drives of Windows
        raise CodeSetError(
            f"these code sets have roots on different drives: {', '.join(roots)}; a merged set has "
            "one root, so search these sets one by one"
        ) from None


def _common_url(urls: Sequence[str]) -> str | None:
    """The URL of the folder that all lie in; None if they are not of one server or bucket."""
    schemes, places = zip(*(url.split("://", 1) for url in urls), strict=True)
    try:
        place = posixpath.commonpath(places)
    except ValueError:  # one of them begins with a slash: it names no server
        return None
    return f"{schemes[0]}://{place}" if place and len(set(schemes)) == 1 else None


def _prefix(code_set: CodeSet, root: str | None) -> str:
    """What goes before the paths of a set when they are relative to `root`."""
    if root is None or code_set.root_name == root:
        return ""
    return Path(str(code_set.root_name)).relative_to(root).as_posix()


def _moved(path: str, prefix: str) -> str:
    if not prefix or path.startswith("/"):
        return path
    is_of_windows = (path[1:2] == ":" or path[:1] == "\\") and PureWindowsPath(path).is_absolute()
    return path if is_of_windows else f"{prefix}/{path}"


def _moved_skip(code_set: CodeSet, path: str, prefix: str) -> str:
    """The same of a skipped path; a damaged archive has its own name among those in it."""
    root = Path(str(code_set.root_name))
    return prefix if prefix and path == root.name and not root.is_dir() else _moved(path, prefix)


def _source(sets: Sequence[CodeSet]) -> str | None:
    """The digest of the whole source, if these are all of its parts in order."""
    sources = [code_set.header.source for code_set in sets]
    digest = (sources[0] or "").partition(_PART)[0]
    count = len(sets)
    return digest if sources == [f"{digest}{_PART}{i + 1}/{count}" for i in range(count)] else None
