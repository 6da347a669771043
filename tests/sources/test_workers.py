"""Work in processes: in order, and done although they die."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from bitcodes.errors import BitcodesError
from bitcodes.sources import workers as pool

Task = TypeVar("Task")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Task], Result], tasks: Iterable[Task], workers: int
) -> Generator[Result, None, None]:
    """The results alone, each of which must come with the context of its task."""
    for number, (context, result) in enumerate(pool.in_order(work, enumerate(tasks), workers)):
        assert context == number
        yield result


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.02 if number < 2 else 0)
        return number * number

    assert list(in_order(slow_at_first, range(20), workers)) == [n * n for n in range(20)]
    assert list(in_order(slow_at_first, [], workers)) == []


def test_tasks_are_taken_only_a_few_ahead() -> None:
    taken = []

    def tasks() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = in_order(lambda number: number, tasks(), 2)
    assert next(results) == 0
    assert len(taken) <= 5
    results.close()


def test_large_tasks_and_results_go_through() -> None:
    tasks = [bytes([number]) * 3_000_000 for number in range(6)]
    assert list(in_order(lambda task: task * 2, tasks, 2)) == [task * 2 for task in tasks]


@pytest.mark.parametrize("deaths", [1, 2])
@pytest.mark.posix
def test_what_a_killed_worker_had_is_done_by_another(tmp_path: Path, deaths: int) -> None:
    def deadly(number: int) -> int:
        if number in (0, 7) and len(list(tmp_path.glob(f"{number}-*"))) < deaths:
            (tmp_path / f"{number}-{os.getpid()}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    assert list(in_order(deadly, range(12), 3)) == list(range(12))


@pytest.mark.posix
def test_an_idle_worker_may_be_killed_too() -> None:
    pids = []
    for number, pid in enumerate(in_order(lambda number: os.getpid(), range(30), 2)):
        pids.append(pid)
        if number == 4:
            time.sleep(0.05)  # both are idle now
            os.kill(pid, signal.SIGKILL)
    assert len(pids) == 30
    assert len(set(pids)) == 3


@pytest.mark.posix
def test_a_task_that_kills_each_worker_is_an_error() -> None:
    def deadly(number: int) -> int:
        if number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    with pytest.raises(BitcodesError, match="killed at the same batch"):
        list(in_order(deadly, range(6), 2))


def test_a_worker_that_is_killed_while_it_hands_over_a_result_is_replaced(tmp_path: Path) -> None:
    def work(number: int) -> bytes:
        whole = Connection._send

        def send(connection: Connection, buffer: memoryview, *rest: Any) -> None:
            if len(buffer) < 1_000_000 or list(tmp_path.iterdir()):
                whole(connection, buffer, *rest)
                return
            (tmp_path / "killed").touch()
            whole(connection, buffer[:100_000], *rest)
            os.kill(os.getpid(), signal.SIGKILL)

        Connection._send = send
        return bytes([number]) * 2_000_000

    assert list(in_order(work, range(4), 2)) == [bytes([number]) * 2_000_000 for number in range(4)]
    assert list(tmp_path.iterdir()) == [tmp_path / "killed"]


def _double(array: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return array * 2


def _die_once(marks: Path, number: int) -> int:
    if number == 1 and not list(marks.iterdir()):
        (marks / "death").touch()
        os._exit(9)
    return -number


@pytest.mark.parametrize("missing", ["method", "function"])
def test_without_fork_processes_are_spawned(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def get_context(method: str) -> BaseContext:
        if method == "fork":
            raise ValueError("cannot find context for 'fork'")
        return whole(method)

    whole = multiprocessing.get_context
    if missing == "method":
        monkeypatch.setattr(multiprocessing, "get_context", get_context)
    else:
        monkeypatch.delattr(os, "fork")
    arrays = [np.full((3, 4), number, np.uint8) for number in range(5)]
    results = list(in_order(_double, arrays, 2))
    np.testing.assert_array_equal(results, [array * 2 for array in arrays])
    assert all(result.flags.writeable for result in results)
    assert list(in_order(partial(_die_once, tmp_path), range(4), 2)) == [0, -1, -2, -3]


def test_what_the_work_raises_comes_up_here() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        list(in_order(lambda number: 1 // (number - 2), range(5), 2))
    assert "in a worker" in raised.value.__notes__[0]


def test_workers_end_when_they_are_not_needed() -> None:
    results = in_order(lambda number: os.getpid(), range(100), 2)
    pids = {next(results), next(results)}
    results.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
