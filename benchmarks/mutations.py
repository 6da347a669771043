"""What commands make of damaged files: thousands of trials, each compared with what is right.

    python benchmarks/mutations.py [sets=3000] [runs=300] [exports=200] [archives=200]
    python benchmarks/mutations.py sets --only 1234

Kinds of trials: `sets`, code sets and indexes that were changed, with sizes and checksums that fit;
`runs`, damaged run folders and datasets; `exports`, damaged ONNX files; `archives`, hostile and
damaged archives. A trial runs several commands on one damaged thing. Right is a refusal in one line
(exit status 1 or 2), or the answer that NumPy alone or the undamaged thing gives. Wrong are
tracebacks, other answers, more than 10 seconds, more than 1.5 GB, and control characters in what is
printed.

Every trial depends on its number alone; `--only` plays one again, says what each command refused,
and keeps its folder. Trials run in processes of their own, many in each; one that hangs or dies is
replaced.
"""

import argparse
import importlib
import json
import os
import platform
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from machine import processor

KINDS = {"sets": 3000, "runs": 300, "exports": 200, "archives": 200}
MOST_MEMORY = 1_500_000_000
_PATIENCE = 60.0
"""Seconds without a word after which a process is ended: several commands that hang in C."""
_BATCH = 200
"""Trials that a process plays before another takes over."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", help="kinds of trials, with =N for another number")
    parser.add_argument("--only", type=int, help="the number of the one trial to play")
    parser.add_argument("--first", type=int, default=0, help="the number of the first trial")
    parser.add_argument("--folder", type=Path, help="where to work; default: a temporary folder")
    parser.add_argument("--build", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", nargs=2, type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    counts = {}
    for text in options.kinds or KINDS:
        kind, _, count = text.partition("=")
        if kind not in KINDS:
            parser.error(f"expected {', '.join(KINDS)}; found {kind}")
        counts[kind] = int(count or KINDS[kind])
    if options.build:
        build(next(iter(counts)), options.folder)
        return
    if options.worker:
        work(next(iter(counts)), *options.worker, options.folder)
        return
    with tempfile.TemporaryDirectory(prefix="mutations.") as temporary:
        folder = (options.folder or Path(temporary)).absolute()
        if options.only is not None:
            play_one(next(iter(counts)), options.only, options.folder)
            return
        rows = [campaign(kind, options.first, count, folder) for kind, count in counts.items()]
    print_table(rows)
    sys.exit(any(row["bad"] for row in rows))


# -- in a process of trials ------------------------------------------------------------------------


def build(kind: str, base: Path) -> None:
    """Make what trials of a kind damage, in a process of its own, which takes much memory."""
    from mutated import bases

    bases.quicken()
    base.mkdir(parents=True, exist_ok=True)
    with open(os.devnull, "w") as nothing:  # noqa: PTH123
        saved, sys.stdout, sys.stderr = (sys.stdout, sys.stderr), nothing, nothing
        try:
            _module(kind).build(base)
        finally:
            sys.stdout, sys.stderr = saved


def _module(kind: str) -> Any:
    return importlib.import_module(f"mutated.{kind}")


def player(kind: str, base: Path) -> Callable[[Any], None]:
    """The function that plays a trial of a kind on what was built."""
    from mutated import bases

    bases.quicken()
    module = _module(kind)
    module.ready(base)
    return partial(module.play, base)


def work(kind: str, first: int, last: int, folder: Path) -> None:
    """Play trials, and tell the parent process of each, as it begins and as it ends."""
    from mutated.trial import run_trial

    words = os.fdopen(os.dup(1), "w", encoding="utf-8")

    def tell(value: Any) -> None:
        words.write(json.dumps(value) + "\n")
        words.flush()

    play = player(kind, folder.parent / f"{kind}-base")
    for number in range(first, last):
        tell({"begin": number})
        tell(asdict(run_trial(kind, number, folder / "trial", play)))


def play_one(kind: str, number: int, folder: Path | None) -> None:
    """Play one trial here, and print all of its report."""
    from mutated.trial import run_trial

    place = (folder or Path(tempfile.mkdtemp(prefix="mutation."))).absolute()
    base = place / f"{kind}-base"
    if not base.exists():
        _build_apart(kind, base)
    play = player(kind, base)
    report = run_trial(kind, number, place / "trial", play, keep=True)
    print(json.dumps(asdict(report), indent=2))
    print(f"the trial's folder: {place / 'trial'}")


# -- in the parent process -------------------------------------------------------------------------


def campaign(kind: str, first: int, count: int, folder: Path) -> dict[str, Any]:
    """Play all trials of a kind; the row of the table."""
    tally: Counter[str] = Counter()
    if not (base := folder / f"{kind}-base").exists():
        _build_apart(kind, base)
    peak, started = 0, time.perf_counter()
    for report in play_all(kind, first, first + count, folder):
        kinds = {problem.split(":")[0] for problem in report["problems"]}
        if report["peak"] > MOST_MEMORY:
            kinds.add("memory")
            report["problems"].append(f"memory: {report['peak']:,} bytes")
        tally.update(kinds)
        tally["commands"] += report["commands"]
        tally["trials"] += 1
        tally["bad"] += bool(kinds)
        tally["refused" if report["refused"] else "right"] += not kinds
        peak = max(peak, report["peak"])
        for problem in report["problems"]:
            print(f"{kind} {report['number']} ({report['what']})\n    {problem}", flush=True)
        if not tally["trials"] % 100:
            seconds = time.perf_counter() - started
            print(f"{kind}: {tally['trials']} of {count}, {seconds:.0f} s", file=sys.stderr)
    return {"kind": kind, **tally, "bad": tally["bad"], "peak": peak}


def _build_apart(kind: str, base: Path) -> None:
    words = [sys.executable, __file__, kind, "--folder", str(base), "--build"]
    subprocess.run(words, check=True)


def play_all(kind: str, first: int, last: int, folder: Path) -> Iterator[dict[str, Any]]:
    """The reports of trials; a process that hangs or dies is replaced, and its trial told of."""
    while first < last:
        stop = min(first + _BATCH, last)
        place = folder / f"{kind}-{first}"
        words = [sys.executable, __file__, kind, "--folder", str(place)]
        process = subprocess.Popen(
            [*words, "--worker", str(first), str(stop)],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        current, why = None, "died"
        try:
            for value in messages(process):
                if "begin" in value:
                    current = value["begin"]
                    continue
                yield value
                first, current = value["number"] + 1, None
        except TimeoutError:
            why = "hang"
        finally:
            process.kill()
            process.wait()
        if current is not None:
            problem = "hang: no word" if why == "hang" else f"traceback: died, {process.returncode}"
            report = {"number": current, "what": "?", "problems": [problem], "peak": 0}
            yield {**report, "commands": 1, "refused": 0}
            first = current + 1
        elif first < stop:
            raise RuntimeError(f"the process for {kind} ended before trial {first}: {why}")


def messages(process: "subprocess.Popen[bytes]") -> Iterator[dict[str, Any]]:
    """What a process says, a JSON document per line; TimeoutError if it says nothing for long."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    buffer = b""
    patience = 10 * _PATIENCE  # to import what it needs, on a busy machine
    while True:
        if not select.select([descriptor], [], [], patience)[0]:
            raise TimeoutError
        data = os.read(descriptor, 1 << 16)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):
                patience = _PATIENCE
                yield json.loads(line)


def print_table(rows: list[dict[str, Any]]) -> None:
    """The counts of trials, as Markdown."""
    print(f"\n{platform.system()}, {processor()}, Python {platform.python_version()},")
    names = "numpy", "onnxruntime", "torch", "numba"
    print(", ".join(f"{name} {version(name)}" for name in names) + "\n")
    columns = ["trials", "commands", "refused", "right", "traceback", "wrong", "hang", "controls"]
    print(f"| kind | {' | '.join(columns)} | over 1.5 GB | peak memory |")
    print("| --- " * (len(columns) + 3) + "|")
    for row in rows:
        counts = [f"{row.get(column, 0):,}" for column in [*columns, "memory"]]
        print(f"| {row['kind']} | {' | '.join(counts)} | {row['peak'] / 1e6:,.0f} MB |")


if __name__ == "__main__":
    main()
