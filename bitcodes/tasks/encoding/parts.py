"""Encoding by other processes, on any machines: parts of the work become part sets, then one set.

The process that asks for it lists the source and cuts it; it reads no image. Each part is written
by one task, into a set of its own in a folder beside the code set. A part that is complete is not
encoded again, one that was interrupted is continued, whoever does it.
"""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, overload

from bitcodes.builtin import built_in_bits
from bitcodes.callbacks import Note, Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.header import CodeSetHeader
from bitcodes.codes.layout import Layout
from bitcodes.codes.merge import merge
from bitcodes.codes.staging import staged_rows
from bitcodes.codes.writer import CodeSetWriter, MakeOrigin, finish_commit, plan_of
from bitcodes.errors import CodeSetError, DataError
from bitcodes.files import check_folder_of, lock
from bitcodes.models.encoder import Encoder
from bitcodes.models.encoding import encode_batches
from bitcodes.models.onnx import OnnxModel
from bitcodes.sources.archives import ArchivedFile
from bitcodes.sources.item import File
from bitcodes.sources.paths import quote_path
from bitcodes.sources.reading import MAX_HELD, Decode, held_bytes
from bitcodes.tasks.encoding.update import Frame, Keep, New, Skipped, Step, Update, steps_of
from bitcodes.tasks.encoding.writing import Unread, check_strict, write_steps
from bitcodes.wording import counted

_PARTS = 4096  # of a source, at most
_LEAST = 64  # images of a part, at least
_KEPT = 64  # rows that are copied in the time that one image takes to encode, or less
_OPEN = 64  # part sets
_WAIT = 180.0  # seconds until shared storage frees the locks of a machine that is lost

Task = TypeVar("Task")
Result = TypeVar("Result")


class Pool(Protocol):
    """Processes that do work elsewhere."""

    def run(
        self,
        work: Callable[[Task], Result],
        tasks: Iterable[Task],
        tick: Callable[[], None],
        gpus: int,
    ) -> Iterator[Result]:
        """Do `work` on each task; results come in any order.

        Tasks are taken as they are needed. `work`, tasks and results are pickled. A task whose
        process dies is done again. `tick` is called every second or so. A process needs `gpus`
        GPUs. BitcodesErrors say where they were raised.
        """


@dataclass(frozen=True)
class Part:
    """Consecutive entries of an update, those from number `start` up to `stop`."""

    start: int
    stop: int
    entries: Sequence[Keep | New | Skipped]

    def singly(self) -> Iterator[Keep | New | Skipped]:
        """The entries as an update has them: new images one by one."""
        for entry in self.entries:
            if isinstance(entry, New):
                yield from (New([item]) for item in entry.items)
            elif isinstance(entry, Keep):
                yield Keep(entry.start, entry.stop, list(entry.labels))
            else:
                yield entry


@dataclass(frozen=True)
class PartDone:
    """What became of a part."""

    start: int
    rows: int
    skips: int
    is_old: bool
    """Whether it had been complete before."""
    unread: Unread = field(default_factory=Unread)


