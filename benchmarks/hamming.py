"""Hamming search against the exact and approximate searches that people install with pip.

    python benchmarks/hamming.py                      # everything; hours
    python benchmarks/hamming.py cells --counts 1e7 --bits 64 --queries 1 100 --nearest 10
    python benchmarks/hamming.py grouped duplicates --codes codes.npy

Parts: `cells` (the table of all peers), `largest` (our scan of 1e8 codes against the read
bandwidth), `grouped` (distinct codes against rows), `weighted` (codes of two parts against plain
ones), `cold` (the command from an empty shell),
`memory`, `duplicates`. Every time is the median of runs in this process, with the same number of
threads for all; the distances of exact searches are compared. Needs faiss-cpu and usearch; what is
not installed is left out. Writes benchmarks/results/<date>-hamming.md.
"""

import argparse
import itertools
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numba
import numpy as np
from machine import processor

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import to_lanes
from bitcodes.codes.parts import Parts
from bitcodes.codes.writer import save_code_set
from bitcodes.hamming.duplicates import chains, code_pairs
from bitcodes.hamming.index import HammingIndex, group
from bitcodes.hamming.measure import Measure
from bitcodes.machine import core_count

RESULTS = Path(__file__).resolve().parent / "results"
PARTS = ("cells", "largest", "grouped", "weighted", "cold", "memory", "duplicates")


