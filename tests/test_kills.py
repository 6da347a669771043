"""A short campaign of benchmarks/kills.py: commands that are killed end as if they had not been."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
COMMANDS = ("encode --append a folder", "prepare folder again", "search --html")


@pytest.mark.skipif(sys.platform != "linux", reason="slow where processes are not forked")
def test_a_few_kills_change_nothing() -> None:
    command = [sys.executable, BENCHMARKS / "kills.py", "--kills", "6", "--only", *COMMANDS]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert re.findall(r"^\| all \| \d+ \| (.*) \|$", ended.stdout, re.M) == ["6 | 0 | 0 | 0 | 0"]


WRITER = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dying import Operations
folder = Path(sys.argv[2])
operations = Operations(folder, int(sys.argv[3]))
operations.watch()
(folder / "a").mkdir()
with (folder / "a/b").open("wb") as file:
    file.write(b"four")
os.replace(folder / "a/b", folder / "c")
print("; ".join(operations.names))
"""
STEPS = ["os.mkdir a", "open b", "write b", "half write b", "os.rename b"]


@pytest.mark.parametrize("end_at", range(6))
def test_a_process_ends_at_the_operation_that_is_named(tmp_path: Path, end_at: int) -> None:
    command = [sys.executable, "-c", WRITER, BENCHMARKS, tmp_path, str(end_at)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {
        path.relative_to(tmp_path).as_posix(): path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    states = [{"c": b"four"}, {}, {}, {"a/b": b""}, {"a/b": b"fo"}, {"a/b": b"four"}]
    assert found == states[end_at]
    if end_at:
        assert ended.returncode != 0
    else:
        assert ended.stdout.split("\n")[0] == "; ".join(STEPS)
    assert os.name == "nt" or ended.returncode == (-9 if end_at else 0)