@dataclass(frozen=True)
class PartWork:
    """What a task does: it makes the part set of a Part. It is sent to other machines.

    `folder` holds the part sets. `plan` are the arguments of a CodeSetWriter for the whole set.
    `base` is the old set, if there is one, and its header. The rest is as in encode and Update.
    """

    folder: Path
    model: Encoder
    batch_size: int
    decode: Decode
    strict: bool
    plan: dict[str, Any]
    single: bool
    append: bool
    base: tuple[Path, CodeSetHeader] | None

    @classmethod
    def of(
        cls,
        out: Path,
        model: Encoder,
        update: Update,
        plan: dict[str, Any],
        *,
        batch_size: int,
        decode: Decode,
        strict: bool,
    ) -> Self:
        """The work for an update of the set `out`, with paths that do not depend on the folder
        that a process works in.
        """
        if isinstance(model, OnnxModel):
            model = model.with_threads(1)
        run, base = plan["run"], update.base
        if run is not None and built_in_bits(run) is None:
            plan = {**plan, "run": Path(run).absolute()}
        return cls(
            folder=Layout(out.absolute()).part_sets,
            model=model,
            batch_size=batch_size,
            decode=decode,
            strict=strict,
            plan=plan,
            single=update.single,
            append=update.append,
            base=None if base is None or base.path is None else (base.path.absolute(), base.header),
        )

    @property
    def gpus(self) -> int:
        """How many GPUs a process needs."""
        return int(str(getattr(self.model, "device", "cpu")).startswith("cuda"))

    def file(self, start: int) -> Path:
        """The part set of the part that begins with entry `start`."""
        return self.folder / f"{start:012}.npy"

    def __call__(self, part: Part) -> PartDone:
        """Make the part set, unless it is there; DataError if this machine lacks the files."""
        self._check_sees(part)
        file = self.file(part.start)
        finish_commit(file, wait=_WAIT)
        plan = {**self.plan, "source": f"{self.plan['source']} from {part.start} to {part.stop}"}
        frame = Frame.of(self._open_base(), self.plan["root"], self.single, self.append)
        if (made := _made(file, plan)) is not None:
            skipped = [(frame.place(path), reason) for path, reason in made.skipped]
            check_strict(skipped, self.strict)
            last = Unread(skipped[-1]) if skipped else Unread()
            return PartDone(part.start, made.count, len(skipped), True, last)
        told: list[str] = []
        with CodeSetWriter(file, force=True, wait=_WAIT, **plan) as writer:
            batches = encode_batches(
                self.model,
                steps_of(part.singly(), writer.position, self.batch_size),
                self.batch_size,
                decode=self.decode,
                features="features" in plan["columns"],
                careful=writer.is_resumed,
            )
            unread = write_steps(
                writer,
                frame,
                batches,
                strict=self.strict,
                progress=lambda done, count: None,
                count=None,
                log=told.append,
            )
            unread.untold[:0] = told  # the one who asked tells of it
            made = writer.commit()
        return PartDone(part.start, made.count, len(made.skipped), False, unread)

    def _check_sees(self, part: Part) -> None:
        """Raise DataError if this machine does not have what all machines share."""
        shared = "all machines must have it under the same path"
        if not self.folder.is_dir():
            raise DataError(f"there is no folder {self.folder}: {shared}")
        new = (each for each in part.entries if isinstance(each, New))
        places = (item.place for each in new for item in each.items)
        files = [
            place.path if isinstance(place, File) else place.archive
            for place in places
            if isinstance(place, ArchivedFile) or (isinstance(place, File) and place.known)
        ]
        if files and not any(map(os.path.lexists, dict.fromkeys(files))):
            others = counted(len(set(files)) - 1, "other")
            raise DataError(f"{quote_path(files[0])} is not there, nor {others}: {shared}")

    def _open_base(self) -> CodeSet | None:
        if self.base is None:
            return None
        path, header = self.base
        base = CodeSet.open(path, verify=False)
        if base.header != header:
            raise CodeSetError(f"{path} has changed meanwhile; run this again")
        return base


def _made(file: Path, plan: dict[str, Any]) -> CodeSet | None:
    """The part set in a file, if it is complete and of a plan."""
    if not os.path.lexists(file):
        return None
    try:
        made = CodeSet.open(file)
    except CodeSetError:
        return None
    names = ("source", "fingerprint", "engine", "dtype", "decode")
    has = plan_of(made)
    is_same = all(has[name] == plan[name] for name in names)
    return made if is_same and set(has["columns"]) == set(plan["columns"]) else None


