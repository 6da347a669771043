"""Search in less than linear time against our own scan, and against FAISS's approximate indexes.

    python benchmarks/multi.py                                # everything; up to an hour, 12 GB
    python benchmarks/multi.py sizes --counts 1e6 1e7
    python benchmarks/multi.py real --codes codes.npy

Parts: `sizes` (uniform and clustered codes of 64 bits: building, and searches by tables, by a scan
and as `auto` chooses), `real` (the codes of real images, repeated with flipped bits to 1e7),
`peers` (FAISS's multi-hash and IVF, with their recall), `extending` (rows added to an index,
against building it anew), `parts` (other numbers of tables) and `plot` (needs matplotlib). Queries
are never members. Every search is compared with the scan's answer. Times are medians, the searches
taking turns.
Writes benchmarks/results/<date>-multi-index.md and .svg.
"""

import argparse
import gc
import json
import platform
import resource
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from hamming import RESULTS, Data, Report, installed, median_seconds_of_all, shown, vectors
from machine import processor

from bitcodes.codes.codeset import CodeSet
from bitcodes.hamming import multi
from bitcodes.hamming.index import HammingIndex, Index, group
from bitcodes.hamming.multi import MultiIndex, extend, with_tables
from bitcodes.hamming.tables import MARGIN
from bitcodes.machine import core_count

PARTS = ("sizes", "real", "peers", "extending", "parts", "plot")
KINDS = [Data(), Data(1000, 0.05)]
SEARCHES: list[tuple[int, dict[str, int]]] = [
    *((1, {"k": k}) for k in (1, 10, 100, 1000)),
    *((1, {"radius": radius}) for radius in (0, 2, 4, 8, 16)),
    (100, {"k": 10}),
    (100, {"radius": 2}),
]


def build(codes: np.ndarray, bits: int, threads: int, parts: int | None = None) -> Any:
    """The index, and the seconds that grouping and the tables took."""
    start = time.perf_counter()
    grouped = group(codes, bits, threads)
    between = time.perf_counter()
    index = with_tables(grouped, parts=parts)
    return index, between - start, time.perf_counter() - between


def compare(
    index: MultiIndex,
    queries: np.ndarray,
    asked: int,
    wanted: dict[str, int],
    by_row: HammingIndex | None = None,
) -> dict[str, float]:
    """Median seconds a search by method; each time other queries, the answers compared.

    Method "rows" is a scan that does not know which codes are equal.
    """
    turn = {"tables": 0, "scan": 0, "auto": 0}
    if by_row is not None:
        turn["rows"] = 0
    found: dict[int, Any] = {}
    limit = len(queries) // asked

    def search(method: str) -> Any:
        start = turn[method] % limit * asked
        turn[method] += 1
        searched: Index = index
        if method == "rows":
            assert by_row is not None
            searched = by_row
        else:
            index.method = method  # type: ignore[assignment]
        some = queries[start : start + asked]
        find = searched.search if "k" in wanted else searched.within
        answer = find(some, **wanted)
        if start not in found:
            found[start] = answer
        for ours, theirs in zip(answer, found[start], strict=True):
            if not np.array_equal(ours, theirs):
                raise SystemExit(f"{method} finds something else for {wanted}")
        return answer

    works = {method: lambda method=method: search(method) for method in turn}
    for work in works.values():
        work()
    return median_seconds_of_all(works, least=11, budget=2.0)


def searches(
    report: Report,
    name: str,
    index: MultiIndex,
    queries: np.ndarray,
    by_row: HammingIndex | None = None,
) -> list[Any]:
    """A row a search, and what the plot needs of them."""
    points = []
    for asked, wanted in SEARCHES:
        seconds = compare(index, queries, asked, wanted, by_row)
        index.method = "auto"
        what = ", ".join(f"{key} = {value}" for key, value in wanted.items())
        gain = seconds["scan"] / seconds["tables"]
        chosen = "tables" if index.gain(queries=asked, **wanted) > 1 / MARGIN else "scan"
        report.row(
            *(name, f"{len(index):.0e}", asked, what, shown(seconds["scan"])),
            *(shown(seconds["tables"]), f"{gain:.1f} x", chosen, shown(seconds["auto"])),
            f"{seconds['auto'] / seconds['scan']:.2f}",
            *([f"{seconds['rows'] / seconds['auto']:.1f} x"] if by_row is not None else []),
        )
        if asked == 1:
            points.append([name, len(index), what, seconds["scan"], seconds["tables"]])
    return points


