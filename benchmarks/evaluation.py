"""Evaluation from counts against the usual way, a sorted list a query.

    python benchmarks/evaluation.py [--queries 10000] [--items 50000] [--large 10000000]

Codes of 48 bits, clustered as learned ones are: a center a class, of a random class for 8 in 100
images, and each bit flipped with probability 0.08, so that distances tie as in practice. Times are
the median of five after one call that loads the kernels; the usual way, and the large database, run
once. Prints a table and writes benchmarks/results/<date>-evaluation.md.
"""

import argparse
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
from machine import processor

from bitcodes import CodeSet, HammingIndex, evaluate
from bitcodes.codes.pack import pack_bits
from bitcodes.machine import core_count
from bitcodes.metrics.compat import average_precision_over_hits
from bitcodes.metrics.ranking import average_precision, mean_over_queries

RESULTS = Path(__file__).resolve().parent / "results"
BITS = 48
LARGE_BITS = 64
FLIP = 0.08
MISTAKES = 0.08


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--large", type=int, default=10_000_000)
    parser.add_argument("--only-large", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.only_large:
        measure_large(arguments.large)
        return

    rows = single_label(arguments.queries, arguments.items)
    rows += multi_label(arguments.queries, arguments.items)
    command = [sys.executable, __file__, "--only-large", "--large", str(arguments.large)]
    rows.append(tuple(subprocess.check_output(command, text=True).strip().split(" | ")))
    lines = [
        f"# Evaluation from counts, {date.today():%Y-%m-%d}",
        "",
        f"bitcodes {version('bitcodes')}, numpy {version('numpy')}, numba {version('numba')}, "
        f"Python {platform.python_version()}; {processor()}, {core_count()} "
        "cores. Codes in hand; seconds.",
        "",
        "| what | seconds | |",
        "| --- | --- | --- |",
        *(f"| {what} | {seconds} | {remark} |" for what, seconds, remark in rows),
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{date.today():%Y-%m-%d}-evaluation.md").write_text(text, encoding="utf-8")


def single_label(queries: int, items: int) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(0)
    centers = rng.integers(0, 2, (10, BITS), np.uint8)
    query_labels, labels = (rng.integers(0, 10, size, np.int32) for size in (queries, items))
    query_bits, bits = (flipped(centers[mistaken(own, rng)], rng) for own in (query_labels, labels))
    query_set = CodeSet.from_arrays(pack_bits(query_bits), BITS, labels=query_labels)
    database = CodeSet.from_arrays(pack_bits(bits), BITS, labels=labels)
    size = f"{queries:,} x {items:,}, {BITS} bits"

    def count() -> tuple[np.ndarray, np.ndarray]:
        return HammingIndex(database).count(query_set.codes, labels, query_labels)

    def every_figure() -> None:
        evaluation = evaluate(queries=query_set, database=database)
        assert evaluation.figures and evaluation.intervals and evaluation.tie_ranges

    counting = median(lambda: count())
    alone = median(lambda: average_precision(*count()))
    everything = median(every_figure)
    total, relevant = count()
    found = mean_over_queries(average_precision(total, relevant))

    one_hot = np.eye(10, dtype=np.float32)
    started = time.perf_counter()
    usual = deephash_map(query_bits, bits, one_hot[query_labels], one_hot[labels], items)
    usual_seconds = time.perf_counter() - started
    expected, low, high = average_precision_over_hits(total, relevant, items)
    ours = expected.mean()
    assert low.mean() <= usual <= high.mean()
    return [
        (f"histograms, {size}", f"{counting:.3f}", ""),
        ("mAP from the histograms, with counting", f"{alone:.3f}", f"{found:.4f}"),
        (
            "every figure but the re-ranked ones, with ranges, intervals, health and class table",
            f"{everything:.3f}",
            "",
        ),
        (
            "mAP the usual way: product, argsort, running hits, a query at a time",
            f"{usual_seconds:.1f}",
            f"{usual:.4f}, one order of the ties; the expectation is {ours:.4f}, orders span "
            f"{low.mean():.4f} to {high.mean():.4f}; {usual_seconds / alone:.0f} times slower",
        ),
    ]


def multi_label(queries: int, items: int) -> list[tuple[str, ...]]:
    rng = np.random.default_rng(1)
    sets = []
    weights = rng.standard_normal((81, BITS))
    for size in (queries, items):
        labels = (rng.random((size, 81)) < 0.03).astype(np.uint8)
        bits = (labels @ weights + 0.5 * rng.standard_normal((size, BITS)) > 0).astype(np.uint8)
        sets.append(CodeSet.from_arrays(pack_bits(bits), BITS, labels=labels))
    seconds = median(lambda: evaluate(queries=sets[0], database=sets[1]).intervals)
    size = f"{queries:,} x {items:,}, 81 labels, several each"
    return [(f"every figure but the re-ranked ones, {size}", f"{seconds:.3f}", "")]


def measure_large(items: int) -> None:
    """In a process of its own, so that its peak of memory is this alone."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 100, items, np.int32)
    centers = rng.integers(0, 256, (100, LARGE_BITS // 8), np.uint8)
    codes = centers[labels]
    for start in range(0, items, 1 << 18):  # each byte gets up to two flips, in bounded memory
        block = codes[start : start + (1 << 18)]
        block ^= (1 << rng.integers(0, 8, block.shape, np.uint8)).astype(np.uint8)
        block ^= (1 << rng.integers(0, 8, block.shape, np.uint8)).astype(np.uint8)
    database = CodeSet.from_arrays(codes, LARGE_BITS, labels=labels)
    queries = CodeSet.from_arrays(
        codes[:: items // 1000][:1000], LARGE_BITS, labels=labels[:: items // 1000][:1000]
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    evaluation = evaluate(queries=queries, database=database)
    assert evaluation.intervals
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"every figure but the re-ranked ones, 1,000 x {items:,}, {LARGE_BITS} bits"
        f" | {seconds:.1f} | peak memory {peak / 2**20:.2f} GB ({before / 2**20:.2f} GB before)"
    )


def deephash_map(
    query_bits: np.ndarray,
    bits: np.ndarray,
    query_labels: np.ndarray,
    labels: np.ndarray,
    top: int,
) -> float:
    """Compute mAP as DeepHash-pytorch does, written from its description."""
    queries, items = (values.astype(np.float32) * 2 - 1 for values in (query_bits, bits))
    score = 0.0
    for query, own in zip(queries, query_labels, strict=True):
        related = (own @ labels.T > 0).astype(np.float32)
        distances = 0.5 * (items.shape[1] - query @ items.T)
        found = related[np.argsort(distances)][:top]
        hits = int(found.sum())
        if hits:
            ranks = np.flatnonzero(found) + 1.0
            score += float(np.mean(np.arange(1, hits + 1) / ranks))
    return score / len(queries)


def mistaken(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.where(rng.random(len(labels)) < MISTAKES, rng.integers(0, 10, len(labels)), labels)


def flipped(bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return bits ^ (rng.random(bits.shape) < FLIP)


def median(work: Callable[[], object], times: int = 5) -> float:
    work()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
