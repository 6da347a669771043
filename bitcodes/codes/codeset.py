"""The code set: codes, their paths, labels and features, as plain files that any tool can open."""

import mmap
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitcodes.builtin import built_in_bits
from bitcodes.codes import columns
from bitcodes.codes.header import CodeSetHeader, make_header, parse_header
from bitcodes.codes.layout import SIDECARS, Layout, is_foreign
from bitcodes.codes.pack import check_codes
from bitcodes.codes.parts import Parts
from bitcodes.codes.paths import PathList, RowNumbers, unescape
from bitcodes.codes.version import Version
from bitcodes.documents import read_bytes
from bitcodes.errors import CodeSetError
from bitcodes.notebook import ShownAsHtml
from bitcodes.wording import command, counted

VERIFY_BYTES = 10**9  # how much `open` reads to compare checksums, by default
_CHUNK = 1 << 22


@dataclass(frozen=True, eq=False, repr=False)
class CodeSet(ShownAsHtml):
    """Codes (N, ceil(K/8)) and what belongs to them, row by row; read-only.

    Get one from `open` (everything is mapped, and read when it is used), `from_arrays` or a
    CodeSetWriter. An open set does not change when its files are replaced.
    """

    path: Path | None
    """The .npy file, or None for a set in memory."""
    header: CodeSetHeader
    """The content of codes.json; for a set without that file, what it would hold."""
    codes: npt.NDArray[np.uint8]
    """(N, ceil(K/8)) uint8, MSB-first, padding bits zero."""
    paths: Sequence[str]
    """A path for each row, relative to `root`, decoded when used; row numbers where unknown."""
    labels: npt.NDArray[Any] | None = None
    """int32 (N,), or uint8 (N, C) multi-hot."""
    features: npt.NDArray[np.float16] | None = None
    """float16 (N, D)."""
    stat: npt.NDArray[np.int64] | None = None
    """int64 (N, 2): size in bytes and modification time in ns of each source file."""
    is_bare: bool = False
    """Whether this is a .npy file alone, with no header beside it."""
    url: str | None = None
    """Where a set in memory was read from, if that is a database."""
    _files: "Mapping[str, _File]" = field(default_factory=dict)

    @staticmethod
    def open(path: str | os.PathLike[str], verify: bool | None = None) -> "CodeSet":
        """Open the code set stored at `path`, its .npy file.

        Sizes, shapes and dtypes are always checked. Checksums are compared for the smallest files,
        up to 1 GB in total; for all files with verify=True, for none with False. A .npy file
        without other files beside it is a bare set: bits = 8 x columns, and paths are row numbers.
        Raises CodeSetError if anything is missing, cut off or altered.
        """
        path = Path(path)
        layout = Layout(path)
        if path.is_symlink() and not os.path.lexists(layout.final("header")):
            target = path.resolve()
            if os.path.lexists(target.with_suffix(".json")):
                layout = Layout(target)  # a link to the codes alone: the rest lies over there
        while (code_set := _open_between_commits(layout, verify)) is None:
            pass
        return code_set

    @staticmethod
    def from_arrays(
        codes: npt.NDArray[np.uint8],
        bits: int,
        paths: Sequence[str] | None = None,
        labels: npt.ArrayLike | None = None,
        features: npt.NDArray[Any] | None = None,
        class_names: Sequence[str] = (),
        fingerprint: str | None = None,
        stat: npt.ArrayLike | None = None,
        root: str | os.PathLike[str] | None = None,
        parts: Parts | None = None,
    ) -> "CodeSet":
        """Make a code set in memory from codes (N, ceil(bits/8)) and optional columns.

        Labels are int32 (N,) or uint8 (N, C), features float (N, D), stored as float16, stat int64
        (N, 2), paths relative to the folder `root`. Raises CodeSetError if shapes or values do not
        fit. Codes of two parts have `parts`.
        """
        check_codes(codes, bits)
        count = len(codes)
        paths = RowNumbers(count) if paths is None else tuple(paths)
        if len(paths) != count:
            raise CodeSetError(
                f"expected a path for each of {counted(count, 'code')}, found {len(paths)}"
            )
        arrays = {"labels": labels, "features": features, "stat": stat}
        stored: dict[str, Any] = columns.as_stored(arrays, count, len(class_names))
        header = make_header(
            bits=int(bits),
            parts=parts,
            count=count,
            class_names=tuple(class_names),
            fingerprint=fingerprint,
            root=None if root is None else os.path.abspath(root),  # noqa: PTH100 - as in _absolute
        )
        return CodeSet(None, header, np.ascontiguousarray(codes), paths, **stored)

    @property
    def name(self) -> str:
        """What messages call the set: its file, or the database that it was read from."""
        return self.url or "a code set in memory" if self.path is None else str(self.path)

    @property
    def bits(self) -> int:
        """K, the length of a code."""
        return self.header.bits

    @property
    def parts(self) -> Parts | None:
        """The class bits and the instance bits of a code, if it has these parts."""
        return self.header.parts

    @property
    def count(self) -> int:
        """N, the number of codes."""
        return self.header.count

    def __len__(self) -> int:
        return self.header.count

    def __repr__(self) -> str:
        size = f"{counted(self.count, 'code')} of {counted(self.bits, 'bit')}"
        return f"<CodeSet {self.path or 'in memory'}: {size}>"

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes that labels number; empty where unknown."""
        return self.header.class_names

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the model that made the codes; None where unknown."""
        return self.header.fingerprint

    @property
    def root(self) -> Path | None:
        """The absolute folder that paths are relative to; None if unknown or not of this system."""
        return self._absolute(self.header.root)

    @property
    def root_name(self) -> str | None:
        """What paths are relative to, as text: an absolute path or a URL; None where unknown."""
        return self.header.root if self.root is None else self.root.as_posix()

    @property
    def run(self) -> Path | str | None:
        """The absolute path of the run, or model file, that made the codes; None where unknown.

        For the built-in model it is a str, its name.
        """
        run = self.header.run
        return run if built_in_bits(run) is not None else self._absolute(run)

    def _absolute(self, text: str | None) -> Path | None:
        """The absolute path of what Layout.header_path stored; None if it is not of this system."""
        if text is None or is_foreign(text):
            return None
        folder = self.path.parent if self.path else Path()
        return Path(os.path.abspath(folder / text))  # noqa: PTH100 - resolve() would follow links

    def absolute_path(self, row: int) -> Path:
        """Where the image of a row lies. CodeSetError where the set does not know its root."""
        if self.root is not None:
            return self.root / self.paths[row]
        name = self.root_name
        folder = f"{name}, which is no folder of this system" if name else "an unknown folder"
        raise CodeSetError(
            f"{self.path or 'this code set'}: row {row} is {self.paths[row]!r} in {folder}"
        )

    def file(self, row: int) -> Path | None:
        """Where the image of a row lies; None if the set does not know its root."""
        root = self.root
        return None if root is None else root / self.paths[row]

    def check_same_model(
        self, other: str, bits: int, fingerprint: str | None, force: bool = False
    ) -> None:
        """Raise CodeSetError unless codes of `other`, a model or set, can be compared with these.

        `force` allows another model with the same number of bits.
        """
        if bits != self.bits:
            raise CodeSetError(
                f"{other} has codes of {counted(bits, 'bit')} and the database {self.name} of "
                f"{self.bits}: they are not of one model. Encode the images of one of them again "
                "with the model of the other (--run)"
            )
        if None in (self.fingerprint, fingerprint) or self.fingerprint == fingerprint or force:
            return
        made = self.header.run or "an unknown model"
        what = f"{other} is another model or has been trained since"
        if built_in_bits(made) is not None and made == other:
            what = "this is that of another version of bitcodes"
        raise CodeSetError(
            f"{self.name} was made with {made}, and {what}: distances between their codes mean "
            "nothing. Name the model that made it with --run, or encode the images again; --force "
            "compares them all the same"
        )

    def other_model(self, run: Path | str | None) -> str:
        """In words: this set is not of the model in `run`, but of another, or of an older one."""
        made = self.header.run
        if made is None:
            return f"it was made with an unknown model, and this is {run or 'another one'}"
        if built_in_bits(made) is not None and made == run:
            return f"it was made with {made} of another version of bitcodes"
        if isinstance(run, Path) and self.path is not None:
            folder = Path(os.path.abspath(self.path)).parent  # noqa: PTH100 - keeps links
            if folder / made == Path(os.path.abspath(run)):  # noqa: PTH100
                return f"it was made with {made}, which has been trained again since"
        return f"it was made with {made}, and this model is {run or 'another one'}"

    @property
    def skipped(self) -> list[tuple[str, str]]:
        """Path and reason for each source image that could not be encoded, read from its file."""
        return self._files["skipped"].read_pairs() if "skipped" in self._files else []

    def verify(self) -> None:
        """Compare every file with its checksum, and its content with the format; CodeSetError."""
        for file in self._files.values():
            file.verify()
        self.check_content()

    def check_content(self) -> None:
        """Compare the content with the format, without the checksums; CodeSetError."""
        if isinstance(self.paths, PathList):
            self.paths.check()
        with self._of("codes"):
            check_codes(self.codes, self.bits)
        with self._of("labels"):
            if self.labels is not None:
                columns.check_labels(self.labels, len(self.class_names))
        with self._of("features"):
            if self.features is not None:
                columns.check_features(self.features)

    @contextmanager
    def _of(self, role: str) -> Iterator[None]:
        """Name the file of this role in an error."""
        try:
            yield
        except CodeSetError as error:
            where = "" if self.path is None else f"{Layout(self.path).final(role)}: "
            raise CodeSetError(f"{where}{error}") from None