def header(report: Report, *more: str) -> None:
    report.header(
        *("codes", "N", "Q", "search", "scan", "tables", "gain", "auto takes", "auto"),
        *("auto / scan", *more),
    )


def sizes(report: Report, options: argparse.Namespace) -> None:
    """Building and searching at each size."""
    built, points = [], []
    report.heading("Searches")
    header(report)
    for data in KINDS:
        for count in options.counts:
            codes, queries = data.make(np.random.default_rng(1), count, 64, 1000)
            index, grouping, tabling = build(codes, 64, options.threads)
            index.compile()
            points += searches(report, str(data), index, queries)
            tables = index.tables
            groups = sum(array.nbytes for array in index.grouped.groups)
            built.append(
                [
                    *(data, f"{count:.0e}", f"{len(index.distinct):,}", len(tables.offsets)),
                    *(f"{grouping:.1f} s", f"{tabling:.1f} s", f"{tables.nbytes / 1e6:,.0f} MB"),
                    f"{groups / 1e6:,.0f} MB",
                    f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB",
                ]
            )
            del index, codes, tables
            gc.collect()
    report.heading("Building")
    report.header(
        *("codes", "N", "distinct", "tables", "grouping", "tables in", "tables take"),
        *("groups take", "process, at most so far"),
    )
    for row in built:
        report.row(*row)
    options.points.write_text(json.dumps(points), encoding="utf-8")


def real(report: Report, options: argparse.Namespace) -> None:
    """Real codes, repeated with flipped bits; queries are such codes too, and in no set."""
    if options.codes is None:
        report.line("Real codes were not given (--codes) and are left out.")
        return
    report.heading("Codes of real images")
    stored = CodeSet.open(options.codes)
    some = np.asarray(stored.codes)
    rng = np.random.default_rng(2)
    report.line(
        "Scan is that of the distinct codes; the last column compares with one of all rows. "
        "Queries are real codes with 5 % of their bits flipped that the set does not hold."
    )
    report.line()
    header(report, "scan of rows / auto")
    notes = []
    for flips in (0.01, 0.05):
        codes = flipped(rng, some[np.arange(options.real) % len(some)], stored.bits, flips)
        queries = flipped(rng, some[rng.integers(len(some), size=20000)], stored.bits, 0.05)
        known = HammingIndex(codes, stored.bits, options.threads)
        known.compile()
        members = np.diff(known.within(queries, 0, limit=1).offsets) > 0
        queries = queries[~members][:1000]
        index, grouping, tabling = build(codes, stored.bits, options.threads)
        index.compile()
        name = f"real, {stored.bits} bits, {flips:.0%} flips, {len(index.distinct):,} distinct"
        searches(report, name, index, queries, known)
        near = np.diff(index.within(queries, 2).offsets)
        notes.append(
            f"{flips:.0%} flips: radius 2 holds {np.median(near):,.0f} rows at the median, "
            f"{near.max():,} at most; {len(queries)} queries; grouped in {grouping:.1f} s, "
            f"tables in {tabling:.1f} s."
        )
    report.line()
    for note in notes:
        report.line(note)


def flipped(rng: np.random.Generator, codes: np.ndarray, bits: int, flips: float) -> np.ndarray:
    """The codes, each bit flipped with a probability."""
    codes = codes.copy()
    for start in range(0, len(codes), 1 << 18):
        here = codes[start : start + (1 << 18)]
        here ^= np.packbits(rng.random((len(here), bits), dtype=np.float32) < flips, axis=1)
    return codes


