"""Writing a code set batch by batch: killed at any moment, it leaves the old set or the new one."""

import errno
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy.typing as npt

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.columns import OPTIONAL, Array, as_stored
from bitcodes.codes.header import make_header
from bitcodes.codes.layout import ORIGIN, SUFFIXES, Layout
from bitcodes.codes.pack import check_codes
from bitcodes.codes.parts import Parts
from bitcodes.codes.paths import escape, escaped, with_slashes
from bitcodes.codes.staging import Staging
from bitcodes.errors import CodeSetError, FileInUseError
from bitcodes.files import atomic_write, check_folder_of, lock, remove_left_lock
from bitcodes.wording import counted

_SAVE_ROWS = 1 << 12

MakeOrigin = Callable[[str | None], bytes]
"""Makes the content of codes.origin.json from the `source` in the header of the set."""


def finish_commit(path: str | os.PathLike[str], wait: float = 0.0) -> bool:
    """Finish a change of the code set at `path` that a killed writer had committed; False if none.

    Readers need not call this: they see the new set already. BitcodesError while a writer is busy,
    and `wait` seconds later still is.
    Old files that a program has open stay where the system does not replace them (Windows).
    """
    layout = Layout(Path(path))
    if not os.path.lexists(layout.staging):
        remove_left_lock(layout.lock)
        return False
    with _file_errors(layout), lock(layout.lock, str(layout.codes), wait):
        try:
            return layout.finish()
        except FileInUseError:
            return True


