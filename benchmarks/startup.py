"""How long commands take that have little to do: from the shell to the answer.

    python benchmarks/startup.py PHOTO [--run RUN] [--rounds 10] [--beside "COMMAND" ...]

Each command runs in a process of its own, all of them in turns; the first round only warms the
disk's cache. Prints medians in seconds: the time that passes, and the processor time of the process
and its children (Linux, macOS). `--beside` names other commands to time, such as
"../rclip/bin/rclip --help". A code set of 100,000 codes is made of PHOTO's code and random ones.
"""

import argparse
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
from machine import processor

from bitcodes import CodeSet
from bitcodes.codes.writer import CodeSetWriter, plan_of

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

COUNT = 100_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photo", type=Path, help="an image file")
    parser.add_argument("--run", help="run or model file; default: that of encode")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--beside", nargs="*", default=[], help="other commands to time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        commands = prepare(Path(folder), options.photo.resolve(), options.run)
        for line in options.beside:
            name, *words = shlex.split(line)
            program = shutil.which(name) or parser.error(f"there is no program {name}")
            shown = shlex.join([Path(program).name, *words])
            commands[shown] = [str(Path(program).absolute()), *words]
        seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for turn in range(options.rounds + 1):
            for name, command in commands.items():
                measured = measure(command, Path(folder))
                if turn:
                    seconds[name].append(measured)
    names = "bitcodes", "numpy", "onnxruntime", "torch", "typer"
    print(f"{platform.system()}, {processor()}, Python {platform.python_version()},")
    print(", ".join(f"{name} {version(name)}" for name in names))
    print(f"\nMedians of {options.rounds}, in seconds:\n")
    print("| command | time | processor time |\n| --- | --- | --- |")
    for name, times in seconds.items():
        passed, processed = map(statistics.median, zip(*times, strict=True))
        print(f"| `{name}` | {passed:.2f} | {processed:.2f} |")


def prepare(folder: Path, photo: Path, run: str | None) -> dict[str, list[str]]:
    """Make the code sets that the commands read; the commands, by how they are shown."""
    shutil.copy(photo, folder / "photo.jpg")
    bitcodes = shutil.which("bitcodes", path=Path(sys.executable).parent)
    program = [bitcodes] if bitcodes else [sys.executable, "-m", "bitcodes"]
    with_run: list[str] = []
    if run is not None:  # a path, or the name of a built-in model
        with_run = ["--run", str(Path(run).resolve()) if Path(run).exists() else run]
    encode = [*program, "encode", "photo.jpg", "-o", "query.npy", *with_run]
    subprocess.run(encode, cwd=folder, check=True)
    make_set(CodeSet.open(folder / "query.npy"), folder / "codes.npy")
    shown = {
        "bitcodes --help": ["--help"],
        "bitcodes search --help": ["search", "--help"],
        "bitcodes finetune --help": ["finetune", "--help"],
        "bitcodes encode photo.jpg": [*encode[len(program) :], "--force"],
        "bitcodes search photo.jpg": ["search", "photo.jpg", *with_run],
        "bitcodes search query.npy": ["search", "query.npy"],
        "bitcodes duplicates --radius 0": ["duplicates", "--radius", "0"],
        "bitcodes info": ["info"],
    }
    modules = "numpy", "onnxruntime", "numba", "torch"
    return {
        'python -c "pass"': [sys.executable, "-c", "pass"],
        **{f'python -c "import {m}"': [sys.executable, "-c", f"import {m}"] for m in modules},
        **{name: [*program, *words] for name, words in shown.items()},
    }


def make_set(query: CodeSet, file: Path) -> None:
    """A stored set of COUNT codes: that of the photo, and random ones of the same length."""
    codes = np.random.default_rng(0).integers(0, 256, (COUNT, query.codes.shape[1]), np.uint8)
    codes[0] = query.codes[0]
    paths = [query.paths[0], *(f"{row // 1000}/{row}.jpg" for row in range(1, COUNT))]
    with CodeSetWriter(file, **(plan_of(query) | {"columns": []})) as writer:
        writer.append(codes, paths)
        writer.commit()


def measure(command: list[str], folder: Path) -> tuple[float, float]:
    """The seconds that a command takes: the time that passes, and the processor time."""
    before, start = processed(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start, processed() - before


def processed() -> float:
    """The processor time of all children so far; nan where the system does not tell."""
    if resource is None:
        return float("nan")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