def recorded_set(path: Path) -> CodeSet | None:
    """The set at `path`, if there is one with a header that can be read."""
    try:
        code_set = CodeSet.open(path, verify=False)
    except CodeSetError:
        return None
    return None if code_set.is_bare else code_set


class _File:
    """A mapped file of a set, and what the header says that it must be."""

    def __init__(self, path: Path, size: int, crc32: int):
        self.path = path
        self.data = columns.map_file(path)
        self._crc32 = crc32
        if len(self.data) != size:
            raise CodeSetError.damaged(path, f"expected {size} bytes, found {len(self.data)}")

    def verify(self) -> None:
        crc32 = 0
        with memoryview(self.data) as view:
            for start in range(0, len(view), _CHUNK):
                crc32 = zlib.crc32(view[start : start + _CHUNK], crc32)
        if crc32 != self._crc32:
            raise CodeSetError.damaged(
                self.path, f"expected content with the CRC-32 {self._crc32}, found {crc32}"
            )

    def read_pairs(self) -> list[tuple[str, str]]:
        pairs = []
        for number, line in enumerate(self.data[:].split(b"\n")[:-1], 1):
            try:
                path, reason = line.split(b"\t")
                pairs.append((unescape(path), unescape(reason)))
            except ValueError as error:
                raise CodeSetError.damaged(
                    self.path, f"line {number}: expected a path, a tab and a reason ({error})"
                ) from None
        return pairs


