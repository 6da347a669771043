"""Searching code sets in PostgreSQL: by the parts of the codes, against a scan in the server.

    python benchmarks/databases.py postgresql://user@host/db --count 100000 1000000

Prints a table for clustered codes (around 1,000 centers, each bit flipped with probability 0.05)
and for uniform ones. Every answer is compared with that of HammingIndex.
"""

import argparse
import statistics
import threading
import time
from collections.abc import Callable

import numpy as np
import psycopg
from numpy.typing import NDArray

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.databases.postgres.store import PostgresStore
from bitcodes.hamming.index import HammingIndex

QUERIES = 20
SCANS = 5
CLIENTS, SECONDS = 8, 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--kind", nargs="+", default=["clustered", "uniform"])
    options = parser.parse_args()
    print("| codes | what | parts | scan |\n| --- | --- | --- | --- |")
    for count in options.count:
        for kind in options.kind:
            measure(options.url, f"{count:,} {kind}", make_codes(kind, count, options.bits))
    with psycopg.connect(options.url) as connection:
        connection.execute("DROP TABLE benchmark")
        connection.execute("DELETE FROM bitcodes_sets WHERE name = 'benchmark'")


def make_codes(kind: str, count: int, bits: int) -> CodeSet:
    rng = np.random.default_rng(0)
    codes = np.empty((count, -(-bits // 8)), np.uint8)
    centers = rng.random((1000, bits)) < 0.5
    for start in range(0, count, 1 << 16):
        size = min(1 << 16, count - start)
        if kind == "uniform":
            values = rng.random((size, bits)) < 0.5
        else:
            values = centers[rng.integers(0, 1000, size)] ^ (rng.random((size, bits)) < 0.05)
        codes[start : start + size] = pack_bits(values)
    paths = [f"photos/{row:09}.jpg" for row in range(count)]
    return CodeSet.from_arrays(codes, bits, paths, fingerprint="benchmark")


def measure(url: str, name: str, code_set: CodeSet) -> None:
    rng = np.random.default_rng(1)
    bits = np.unpackbits(code_set.codes[rng.integers(0, code_set.count, QUERIES)], axis=1)
    queries = pack_bits(bits[:, : code_set.bits] ^ (rng.random((QUERIES, code_set.bits)) < 0.03))
    index = HammingIndex(code_set)
    with PostgresStore(url, "benchmark") as store:
        started = time.perf_counter()
        store.replace(code_set)
        loading = time.perf_counter() - started
        row(name, f"loading, s; {len(store.parts)} parts", f"{loading:.1f}", "")
        row(name, "table and indexes, MB", f"{store.nbytes / 1e6:.0f}", "")
        for radius in (2, 4, 6):
            compare(store, index, queries, name, f"radius {radius}, ms", radius=radius)
        compare(store, index, queries, name, "10 nearest, ms", k=10)
        rates = [throughput(url, queries, scan) for scan in (False, True)]
        row(name, f"10 nearest, {CLIENTS} clients, queries per s", *(f"{r:.1f}" for r in rates))


def compare(
    store: PostgresStore,
    index: HammingIndex,
    queries: NDArray[np.uint8],
    name: str,
    what: str,
    k: int | None = None,
    radius: int | None = None,
) -> None:
    """Time searches by parts and by scans, and check that both find what the index finds."""

    def find(engine: PostgresStore | HammingIndex, query: NDArray[np.uint8]) -> list[object]:
        if k is not None:
            return [array.tolist() for array in engine.search(query, k)]
        assert radius is not None
        return [array.tolist() for array in engine.within(query, radius)]

    expected = [find(index, queries[[row]]) for row in range(len(queries))]
    by_parts = timed(lambda row: find(store, queries[[row]]), expected)
    with scanning(store):
        by_scan = timed(lambda row: find(store, queries[[row]]), expected[:SCANS])
    row(name, what, f"{by_parts:.1f}", f"{by_scan:.1f}")


def timed(find: Callable[[int], list[object]], expected: list[list[object]]) -> float:
    """The median time of a search in ms, after one that is not counted."""
    find(0)
    times = []
    for number, answer in enumerate(expected):
        started = time.perf_counter()
        found = find(number)
        times.append(1000 * (time.perf_counter() - started))
        assert found == answer, "the store and the index differ"
    return statistics.median(times)


class scanning:
    """While this is entered, a store compares all codes."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        self._store.call_cost = float("inf")  # type: ignore[misc]

    def __exit__(self, *_: object) -> None:
        del self._store.call_cost  # type: ignore[misc]


def throughput(url: str, queries: NDArray[np.uint8], scan: bool) -> float:
    """Searches per second of several clients at once."""
    done = [0] * CLIENTS
    end = time.perf_counter() + SECONDS

    def work(client: int) -> None:
        with PostgresStore(url, "benchmark") as store:
            if scan:
                scanning(store).__enter__()
            while time.perf_counter() < end:
                store.search(queries[[(client + done[client]) % len(queries)]], 10)
                done[client] += 1

    started = time.perf_counter()
    threads = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


def row(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
