"""Kill every command at its file operations, run it again, and compare with an undisturbed run.

    python benchmarks/kills.py [--kills 300] [--only encode merge] [--seed 0]

Each command of kill_cases.py runs in a small folder of its own. An undisturbed run counts the
operations that change files there; then the command is killed (SIGKILL) before some of them, spread
over all, or in the middle of a write. After each kill, readers must see the old state, the new one,
or end in a plain error; no process may be left; and the same command, run again, must leave what
the undisturbed run left, byte for byte, and nothing else. Every third time the second run is killed
too. Every other stop of a command that moves files is a full disk in place of a kill, and after
each of its stops every file must be there exactly once. Times of training, the files of TensorBoard
and the dates in pages may differ; of a checkpoint, all tensors are compared.

Prints a table, and below it what was wrong; exits with 1 if anything was. On Linux, the processes
are forked from one that has loaded everything, and a kill takes about a second.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import platform
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from dying import Operations
from kill_cases import Case, cases, copy, load, make_folder, make_small, register_tiny
from machine import processor

FORKS = sys.platform == "linux"
PATIENCE = 300.0
"""Seconds after which a command counts as one that hangs."""

_TIMES = "images_per_second", "train_seconds", "validation_seconds", "seconds"


@dataclasses.dataclass(frozen=True)
class Ended:
    """How a command ended: its status (-9: killed), what it printed, what it did, what is left."""

    status: int
    out: bytes
    error: str
    operations: list[str]
    orphans: bool = False


@dataclasses.dataclass
class Row:
    """A line of the table."""

    name: str
    operations: int
    kills: int = 0
    problems: dict[str, list[str]] = dataclasses.field(
        default_factory=lambda: {kind: [] for kind in KINDS}
    )

    def add(self, kind: str, text: str) -> None:
        """Note what is wrong."""
        self.problems[kind].append(text)


KINDS = "differences", "leftovers", "mixed reads", "processes left"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=300, help="over all commands")
    parser.add_argument("--only", nargs="*", default=[], help="commands whose names begin so")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)  # where nothing forks
    options = parser.parse_args()
    make_small()
    if options.child is not None:
        words, folder, end_at, scratch = options.child
        if "tiny" in words or (Path(folder) / "run").is_dir():
            register_tiny()
        _live(words, Path(folder), int(end_at), Path(scratch))
    chosen = [
        case
        for case in cases()
        if not options.only or any(case.name.startswith(name) for name in options.only)
    ]
    if not chosen:
        parser.error("--only names none of: " + "; ".join(case.name for case in cases()))
    if FORKS:
        load(chosen)
    print(f"{platform.system()}, {processor()}, Python {platform.python_version()}\n")
    heads = "command", "file operations", "kills", *KINDS
    print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", flush=True)
    rows = []
    started = time.monotonic()
    for number, case in enumerate(chosen):
        # Evenly over what is left, as a command may have fewer operations than its share.
        left = options.kills - sum(row.kills for row in rows)
        kills = max(1, round(left / (len(chosen) - number)))
        with tempfile.TemporaryDirectory(prefix="kills-") as name:
            rows.append(Campaign(case, Path(os.path.realpath(name)), options.seed).run(kills))
        _print(rows[-1])
    _print(_total(rows))
    print(f"\n{time.monotonic() - started:.0f} seconds")
    wrong = [(row, kind, text) for row in rows for kind in KINDS for text in row.problems[kind]]
    for row, kind, text in wrong:
        print(f"- {row.name}: {kind}: {text}")
    sys.exit(bool(wrong))


def _print(row: Row) -> None:
    found = [len(row.problems[kind]) for kind in KINDS]
    print(f"| {row.name} | {' | '.join(map(str, [row.operations, row.kills, *found]))} |")
    sys.stdout.flush()


def _total(rows: list[Row]) -> Row:
    total = Row("all", sum(row.operations for row in rows), sum(row.kills for row in rows))
    for row in rows:
        for kind in KINDS:
            total.problems[kind] += row.problems[kind]
    return total


class Campaign:
    """The kills of one command."""

    def __init__(self, case: Case, folder: Path, seed: int) -> None:
        self.case = case
        self.start, self.work = folder / "start", folder / "work"
        self._random = random.Random(f"{seed} {case.name}")

    def run(self, kills: int) -> Row:
        """Kill the command so often, or at all of its operations if these are fewer."""
        case = self.case
        self.start.mkdir()
        make_folder(self.start)
        copy(self.start, self.work)
        for command in case.before:
            self._succeed(command)
        if case.change is not None:
            case.change(self.work)
        copy(self.work, self.start)
        seen = [self._read()]
        self._succeed(case.command)  # what it compiles or keeps elsewhere is there from now on
        self.expected = snapshot(self.work)
        copy(self.start, self.work)
        count = len(whole := self._succeed(case.command).operations)
        row = Row(case.name, count)
        self._compare(row, "undisturbed, a second time")
        seen.append(self._read())
        self._again(row, "complete, run again")
        for number, moment in enumerate(self._moments(count, kills)):
            full = self.case.moves and number % 2 == 1
            self._kill(row, moment, whole, seen, twice=number % 3 == 2, full=full)
        return row

    def _moments(self, count: int, kills: int) -> list[int]:
        """Operations spread over all, each by chance in its part."""
        kills = min(count, kills)
        ends = [count * part // kills for part in range(kills + 1)]
        return [self._random.randint(begin + 1, end) for begin, end in pairwise(ends)]

    def _kill(
        self,
        row: Row,
        moment: int,
        whole: list[str],
        seen: list[list[str]],
        twice: bool,
        full: bool,
    ) -> None:
        copy(self.start, self.work)
        what = "full disk" if full else "killed"
        place = f"{what} at {moment} of {len(whole)} ({whole[moment - 1]})"
        if not self._end_at(row, -moment if full else moment, place):
            return
        self._check_readers(row, place, seen)
        if twice:
            moment = self._random.randint(1, moment)
            if self._end_at(row, moment, place):
                place += f" and again at {moment}"
                self._check_readers(row, place, seen)
        self._again(row, place)

    def _end_at(self, row: Row, moment: int, place: str) -> bool:
        """Run the command up to an operation; whether it came so far."""
        ended = run(self.case.command, self.work, moment)
        if ended.status >= 0 and moment > 0:  # with threads, their number varies a little
            return False
        row.kills += 1
        if ended.status > 1:
            row.add("differences", f"{place}: {ended.error[-500:]}")
        if ended.orphans:
            row.add("processes left", place)
        if self.case.moves and _contents(self.work) != _contents(self.start):
            row.add("differences", f"{place}: files were lost, or doubled")
        return True

    def _again(self, row: Row, place: str) -> None:
        """Run the command to its end, and compare what it leaves."""
        ended = run(self.case.command, self.work)
        refused = self.case.refusal and ended.status == 1 and self.case.refusal in ended.error
        if ended.status and not refused:
            row.add("differences", f"{place}; run again, it fails: {ended.error[-500:]}")
            return
        self._compare(row, place)

    def _compare(self, row: Row, place: str) -> None:
        now = snapshot(self.work)
        other = [name for name in self.expected if now.get(name) != self.expected[name]]
        if other:
            row.add("differences", f"{place}: {', '.join(other)}")
        left = sorted(now.keys() - self.expected.keys())
        if left := [name for name in left if not re.fullmatch(self.case.adds, name)]:
            row.add("leftovers", f"{place}: {', '.join(left)}")

    def _check_readers(self, row: Row, place: str, seen: list[list[str]]) -> None:
        """Half of the time in a copy, so that what readers repair is not always repaired."""
        aside = self.work.with_name("aside")
        in_copy = self._random.random() < 0.5
        if in_copy:
            copy(self.work, aside)
        for reader, now, *known in zip(self.case.readers, self._read(), *seen, strict=True):
            if now not in ("error", *known) and not (self.case.steps and now.startswith("{")):
                row.add("mixed reads", f"{place}: {reader}: {now[:600]}")
        if in_copy:
            copy(aside, self.work)

    def _read(self) -> list[str]:
        """What each reader sees, or "error" for a plain one."""
        return [_seen(run(reader, self.work)) for reader in self.case.readers]

    def _succeed(self, command: str) -> Ended:
        ended = run(command, self.work)
        if ended.status:
            raise SystemExit(f"{command}: ends with {ended.status}\n{ended.error}")
        return ended


def _seen(ended: Ended) -> str:
    if ended.status == 1 and re.search("^error: ", ended.error, re.M):
        return "error"
    if ended.status:
        return f"ends with {ended.status}: {ended.error}"
    return json.dumps(json.loads(ended.out, object_hook=_without_times), sort_keys=True)


# --- what is compared ---


def snapshot(folder: Path) -> dict[str, Any]:
    """Every file, link and folder below `folder`: its path -> what must be equal of it."""
    found: dict[str, Any] = {}
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(parent, name)
            if not name.startswith("events.out.tfevents."):
                found[path.relative_to(folder).as_posix()] = _content(path)
    return found


def _contents(folder: Path) -> Counter[bytes]:
    """The content of each picture, in whatever folder it is."""
    pictures = (path for path in folder.rglob("*.png") if not path.is_symlink())
    return Counter(content for path in pictures if (content := path.read_bytes()))


def _content(path: Path) -> Any:
    if path.is_symlink():
        return f"to {path.readlink()}"
    if path.is_dir():
        return "folder"
    if path.name == "metrics.jsonl":
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line, object_hook=_without_times) for line in lines]
    if path.name == "checkpoint.pt":
        return _tensors(path)
    if path.suffix == ".html":
        return re.sub(rb"\d\d\d\d-\d\d-\d\d|\d\d:\d\d", b"", path.read_bytes())
    return path.read_bytes()


def _without_times(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in _TIMES}


def _tensors(path: Path) -> Any:
    import torch

    saved = torch.load(path, weights_only=True)
    parts = {name: saved[name] for name in ("model", "loss", "optimizer", "average", "step")}

    def plain(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.numpy().tobytes()
        if isinstance(value, dict):
            return {str(key): plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value

    return plain(parts)


# --- processes ---


def run(command: str, folder: Path, end_at: int = 0) -> Ended:
    """Run a command in `folder`, in a process that ends itself at an operation (0: it does not)."""
    with tempfile.TemporaryDirectory(prefix="kills-out-") as name:
        scratch = Path(name)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if FORKS:
            group = os.fork()
            if not group:
                _live(command, folder, end_at, scratch)
            status = _wait(group)
        else:
            words = [sys.executable, __file__, "--child", command, folder, str(end_at), scratch]
            child = subprocess.Popen([str(word) for word in words], start_new_session=True)
            group, status = child.pid, child.wait(PATIENCE)
        orphans = end_at > 0 and _some_left(group)
        done = scratch / "operations"
        operations = done.read_text().splitlines() if done.exists() else []
        output = [
            file.read_bytes() if file.exists() else b""
            for file in (scratch / "out", scratch / "error")
        ]
    if os.name == "nt" and end_at and not operations:
        status = -9  # there is no telling the end of a process from an exit
    return Ended(status, output[0], output[1].decode(errors="replace"), operations, orphans)


def _wait(child: int) -> int:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 124


def _live(command: str, folder: Path, end_at: int, scratch: Path) -> None:
    """Be the process of a command; does not return."""
    status = 70
    with contextlib.suppress(OSError, AttributeError):
        os.setsid()
    for descriptor, name in enumerate(("out", "error"), 1):
        os.dup2(os.open(scratch / name, os.O_WRONLY | os.O_CREAT), descriptor)
    try:
        os.chdir(folder)
        operations = Operations(folder, end_at)
        operations.watch()
        status = _command(shlex.split(command))
        (scratch / "operations").write_text("\n".join(operations.names), errors="replace")
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _command(words: list[str]) -> int:
    from bitcodes.cli import app
    from bitcodes.errors import BitcodesError

    try:
        if words[0] == "dataset":
            _print_dataset(Path(words[1]))
        else:
            app.main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BitcodesError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _print_dataset(folder: Path) -> None:
    """Print all that finetune and evaluate read in a data folder."""
    from bitcodes.datasets.dataset import read_dataset

    dataset = read_dataset(folder)
    lists = {name: getattr(dataset, name) for name in ("train", "test", "database")}
    values: dict[str, Any] = {
        name: [list(images.paths), images.labels.tolist()] for name, images in lists.items()
    }
    print(json.dumps(values | {"names": dataset.class_names, "protocol": dataset.protocol}))


def _some_left(group: int) -> bool:
    """Whether processes that a killed one had started are there after five seconds."""
    end = time.monotonic() + 5
    while _is_alive(group):
        if time.monotonic() > end:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
            return True
        time.sleep(0.01)
    return False


def _is_alive(group: int) -> bool:
    if not Path("/proc/self/stat").exists():
        try:
            os.killpg(group, 0)
        except (OSError, AttributeError):
            return False
        return True
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, its_group = file.read_text(errors="replace").rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False


if __name__ == "__main__":
    main()
