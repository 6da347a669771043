"""The main job on CIFAR-10: the five commands in their short form, timed, with their tables.

    python benchmarks/cifar10.py [--source cifar10-images.tar.xz] [WORK [finetune options]]

Runs in the folder WORK (default: data/benchmark), which keeps everything: finished commands are not
repeated, their times are kept. Writes benchmarks/results/<date>-cifar10.md.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path

from machine import processor

RESULTS = Path(__file__).resolve().parent / "results"
QUERY = "data/cifar10/test/cat/0001"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, nargs="?", default=Path("data/benchmark"))
    parser.add_argument("--source", type=Path, help="CIFAR-10 as prepare --source takes it")
    arguments, finetune_options = parser.parse_known_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    source = [] if arguments.source is None else ["--source", str(arguments.source.absolute())]
    os.chdir(arguments.work)

    run("prepare", "cifar10", *source)
    run("finetune", "--data", "data/cifar10", *finetune_options)
    run("encode", "data/cifar10/database.txt")
    query = next(path for path in (f"{QUERY}.jpg", f"{QUERY}.png") if Path(path).exists())
    found = run("search", query)
    evaluated = run("evaluate")
    figures = json.loads(subprocess.check_output([*BITCODES, "evaluate", "--json"], text=True))
    history = [
        json.loads(line) for line in Path("runs/latest/metrics.jsonl").read_text().splitlines()
    ]
    settings = Path("runs/latest/config.yaml").read_text()

    last = history[-1]
    lines = [
        f"# The main job on CIFAR-10, {date.today():%Y-%m-%d}",
        "",
        f"bitcodes {version('bitcodes')}, torch {version('torch')}, timm {version('timm')}, "
        f"numpy {version('numpy')}, Python {platform.python_version()}; {processor()}, "
        f"{os.cpu_count()} cores.",
        "",
        f"Tie-aware mAP over the whole ranking: **{figures['figures']['map']:.4f}** after "
        f"{last['train_seconds'] / 60:.1f} minutes of training at {last['images_per_second']:.0f} "
        "images/s (validation apart).",
        "",
        "| command | seconds |",
        "| --- | --- |",
        *(f"| `bitcodes {name}` | {seconds:.1f} |" for name, seconds in read_times().items()),
        "",
        "| epoch | loss | validation mAP | training minutes | validation seconds |",
        "| --- | --- | --- | --- | --- |",
        *(
            f"| {line['epoch']} | {line['loss']:.4f} | {line.get('val_map', float('nan')):.4f} "
            f"| {line['train_seconds'] / 60:.1f} | {line['validation_seconds']} |"
            for line in history
        ),
        "",
        "Settings:",
        "",
        *(f"    {line}" for line in settings.splitlines() if not line.startswith("data:")),
        "",
        f"`bitcodes search {query}` (query, rank, distance, similarity, path, label):",
        "",
        *(f"    {line}" for line in found.splitlines()),
        "",
        "`bitcodes evaluate`:",
        "",
        *(f"    {line}" for line in evaluated.splitlines()),
    ]
    report = RESULTS / f"{date.today():%Y-%m-%d}-cifar10.md"
    report.write_text("\n".join(line.rstrip() for line in lines) + "\n")
    print(f"written: {report}", file=sys.stderr)


BITCODES = [sys.executable, "-m", "bitcodes"]


def run(*words: str) -> str:
    """Run a command, print and return its results; keep its time the first time it works."""
    command = " ".join(Path(word).name if Path(word).is_absolute() else word for word in words)
    print(f"$ bitcodes {command}", file=sys.stderr)
    started = time.monotonic()
    output = subprocess.run([*BITCODES, *words], stdout=subprocess.PIPE, text=True, check=True)
    times = {command: time.monotonic() - started} | read_times()
    Path("times.json").write_text(json.dumps(times))
    print(output.stdout)
    return output.stdout


def read_times() -> dict[str, float]:
    path = Path("times.json")
    return json.loads(path.read_text()) if path.exists() else {}


if __name__ == "__main__":
    main()
