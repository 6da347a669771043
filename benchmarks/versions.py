"""Whether this version encodes and searches as fast as another one, such as an earlier commit.

    git worktree add ../before COMMIT
    python benchmarks/versions.py ../before --photos FOLDER

Both checkouts do the same work in turns, each time in a process of its own, with the packages of
this environment: encoding FOLDER with the built-in backbone and random hash layers, and searching a
million random codes. Prints the medians of all rounds, in seconds, and their ratios.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import processor

HERE = Path(__file__).resolve().parents[1]

# Runs in both versions, so that it may use only what both have under one name.
ENCODE = """
import json, sys, time
import torch
from bitcodes import encode, load_model
torch.set_num_threads(1)
model, photos, out, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
loaded = load_model(model)
start = time.perf_counter()
encode(loaded, photos, out, workers=workers)
print(json.dumps({"encode": time.perf_counter() - start}))
"""
SEARCH = """
import json, time
import numpy as np
from bitcodes import HammingIndex
rng = np.random.default_rng(0)
seconds = {}
for bits in (48, 64):
    index = HammingIndex(rng.integers(0, 256, (1_000_000, bits // 8), np.uint8))
    index.compile()
    for count in (1, 16, 100):
        queries = rng.integers(0, 256, (count, bits // 8), np.uint8)
        index.search(queries, 10)
        times = []
        for _ in range(15):
            start = time.perf_counter()
            index.search(queries, 10)
            times.append(time.perf_counter() - start)
        seconds[f"search, {bits} bits, {count} queries"] = sorted(times)[7]
print(json.dumps(seconds))
"""
MAKE_MODEL = """
import sys
import torch
from pathlib import Path
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import save_model
from bitcodes.models.hashing import HashModel
torch.manual_seed(0)
name = "tf_efficientnet_lite0"
save_model(HashModel(name, 48, find_backbone(name).preprocessing(128)), Path(sys.argv[1]))
"""


def run(version: Path, script: str, *arguments: object) -> dict[str, float]:
    """What a script prints, in seconds by name, with the package of one of the checkouts."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": str(version)},
        capture_output=True,
        text=True,
        check=True,
        cwd=tempfile.gettempdir(),
    )
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path, help="a checkout of the other version")
    parser.add_argument("--photos", type=Path, required=True, help="a folder of images")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    versions = {"before": options.before.resolve(), "now": HERE}
    seconds: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.safetensors"
        run(HERE, MAKE_MODEL, model)
        photos = options.photos.resolve()
        for turn in range(options.rounds):
            order = list(versions) if turn % 2 == 0 else list(versions)[::-1]
            for name in order:
                results = run(versions[name], SEARCH)
                for workers in (0, 2):
                    out = Path(folder) / f"{name}-{turn}-{workers}.npy"
                    encoded = run(versions[name], ENCODE, model, photos, out, workers)
                    results[f"encode at 128 pixels, {workers} workers"] = encoded["encode"]
                for what, value in results.items():
                    seconds.setdefault(what, {}).setdefault(name, []).append(value)
    print(f"{processor()}, {options.rounds} rounds in turns, medians in seconds\n")
    print("| | before | now | now / before |\n| --- | --- | --- | --- |")
    for what, times in seconds.items():
        before, now = (statistics.median(times[name]) for name in versions)
        print(f"| {what} | {before:.4f} | {now:.4f} | {now / before:.3f} |")


if __name__ == "__main__":
    main()
