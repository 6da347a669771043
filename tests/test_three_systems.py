"""The commands do without what Windows and macOS lack, and write the same there, byte for byte.

The same commands run twice: as they are, and in processes from which three_systems/sitecustomize.py
has taken the calls that Linux has alone. What this cannot show is what those systems do otherwise:
their paths, and files that are open and cannot be replaced; the workflow runs the tests there.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "three_systems"
CODE_SETS = ("codes", "newest", "part1", "part2", "merged")
SETS_OF_RUN = ("queries", "database")


@dataclass
class Done:
    """What the commands printed and wrote, and how many processes took part where it is counted."""

    out: str
    folder: Path
    processes: int


def run_commands(folder: Path, disturbed: bool) -> Done:
    """Run commands.py in a new folder; `disturbed`: without the calls that Linux has alone."""
    folder.mkdir()
    count = folder.with_name("processes.txt")
    environment = os.environ | {"NO_COLOR": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    if disturbed:
        inherited = os.environ.get("PYTHONPATH")
        paths = [str(HERE), *([inherited] if inherited else [])]
        environment |= {
            "PYTHONPATH": os.pathsep.join(paths),
            "BITCODES_TEST_PROCESSES": str(count),
        }
    done = subprocess.run(
        [sys.executable, HERE / "commands.py"],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    signed = count.read_text(encoding="utf-8").splitlines() if disturbed else []
    return Done(done.stdout, folder, len(set(signed)))


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Done, Done]:
    """(as it is, without those calls), of one folder after the other: code sets record its name."""
    folder = tmp_path_factory.mktemp("systems") / "work"
    usual = run_commands(folder, disturbed=False)
    usual.folder = folder.rename(folder.with_name("usual"))
    return usual, run_commands(folder, disturbed=True)


def files_of(code_set: Path) -> dict[str, bytes]:
    """Every file of a code set, by name."""
    parts = code_set.parent.glob(f"{code_set.stem}.*")
    return {path.name: path.read_bytes() for path in parts if path.is_file()}


def test_the_commands_need_nothing_that_linux_has_alone(both: tuple[Done, Done]) -> None:
    assert both[1].processes > 2  # workers do without those calls too


@pytest.mark.parametrize("name", CODE_SETS)
def test_code_sets_are_the_same(both: tuple[Done, Done], name: str) -> None:
    expected, actual = (files_of(done.folder / f"{name}.npy") for done in both)
    assert {f"{name}.npy", f"{name}.json", f"{name}.paths.txt"} <= expected.keys()
    assert actual == expected


@pytest.mark.parametrize("name", SETS_OF_RUN)
def test_code_sets_of_an_evaluation_are_the_same(both: tuple[Done, Done], name: str) -> None:
    expected, actual = (files_of(done.folder / f"runs/ten/evaluation/{name}.npy") for done in both)
    assert len(expected) > 2
    assert actual == expected


def test_the_demo_set_and_its_lists_are_the_same(both: tuple[Done, Done]) -> None:
    folders = [done.folder / "data/demo" for done in both]
    names = [sorted(p.relative_to(f) for p in f.rglob("*") if p.is_file()) for f in folders]
    assert names[0] == names[1]
    assert len(names[0]) > 3000
    for name in names[0]:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


def test_results_are_the_same(both: tuple[Done, Done]) -> None:
    assert both[0].out.count("\nbitcodes search ") == 2  # all came to their turn
    usual, actual = (re.sub(r"built in \S+ s", "built", done.out) for done in both)
    assert actual == usual
