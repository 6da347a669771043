"""Items of many requests, done together."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from bitcodes.server.batching import Batcher, FullError


def test_a_batch_takes_half_of_what_waits_and_each_item_gets_its_own_result() -> None:
    sizes: list[int] = []
    goes_on = threading.Event()

    def work(items: Sequence[int]) -> list[int | Exception]:
        goes_on.wait(20)
        return [ValueError(f"{item} is odd") if item % 2 else 10 * item for item in items]

    async def submit() -> list[int | BaseException]:
        batcher = Batcher(work, most=30, waiting=43, observe=sizes.append)
        futures = [batcher.submit(0)]
        while len(batcher):  # until the first is being done, alone
            await asyncio.sleep(0.001)
        futures += [batcher.submit(item) for item in range(1, 44)]
        with pytest.raises(FullError):
            batcher.submit(44)
        for future in futures[41:]:
            future.cancel()
        goes_on.set()
        results = await asyncio.gather(*futures, return_exceptions=True)
        await batcher.close()
        return results

    results = asyncio.run(submit())
    assert sizes == [1, 22, 18]  # 43 wait, then 21, of which 3 have ended
    for item, result in enumerate(results[:41]):
        assert result == 10 * item if item % 2 == 0 else str(result) == f"{item} is odd"
    assert all(isinstance(result, asyncio.CancelledError) for result in results[41:])


def test_a_fault_is_the_result_of_every_item() -> None:
    def work(items: Sequence[int]) -> list[int | Exception]:
        raise ZeroDivisionError

    async def submit() -> list[int | BaseException]:
        batcher = Batcher(work, most=8, waiting=8, threads=2)
        futures = [batcher.submit(item) for item in range(5)]
        results = await asyncio.gather(*futures, return_exceptions=True)
        await batcher.close()
        return results

    assert [type(result) for result in asyncio.run(submit())] == 5 * [ZeroDivisionError]
