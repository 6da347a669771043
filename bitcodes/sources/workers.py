"""Work done in order by processes that may die: what a killed one had is done by its successor."""

import multiprocessing
import os
import pickle
import signal
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from bitcodes.errors import BitcodesError
from bitcodes.machine import core_count

Task = TypeVar("Task")
Result = TypeVar("Result")

_TRIES = 3  # how often one task may cost a process its life
_AHEAD = 2  # tasks a process may be ahead of what was taken, itself included

# Forked, a worker has the work and shared memory without their being sent, and needs no guard in
# the program's main module. It runs nothing of the parent's but `work`.
_context = multiprocessing.get_context("fork")


class _Worker(Generic[Task, Result]):
    """A process that does one task at a time. One pipe each: a death leaves no lock held."""

    def __init__(self, work: Callable[[Task], Result], others: list[Connection]) -> None:
        self.connection, theirs = _context.Pipe()
        self.number: int | None = None  # of the task that it has
        self.process = _context.Process(
            target=_serve, args=(work, theirs, [self.connection, *others]), daemon=True
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


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    """Do `work` on each task in `workers` processes; the results come in the order of the tasks.

    Tasks are taken from their iterator as they are needed, a few ahead. A worker that dies is
    replaced, and its task done anew; BitcodesError when one task has killed three. What `work`
    raises comes up here. With 0 workers it is done in this process.
    """
    if workers == 0:
        yield from map(work, tasks)
        return
    pool: list[_Worker[Task, Result]] = []
    source = enumerate(tasks)
    open_tasks: dict[int, Task] = {}  # not yet done
    again: deque[int] = deque()  # those whose worker died
    deaths: dict[int, int] = {}
    done: dict[int, Result] = {}
    first, more = 0, True  # the result that comes next; whether there are tasks left
    try:
        while more or open_tasks or done:
            # The ones to give: those of dead workers first, for the others wait for them.
            idle = [worker for worker in pool if worker.number is None]
            while again or more:
                if not idle and len(pool) < workers:
                    others = [worker.connection for worker in pool]
                    pool.append(_Worker(work, others))
                    idle = [pool[-1]]
                if not idle:
                    break
                if again:
                    number = again.popleft()
                elif len(open_tasks) + len(done) >= workers * _AHEAD:
                    break
                else:
                    number, task = next(source, (-1, None))
                    if number < 0:
                        more = False
                        break
                    open_tasks[number] = task  # type: ignore[assignment]
                worker = idle.pop()
                worker.number = number
                with suppress(OSError):  # it died: found out below
                    worker.connection.send_bytes(pickle.dumps(open_tasks[number]))
            if first in done:
                yield done.pop(first)
                first += 1
                continue
            busy = {worker.connection: worker for worker in pool if worker.number is not None}
            for connection in wait(list(busy)) if busy else ():
                worker = busy[connection]  # type: ignore[index]
                assert worker.number is not None
                try:
                    good, result = pickle.loads(worker.connection.recv_bytes())
                except (EOFError, OSError):
                    number = worker.number
                    deaths[number] = deaths.get(number, 0) + 1
                    pool.remove(worker)
                    worker.stop()
                    if deaths[number] == _TRIES:
                        raise BitcodesError(
                            f"{_TRIES} processes that read images were killed at the same batch, "
                            "perhaps because the memory was used up; run this again to go on, "
                            "with fewer --workers"
                        ) from None
                    again.append(number)
                    continue
                if not good:
                    raise result
                done[worker.number] = result
                del open_tasks[worker.number]
                deaths.pop(worker.number, None)
                worker.number = None
    finally:
        for worker in pool:
            worker.stop()


def _serve(work: Callable[[Any], Any], connection: Connection, others: list[Connection]) -> None:
    """A worker's life: until its parent closes the pipe, or dies."""
    # Ctrl-C reaches the whole group of processes: the parent stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for other in others:  # else the pipes of a dead parent would stay open
        other.close()
    while True:
        try:
            task = pickle.loads(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)
        answer: tuple[bool, Any]
        try:
            answer = True, work(task)
        except Exception as error:
            error.add_note("in a worker:\n" + traceback.format_exc())
            answer = False, error
        try:
            connection.send_bytes(pickle.dumps(answer, pickle.HIGHEST_PROTOCOL))
        except OSError:
            os._exit(0)


def default_workers() -> int:
    """Processes for reading images for one model: one a core, at most eight."""
    return min(8, core_count())
