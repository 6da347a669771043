"""Code sets in Milvus: loading, searching, reading back.

    python benchmarks/milvus.py milvus://host:19530/benchmark --count 100000 1000000 --pid 1234

Prints a table for clustered codes (around 1,000 centers, each bit flipped with probability 0.05).
Every answer is compared with that of HammingIndex. With the process of a server on this machine
(Linux), also the processor time that it uses for a search, with what it does all the time: on a
busy machine, that tells more.
"""

import argparse
import os
import threading
import time
from pathlib import Path

import numpy as np
from databases import CLIENTS, QUERIES, SECONDS, make_codes, row, timed

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.databases.urls import open_store
from bitcodes.hamming.index import HammingIndex
from bitcodes.hamming.searchable import Searchable

TERMS = [("radius", 2), ("radius", 4), ("radius", 6), ("nearest", 10), ("nearest", 1000)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--count", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--bits", type=int, default=64)
    parser.add_argument("--pid", type=int)
    options = parser.parse_args()
    print(f"load: {os.getloadavg()[0]:.0f}\n")
    print("| codes | what | time | processor time of the server |\n| --- | --- | --- | --- |")
    for count in options.count:
        measure(options.url, make_codes("clustered", count, options.bits), options.pid)


def measure(url: str, code_set: CodeSet, pid: int | None) -> None:
    name = f"{code_set.count:,}"
    rng = np.random.default_rng(1)
    bits = np.unpackbits(code_set.codes[rng.integers(0, code_set.count, QUERIES)], axis=1)
    queries = pack_bits(bits[:, : code_set.bits] ^ (rng.random((QUERIES, code_set.bits)) < 0.03))
    index = HammingIndex(code_set)
    with open_store(url) as store:
        started, before = time.perf_counter(), processor_time(pid)
        store.replace(code_set)
        used = processor_time(pid) - before
        row(name, "loading, s", f"{time.perf_counter() - started:.1f}", f"{used:.1f}")
        for kind, value in TERMS:

            def find(engine: Searchable, place: int, kind: str = kind, value: int = value) -> list:
                query = queries[[place]]
                arrays = (
                    engine.within(query, value) if kind == "radius" else engine.search(query, value)
                )
                return [array.tolist() for array in arrays]

            expected = [find(index, place) for place in range(QUERIES)]
            before = processor_time(pid)
            median = timed(lambda place, find=find: find(store, place), expected)
            used = processor_time(pid) - before
            row(name, f"{kind} {value}, ms", f"{median:.0f}", f"{1000 * used / (QUERIES + 1):.1f}")
        row(name, f"10 nearest, {CLIENTS} clients, queries per s", f"{rate(url, queries):.1f}", "")
        started, before = time.perf_counter(), processor_time(pid)
        assert np.array_equal(store.read().codes, code_set.codes)
        used = processor_time(pid) - before
        row(name, "reading back, s", f"{time.perf_counter() - started:.1f}", f"{used:.1f}")


def processor_time(pid: int | None) -> float:
    """The seconds that a process has used; 0 if none is named."""
    if pid is None:
        return 0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rate(url: str, queries: np.ndarray) -> float:
    """Searches per second of several clients at once, after the first search of each."""
    done = [0] * CLIENTS
    ready = threading.Barrier(CLIENTS + 1)

    def work(client: int) -> None:
        with open_store(url) as store:
            store.search(queries[[client]], 10)
            ready.wait()
            end = time.perf_counter() + SECONDS
            while time.perf_counter() < end:
                store.search(queries[[(client + done[client]) % len(queries)]], 10)
                done[client] += 1

    threads = [threading.Thread(target=work, args=(client,)) for client in range(CLIENTS)]
    for thread in threads:
        thread.start()
    ready.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    return sum(done) / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