def peers(report: Report, options: argparse.Namespace) -> None:
    """FAISS's multi-hash and inverted lists: time over ours, and recall."""
    try:
        import faiss
    except ImportError:
        report.line("faiss is not installed and left out.")
        return
    report.heading("FAISS's approximate indexes, 10 nearest, one query and 100")
    report.line("Recall: results no farther than the true 10th. Ours is exact.")
    report.line()
    report.header(
        *("codes", "N", "Q", "ours, auto", "FAISS flat", "multi-hash, 1 flip", "recall"),
        *("2 flips", "recall", "IVF, 1 list in 64", "recall", "build: ours, multi-hash, IVF"),
    )
    faiss.omp_set_num_threads(options.threads)
    for data in KINDS:
        for count in [count for count in options.counts if count <= 10**7]:
            codes, queries = data.make(np.random.default_rng(3), count, 64, 100)
            index, *seconds = build(codes, 64, options.threads)
            index.compile()
            flat = faiss.IndexBinaryFlat(64)
            flat.add(codes)
            start = time.perf_counter()
            hashed = faiss.IndexBinaryMultiHash(64, len(index.tables.offsets), _width(index))
            hashed.add(codes)
            built = time.perf_counter() - start
            start = time.perf_counter()
            lists = min(4096, max(64, count // 1000))
            listed = faiss.IndexBinaryIVF(faiss.IndexBinaryFlat(64), 64, lists)
            listed.cp.niter = 4
            listed.train(codes[: 64 * lists])
            listed.add(codes)
            listed.nprobe = max(1, lists // 64)
            listed_in = time.perf_counter() - start
            for asked in (1, 100):
                some = queries[:asked]
                works: dict[str, Callable[[], Any]] = {
                    "ours": lambda: index.search(some, 10)[0],  # noqa: B023
                    "flat": lambda: flat.search(some, 10)[0],  # noqa: B023
                    "1": lambda: _with_flips(hashed, 1, some),  # noqa: B023
                    "2": lambda: _with_flips(hashed, 2, some),  # noqa: B023
                    "ivf": lambda: listed.search(some, 10)[0],  # noqa: B023
                }
                truth = index.search(queries, 10)[0]
                recalls = {}
                for name, work in list(works.items()):
                    start = time.perf_counter()
                    work()
                    if time.perf_counter() - start > 10:
                        del works[name]
                for name, search in {
                    "1": lambda: _with_flips(hashed, 1, queries),  # noqa: B023
                    "2": lambda: _with_flips(hashed, 2, queries),  # noqa: B023
                    "ivf": lambda: listed.search(queries, 10)[0],  # noqa: B023
                }.items():
                    if name in works:
                        recalls[name] = f"{(search() <= truth[:, -1:]).mean():.2f}"
                times = median_seconds_of_all(works, least=5)
                cells = [f"{times['flat'] / times['ours']:.1f} x"]
                for name in ("1", "2", "ivf"):
                    over = f"{times[name] / times['ours']:.1f} x" if name in times else "over 10 s"
                    cells += [over, recalls.get(name, "")]
                cells.append(f"{sum(seconds):.1f}, {built:.1f}, {listed_in:.1f} s")
                report.row(data, f"{count:.0e}", asked, shown(times["ours"]), *cells)


def _width(index: MultiIndex) -> int:
    return int(np.diff(index.tables.cuts).min())


def _with_flips(index: Any, flips: int, queries: np.ndarray) -> np.ndarray:
    index.nflip = flips
    distances: np.ndarray = index.search(queries, 10)[0]
    # What is not found counts as far away.
    return np.where(distances < 0, 10**6, distances)


def extending(report: Report, options: argparse.Namespace) -> None:
    """Adding a hundredth and a tenth of rows to an index of 1e7."""
    report.heading("Adding rows to an index")
    report.header("codes", "N", "added", "extended in", "built anew in", "gain")
    for data in KINDS:
        codes, _ = data.make(np.random.default_rng(4), options.real, 64, 1)
        for share in (100, 10):
            before = len(codes) - len(codes) // share
            old, *_ = build(codes[:before], 64, options.threads)
            extend(old, codes[before : before + 10])
            start = time.perf_counter()
            extended = extend(old, codes[before:])
            seconds = time.perf_counter() - start
            index, *anew = build(codes, 64, options.threads)
            for ours, theirs in zip(extended.tables, index.tables, strict=True):
                np.testing.assert_array_equal(ours, theirs)
            report.row(
                *(data, f"{len(codes):.0e}", f"{len(codes) - before:,}", f"{seconds:.1f} s"),
                *(f"{sum(anew):.1f} s", f"{sum(anew) / seconds:.1f} x"),
            )


def parts(report: Report, options: argparse.Namespace) -> None:
    """How searches depend on the number of tables."""
    report.heading("Numbers of tables")
    report.header("codes", "N", "tables", "take", "k = 10", "k = 100", "radius 4", "default")
    for data in KINDS:
        for count in [count for count in options.counts if count <= 10**7]:
            codes, queries = data.make(np.random.default_rng(5), count, 64, 1000)
            for number in (3, 4, 5, 6):
                index, *_ = build(codes, 64, options.threads, number)
                index.compile()
                times = [
                    shown(compare(index, queries, 1, wanted)["tables"])
                    for wanted in ({"k": 10}, {"k": 100}, {"radius": 4})
                ]
                default = number == multi.default_parts(len(index.distinct), 64)
                report.row(
                    *(data, f"{count:.0e}", number, f"{index.tables.nbytes / 1e6:,.0f} MB"),
                    *(*times, "yes" if default else ""),
                )


def plot(report: Report, options: argparse.Namespace) -> None:
    """Seconds against the number of codes, both logarithmic."""
    from matplotlib import pyplot

    points = json.loads(options.points.read_text(encoding="utf-8"))
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4.5), sharey=True)
    for axis, data in zip(axes, KINDS, strict=True):
        for colour, what in enumerate(("radius = 2", "radius = 8", "k = 10", "k = 1000")):
            here = [point for point in points if point[0] == str(data) and point[2] == what]
            counts = [point[1] for point in here]
            style = {"color": f"C{colour}", "marker": "o"}
            axis.plot(counts, [point[4] for point in here], label=f"tables, {what}", **style)
            axis.plot(counts, [point[3] for point in here], ls=":", label=f"scan, {what}", **style)
        axis.set(xscale="log", yscale="log", xlabel="codes of 64 bits", title=str(data))
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("seconds a query")
    axes[1].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(options.out.with_suffix(".svg"))
    report.line()
    report.line(f"![Time against number of codes]({options.out.with_suffix('.svg').name})")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    number = lambda text: int(float(text))  # noqa: E731 - 1e6 reads better than its zeros
    parser.add_argument("which", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--counts", nargs="+", type=number, default=[10**6, 10**7, 10**8])
    parser.add_argument("--real", type=number, default=10**7, help="codes of real and extending")
    parser.add_argument("--codes", type=Path, help="a code set of real images")
    parser.add_argument("--threads", type=int, default=core_count())
    default = RESULTS / f"{date.today():%Y-%m-%d}-multi-index.md"
    parser.add_argument(
        "--out", type=Path, default=default, help=f"default: results/{default.name}"
    )
    parser.add_argument("--points", type=Path, default=Path("multi-index.json"), help="of the plot")
    options = parser.parse_args()
    report = Report()
    report.line(f"# Exact search in less than linear time, {date.today():%Y-%m-%d}")
    report.line()
    found = (f"{name} {installed(name)}" for name in ("bitcodes", "numpy", "numba", "faiss-cpu"))
    report.line(
        ", ".join(found) + f", Python {platform.python_version()}; {processor()}, {vectors()}, "
        f"{options.threads} threads; `{' '.join(['python', *sys.argv])}`"
    )
    build(Data().make(np.random.default_rng(0), 1000, 64, 1)[0], 64, options.threads)  # compile
    for part in options.which or PARTS:
        globals()[part](report, options)
    options.out.write_text("\n".join(report.lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
