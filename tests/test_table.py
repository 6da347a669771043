"""benchmarks/table.py on a document of its own, with commands that print tables."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "table.py"
DOCUMENT = """Text.

<!-- table one: python print.py a && python print.py b -->
| loss | old |
<!-- end -->

More | text.

<!-- table two: python print.py RUN -->
| loss | old |
<!-- end -->
"""
PRINT = """
import sys
from pathlib import Path
with open("calls", "a") as file:
    file.write(sys.argv[1])
print("| an earlier | table |")
print("words")
print(f"| loss | {sys.argv[1]} bits |\\n| --- | --- |")
print("\\n".join(f"| {loss} | {len(loss)} |" for loss in Path(sys.argv[1]).read_text().split()))
"""
ONE = "| loss | a bits | b bits |\n| --- | --- | --- |\n| ce | 2 | 2 |\n| csq | 3 |  |\n"
TWO = "| loss | a bits |\n| --- | --- |\n| ce | 2 |\n| csq | 3 |\n"


@pytest.fixture
def work(tmp_path: Path) -> Path:
    (tmp_path / "doc.md").write_text(DOCUMENT)
    work = tmp_path / "work"
    work.mkdir()
    (work / "print.py").write_text(PRINT)
    (work / "a").write_text("ce csq")
    (work / "b").write_text("dch ce")
    return work


def table(work: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    where = ("--document", "doc.md", "--work", "work")
    return subprocess.run(
        [sys.executable, SCRIPT, *where, *arguments],
        cwd=work.parent,
        capture_output=True,
        text=True,
    )


def test_tables_are_made_anew_once(work: Path) -> None:
    document, calls = work.parent / "doc.md", work / "calls"
    listed = table(work, "--list")
    assert listed.stdout.splitlines() == [
        "one: python print.py a && python print.py b",
        "two: python print.py RUN",
    ]
    checked = table(work, "--only", "one", "--check")
    assert checked.returncode == 1
    changes = [line for line in checked.stdout.splitlines()[3:] if line[0] in "+-"]
    assert changes == ["-| loss | old |", *(f"+{line}" for line in ONE.splitlines())]
    assert document.read_text() == DOCUMENT

    done = table(work)
    assert done.returncode == 0
    assert "two: left out: name RUN=..." in done.stderr
    before, _, after = DOCUMENT.partition("| loss | old |\n")
    assert document.read_text() == before + ONE + after
    assert calls.read_text() == "ab"  # what has ended is not repeated
    assert table(work, "--only", "one", "--check").returncode == 0

    assert table(work, "RUN=a", "--only", "two").returncode == 0
    assert document.read_text().endswith(f"-->\n{TWO}<!-- end -->\n")
    assert calls.read_text() == "ab"


def test_a_command_that_fails_leaves_its_table_and_is_tried_again(work: Path) -> None:
    (work / "b").unlink()
    done = table(work)
    assert "one: left out: " in done.stderr and "print.py b ended with 1" in done.stderr
    assert (work.parent / "doc.md").read_text() == DOCUMENT
    (work / "b").write_text("dch ce")
    assert table(work).returncode == 0
    assert (work / "calls").read_text() == "abb"
    assert ONE in (work.parent / "doc.md").read_text()
    assert table(work, "--only", "three").returncode == 2


def test_every_table_of_the_document_has_a_command_that_is_there() -> None:
    done = subprocess.run(
        [sys.executable, SCRIPT, "--list"], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert len(lines) >= 7
    for line in lines:
        for command in line.split(": ", 1)[1].split(" && "):
            program, script, *_ = command.split()
            assert program == "python" and (SCRIPT.parents[1] / script).is_file()
