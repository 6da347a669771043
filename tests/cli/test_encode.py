"""`bitcodes encode` as a user runs it."""

import io
import os
import re
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import commands
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.files import lock

run = partial(commands.run, "encode", "--workers", "0")


def test_a_folder_in_the_short_form(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("photos") == 0
    shown = capsys.readouterr()
    assert shown.out == ("codes.npy: 11 codes of 24 bits, 1 image skipped (codes.skipped.txt)\n")
    bad = repr(str(Path("photos/a b.jpg")))
    assert shown.err.startswith(f"model: runs/one, 24 bits\nskipped {bad}: not an image")
    assert Path("codes.skipped.txt").read_text().startswith("a b.jpg\tnot an image")
    assert CodeSet.open("codes.npy").features is None

    assert run("photos") == 0
    assert "codes.npy is up to date: the same model and the same 12 images, 1 of them skipped" in (
        capsys.readouterr().err
    )
    assert run("photos", "--features") == 1
    assert "no features" in capsys.readouterr().err
    assert run("photos", "--features", "--force", "-o", "codes.npy") == 0
    assert CodeSet.open("codes.npy").features is not None


def test_a_set_in_a_folder_above_is_pointed_out(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run("photos") == 0
    monkeypatch.chdir(place / "photos")
    capsys.readouterr()
    assert run(".", "--run", "../runs/one") == 0
    above = os.path.join("..", "codes.npy")  # noqa: PTH118
    note = f"note: this makes a new code set, codes.npy; to add to {above} instead: "
    assert capsys.readouterr().err.startswith(f"{note}bitcodes encode . --append -o {above}\n")
    assert run(".", "--run", "../runs/one") == 0  # it is known here
    assert run(".", "--run", "../runs/one", "-o", "new.npy") == 0  # it was named
    assert "note:" not in capsys.readouterr().err


DEADLY = """
import os, signal, sys
import tiny
from bitcodes.cli.app import main
from bitcodes.sources import reading

whole = reading.open_reduced
def open_reduced(file, reduction):
    if file.name.endswith("06.png"):
        os.kill(os.getpid(), signal.SIGKILL)
    return whole(file, reduction)

reading.open_reduced = open_reduced
main(sys.argv[1:])
"""


def _run_deadly(*arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run bitcodes with a decoder that kills its process at the image 06.png."""
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    return subprocess.run(
        [sys.executable, "-c", DEADLY, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("workers", "size", "engine"),
    [(0, 5, "onnx"), (0, 32, "torch"), (2, 5, "torch"), (2, 32, "onnx")],
)
@pytest.mark.proc  # Linux alone starts processes without importing the main module
def test_a_decoder_that_kills_its_process_costs_one_image(
    place: Path, engine: str, size: int, workers: int
) -> None:
    model = ("--run", "built-in") if engine == "onnx" else ("--run", "runs/one")
    same = (*model, "--engine", engine, "--batch-size", size, "--workers", workers)
    if workers == 0:
        assert _run_deadly("encode", "photos", *same).returncode == -signal.SIGKILL
        assert not Path("codes.npy").exists()
    done = _run_deadly("encode", "photos", *same)
    assert done.returncode == 0, done.stderr
    skipped = dict(CodeSet.open("codes.npy").skipped)
    assert skipped.keys() == {"06.png", "a b.jpg"} and "was killed" in skipped["06.png"]
    assert commands.run("encode", "photos", "-o", "whole.npy", *same) == 0
    whole = CodeSet.open("whole.npy")
    rows = [row for row, path in enumerate(whole.paths) if path != "06.png"]
    made = CodeSet.open("codes.npy")
    assert list(made.paths) == [whole.paths[row] for row in rows]
    assert made.codes.tolist() == whole.codes[rows].tolist()


@pytest.mark.proc
def test_a_query_that_kills_its_process_is_left_out_of_several(place: Path) -> None:
    assert run("photos", "--run", "built-in") == 0
    done = _run_deadly("search", "photos/06.png", "photos/05.png", "-k", 1)
    assert done.returncode == 0, done.stderr
    assert "photos/06.png left out: each process that read it was killed" in done.stderr
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == ["photos/05.png"]


def test_lists_and_standard_input(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("list.txt").write_text("photos/03.png 0 1\nphotos/01.png 1 0\n")
    assert run("list.txt", "-o", "list.npy") == 0
    made = CodeSet.open("list.npy")
    assert made.labels is not None and made.labels.tolist() == [1, 0]

    paths = io.TextIOWrapper(io.BytesIO(b"05.png\n02.png\n"))
    monkeypatch.setattr(sys, "stdin", paths)
    assert run("-", "--root", "photos", "-o", "stdin.npy") == 0
    assert list(CodeSet.open("stdin.npy").paths) == ["05.png", "02.png"]
    assert run("photos/00.png", "photos/04.png", "-o", "two.npy") == 0
    assert list(CodeSet.open("two.npy").paths) == ["photos/00.png", "photos/04.png"]


def test_errors_are_a_line_and_exit_1(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cases = {
        ("nowhere",): "no such file or folder: 'nowhere'",
        ("photos", "--strict"): "a b.jpg' cannot be read: not an image",
        ("photos", "--run", "runs/none"): "runs/none: no such run",
        ("photos", "-o", "codes.txt"): "codes.txt",
    }
    for arguments, message in cases.items():
        assert run(*arguments) == 1
        *before, shown = capsys.readouterr().err.splitlines()
        assert shown.startswith("error: ") and message in shown
        assert before in ([], ["model: runs/one, 24 bits"])
    with lock(place / ".codes.npy.lock", "codes.npy"):
        assert run("photos") == 1
    assert "another process" in capsys.readouterr().err
    assert run() == 1
    assert "there is no such code set" in capsys.readouterr().err


def test_the_lists_of_a_data_folder_are_pointed_out(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree("photos", "sorted/a")
    shutil.copytree("photos", "sorted/b")
    assert commands.run("prepare", "folder", "sorted", "lists") == 0
    database = Path("lists/database.txt")
    hint = f"lists is a data folder: bitcodes encode {database} encodes its database, with labels"
    capsys.readouterr()
    assert run("lists") == 1  # the images are not in it
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: no images in the folder 'lists'") and second.strip() == hint
    shutil.copytree("photos", "lists/a")
    assert run("lists") == 0
    assert hint in capsys.readouterr().err.splitlines()
    assert run(database, "-o", "labelled.npy") == 0
    assert CodeSet.open("labelled.npy").labels is not None


SLOW = """
import sys, time
import tiny
from bitcodes.cli.app import main
from bitcodes.models.hashing import HashModel

whole = HashModel.encode_batch
def encode_batch(self, images):
    time.sleep(0.3)
    print("batch", flush=True)
    return whole(self, images)

HashModel.encode_batch = encode_batch
main(["encode", "photos", "--engine", "torch", "--batch-size", "2", *sys.argv[1:]])
"""


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.posix
def test_ctrl_c_stops_at_once_and_the_next_run_continues(
    place: Path, capsys: pytest.CaptureFixture[str], workers: str
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, "--workers", workers],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a group of its own, all of which Ctrl-C reaches
    )
    assert process.stdout is not None
    for _ in range(3):
        assert process.stdout.readline() == "batch\n"
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert errors.endswith("interrupted; the same command continues where it stopped\n")
    assert not Path("codes.npy").exists()

    same = ("photos", "--engine", "torch", "--batch-size", "2")
    assert run(*same) == 0
    assert re.search("^continuing after [468] of 12 images\n", capsys.readouterr().err, re.M)
    assert run(*same, "-o", "whole.npy") == 0
    for suffix in (".npy", ".json", ".paths.txt", ".skipped.txt", ".stat.npy"):
        assert Path(f"codes{suffix}").read_bytes() == Path(f"whole{suffix}").read_bytes()


def test_damage_of_an_archive_is_said_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.make_archive("whole", "tar", "photos")
    content = Path("whole.tar").read_bytes()
    Path("cut.tar").write_bytes(content[: len(content) // 2])
    for _ in range(2):  # the second time it is up to date
        assert run("cut.tar", "-o", "cut.npy") == 0
        assert capsys.readouterr().err.count("'cut.tar': it ends with") == 1
    Path("empty.tar").write_bytes(content[:1000])
    assert run("empty.tar", "-o", "empty.npy") == 1
    shown = capsys.readouterr()
    assert shown.err.count("'empty.tar': ") == 1 and shown.err.splitlines()[-1].startswith("error")
