"""Runs the commands one after another in the working folder: a script for test_three_systems.py."""

import json
import os
import shutil
import sys
from pathlib import Path

from bitcodes.cli.app import main

_OWN = Path(__file__).parents[2] / "examples" / "own_parts.py"
_SMALL = "--backbone own_parts:small_network --image-size 32 --batch-size 8"
_QUICK = f"{_SMALL} --device cpu --amp off --workers 2"
_TEN_STEPS = "finetune --data few --bits 16 --max-steps 10 --run runs/ten"
_LABEL_FREE = "finetune --data pictures --loss itq --bits 16 --run runs/itq"
_READ = "--workers 2 --device cpu"
_ENCODE = f"{_READ} --batch-size 8 --features"
_KEPT = {"train": 40, "test": 6, "database": 40}  # of the lines of the demo set's lists


def _run(line: str) -> None:
    print(f"bitcodes {line}", flush=True)
    try:
        main(line.split())
    except SystemExit as end:
        if end.code:
            print(f"bitcodes {line}: exit status {end.code}", file=sys.stderr)
            raise


def _make_few() -> None:
    """A small part of the demo set: few/, its lists, and pictures/, a folder without labels."""
    Path("few").mkdir()
    Path("pictures/later").mkdir(parents=True)
    description = json.loads(Path("data/demo/dataset.json").read_bytes())
    description["counts"] = _KEPT
    Path("few/dataset.json").write_text(json.dumps(description), encoding="utf-8")
    for name, count in _KEPT.items():
        lines = Path(f"data/demo/{name}.txt").read_text(encoding="utf-8").splitlines()
        few = lines[:: len(lines) // count][:count]
        text = "".join(f"../data/demo/{line}\n" for line in few)
        Path(f"few/{name}.txt").write_bytes(text.encode())
        for line in few:
            image = Path("data/demo", line.split()[0])
            _fix_time(image)
            _copy(image, Path(f"pictures/{name}-{image.parent.name}-{image.name}"))


def _copy(image: Path, to: Path) -> None:
    shutil.copy(image, to)
    _fix_time(to)


def _fix_time(image: Path) -> None:
    """Code sets are compared, and record when images changed."""
    os.utime(image, (1_700_000_000, 1_700_000_000))


def _run_all() -> None:
    shutil.copy(_OWN, ".")  # a small network is exported soon
    _run("prepare demo")
    _make_few()
    _run(f"{_TEN_STEPS} {_QUICK}")
    _run(f"{_LABEL_FREE} {_QUICK}")
    _run(f"encode pictures {_ENCODE} --run runs/ten")
    _run(f"encode pictures {_ENCODE} --run runs/ten")
    for image in sorted(Path("pictures").glob("test-*")):
        _copy(image, Path("pictures/later", image.name))
    _run(f"encode pictures/later {_ENCODE} --run runs/ten --append")
    _run(f"encode pictures {_ENCODE} -o newest.npy")
    for part in (1, 2):
        _run(f"encode pictures {_ENCODE} -o part{part}.npy --part {part}/2")
    _run("merge part1.npy part2.npy -o merged.npy")
    _run(f"search pictures/later {_READ} -k 3 --threads 2")
    _run("index --tables")
    _run(f"search pictures/later {_READ} -k 3 --threads 2")
    _run("duplicates --radius 1 --threads 2")
    _run(f"evaluate --run runs/ten {_READ} --json")


if __name__ == "__main__":
    _run_all()