def _open_between_commits(layout: Layout, verify: bool | None) -> CodeSet | None:
    """Open the set; None if a writer changed it meanwhile: what was read may be of two versions."""
    with Version(layout) as version:
        places: dict[str, Path] | None = None
        try:
            places = layout.resolve()
            code_set = _open(layout, places, verify)
        except (CodeSetError, OSError) as error:
            # Files of the version that is being committed move while it stays the same. The
            # version is compared last: else these may be the places of the next one.
            moved = places is not None and layout.resolve() != places
            if moved or not version.is_current():
                return None
            if isinstance(error, CodeSetError):
                raise
            raise CodeSetError(
                f"{error.filename or layout.codes}: cannot be read: {error.strerror}"
            ) from error
        return code_set if version.is_current() else None


def _open(layout: Layout, places: Mapping[str, Path], verify: bool | None) -> CodeSet:
    if "header" not in places:
        return _open_bare(layout, places)
    header_file = places["header"]
    header = parse_header(read_bytes(header_file, CodeSetError), header_file)
    if "codes" not in header.files or "paths" not in header.files:
        raise CodeSetError.damaged(header_file, "files: expected codes and paths among them")
    files: dict[str, _File] = {}
    for role, entry in header.files.items():
        if role not in places:
            raise CodeSetError(
                f"{layout.final(role)} is missing, a file of the code set {layout.codes}; "
                "copy or encode the set again"
            )
        files[role] = _File(places[role], entry.size, entry.crc32)
    budget = {None: VERIFY_BYTES, True: sys.maxsize, False: -1}[verify]
    for file in sorted(files.values(), key=lambda file: len(file.data)):
        budget -= len(file.data)
        if budget >= 0:
            file.verify()
    code_set = _assemble(layout.codes, header, files)
    if budget >= 0:
        code_set.check_content()
    return code_set