class CodeSetWriter:
    """Writes the code set `out`; use as a context manager, append batches, then commit.

    Entering takes the lock, finishes a commit that a killed writer began, refuses an existing set
    unless `force`, and finds the rows that an interrupted writer with an equal plan left (unless
    `resume` is False). The plan is every argument but `out`, `force`, `resume` and `wait`, the
    seconds to wait for the lock. `columns` names the optional columns that every append brings: any
    of "labels", "features", "stat".

    Left without commit, the staged rows wait for the next writer. All errors are CodeSetErrors, but
    a BitcodesError says that another process holds the lock. Not to be shared between threads.
    """

    def __init__(
        self,
        out: str | os.PathLike[str],
        *,
        bits: int,
        parts: Parts | None = None,
        columns: Sequence[str] = (),
        root: str | os.PathLike[str] | None = None,
        class_names: Sequence[str] = (),
        fingerprint: str | None = None,
        backbone: str | None = None,
        run: str | os.PathLike[str] | None = None,
        engine: str | None = None,
        dtype: str | None = None,
        decode: str | None = None,
        source: str | None = None,
        force: bool = False,
        resume: bool = True,
        wait: float = 0.0,
    ):
        unknown = [name for name in columns if name not in OPTIONAL]
        if unknown:
            raise CodeSetError(f"columns must be among {', '.join(OPTIONAL)}; found {unknown}")
        self._layout = Layout(Path(out))
        self._layout.check_length()
        self._columns = tuple(name for name in OPTIONAL if name in columns)
        self._header = make_header(
            bits=bits,
            parts=parts,
            root=None if root is None else self._layout.header_path(root),
            class_names=tuple(class_names),
            fingerprint=fingerprint,
            backbone=backbone,
            run=None if run is None else self._layout.header_run(run),
            engine=engine,
            dtype=dtype,
            decode=decode,
            source=source,
        )
        self._force = force
        self._resume = resume
        self._wait = wait
        self._exit = ExitStack()
        self._staging: Staging | None = None
        self._pending: list[str] = []  # lines of skips that wait for the next batch
        self._committed = False
        self.dropped = 0
        """Rows that an interrupted writer with another plan had staged, removed on entering."""

    def __enter__(self) -> Self:
        layout = self._layout
        try:
            check_folder_of(layout.codes)
            with _file_errors(layout):
                self._exit.enter_context(lock(layout.lock, str(layout.codes), self._wait))
                layout.finish()
                self._refuse_existing()
                plan = self._header.to_bytes() + f"columns: {', '.join(self._columns)}\n".encode()
                self._staging = Staging(layout, plan, self._columns, self._resume)
                self.dropped = self._staging.dropped
                self._exit.callback(self._leave, self._staging)
        except BaseException:
            self._exit.close()
            raise
        return self

    def _refuse_existing(self) -> None:
        self._layout.check_replaceable()
        finals = [self._layout.final(role) for role in SUFFIXES]
        existing = [path.name for path in finals if os.path.lexists(path)]
        if existing and not self._force:
            raise CodeSetError(
                f"{self._layout.codes} exists already ({', '.join(existing)}); "
                "write to another name, or replace it with --force"
            )

    def _leave(self, staging: Staging) -> None:
        staging.close()
        if not self._committed and not staging.record.rows and not staging.record.skips:
            with suppress(OSError):  # nothing to keep; a folder left over does no harm
                self._layout.discard()

    def __exit__(self, *error: object) -> None:
        self._staging = None
        self._exit.close()

    @property
    def done(self) -> int:
        """Rows that are saved in the staging folder."""
        return self._open().record.rows

    @property
    def skipped(self) -> int:
        """Skips that are recorded, those waiting for the next batch too."""
        return self._open().record.skips + len(self._pending)

    @property
    def is_resumed(self) -> bool:
        """Whether a writer with an equal plan was interrupted, or killed before it had any rows."""
        return self._open().resumed

    @property
    def position(self) -> int:
        """How many items of the source are finished: rows and skips."""
        return self.done + self.skipped

    def append(
        self,
        codes: npt.NDArray[Any],
        paths: Sequence[str],
        labels: npt.ArrayLike | None = None,
        features: npt.NDArray[Any] | None = None,
        stat: npt.ArrayLike | None = None,
    ) -> None:
        """Add a batch, in the source's order, whole or not at all.

        codes (n, ceil(bits/8)) uint8, a path per code, and the optional columns of the plan:
        labels int32 (n,) or uint8 (n, C), features float (n, D), stat int64 (n, 2).
        """
        if len(paths) != len(codes):
            raise CodeSetError(
                f"expected a path for each of {counted(len(codes), 'code')}, found {len(paths)}"
            )
        self._append(
            codes,
            _lines(paths, 0, len(paths)),
            {"labels": labels, "features": features, "stat": stat},
        )

    def copy(
        self,
        code_set: CodeSet,
        start: int,
        stop: int,
        labels: npt.ArrayLike | None = None,
        paths: Sequence[str] | None = None,
    ) -> None:
        """Add rows of another set as they are, in the source's order.

        `labels` of these rows, and `paths` of all rows, take the place of its own if given. The set
        must have the columns of this writer, and codes of as many bits.
        """
        arrays: dict[str, Any] = {name: getattr(code_set, name) for name in self._columns}
        for name, array in arrays.items():
            if name == "labels" and labels is not None:
                arrays[name] = labels
            elif array is None:
                raise CodeSetError(f"{code_set.path}: expected {name}, found none")
            else:
                arrays[name] = array[start:stop]
        self._append(
            code_set.codes[start:stop], _lines(paths or code_set.paths, start, stop), arrays
        )

    def _append(
        self,
        codes: npt.NDArray[Any],
        lines: bytes,
        arrays: Mapping[str, npt.ArrayLike | None],
    ) -> None:
        staging = self._open()
        check_codes(codes, self._header.bits)
        stored = as_stored(arrays, len(codes), len(self._header.class_names))
        if tuple(stored) != self._columns:
            raise CodeSetError(
                f"expected the columns {list(self._columns)} in every batch, found {list(stored)}"
            )
        classes, width = _width(stored.get("labels")), _width(stored.get("features"))
        before = staging.record
        if before.rows and classes != before.classes:
            raise CodeSetError(
                f"expected labels of {before.classes or 'no'} columns, found {classes}"
            )
        if before.rows and width != before.width:
            raise CodeSetError(f"expected features of width {before.width}, found {width}")
        parts = {"codes": codes, **stored}
        data = {"paths": lines, **{role: array.tobytes() for role, array in parts.items()}}
        self._write(staging, data, len(codes), classes, width)

    def skip(self, path: str, reason: str) -> None:
        """Record that a source image has no row, and why; saved with the next batch or commit."""
        self._open()
        self._pending.append(f"{_field(with_slashes(path))}\t{_field(reason)}\n")

    def _write(
        self, staging: Staging, parts: dict[str, bytes], rows: int, classes: int, width: int
    ) -> None:
        if self._pending:
            parts["skipped"] = "".join(self._pending).encode()
        with _file_errors(self._layout):
            staging.append(parts, rows=rows, skips=len(self._pending), classes=classes, width=width)
        self._pending.clear()

    def commit(self, origin: MakeOrigin | None = None) -> CodeSet:
        """Make the staged rows the code set, whole or not at all, and open it.

        `origin` makes what codes.origin.json then holds; without, there is no such file.
        """
        staging = self._open()
        if self._pending:
            self._write(staging, {}, 0, staging.record.classes, staging.record.width)
        with _file_errors(self._layout):
            files = staging.finalise(self._header.bits)
            update = {"count": staging.record.rows, "files": files}
            with atomic_write(self._layout.staged("header")) as file:
                file.write(self._header.model_copy(update=update).to_bytes())
            beside = [] if origin is None else [ORIGIN]
            if origin is not None:
                with atomic_write(self._layout.staged(ORIGIN)) as file:
                    file.write(origin(self._header.source))
            self._committed = True  # from here on, staging is not to be cleared
            self._layout.begin(["header", *files, *beside])
            self._staging = None
            staging.close()
            with suppress(FileInUseError):  # the set is the new one; the next writer finishes this
                self._layout.finish()
        return CodeSet.open(self._layout.codes, verify=False)

    def _open(self) -> Staging:
        if self._staging is None:
            raise CodeSetError(f"{self._layout.codes}: this writer is not open (use `with`)")
        return self._staging


