"""Work done in order by processes that may die: what a killed one had is done by another.

concurrent.futures.ProcessPoolExecutor is no replacement: its processes share one pipe for results,
and if one is killed while it writes there, the executor waits for the rest of its message for ever.
"""

import mmap
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from typing import Any, TypeVar

from bitcodes.errors import BitcodesError
from bitcodes.machine import core_count

Context = TypeVar("Context")
Task = TypeVar("Task")
Result = TypeVar("Result")

_TRIES = 3  # how often one task may cost a process its life
AHEAD = 2
"""Tasks per process that are taken before their results are."""
MEMORY = 1 << 29
"""Bytes of memory that the tasks which are taken may need together, if more than one is."""


def default_workers() -> int:
    """Processes that read images for one model: one per core, at most eight."""
    return min(8, core_count())


def start_at_once() -> bool:
    """Whether processes start in milliseconds, whatever the program's main module is."""
    return _start_method().get_start_method() == "fork"


def shared_memory(size: int) -> Any:
    """A buffer of `size` bytes that `work` of in_order may hold: its processes share it.

    No file is left behind, even if this process is killed.
    """
    start = _start_method()
    if start.get_start_method() == "fork":
        return mmap.mmap(-1, size)  # needs no room in /dev/shm, of which containers have little
    return start.RawArray("B", size)  # a file without a name, or a named mapping (Windows)


def in_order(
    work: Callable[[Task], Result],
    tasks: Iterable[tuple[Context, Task]],
    workers: int,
    weigh: Callable[[Task], int] | None = None,
    rescue: Callable[[Task], Result] | None = None,
) -> Iterator[tuple[Context, Result]]:
    """Do `work` on each task in `workers` processes; results come in the order of the tasks.

    Each task comes with its context, which stays in this process and is returned with the result.
    `work`, tasks and results are pickled. Tasks are taken as they are needed, a few ahead: fewer if
    they would need more than MEMORY, of which `weigh` says how many bytes a task needs. With 0
    workers all is done in this process.

    A process that dies is replaced and its task done again. Once a task has killed three, its
    result is what `rescue` makes of it in this process; without, BitcodesError. What `work` raises
    is raised here.
    """
    if workers == 0:
        for context, task in tasks:
            yield context, work(task)
        return
    source = (_Job(context, task, weigh(task) if weigh else 0) for context, task in tasks)
    following = next(source, None)
    jobs: deque[_Job] = deque()  # taken, in the order of the tasks
    waiting: deque[_Job] = deque()  # those that no process has
    pool: list[_Worker] = []
    try:
        while True:
            while following is not None and _has_room(jobs, following, workers):
                jobs.append(following)
                waiting.append(following)
                following = next(source, None)
            if not jobs:
                return
            _assign(waiting, pool, work, workers)
            if (result := jobs[0].result) is None:
                _receive(waiting, pool, rescue)
            else:
                yield jobs.popleft().context, *result
    finally:
        for worker in pool:
            worker.stop()


def _has_room(jobs: Sequence["_Job"], following: "_Job", workers: int) -> bool:
    """Whether one more job may be taken."""
    if len(jobs) >= workers * AHEAD:
        return False
    return not jobs or sum(job.memory for job in jobs) + following.memory <= MEMORY


@dataclass
class _Job:
    context: Any
    task: Any
    memory: int
    result: tuple[Any] | None = None
    deaths: int = 0


class _Worker:
    """A process with a pipe of its own, so that a death leaves no lock held and is noticed."""

    def __init__(self, work: Callable[[Any], Any], others: list[Connection]) -> None:
        start = _start_method()
        self.job: _Job | None = None
        self.connection, theirs = start.Pipe()
        inherited = [self.connection, *others] if start.get_start_method() == "fork" else []
        self.process = start.Process(  # type: ignore[attr-defined]
            target=_serve, args=(work, theirs, inherited), daemon=True
        )
        with warnings.catch_warnings():
            # Python 3.12 warns of forking beside threads; the child takes none of their locks.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        theirs.close()

    def stop(self) -> None:
        with suppress(OSError):
            self.process.kill()  # it holds nothing that must be put in order
        self.process.join()
        self.connection.close()


def _assign(
    waiting: deque[_Job], pool: list[_Worker], work: Callable[[Any], Any], workers: int
) -> None:
    """Give waiting jobs to processes that have none; start them as they are needed."""
    while waiting:
        worker = next((each for each in pool if each.job is None), None)
        if worker is None:
            if len(pool) == workers:
                return
            worker = _Worker(work, [each.connection for each in pool])
            pool.append(worker)
        worker.job = waiting.popleft()
        with suppress(OSError):  # if it has died, receiving says so
            worker.connection.send(worker.job.task)


def _receive(
    waiting: deque[_Job], pool: list[_Worker], rescue: Callable[[Any], Any] | None
) -> None:
    """Wait for results, and for deaths, after which a job waits again."""
    busy = {worker.connection: worker for worker in pool if worker.job is not None}
    for connection in wait(list(busy)):
        worker = busy[connection]  # type: ignore[index]
        job, worker.job = worker.job, None
        assert job is not None
        try:
            succeeded, result = worker.connection.recv()
        except (EOFError, OSError):
            pool.remove(worker)
            worker.stop()
            job.deaths += 1
            if job.deaths == _TRIES and rescue is not None:
                job.result = (rescue(job.task),)
                continue
            if job.deaths == _TRIES:
                raise BitcodesError(
                    f"{_TRIES} processes that read images were killed at the same batch, perhaps "
                    "because the memory was used up; run this again to go on, with fewer --workers"
                ) from None
            waiting.appendleft(job)  # the others wait for its result
            continue
        if not succeeded:
            raise result
        job.result = (result,)


def _start_method() -> BaseContext:
    """How processes are started: by fork on Linux, which takes milliseconds, else by spawn.

    A program whose processes are spawned must guard its main module. On macOS fork is unsafe.
    """
    if sys.platform == "linux" and hasattr(os, "fork"):
        with suppress(ValueError):
            return multiprocessing.get_context("fork")
    return multiprocessing.get_context("spawn")


def _serve(work: Callable[[Any], Any], connection: Connection, inherited: list[Connection]) -> None:
    """A worker's life: until its parent closes the pipe, or dies."""
    # Ctrl-C reaches the whole group of processes: the parent stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in inherited:  # else the pipes of a dead parent would stay open
        other.close()
    while True:
        try:
            task = connection.recv()
        except (EOFError, OSError):
            os._exit(0)
        answer: tuple[bool, Any]
        try:
            answer = True, work(task)
        except Exception as error:
            error.add_note("in a worker:\n" + traceback.format_exc())
            answer = False, error
        try:
            connection.send(answer)
        except OSError:
            os._exit(0)
