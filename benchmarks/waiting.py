"""What it costs that torch's idle threads spin, as they do by default, instead of sleeping.

    python benchmarks/waiting.py PHOTOS [--rounds 5] [--busy 2]

PHOTOS is a folder of photographs (.jpg, .jpeg), about a hundred. `finetune` of two class folders of
them, a few steps, and `encode --engine torch` of them all run in turns, waiting briefly
(as the command line sets it), sleeping at once (OMP_WAIT_POLICY=PASSIVE) and spinning (as libgomp
and the OpenMP of Intel and LLVM do by themselves), first alone and then beside `--busy` processes
that compute without end. Then three processes train and encode 16 images in turns, without the
start of a command. Prints the medians of all rounds, and of the ratios within each round with their
quartiles. Stops if codes or losses differ: waiting must not change a result.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from machine import processor
from startup import measure

from bitcodes.machine import core_count

WAYS = {
    "brief": {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"},
    "sleeping": {"OMP_WAIT_POLICY": "PASSIVE", "KMP_BLOCKTIME": "0"},
    "spinning": {"GOMP_SPINCOUNT": "300000", "KMP_BLOCKTIME": "200"},
}
"""The first is what the command line sets, the last what the runtimes do where nothing is set."""
NAMES = "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"
STEPS = 4

# Steps and batches without a command's start: two processes stay, and work in turns.
WORK = """
import json, sys, time
import numpy as np
import torch
from bitcodes.models.backbones import find_backbone
from bitcodes.models.hashing import HashModel
model = HashModel(name := "tf_efficientnet_lite0", 48, find_backbone(name).preprocessing(128))
images = np.random.default_rng(0).integers(0, 256, (16, 128, 128, 3), np.uint8)
for line in sys.stdin:
    start, processor = time.perf_counter(), time.process_time()
    if line == "train\\n":
        pixels = model.preprocessing.normalise(torch.from_numpy(images))
        model.train()(pixels).square().mean().backward()
    else:
        model.encode_batch(images)
    print(json.dumps([time.perf_counter() - start, time.process_time() - processor]), flush=True)
"""


class Measured(NamedTuple):
    """One round of one way of waiting; rates in images a second, the rest in seconds."""

    training: float
    finetune: float
    finetune_processor: float
    encode: float
    encode_processor: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="a folder of photographs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--turns", type=int, default=20, help="rounds without starting commands")
    parser.add_argument("--busy", type=int, default=2, help="processes that compute beside")
    options = parser.parse_args()
    print(
        f"{platform.system()}, {processor()}, {core_count()} cores, load before the start "
        f"{load()}; torch {version('torch')}, Python {platform.python_version()}\n"
    )
    ratios = [f"{name} / spinning" for name in list(WAYS)[:-1]]
    columns = ["beside", "", *WAYS, *ratios]
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        divide(options.photos, folder / "classes")
        for count in (0, options.busy):
            with busy(count):
                rounds = [all_ways(folder) for _ in range(options.rounds)]
                steps = {kind: in_turns(kind, options.turns) for kind in ("train", "encode")}
            beside = f"{count} busy processes" if count else "nothing"
            for field, text in WORDS.items():
                row(beside, text, [[getattr(way, field) for way in ways] for ways in rounds])
            for kind, turns in steps.items():
                for number, text in enumerate(("seconds", "processor seconds")):
                    text = f"16 images, {kind}, {text}"
                    row(beside, text, [[way[number] for way in ways] for ways in turns])


def program() -> list[str]:
    return [sys.executable, "-m", "bitcodes"]


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def divide(photos: Path, folder: Path) -> None:
    """Copy the photographs into two class folders, in turns."""
    files = [file for file in sorted(photos.rglob("*")) if file.suffix.lower() in (".jpg", ".jpeg")]
    for number, file in enumerate(files):
        target = folder / "ab"[number % 2] / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def all_ways(folder: Path) -> list[Measured]:
    """One round: each way of waiting, which must all give the same."""
    measured, *others = [work(folder, way) for way in WAYS.values()]
    assert all(other[1:] == measured[1:] for other in others), "waiting has changed a result"
    return [measured[0], *(other[0] for other in others)]


def work(folder: Path, waiting: dict[str, str]) -> tuple[Measured, bytes, float]:
    """Train and encode, each as a command; what was measured, the codes and the loss."""
    for name in NAMES:
        os.environ.pop(name, None)
    os.environ.update(waiting)
    shutil.rmtree(folder / "run", ignore_errors=True)
    train = [*program(), "finetune", "--data", "classes", "--run", "run", "--device", "cpu"]
    train += ["--image-size", "128", "--batch-size", "16", "--epochs", "1", "--val", "0"]
    finetune = measure([*train, "--max-steps", str(STEPS), "--amp", "off"], folder)
    line = json.loads((folder / "run/metrics.jsonl").read_text().splitlines()[-1])
    encode = [*program(), "encode", "classes", "--run", "run", "--engine", "torch", "--force"]
    encoded = measure([*encode, "-o", "codes.npy"], folder)
    codes = (folder / "codes.npy").read_bytes()
    return Measured(line["images_per_second"], *finetune, *encoded), codes, line["loss"]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Let so many processes compute while the block runs."""
    processes = [subprocess.Popen([sys.executable, "-c", "while 1: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def in_turns(kind: str, turns: int) -> list[list[list[float]]]:
    """Seconds and processor seconds of a step or batch, each way of waiting, of each round."""
    plain = {name: value for name, value in os.environ.items() if name not in NAMES}
    command = [sys.executable, "-c", WORK]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
    children = [subprocess.Popen(command, env=plain | way, **pipes) for way in WAYS.values()]
    rounds = []
    for _ in range(turns + 1):
        measured = []
        for child in children:
            child.stdin.write(f"{kind}\n")
            measured.append(json.loads(child.stdout.readline()))
        rounds.append(measured)
    for child in children:
        child.communicate()
    return rounds[1:]  # without the first, which warms up


WORDS = {
    "training": "`finetune`, images per second",
    "finetune": "`finetune`, whole command, seconds",
    "finetune_processor": "`finetune`, processor seconds",
    "encode": "`encode --engine torch`, whole command, seconds",
    "encode_processor": "`encode --engine torch`, processor seconds",
}


def row(beside: str, text: str, rounds: list[list[float]]) -> None:
    """A line of the table: medians, and of the ratios to spinning with their middle half."""
    medians = [f"{statistics.median(values):.3g}" for values in zip(*rounds, strict=True)]
    ratios = []
    for number in range(len(WAYS) - 1):
        values = [ways[number] / ways[-1] for ways in rounds]
        low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
        ratios.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    print(f"| {' | '.join([beside, text, *medians, *ratios])} |", flush=True)


if __name__ == "__main__":
    main()