def encode_parts(
    pool: Pool,
    work: PartWork,
    update: Update,
    out: Path,
    *,
    may_replace: bool,
    origin: MakeOrigin | None,
    progress: Progress,
    log: Note,
) -> CodeSet:
    """Encode an update into the set `out` with the processes of a pool, and return it.

    It is the set that one process makes. Parts that were done, or begun, by an interrupted call are
    used. Raises what a task raises, and BitcodesError while another process does the same.
    """
    check_folder_of(out)
    with lock(work.folder.with_name(f"{work.folder.name}.lock"), str(out)):
        work.folder.mkdir(exist_ok=True)
        total = update.source.total if update.count is None else update.count
        course = _Course(work, total, progress)
        parts = cut(update.steps(0, work.batch_size), total, work.batch_size)
        for done in pool.run(work, course.follow(parts), course.show, work.gpus):
            course.finish(done, log)
        course.unread.check_any(course.rows, course.skips)
        if course.old:
            log(f"{counted(course.old, 'image')} of these had been encoded before")
        there = set(os.listdir(work.folder))  # noqa: PTH208 - makes network drives look anew
        for file in course.files:
            if file.name not in there:
                raise CodeSetError(
                    f"{file} was written by another machine, and this one does not see it: write "
                    "to a folder that all machines share"
                )
        log(f"joining {counted(len(course.files), 'part')}")
        code_set = merge(
            _PartSets(course.files), out, force=may_replace, source=update.digest, origin=origin
        )
    shutil.rmtree(work.folder, ignore_errors=True)
    return code_set


def cut(steps: Iterable[Step], total: int, batch_size: int) -> Iterator[Part]:
    """Parts of the steps of an update: at most 4,096 or so, of whole batches.

    `total` images are in it. Parts of fewer images than 64 are not worth a task.
    """
    batches = max(-(-max(_LEAST, -(-total // _PARTS)) // batch_size), 1)
    weight = batches * batch_size
    start = stop = new = kept = held = 0
    entries: list[Keep | New | Skipped] = []
    for step in steps:
        entries += step.parts
        stop += sum(map(len, step.parts))
        new += len(step.items)
        kept += sum(len(part) for part in step.parts) - len(step.items)
        held += sum(map(held_bytes, step.items))
        if new + kept // _KEPT >= weight or held >= MAX_HELD:
            yield Part(start, stop, entries)
            start, new, kept, held, entries = stop, 0, 0, 0, []
    if entries:
        yield Part(start, stop, entries)


class _Course:
    """How far all parts are."""

    def __init__(self, work: PartWork, total: int, progress: Progress) -> None:
        self._work, self._total, self._progress = work, total, progress
        self._running: dict[int, Layout] = {}  # by the start of the part
        self._most = 0
        self.files: list[Path] = []
        self.rows = self.skips = self.old = 0
        self.unread = Unread()

    def follow(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The parts, as they are taken."""
        for part in parts:
            file = self._work.file(part.start)
            self.files.append(file)
            self._running[part.start] = Layout(file)
            yield part

    def finish(self, done: PartDone, log: Note) -> None:
        """Take note of a part that is done."""
        del self._running[done.start]
        self.rows += done.rows
        self.skips += done.skips
        self.old += done.rows * done.is_old
        self.unread.join(done.unread)
        if self.rows:
            self.unread.tell(log)
        self._show(0)

    def show(self) -> None:
        """Show how far all parts are, those that are not done too."""
        self._show(sum(map(staged_rows, self._running.values())))

    def _show(self, running: int) -> None:
        self._most = max(self._most, self.rows + self.skips + running)
        self._progress(self._most, self._total)


class _PartSets(Sequence[CodeSet]):
    """Part sets in files, opened as they are needed: each takes several open files."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files
        self._open = lru_cache(_OPEN)(partial(CodeSet.open, verify=False))

    def __len__(self) -> int:
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> CodeSet: ...
    @overload
    def __getitem__(self, index: slice) -> "_PartSets": ...

    def __getitem__(self, index: int | slice) -> "CodeSet | _PartSets":
        if isinstance(index, slice):
            return _PartSets(self._files[index])
        return self._open(self._files[index])