def save_code_set(code_set: CodeSet, path: str | os.PathLike[str], force: bool = False) -> CodeSet:
    """Store a code set at `path`, whole or not at all, and open it there.

    CodeSetError if a set is there already, unless `force`.
    """
    with CodeSetWriter(path, force=force, **plan_of(code_set)) as writer:
        for start in range(0, code_set.count, _SAVE_ROWS):
            writer.copy(code_set, start, min(start + _SAVE_ROWS, code_set.count))
        for skipped, reason in code_set.skipped:
            writer.skip(skipped, reason)
        return writer.commit()


def plan_of(code_set: CodeSet) -> dict[str, Any]:
    """The arguments of a writer that writes the same set anew."""
    fields = code_set.header.model_dump(exclude={"format", "count", "bit_order", "files"})
    columns = [name for name in OPTIONAL if getattr(code_set, name) is not None]
    place = {"root": code_set.root_name, "run": code_set.run}
    return {**fields, **place, "parts": code_set.parts, "columns": columns, "resume": False}


def _lines(paths: Sequence[str], start: int, stop: int) -> bytes:
    """Some paths as they stand in a paths file."""
    return b"".join(line + b"\n" for line in escaped(paths, start, stop))


def _width(array: Array | None) -> int:
    """How many columns an array has; 0 for class numbers, and where there is none."""
    return 0 if array is None or array.ndim == 1 else array.shape[1]


def _field(text: str) -> str:
    return escape(text).replace("\t", "\\t")


@contextmanager
def _file_errors(layout: Layout) -> Iterator[None]:
    """Turn an OSError into a CodeSetError that says what is saved so far and what to do."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
        what_to_do = "write to another file"
        if os.path.lexists(layout.staging):
            solution = "make room" if full else "solve that"
            what_to_do = (
                f"what is done so far is kept in {layout.staging}: {solution}, run this again to "
                "go on"
            )
        raise CodeSetError(
            f"{layout.codes} cannot be written: {error.strerror} "
            f"({error.filename or layout.staging}); {what_to_do}"
        ) from error
