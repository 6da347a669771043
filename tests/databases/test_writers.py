"""Stores that keep other writers out: who is refused, and what readers see meanwhile.

Milvus has no locks: what two writers do there is in test_milvus.py.
"""

import threading
from collections.abc import Callable

import pytest
from stores import check_holds, make_set

from bitcodes.databases.urls import open_store
from bitcodes.errors import BitcodesError

REFUSED = {
    "postgresql": "another process is writing to this table",
    "lance": "is being written by another process",
}


@pytest.fixture(scope="module", params=REFUSED)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def test_of_two_writers_one_is_refused(engine: str, new_url: Callable[[], str]) -> None:
    url = new_url()
    one, other = make_set(1, 12, 30, "uniform"), make_set(2, 12, 30, "uniform")
    with open_store(url) as first, open_store(url) as second:
        first.replace(one)

        def interrupt(done: int, total: int | None) -> None:
            with pytest.raises(BitcodesError, match=REFUSED[engine]):
                second.replace(other)
            check_holds(second, one)  # readers are not

        first.replace(other, interrupt)
        check_holds(second, other)

        def fail(done: int, total: int | None) -> None:
            raise KeyboardInterrupt

        for change in (first.replace, first.update):
            with pytest.raises(KeyboardInterrupt):
                change(one, fail)
            check_holds(second, other)
        second.replace(one)
        check_holds(first, one)


def test_readers_see_no_mix_while_sets_are_replaced(new_url: Callable[[], str]) -> None:
    url = new_url()
    versions = [make_set(seed, 48, 100 + 10 * seed, "uniform") for seed in range(2)]
    expected = [(version.codes.tobytes(), list(version.paths)) for version in versions]
    seen: list[int] = []
    failures: list[BaseException] = []
    stop = threading.Event()

    def read() -> None:
        try:
            with open_store(url) as reader:
                while not stop.is_set():
                    with reader.reading():
                        back = reader.read()
                        seen.append(expected.index((back.codes.tobytes(), list(back.paths))))
                        distances, rows = reader.search(back.codes[-1:], 1)
                        assert distances[0, 0] == 0 and len(reader) == back.count
                        assert reader.paths_of(rows[0]) == [back.paths[rows[0, 0]]]
        except BaseException as error:
            failures.append(error)

    with open_store(url) as writer:
        writer.replace(versions[0])
        threads = [threading.Thread(target=read) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(20):
            writer.replace(versions[(number + 1) % 2])
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures, failures
    assert set(seen) == {0, 1}
