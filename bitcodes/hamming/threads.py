"""Pools of threads, kept from search to search: starting one takes longer than a small search."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache, wraps
from itertools import chain, islice
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

THREADED_FROM = 1 << 23
"""Comparisons of words from which a scan is shared out: waking a thread can take 1 ms."""


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    """The pool of a process, of which a fork has no threads. Work must not wait for other work."""
    return ThreadPoolExecutor(threads, thread_name_prefix="bitcodes")


def in_order(work: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[R]:
    """`work` on each item, in threads; results in order, few of them waiting."""
    waiting: deque[Future[R]] = deque()
    try:
        for item in items:
            waiting.append(_pool(os.getpid(), threads).submit(work, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def starts_at_once(generator: Callable[P, Iterator[R]]) -> Callable[P, Iterator[R]]:
    """Have a generator make its first item when it is called: then its kernels are compiled."""

    @wraps(generator)
    def start(*args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        items = generator(*args, **kwargs)
        return chain(list(islice(items, 1)), items)

    return start


def in_company(work: Callable[[], R], threads: int) -> list[R]:
    """The results of `work` in this thread and in others at once, which share something out.

    Others that have not begun when this thread is done, and so nothing is left, are not waited for.
    """
    others = [_pool(os.getpid(), threads).submit(work) for _ in range(threads - 1)]
    try:
        own = work()
        return [own, *(other.result() for other in others if not other.cancel())]
    finally:
        for other in others:
            other.cancel()