# --- data -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Codes of a kind: uniform where there are no centers, else centers with flipped bits."""

    centers: int = 0
    flips: float = 0.0

    def __str__(self) -> str:
        return f"{self.centers} centers, {self.flips:.0%} flips" if self.centers else "uniform"

    def make(self, rng: np.random.Generator, count: int, bits: int, queries: int) -> Any:
        """Codes (count, B) and fresh queries (queries, B)."""
        centers = rng.random((self.centers, bits)) < 0.5
        return (
            self._draw(rng, centers, count, bits),
            self._draw(rng, centers, queries, bits),
        )

    def _draw(
        self, rng: np.random.Generator, centers: np.ndarray, count: int, bits: int
    ) -> np.ndarray:
        if not self.centers:
            return rng.integers(256, size=(count, bits // 8), dtype=np.uint8)
        packed = np.packbits(centers, axis=1)
        codes = np.empty((count, bits // 8), np.uint8)
        for start in range(0, count, 1 << 18):
            here = codes[start : start + (1 << 18)]
            flips = rng.random((len(here), bits), dtype=np.float32) < self.flips
            here[:] = packed[rng.integers(self.centers, size=len(here))]
            here ^= np.packbits(flips, axis=1)
        return codes


DATA = [Data(), Data(10, 0.02), Data(10, 0.1), Data(1000, 0.05)]


# --- peers ----------------------------------------------------------------------------------------


@dataclass
class Peer:
    """A search to compare with: `build(codes, threads)` -> `search(queries, k)` -> distances."""

    name: str
    build: Callable[[np.ndarray, int], Callable[[np.ndarray, int], np.ndarray]]
    exact: bool = True
    pairs_per_second: float = 1e8
    """A first guess, then the rate of the last cell: what tells whether a cell takes too long."""
    builds_per_second: float = np.inf


def _ours(codes: np.ndarray, threads: int) -> Callable[[np.ndarray, int], np.ndarray]:
    index = HammingIndex(codes, threads=threads)
    index.compile()
    return lambda queries, k: index.search(queries, k)[0]


def _faiss_flat(codes: np.ndarray, threads: int) -> Callable[[np.ndarray, int], np.ndarray]:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexBinaryFlat(8 * codes.shape[1])
    index.add(codes)

    def search(queries: np.ndarray, k: int) -> np.ndarray:
        faiss.omp_set_num_threads(threads)
        return index.search(queries, k)[0]

    return search


def _faiss_hnsw(codes: np.ndarray, threads: int) -> Callable[[np.ndarray, int], np.ndarray]:
    import faiss

    faiss.omp_set_num_threads(threads)
    index = faiss.IndexBinaryHNSW(8 * codes.shape[1], 32)
    index.add(codes)

    def search(queries: np.ndarray, k: int) -> np.ndarray:
        index.hnsw.efSearch = max(64, 2 * k)
        return index.search(queries, k)[0]

    return search


def _usearch_exact(codes: np.ndarray, threads: int) -> Callable[[np.ndarray, int], np.ndarray]:
    from usearch.index import MetricKind, search

    def find(queries: np.ndarray, k: int) -> np.ndarray:
        found = search(codes, queries, k, MetricKind.Hamming, exact=True, threads=threads)
        return np.atleast_2d(found.distances).astype(int)

    return find


def _usearch_index(codes: np.ndarray, threads: int) -> Callable[[np.ndarray, int], np.ndarray]:
    from usearch.index import Index, MetricKind, ScalarKind

    index = Index(ndim=8 * codes.shape[1], metric=MetricKind.Hamming, dtype=ScalarKind.B1)
    index.add(np.arange(len(codes)), codes, threads=threads)
    return lambda queries, k: np.atleast_2d(
        index.search(queries, k, threads=threads).distances
    ).astype(int)


def _numpy(codes: np.ndarray, threads: int) -> Callable[[np.ndarray, int], np.ndarray]:
    lanes = to_lanes(codes, 8 * codes.shape[1])

    def search(queries: np.ndarray, k: int) -> np.ndarray:
        found = []
        for query in to_lanes(queries, 8 * codes.shape[1]).T:
            distances = np.zeros(len(codes), np.uint16)
            for word, lane in zip(query, lanes, strict=True):
                distances += np.bitwise_count(lane ^ word)
            found.append(np.sort(np.partition(distances, k - 1)[:k]))
        return np.array(found)

    return search


OURS = Peer("bitcodes", _ours, pairs_per_second=1e9)
PEERS = {
    "": [OURS, Peer("NumPy bitwise_count", _numpy)],
    "faiss": [
        Peer("faiss.IndexBinaryFlat", _faiss_flat, pairs_per_second=5e8),
        Peer("faiss.IndexBinaryHNSW", _faiss_hnsw, False, 1e11, 1e4),
    ],
    "usearch": [
        Peer("usearch exact", _usearch_exact),
        Peer("usearch index", _usearch_index, False, 1e11, 1e4),
    ],
}


def installed_peers(report: "Report") -> list[Peer]:
    found = []
    for module, peers in PEERS.items():
        try:
            if module:
                import_module(module)
            found += peers
        except ImportError:
            report.line(f"{module} is not installed and left out.")
    return found


# --- measuring ------------------------------------------------------------------------------------


def median_seconds_of_all(
    works: dict[str, Callable[[], Any]], least: int = 3, budget: float = 1.0
) -> dict[str, float]:
    """Median seconds of each work, by name.

    They take turns, so that whatever else slows the machine slows all of them. A turn is 2 ms of
    one work, again and again if it is shorter. Each has `least` turns, more while they take less
    than `budget` seconds, one if it takes ten seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in works}
    unfinished = dict(works)
    while unfinished:
        for name, work in list(unfinished.items()):
            spent = times[name]
            spent.append(_turn(work))
            enough = len(spent) >= least and (sum(spent) > budget or len(spent) == 25)
            if enough or sum(spent) > 10:
                del unfinished[name]
    return {name: statistics.median(spent) for name, spent in times.items()}


def _turn(work: Callable[[], Any]) -> float:
    """Seconds that a work takes, on average over 2 ms."""
    start = time.perf_counter()
    for done in itertools.count(1):  # noqa: B007
        work()
        passed = time.perf_counter() - start
        if passed > 2e-3:
            break
    return passed / done


def median_seconds(work: Callable[[], Any], least: int = 3, budget: float = 1.0) -> float:
    """`median_seconds_of_all` of a single work."""
    return median_seconds_of_all({"": work}, least, budget)[""]


@numba.njit(nogil=True)
def _sum(words: np.ndarray) -> np.uint64:
    total = np.uint64(0)
    for word in words:
        total += word
    return total


def reading(size: int, threads: int) -> Callable[[], Any]:
    """A work that reads an array of `size` bytes once: the threads together add it up."""
    words = np.ones(max(size // 8, threads), np.uint64)
    parts = np.array_split(words, 8 * threads)
    _sum(words[:1])
    pool = ThreadPoolExecutor(threads)
    return lambda: list(pool.map(_sum, parts))


@dataclass
class Report:
    """Lines of Markdown, printed as they come."""

    lines: list[str] = field(default_factory=list)

    def line(self, text: str = "") -> None:
        """A paragraph, or a part of one."""
        print(text, flush=True)
        self.lines.append(text)

    def heading(self, text: str) -> None:
        """The heading of a part."""
        self.line()
        self.line(f"## {text}")
        self.line()

    def header(self, *cells: str) -> None:
        """The first row of a table."""
        self.line("| " + " | ".join(cells) + " |")
        self.line("|" + " --- |" * len(cells))

    def row(self, *cells: Any) -> None:
        """Another row."""
        self.line("| " + " | ".join(map(str, cells)) + " |")


def shown(seconds: float) -> str:
    if seconds < 0.1:
        return f"{1000 * seconds:.2f} ms"
    return f"{seconds:.3f} s"


# --- parts ----------------------------------------------------------------------------------------


def cells(report: Report, options: argparse.Namespace) -> None:
    """The table: every peer, in the same run, with the same number of threads."""
    peers = installed_peers(report)
    report.heading("Cells")
    report.line(
        f"{options.threads} threads for all. `x` is the time of a peer over ours; recall in "
        "parentheses where a peer is approximate (results no farther than the true k-th). A cell "
        f"left empty would take over {options.patience} s, to build or to search. Scan is the rate "
        "at which our search goes through codes; of limit, where no cache holds them, is the time "
        "in which the threads read as many bytes over ours (one query cannot be faster)."
    )
    report.line()
    report.header(
        *("data", "N", "K", "Q", "k", "threads", "ours", "scan, 1e9/s", "of limit"),
        *(peer.name for peer in peers if peer is not OURS),
    )
    rng = np.random.default_rng(1)
    for data, bits, count in itertools.product(DATA[: options.kinds], options.bits, options.counts):
        codes, queries = data.make(rng, count, bits, max(options.queries))
        lanes = 8 * count * -(-bits // 64)
        built: dict[tuple[str, int], Any] = {}
        for asked in options.queries:
            # FAISS shares out queries: with one, it has one thread.
            for threads in sorted({1, options.threads}) if asked == 1 else [options.threads]:
                for k in options.nearest:
                    beyond_caches = asked == 1 and lanes >= 1 << 26
                    read = reading(lanes, threads) if beyond_caches else None
                    times = _cell(
                        peers, codes, queries[:asked], k, threads, built, read, options.patience
                    )
                    ours, _ = times[OURS.name]
                    share = f"{times['read'][0] / ours:.0%}" if read else ""
                    report.row(
                        *(data, f"{count:.0e}", bits, asked, k, threads, shown(ours)),
                        *(f"{count * asked / ours / 1e9:.2f}", share),
                        *(_compared(times.get(peer.name), ours) for peer in peers if peer != OURS),
                    )
        built.clear()


def _compared(found: tuple[float, float] | None, ours: float) -> str:
    if found is None:
        return ""
    seconds, recall = found
    return f"{seconds / ours:.1f} x" + ("" if recall == 1 else f" ({recall:.2f})")


def _cell(
    peers: Iterable[Peer],
    codes: np.ndarray,
    queries: np.ndarray,
    k: int,
    threads: int,
    built: dict[tuple[str, int], Any],
    read: Callable[[], Any] | None,
    patience: float,
) -> dict[str, tuple[float, float]]:
    """Median seconds and recall of each peer, by name."""
    pairs = len(codes) * len(queries)
    searches: dict[str, Callable[[], Any]] = {}
    recalls: dict[str, float] = {}
    truth = None
    for peer in peers:
        key = (peer.name, threads)
        if len(codes) / peer.builds_per_second > patience:
            continue
        if peer is not OURS and pairs / peer.pairs_per_second > patience:
            continue
        if key not in built:
            start = time.perf_counter()
            built[key] = peer.build(codes, threads)
            if not peer.exact:
                peer.builds_per_second = len(codes) / (time.perf_counter() - start)
        search = built[key]
        start = time.perf_counter()
        distances = search(queries, k)
        if peer.exact:
            peer.pairs_per_second = pairs / (time.perf_counter() - start)
        if truth is None:
            truth = distances  # ours, which the tests compare with brute force
        if peer.exact and not np.array_equal(distances, truth):
            raise SystemExit(f"{peer.name} finds other distances: {distances} against {truth}")
        searches[peer.name] = lambda search=search: search(queries, k)
        recalls[peer.name] = float((distances <= truth[:, -1:]).mean())
    if read is not None:
        searches["read"] = read
    medians = median_seconds_of_all(searches, budget=0.3)
    return {name: (seconds, recalls.get(name, 1.0)) for name, seconds in medians.items()}


def largest(report: Report, options: argparse.Namespace) -> None:
    """One query against 1e8 codes of 64 bits, and the read bandwidth."""
    count = options.largest
    report.heading(f"Our scan of {count:.0e} codes, K = 64, against the read bandwidth")
    rng = np.random.default_rng(2)
    codes, queries = Data().make(rng, count, 64, 100)
    report.header("threads", "Q", "k", "ours", "GB/s", "read bandwidth, GB/s", "share")
    for threads in sorted({1, options.threads}):
        search = _ours(codes, threads)
        for asked in (1, 100):
            works = {
                "search": lambda: search(queries[:asked], 10),  # noqa: B023
                "read": reading(8 * count, threads),
            }
            seconds, read = median_seconds_of_all(works, 5, 5).values()
            limit = 8 * count / read
            report.row(
                *(threads, asked, 10, shown(seconds), f"{8 * count / seconds / 1e9:.1f}"),
                *(f"{limit / 1e9:.1f}", f"{8 * count / seconds / limit:.0%}"),
            )


def grouped(report: Report, options: argparse.Namespace) -> None:
    """The grouped index against a scan of the rows."""
    count = options.grouped
    report.heading(f"Grouped index against rows, N = {count:.0e}")
    rng = np.random.default_rng(3)
    sets: dict[str, tuple[np.ndarray, int]] = {}
    if options.codes is not None:
        real = CodeSet.open(options.codes)
        name = f"{real.count:,} real codes of {real.bits} bits repeated"
        rows = np.arange(count) % real.count
        for flips in (0.0, 0.01):
            codes = np.asarray(real.codes)[rows]
            if flips:
                for start in range(0, count, 1 << 18):
                    here = codes[start : start + (1 << 18)]
                    flipped = rng.random((len(here), real.bits), dtype=np.float32) < flips
                    here ^= np.packbits(flipped, axis=1)
            sets[f"{name}, {flips:.0%} flips"] = (codes, real.bits)
    sets["uniform"] = (Data().make(rng, count, 64, 1)[0], 64)
    report.header(
        *("codes", "distinct", "rows: build", "grouped: build", "save", "load"),
        *("Q", "k", "rows: search", "grouped: search", "gain"),
    )
    for name, (codes, bits) in sets.items():
        start = time.perf_counter()
        by_row = HammingIndex(codes, bits, options.threads)
        row_seconds = time.perf_counter() - start
        start = time.perf_counter()
        index = group(codes, bits, options.threads)
        group_seconds = time.perf_counter() - start
        save_seconds, load_seconds = _save_and_load(codes, bits)
        by_row.compile()
        index.compile()
        places = rng.integers(count, size=1000)
        queries = codes[places] ^ np.packbits(rng.random((1000, bits)) < 0.05, axis=1)
        for asked, k in ((1, 10), (100, 10), (100, 100), (1000, 100), (100, 1000)):
            some = queries[:asked]
            for ours, theirs in zip(index.search(some, k), by_row.search(some, k), strict=True):
                np.testing.assert_array_equal(ours, theirs)
            works = {
                "rows": lambda: by_row.search(some, k),  # noqa: B023
                "grouped": lambda: index.search(some, k),  # noqa: B023
            }
            slow, fast = median_seconds_of_all(works).values()
            report.row(
                *(name, f"{len(index.distinct):,}", shown(row_seconds), shown(group_seconds)),
                *(shown(save_seconds), shown(load_seconds)),
                *(asked, k, shown(slow), shown(fast), f"{slow / fast:.2f} x"),
            )


def _save_and_load(codes: np.ndarray, bits: int) -> tuple[float, float]:
    from bitcodes.hamming.stored import load_index, save_index

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "codes.npy"
        code_set = save_code_set(CodeSet.from_arrays(codes, bits), file)
        index = group(codes, bits)
        start = time.perf_counter()
        save_index(index, code_set)
        saved = time.perf_counter()
        load_index(code_set)
        return saved - start, time.perf_counter() - saved


def weighted(report: Report, options: argparse.Namespace) -> None:
    """Codes of two parts, in both orders, against plain codes of as many bits."""
    report.heading(f"Codes of two parts, the 10 nearest, load {os.getloadavg()[0]:.1f}")
    rng = np.random.default_rng(7)
    report.header(
        "N", "class + instance bits", "Q", "plain", "order sum", "", "order class", "of plain"
    )
    for count in options.counts:
        for class_bits, instance_bits in ((48, 128), (48, 64), (32, 32)):
            bits = class_bits + instance_bits
            # 10 classes, whose images differ in their instance bits.
            halves = [
                data.make(rng, count, part, max(options.queries))
                for data, part in ((Data(10, 0.02), class_bits), (Data(), instance_bits))
            ]
            codes, queries = (np.concatenate(both, axis=1) for both in zip(*halves, strict=True))
            parts = Parts(class_bits=class_bits, instance_bits=instance_bits, class_weight=8)
            measures = {
                "plain": Measure(bits),
                "sum": Measure.summed(parts),
                "class": Measure.class_first(parts),
            }
            indexes = {
                name: HammingIndex(codes, bits, options.threads, measure)
                for name, measure in measures.items()
            }
            for index in indexes.values():
                index.compile()
            for asked in options.queries:
                works = {
                    name: lambda index=index: index.search(queries[:asked], 10)  # noqa: B023
                    for name, index in indexes.items()
                }
                plain, total, class_first = median_seconds_of_all(works).values()
                report.row(
                    *(f"{count:.0e}", f"{class_bits} + {instance_bits}", asked, shown(plain)),
                    *(shown(total), f"{total / plain:.2f} x"),
                    *(shown(class_first), f"{class_first / plain:.2f} x"),
                )


def cold(report: Report, options: argparse.Namespace) -> None:
    """`bitcodes search` with queries that are codes, from an empty shell."""
    report.heading("`bitcodes search` from an empty shell, 1e6 codes of 64 bits")
    rng = np.random.default_rng(4)
    codes, queries = Data().make(rng, 10**6, 64, 1000)
    report.header("queries", "kernels", "seconds", "says")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_code_set(CodeSet.from_arrays(codes, 64), folder / "codes.npy")
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kernels")}
        for asked in (1, 100, 1000):
            save_code_set(CodeSet.from_arrays(queries[:asked], 64), folder / f"q{asked}.npy")
            command = [sys.executable, "-m", "bitcodes", "search", f"q{asked}.npy", "-k", "10"]
            needs_kernels = asked * 10**6 > 10**8
            for state in ("compiled now", "cached") if needs_kernels else ("NumPy",):
                if state == "compiled now":
                    shutil.rmtree(folder / "kernels", ignore_errors=True)
                times, said = [], ""
                for _ in range(1 if state == "compiled now" else 5):
                    start = time.perf_counter()
                    done = subprocess.run(
                        command,
                        cwd=folder,
                        env=environment,
                        check=True,
                        text=True,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                    )
                    times.append(time.perf_counter() - start)
                    said = done.stderr.strip().replace("\n", "; ")
                report.row(asked, state, f"{statistics.median(times):.2f}", said)


_MEMORY = """
import sys
import numpy as np
from bitcodes.hamming.index import HammingIndex

def resident(field):
    for line in open("/proc/self/status"):
        if line.startswith(field):
            return int(line.split()[1]) / 1024

codes = np.load(sys.argv[1], mmap_mode="r")
queries = np.load(sys.argv[2])
index = HammingIndex(codes)
index.compile()
index.search(queries[:10], 100)
del codes
before = resident("VmRSS")
open("/proc/self/clear_refs", "w").write("5")
index.search(queries, int(sys.argv[3]))
print(f"{resident('VmHWM') - before:.1f} {index.scanner.lanes.nbytes / 2**20:.1f}")
"""


def memory(report: Report, options: argparse.Namespace) -> None:
    """What a search needs beside the lanes (Linux)."""
    report.heading("Memory of a search beside the lanes")
    rng = np.random.default_rng(5)
    report.header("N", "K", "Q", "k", "lanes, MB", "beside them, at most, MB")
    with tempfile.TemporaryDirectory() as folder:
        for count, bits in ((10**6, 64), (10**7, 64), (10**6, 256)):
            codes, queries = Data().make(rng, count, bits, 1000)
            np.save(f"{folder}/codes.npy", codes)
            np.save(f"{folder}/queries.npy", queries)
            del codes
            for k in (100, 1000):
                command = [sys.executable, "-c", _MEMORY]
                command += [f"{folder}/codes.npy", f"{folder}/queries.npy", str(k)]
                beside, lanes = subprocess.check_output(command, text=True).split()
                report.row(f"{count:.0e}", bits, 1000, k, lanes, beside)


def duplicates(report: Report, options: argparse.Namespace) -> None:
    """Groups of near-duplicates among real codes and a million made ones."""
    report.heading("Near-duplicates")
    rng = np.random.default_rng(6)
    sets: dict[str, tuple[np.ndarray, int]] = {}
    if options.codes is not None:
        real = CodeSet.open(options.codes)
        sets[f"{real.count:,} real codes of {real.bits} bits"] = (real.codes, real.bits)
    for data in (Data(), Data(1000, 0.05)):
        sets[f"1e6 codes of 64 bits, {data}"] = (data.make(rng, 10**6, 64, 1)[0], 64)
    report.header("codes", "distinct", "radius", "grouping, s", "joining, s", "groups", "largest")
    for name, (codes, bits) in sets.items():
        for radius in (0, 1, 3):
            start = time.perf_counter()
            index = group(np.asarray(codes), bits, options.threads)
            grouping = time.perf_counter() - start
            groups = chains(index, code_pairs(index, radius))
            joining = time.perf_counter() - start - grouping
            most = max(map(len, groups), default=0)
            report.row(
                *(name, f"{len(index.distinct):,}", radius, f"{grouping:.2f}", f"{joining:.2f}"),
                *(f"{len(groups):,}", f"{most:,}"),
            )


# --- the whole ------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    number = lambda text: int(float(text))  # noqa: E731 - 1e6 reads better than its zeros
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--counts", nargs="+", type=number, default=[10**5, 10**6, 10**7])
    parser.add_argument("--bits", nargs="+", type=int, default=[32, 48, 64, 128, 256])
    parser.add_argument("--queries", nargs="+", type=int, default=[1, 16, 100, 1000])
    parser.add_argument("--nearest", nargs="+", type=int, default=[1, 10, 100, 1000])
    parser.add_argument("--kinds", type=int, default=len(DATA), help="how many kinds of data")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds; leave out peers that would take longer"
    )
    parser.add_argument("--largest", type=number, default=10**8)
    parser.add_argument("--grouped", type=number, default=10**7)
    parser.add_argument("--threads", type=int, default=core_count())
    parser.add_argument("--codes", type=Path, help="a code set of real images")
    parser.add_argument("--out", type=Path, help="default: benchmarks/results/<date>-hamming.md")
    options = parser.parse_args()

    report = Report()
    report.line(f"# Hamming search, {date.today():%Y-%m-%d}")
    report.line()
    packages = ("bitcodes", "numpy", "numba", "faiss-cpu", "usearch")
    report.line(
        ", ".join(f"{name} {found}" for name in packages if (found := installed(name)))
        + f", Python {platform.python_version()}; {processor()}, {vectors()}, "
        f"{os.cpu_count()} cores; `{' '.join(['python', *sys.argv])}`"
    )
    for part in options.parts or PARTS:
        globals()[part](report, options)
    out = options.out or RESULTS / f"{date.today():%Y-%m-%d}-hamming.md"
    out.write_text("\n".join(report.lines) + "\n", encoding="utf-8")


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def vectors() -> str:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "AVX-512" if "avx512f" in flags else "no AVX-512"


if __name__ == "__main__":
    main()
