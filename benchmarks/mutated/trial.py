"""One trial: commands run in this process on something damaged, and what they did."""

import json
import os
import re
import shutil
import signal
import sys
import time
import traceback
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 10.0
"""A command that takes longer hangs."""

STREAMS = ("out", "err")
"""Suffixes of the files beside a trial's folder that hold what a command printed."""

Check = Callable[["Output"], str | None]
"""From what an accepted command printed to what is wrong with it, or None."""

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_OWN = re.compile(r"^Traceback \(most recent call last\)", re.MULTILINE)


class Hang(BaseException):
    """A command takes too long."""


@dataclass
class Output:
    """What a command printed."""

    out: str
    err: str

    def json(self) -> Any:
        """The one JSON document on standard output."""
        return json.loads(self.out)


@dataclass
class Report:
    """What became of a trial, as JSON."""

    kind: str
    number: int
    what: str = ""
    commands: int = 0
    refused: int = 0
    problems: list[str] = field(default_factory=list)
    """Each begins with its kind: traceback, wrong, hang, controls."""
    seconds: float = 0.0
    peak: int = 0
    """Bytes of memory, the most that the process had."""
    said: list[str] = field(default_factory=list)
    """What was refused, and how."""


class Trial:
    """Runs commands and keeps a report. `folder` is empty, and the trial's own."""

    def __init__(self, kind: str, number: int, folder: Path) -> None:
        self.report = Report(kind, number)
        self.folder = folder

    def command(self, *words: object, check: Check | None = None) -> Output | None:
        """Run `bitcodes WORDS...` in the folder; what it printed, or None if it refused or failed.

        `check` looks at what it printed if it exits with 0.
        """
        from bitcodes.cli.app import main

        texts = [str(word) for word in words]
        name = f"bitcodes {' '.join(texts)}"

        def run() -> int:
            try:
                main(texts)
            except SystemExit as end:
                return end.code if isinstance(end.code, int) else int(end.code is not None)
            return 0

        return self._guarded(name, run, check)

    def call(self, name: str, work: Callable[[], object], check: Check | None = None) -> None:
        """Call a function of the library: it may raise a BitcodesError."""
        from bitcodes.errors import BitcodesError

        def run() -> int:
            try:
                work()
            except BitcodesError as error:
                print(f"error: {error}", file=sys.stderr)
                return 1
            return 0

        self._guarded(name, run, check)

    def _guarded(self, name: str, run: Callable[[], int], check: Check | None) -> Output | None:
        self.report.commands += 1
        code = -1
        with _captured(self.folder) as captured:
            try:
                with _alarm(SECONDS):
                    code = run()
            except Hang:
                self._problem("hang", name, _last_lines())
            except Exception:
                self._problem("traceback", name, _last_lines())
        output = Output(*captured)
        self._look_at_text(name, output)
        if code == 1 or code == 2:
            self.report.refused += 1
            lines = output.err.strip().splitlines()
            self.report.said.append(f"{name}: {lines[-1] if lines else ''}"[:400])
            if not any(line.startswith(("error: ", "Usage: ", "usage: ")) for line in lines):
                self._problem("wrong", name, f"exit {code} without an error: {output.err[-300:]}")
        elif code == 0:
            try:
                problem = check(output) if check is not None else None
            except Exception:
                problem = f"what it printed cannot be checked: {_last_lines()}"
            if problem:
                self._problem("wrong", name, problem)
            return output
        elif code > 2:
            self._problem("wrong", name, f"exit {code}")
        return None

    def _look_at_text(self, name: str, output: Output) -> None:
        for text in (output.out, output.err):
            if bad := sorted({letter for letter in set(text) if is_control(letter)}):
                self._problem("controls", name, ascii(bad))
            if _OWN.search(text):
                self._problem("traceback", name, "one is printed")

    def _problem(self, kind: str, name: str, text: str) -> None:
        self.report.problems.append(f"{kind}: {name}: {text}"[:3000])


def is_control(letter: str) -> bool:
    """Whether a character must not reach a terminal: line ends and tabs may."""
    if letter in "\n\t" or letter == os.linesep:
        return False
    return unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs") or letter in _BIDI


def _last_lines() -> str:
    return " | ".join(traceback.format_exc().strip().splitlines()[-7:])


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if not hasattr(signal, "SIGALRM"):  # Windows: the parent process ends it
        yield
        return

    def on_alarm(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _captured(folder: Path) -> Iterator[list[str]]:
    """What is printed in the block, also by libraries in C: standard output and error."""
    result: list[str] = []
    names = [folder.with_name(f"{folder.name}.{one}") for one in STREAMS]
    streams = sys.stdout, sys.stderr
    saved = [os.dup(1), os.dup(2)]
    here = Path.cwd()
    try:
        for number, name in enumerate(names, 1):
            descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, number)
            os.close(descriptor)
        sys.stdout, sys.stderr = (
            open(number, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
            for number in (1, 2)
        )
        os.chdir(folder)
        yield result
    finally:
        os.chdir(here)
        for stream in (sys.stdout, sys.stderr):
            with suppress(ValueError):
                stream.flush()
        sys.stdout, sys.stderr = streams
        for number, descriptor in enumerate(saved, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        result += [name.read_bytes().decode("utf-8", "surrogateescape") for name in names]


class Memory:
    """The most memory that this process had since `start`."""

    def start(self) -> None:
        """Count from now on, where the system can (Linux); else from the start of the process."""
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")

    def peak(self) -> int:
        """In bytes; 0 if the system does not tell."""
        with suppress(OSError):
            for line in Path("/proc/self/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        try:
            import resource
        except ImportError:  # Windows
            return 0
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def run_trial(
    kind: str, number: int, folder: Path, play: Callable[[Trial], None], keep: bool = False
) -> Report:
    """Play a trial in a new folder; remove it afterwards unless `keep`."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    trial = Trial(kind, number, folder)
    memory = Memory()
    memory.start()
    started = time.perf_counter()
    try:
        play(trial)
    except Exception:
        trial.report.problems.append(f"wrong: the campaign itself failed: {_last_lines()}")
    trial.report.seconds = time.perf_counter() - started
    trial.report.peak = memory.peak()
    if not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return trial.report