def _open_bare(layout: Layout, places: Mapping[str, Path]) -> CodeSet:
    for role in SIDECARS:
        if role in places:
            raise CodeSetError(
                f"{layout.final('header')} is missing, the header of the code set {layout.codes}, "
                f"though {places[role].name} is there; copy or encode the set again"
            )
    if "codes" not in places:
        out = () if layout.codes == Path("codes.npy") else ("-o", layout.codes)
        begun = (
            f"; an interrupted encode waits in {layout.staging}, run it again to go on"
            if layout.staging.is_dir()
            else f"; encode images to make it: {command('encode', 'IMAGES', *out)}"
        )
        raise CodeSetError(f"{layout.codes}: there is no such code set{begun}")
    data = columns.map_file(places["codes"])
    codes = columns.read_npy(data, layout.codes)
    if codes.dtype != np.uint8 or codes.ndim != 2 or not codes.shape[1]:
        raise CodeSetError(
            f"{layout.codes}: expected codes, uint8 of the shape (N, bytes), "
            f"found {codes.dtype} {codes.shape}; pack bits with np.packbits(bits, axis=1)"
        )
    if (left := _header_left(layout.codes, data)) is not None:
        others = [path.name for path in Layout(left.with_suffix(".npy")).resolve().values()]
        raise CodeSetError(
            f"{layout.codes}: {', '.join(others)} belong to it and have another name: rename them "
            f"as well, or give this file its old name, {left.stem}.npy"
        )
    header = make_header(bits=8 * codes.shape[1], count=len(codes))
    return CodeSet(layout.codes, header, codes, RowNumbers(len(codes)), is_bare=True)


def _header_left(codes: Path, data: mmap.mmap | bytes) -> Path | None:
    """The header in the same folder whose codes these are, if their file has been renamed."""
    with suppress(OSError):
        for file in sorted(codes.absolute().parent.glob("*.json")):
            layout = Layout(file.with_suffix(".npy"))
            if os.path.lexists(layout.codes) or not layout.is_described:
                continue
            with suppress(CodeSetError):
                entry = parse_header(read_bytes(file, CodeSetError), file).files["codes"]
                if (entry.size, entry.crc32) == (len(data), zlib.crc32(data)):
                    return file
    return None


def _assemble(path: Path, header: CodeSetHeader, files: Mapping[str, _File]) -> CodeSet:
    """Put a set together from its mapped files; CodeSetError where a dtype or shape is wrong."""
    arrays: dict[str, Any] = {}
    for role, file in files.items():
        if role not in ("paths", "skipped"):
            arrays[role] = columns.read_npy(file.data, file.path)
            columns.check_stored(role, arrays[role], header.count, header.bits, file.path)
    paths = PathList(files["paths"].data, header.count, files["paths"].path)
    return CodeSet(path, header, paths=paths, _files=files, **arrays)
