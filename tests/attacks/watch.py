"""Cases run in a process of their own: which of them raise, hang, die, or take too much memory.

A check may end in a BitcodesError with a message that can be shown; that is what a bad file is to
end in. Everything else that it raises is a finding.
"""

import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from bitcodes.errors import BitcodesError
from bitcodes.wording import CONTROLS

SECONDS = 10.0
"""How much processor time one case may take, and a sixth of how long it may take at all."""
MEMORY = 1 << 30
"""How many bytes more than before one case may make the process take."""
_LONGEST = 20_000  # characters of a message
_START = 120.0  # seconds, to load what the check needs

Check = Callable[[Any], None]


class Finding(NamedTuple):
    """A case that did not end as it should, and how."""

    case: object
    problem: str


def findings(
    make: Callable[..., Check],
    arguments: tuple[object, ...],
    cases: Iterable[object],
    seconds: float = SECONDS,
    memory: int = MEMORY,
) -> Iterator[Finding | None]:
    """Check each case: None where it ends as it should.

    `make(*arguments)` is called in the other process, and gives the check. A process that hangs or
    dies is replaced. All are pickled, so `make` is a function of a module.
    """
    process = _Process(make, arguments, seconds, memory)
    try:
        for case in cases:
            problem = process.check(case, 6 * seconds)
            if not process.is_alive:
                process.stop()
                process = _Process(make, arguments, seconds, memory)
            yield None if problem is None else Finding(case, problem)
    finally:
        process.stop()


class _Process:
    """Another process that checks cases."""

    def __init__(
        self, make: Callable[..., Check], arguments: tuple[object, ...], seconds: float, memory: int
    ) -> None:
        context = multiprocessing.get_context("spawn")  # a fork may copy locks that are held
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, make, arguments, seconds, memory), daemon=True
        )
        self._process.start()
        theirs.close()
        self.is_alive = True
        if (problem := self._receive(_START)) is not None:
            self.stop()
            raise RuntimeError(f"the check could not be made: {problem}")

    def check(self, case: object, seconds: float) -> str | None:
        try:
            self._connection.send(case)
        except OSError:
            self.is_alive = False
            return "the process had died"
        return self._receive(seconds)

    def _receive(self, seconds: float) -> str | None:
        try:
            if self._connection.poll(seconds):
                result: str | None = self._connection.recv()
                return result
        except (EOFError, OSError):
            self.is_alive = False
            self._process.join(5)
            return f"the process died: exit code {self._process.exitcode}"
        self.is_alive = False
        return f"more than {seconds:g} s"

    def stop(self) -> None:
        self._connection.close()
        self._process.kill()
        self._process.join()


def _serve(
    connection: Any,
    make: Callable[..., Check],
    arguments: tuple[object, ...],
    seconds: float,
    memory: int,
) -> None:
    """What the process does: it answers each case with what is wrong, or None."""
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, sys.stderr.fileno())  # decoders say there what they think of files
    try:
        check = make(*arguments)
    except BaseException:
        connection.send(traceback.format_exc())
        return
    _limit_memory(memory)
    connection.send(None)
    with suppress(EOFError, OSError):
        while True:
            connection.send(_problem(check, connection.recv(), seconds, memory))


def _problem(check: Check, case: object, seconds: float, memory: int) -> str | None:
    before, started = most_memory(), time.process_time()
    try:
        check(case)
    except BitcodesError as error:
        problem = wrong_message(error)
    except BaseException:
        problem = "".join(traceback.format_exc()[-3000:])
    else:
        problem = None
    taken = time.process_time() - started
    if taken > seconds:
        return f"{taken:.1f} s of processor time ({problem})"
    more = most_memory() - before
    return problem if more <= memory else f"{more >> 20:,} MiB of memory ({problem})"


def wrong_message(error: BitcodesError) -> str | None:
    """Why the message of an error cannot be shown to anyone, if so."""
    text = str(error)
    if (match := CONTROLS.search(text.replace("\n", ""))) is not None:
        return f"the message has the character {match[0]!r}: {text[:200]!r}"
    if len(text) > _LONGEST:
        return f"the message has {len(text):,} characters: {text[:200]!r}..."
    if not text.strip():
        return "the message is empty"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError):
            return f"it ran out of memory: {text[:200]!r}"
        cause = cause.__cause__ or cause.__context__
    return None


def most_memory() -> int:
    """The most bytes that this process has had in memory; 0 on systems that do not say."""
    try:
        import resource
    except ImportError:
        return 0
    peak: int = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak << 10


def _limit_memory(more: int) -> None:
    """Let this process ask for eight times so many bytes more, where that can be set."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_bytes().split()[0])
    except (ImportError, OSError):
        return
    limit = pages * os.sysconf("SC_PAGE_SIZE") + 8 * more
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
