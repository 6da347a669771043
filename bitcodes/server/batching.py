"""Work put together: what waits while a batch is being done becomes the next batch."""

import asyncio
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_FEW = 8
"""Items that are always done together if they wait."""


class FullError(Exception):
    """So much is waiting already that nothing more is taken."""


class Batcher(Generic[T, R]):
    """Gathers items of many requests and does them together, in `threads` threads.

    `work` takes a batch and returns a result for each item, or the error in its place. An item that
    comes alone is done at once. Of many, a batch takes half: so one half of the clients is answered
    while the other half is searched for. At most `most` items make a batch, and `waiting` wait.
    `observe` is called with the size of each batch. Belongs to the running event loop.
    """

    def __init__(
        self,
        work: Callable[[Sequence[T]], Sequence[R | Exception]],
        *,
        most: int,
        waiting: int,
        threads: int = 1,
        observe: Callable[[int], None] = lambda size: None,
    ) -> None:
        self._work = work
        self._most = most
        self._waiting = waiting
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[T, asyncio.Future[R]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._run, name="bitcodes-batch") for _ in range(threads)]
        for thread in self._threads:
            thread.daemon = True
            thread.start()

    def __len__(self) -> int:
        return self._queue.qsize()

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken now."""
        return len(self) >= self._waiting

    def submit(self, item: T) -> asyncio.Future[R]:
        """The result of one item, or what `work` gives as its error. Raises FullError."""
        if self.is_full:
            raise FullError
        future: asyncio.Future[R] = self._loop.create_future()
        self._queue.put((item, future))
        return future

    async def close(self) -> None:
        """End the threads, when what waits is done."""
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        last = 0
        while batch := self._next(last):
            last = len(batch)
            batch = [pair for pair in batch if not pair[1].done()]  # else its request has ended
            if not batch:
                continue
            self._observe(len(batch))
            results: Sequence[R | Exception]
            try:
                results = self._work([item for item, _ in batch])
            except Exception as error:
                results = [error] * len(batch)
            self._loop.call_soon_threadsafe(_hand_out, [future for _, future in batch], results)

    def _next(self, last: int) -> list[tuple[T, asyncio.Future[R]]]:
        """The items of the next batch; none at the end. `last` is the size of the one before."""
        pair = self._queue.get()
        count = min(self._most, max(_FEW, (last + 1 + len(self)) // 2))
        batch = []
        while pair is not None:
            batch.append(pair)
            try:
                if len(batch) == count:
                    return batch
                pair = self._queue.get_nowait()
            except Empty:
                return batch
        if batch:
            self._queue.put(None)  # for the next call
        return batch


def together(
    jobs: Sequence[T],
    key: Callable[[T], object],
    work: Callable[[list[T]], Sequence[R | Exception]],
) -> list[R | Exception]:
    """The results of jobs, in their order; `work` does all jobs of one key at once.

    Its exception is the result of each of these.
    """
    alike: dict[object, list[int]] = {}
    for number, job in enumerate(jobs):
        alike.setdefault(key(job), []).append(number)
    results: dict[int, R | Exception] = {}
    for numbers in alike.values():
        done: Sequence[R | Exception]
        try:
            done = work([jobs[number] for number in numbers])
        except Exception as error:
            done = [error] * len(numbers)
        results.update(zip(numbers, done, strict=True))
    return [results[number] for number in range(len(jobs))]


def _hand_out(futures: Sequence[asyncio.Future[R]], results: Sequence[R | Exception]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():
            continue  # its request has ended
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
