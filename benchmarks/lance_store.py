"""Code sets in Lance: loading, searching, a set changed, and writers that are killed.

    python benchmarks/lance_store.py FOLDER --count 100000 1000000 --kills 20

Every answer is compared with that of HammingIndex. Prints wall and processor time, for other
programs may share the machine. 64 bits, clustered around 1,000 centers.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
from databases import make_codes

from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.urls import open_store
from bitcodes.hamming.index import HammingIndex

BITS, QUERIES = 64, 20
KILLED = 50_000
"""Rows of the sets whose writers are killed."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--kills", type=int, default=20, help="of each command")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    print(f"pylance {version('pylance')}\n")
    print("| codes | what | wall | processor |\n| --- | --- | --- | --- |")
    for count in options.count:
        measure(f"lance:{options.folder}?table=c{count}", make_codes("clustered", count, BITS))
    if options.kills:
        kill_writers(options.kills)


def timed(name: str, what: Callable[[], object], unit: str, repeats: int = 1) -> None:
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        what()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    factor = {"s": 1, "ms": 1000}[unit]
    shown = [f"{statistics.median(times) * factor:.1f}" for times in (walls, processors)]
    print(f"| {name}, {unit} | {' | '.join(shown)} |", flush=True)


def measure(url: str, code_set: CodeSet) -> None:
    name = f"{code_set.count:,}"
    index = HammingIndex(code_set)
    queries = code_set.codes[np.random.default_rng(1).integers(0, code_set.count, QUERIES)]
    with open_store(url) as store:
        timed(f"{name} | loading", lambda: store.replace(code_set), "s")
        for k in (1, 10):
            for ours, theirs in zip(
                store.search(queries, k), index.search(queries, k), strict=True
            ):
                assert np.array_equal(ours, theirs)

        def first() -> None:
            with open_store(url) as fresh:
                fresh.search(queries[:1], 10)

        timed(f"{name} | 10 nearest, first search of a store just opened", first, "ms", 5)
        one = queries[:1]
        timed(f"{name} | 10 nearest, next searches", lambda: store.search(one, 10), "ms", QUERIES)
        timed(f"{name} | radius 6, next searches", lambda: store.within(one, 6), "ms", QUERIES)
        timed(f"{name} | paths of 10 rows", lambda: store.paths_of(range(5, 15)), "ms", 5)
        changed = code_set.codes.copy()
        changed[:100] ^= 255
        target = CodeSet.from_arrays(changed, BITS, code_set.paths, fingerprint="benchmark")
        timed(f"{name} | update, 100 rows differ", lambda: store.update(target), "s")
        print(f"| {name} | bytes per code | {store.nbytes / code_set.count:.1f} | |")


PUSH = """
import sys
import numpy as np
from bitcodes.codes.codeset import CodeSet
from bitcodes.databases.urls import open_store
codes = np.load(sys.argv[3])
code_set = CodeSet.from_arrays(codes, 64, [f"{sys.argv[3]}/{row}" for row in range(len(codes))])
with open_store(sys.argv[1]) as store:
    print("ready", flush=True)
    getattr(store, sys.argv[2])(code_set)
"""


def kill_writers(kills: int) -> None:
    print("\n| command | kills | old set | new set | mixed | second push fails |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as name:
        sets = []
        for seed in range(2):
            file = f"{name}/{seed}.npy"
            np.save(file, np.random.default_rng(seed).integers(0, 256, (KILLED, 8), np.uint8))
            codes = np.load(file)
            paths = [f"{file}/{row}" for row in range(KILLED)]
            sets.append((file, CodeSet.from_arrays(codes, 64, paths)))
        for command in ("replace", "update"):
            print(f"| {command} | {' | '.join(map(str, outcomes(name, command, sets, kills)))} |")


def outcomes(
    folder: str, command: str, sets: list[tuple[str, CodeSet]], kills: int
) -> tuple[int, ...]:
    """How many writers were killed, and what was there after each."""
    (_, old), (file, new) = sets
    url, counts = f"lance:{folder}/sets", Counter[str]()
    with open_store(url) as store:
        store.replace(old)
        start = time.perf_counter()
        getattr(store, command)(new)
        takes = time.perf_counter() - start
        for number in range(kills):
            store.replace(old)
            words = [sys.executable, "-c", PUSH, url, command, file]
            writer = subprocess.Popen(words, stdout=subprocess.PIPE)
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(takes * 1.5 * number / kills)
            writer.kill()
            counts["killed"] += writer.wait() != 0
            writer.stdout.close()
            counts[what_is_there(store.read(), old, new)] += 1
            try:
                store.replace(new)
            except Exception as error:
                print(error, file=sys.stderr)
                counts["fails"] += 1
    return tuple(counts[name] for name in ("killed", "old", "new", "mixed", "fails"))


def what_is_there(found: CodeSet, old: CodeSet, new: CodeSet) -> str:
    for name, whole in (("old", old), ("new", new)):
        if np.array_equal(found.codes, whole.codes) and list(found.paths) == list(whole.paths):
            return name
    return "mixed"


if __name__ == "__main__":
    main()
