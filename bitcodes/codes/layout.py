"""Where the files of a code set lie, and how a set changes whole or not at all.

New files are prepared in a staging folder beside the set. When all are complete and on the disk,
one small file, `commit`, is written there that lists the renames: from that moment on the set is
the new one, whether the renames have been done or not. Readers look through an unfinished commit
with `resolve`; only a writer that holds the lock finishes it, with `finish`.
"""

import errno
import json
import os
import re
import shutil
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath

from bitcodes.builtin import built_in_bits
from bitcodes.documents import read_bytes
from bitcodes.errors import CodeSetError
from bitcodes.files import atomic_write, change_names, fsync_dir, open_regular, replace
from bitcodes.wording import shortened

# What each file of a set holds -> how its name goes on after the stem.
SUFFIXES: Mapping[str, str] = {
    "codes": ".npy",
    "header": ".json",
    "paths": ".paths.txt",
    "labels": ".labels.npy",
    "features": ".features.npy",
    "stat": ".stat.npy",
    "skipped": ".skipped.txt",
}
SIDECARS = tuple(role for role in SUFFIXES if role not in ("codes", "header"))
ORIGIN = "origin"
"""What a set was made from: it changes with the set, but is no part of it (see Origin)."""

_SUFFIXES = {**SUFFIXES, ORIGIN: ".origin.json"}  # of all files that a commit may list
_MAX_NAME = 255  # bytes of a name in a folder, on all file systems in use
COMMIT_FORMAT = "bitcodes-commit/1"
_FORMAT = b'"bitcodes/'  # what every header holds near its beginning
_START_OF_CODES = rb"\x93NUMPY[^\n]*'descr': '[|<>=]u1'[^\n]*'shape': \(\d+, *\d+\)"


def is_foreign(path: str) -> bool:
    """Whether it names no file of this system: a URL, or elsewhere than there a path of Windows."""
    is_windows = path[:1] != "/" and PureWindowsPath(path).is_absolute()
    return "://" in path or (is_windows and os.name != "nt")


