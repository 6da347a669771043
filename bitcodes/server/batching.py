"""Work put together: what waits while a batch is being done becomes the next batch."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from bitcodes.server.limits import PATIENCE

T = TypeVar("T")
R = TypeVar("R")


class FullError(Exception):
    """So much is waiting already that nothing more is taken."""


class Batcher(Generic[T, R]):
    """Gathers items of many requests and does them together, in `threads` threads.

    `work` takes a batch and returns a result for each item, or the error in its place. An item that
    comes alone is done at once. After a batch of several, the next one waits up to `PATIENCE`
    seconds for as many: the clients that got their answers may ask again. At most `most` items make
    a batch, and `waiting` wait. `observe` is called with the size of each batch.
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
        self._queue: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._last = 1  # items of the last batch
        self._arrived = asyncio.Event()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="bitcodes-batch")
        self._tasks = [asyncio.ensure_future(self._run()) for _ in range(threads)]

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is taken now."""
        return len(self._queue) >= self._waiting

    async def submit(self, item: T) -> R:
        """The result of one item. Raises FullError, or what `work` gives as its error."""
        if self.is_full:
            raise FullError
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._queue.append((item, future))
        self._arrived.set()
        return await future

    async def close(self) -> None:
        """End the threads, when what they do is done."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._threads.shutdown(cancel_futures=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._next()
            if not batch:
                continue
            self._observe(len(batch))
            items = [item for item, _ in batch]
            results: Sequence[R | Exception]
            try:
                results = await loop.run_in_executor(self._threads, self._work, items)
            except Exception as error:
                results = [error] * len(batch)
            for (_, future), result in zip(batch, results, strict=True):
                if future.done():
                    continue  # its request has ended
                if isinstance(result, Exception):
                    future.set_exception(result)
                else:
                    future.set_result(result)

    async def _next(self) -> list[tuple[T, asyncio.Future[R]]]:
        while not self._queue:
            self._arrived.clear()
            await self._arrived.wait()
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while len(self._queue) < min(self._last, self._most) // 2:
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                break
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                break
        count = min(len(self._queue), self._most)
        batch = [self._queue.popleft() for _ in range(count)]
        self._last = max(1, len(batch))
        return [(item, future) for item, future in batch if not future.done()]