@dataclass(frozen=True)
class Layout:
    """The names that belong to the code set `codes`, the path of its .npy file."""

    codes: Path

    def __post_init__(self) -> None:
        name = self.codes.name
        if not name.endswith(".npy") or name == ".npy":
            raise CodeSetError(
                f"{self.codes}: expected the .npy file of a code set, a name like codes.npy"
            )
        self._check_name()
        for role in SIDECARS:
            if name.endswith(SUFFIXES[role]):
                stem = name.removesuffix(SUFFIXES[role])
                raise CodeSetError(
                    f"{self.codes}: this name is that of the {role} of a code set; "
                    f"name the set by its codes, {stem or 'codes'}.npy"
                )

    def check_length(self) -> None:
        """Raise CodeSetError if the longest name that a writer makes of this one is too long."""
        longest = f".{self.codes.stem}.features.npy.{'0' * 16}.tmp"
        if len(os.fsencode(longest)) > _MAX_NAME:
            raise self._too_long(", with what is added to it,")

    def check_replaceable(self) -> None:
        """Raise CodeSetError if a file that is no part of a set has the name of codes or header.

        Damaged sets, and codes alone (uint8 of two dimensions), may be replaced; others never.
        """
        header, codes = self.final("header"), self.final("codes")
        description = _start_of(header)
        if _FORMAT in description:
            return
        start = _start_of(codes)
        is_foreign = start and not re.match(_START_OF_CODES, start)
        if is_foreign or description:
            raise CodeSetError(
                f"{codes if is_foreign else header} is there already and is no part of a code set, "
                "so it is not replaced; write to another name, or move it away"
            )

    @property
    def is_described(self) -> bool:
        """Whether the header is there, maybe damaged."""
        return _FORMAT in _start_of(self.final("header"))

    def _check_name(self) -> None:
        try:
            os.lstat(self.codes)
        except ValueError:
            raise CodeSetError(f"{self.codes}: no file can have a zero byte in its name") from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                raise self._too_long("") from None

    def _too_long(self, reason: str) -> CodeSetError:
        name = shortened(str(self.codes))
        return CodeSetError(f"{name}: this name or path{reason} is too long; choose a shorter one")

    def header_path(self, path: str | os.PathLike[str]) -> str:
        """A path as the header stores it: relative to the set's folder if below it, else absolute.

        So a folder that holds images, run and codes can be moved as a whole. Its separators are
        slashes on every system. A relative `path` is one from the working folder, as always. A URL
        stays what it is, and so does a path of another system.
        """
        if is_foreign(str(path)):
            return str(path)
        absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
        folder = Path(os.path.abspath(self.codes)).parent  # noqa: PTH100
        below = absolute.is_relative_to(folder)
        return (absolute.relative_to(folder) if below else absolute).as_posix()

    def header_run(self, run: str | os.PathLike[str]) -> str:
        """A run as the header stores it: as a path, but the built-in model by its name.

        A path that looks like that name begins with a dot.
        """
        if built_in_bits(run) is not None:
            return str(run)
        path = self.header_path(run)
        return path if built_in_bits(path) is None else f"./{path}"

    @property
    def staging(self) -> Path:
        """The folder where a new version is prepared, and an interrupted one waits."""
        return self.codes.with_name(f".{self.codes.name}.staging")

    @property
    def part_sets(self) -> Path:
        """The folder of the part sets that other processes make of this set."""
        return self.codes.with_name(f".{self.codes.name}.parts")

    @property
    def lock(self) -> Path:
        """The file that a writer locks; beside the staging folder, so that this can be removed."""
        return self.codes.with_name(f".{self.codes.name}.lock")

    @property
    def commit(self) -> Path:
        """The file that turns the staged set into the set."""
        return self.staging / "commit"

    def final(self, role: str) -> Path:
        """The path of one file of the set."""
        return self.codes.with_name(self.codes.name.removesuffix(".npy") + _SUFFIXES[role])

    def staged(self, role: str) -> Path:
        """The path of the same file while it is prepared."""
        return self.staging / self.final(role).name

    def resolve(self) -> dict[str, Path]:
        """Where a reader finds each file that the set may have, by role; absent ones are left out.

        Its origin is among them.

        Raises CodeSetError when a commit has begun and its file is damaged.
        """
        committed = self.read_commit()
        places: dict[str, Path] = {}
        for role in _SUFFIXES if committed is None else committed:
            staged, final = self.staged(role), self.final(role)
            if committed is not None and os.path.lexists(staged):
                places[role] = staged
            elif os.path.lexists(final):
                places[role] = final
        return places

    def read_commit(self) -> tuple[str, ...] | None:
        """The roles of the files of the set being committed, or None when no commit has begun."""
        try:
            data = read_bytes(self.commit, CodeSetError)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            fields = json.loads(data)
            roles = fields["files"]
            if data != _commit_bytes(roles):
                raise ValueError
            return tuple(roles)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise CodeSetError(
                f"{self.commit}: this file lists the renames of a change of {self.codes} that was "
                "interrupted, and it is damaged; remove the folder it lies in, write the set again"
            ) from None

    def begin(self, roles: Sequence[str]) -> None:
        """Commit the staged files of these roles: the set is now the new one."""
        fsync_dir(self.staging)
        with atomic_write(self.commit) as file:
            file.write(_commit_bytes(roles))

    def finish(self) -> bool:
        """Do the renames of a commit that has begun, and clean up; False when none has.

        The caller holds the lock. May be interrupted anywhere and done again. Raises FileInUseError
        where a program has an old file open and the system therefore keeps it (Windows): readers
        go on to see the new set through the commit.
        """
        committed = self.read_commit()
        if committed is None:
            with suppress(OSError):  # an empty folder: all but the last step below was done
                self.staging.rmdir()
            return False
        for role in _SUFFIXES:
            if role not in committed:
                self._remove(self.final(role))
            elif os.path.lexists(self.staged(role)):
                replace(self.staged(role), self.final(role))
        fsync_dir(self.codes.parent)
        # Remove the commit last: without it, the rest would look like an interrupted write.
        for leftover in self.staging.iterdir():
            if leftover != self.commit:
                self._remove(leftover)
        fsync_dir(self.staging)
        self._remove(self.commit)
        change_names(self.staging.rmdir, self.staging)
        return True

    def _remove(self, file: Path) -> None:
        change_names(lambda: file.unlink(missing_ok=True), file)

    def discard(self) -> None:
        """Remove the staging folder with everything in it; the caller holds the lock."""
        if os.path.lexists(self.staging):
            change_names(lambda: shutil.rmtree(self.staging), self.staging)


def _commit_bytes(roles: Sequence[str]) -> bytes:
    if not all(role in _SUFFIXES for role in roles):
        raise ValueError(f"unknown files: {roles}")
    fields = {"format": COMMIT_FORMAT, "files": list(roles)}
    crc = zlib.crc32(json.dumps(fields, separators=(",", ":")).encode())
    return json.dumps({**fields, "crc32": crc}, indent=2).encode() + b"\n"


def _start_of(file: Path) -> bytes:
    """The first bytes of a file; none if there is no file that can be read."""
    try:
        with open_regular(file) as stream:
            return stream.read(4096)
    except OSError:
        return b""
