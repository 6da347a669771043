"""Where a folder may not be written to, each command says so in one line, without a traceback."""

import errno
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands import run
from small import make_dataset
from tiny import make_pictures, make_run

from bitcodes.runs import set_latest
from bitcodes.settings import Settings

_CALLS = (
    *((os, name) for name in ("mkdir", "rmdir", "unlink", "remove", "symlink", "truncate")),
    *((os, name) for name in ("rename", "replace", "link", "utime", "chmod")),
)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with all that commands read, and an empty folder `locked`."""
    monkeypatch.chdir(tmp_path)
    data = make_dataset(tmp_path / "colours", count=16, queries=4)
    for number in range(12):
        folder = tmp_path / "sorted" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(data / f"{number:03}.png", folder)
    make_pictures(tmp_path / "photos", 4)
    one = make_run(tmp_path / "runs" / "one")
    Settings(data=data).save(one / "config.yaml")
    set_latest(one)
    assert run("encode", "photos", "--workers", 0, "--features") == 0
    (tmp_path / "locked").mkdir()
    shutil.copytree(one, tmp_path / "locked" / "run")
    assert run("encode", "photos", "--workers", 0, "-o", "locked/codes.npy") == 0
    return tmp_path


@pytest.fixture(params=[errno.EACCES, errno.EROFS])
def locked(place: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """The folder `locked`, which may not be written to, also by root."""
    folder = place / "locked"

    def check(path: Any) -> None:
        if isinstance(path, int):
            return
        where = Path(os.path.abspath(os.fsdecode(path)))  # noqa: PTH100
        if where != folder and where.is_relative_to(folder):
            raise OSError(request.param, os.strerror(request.param), str(path))

    def guarded(call: Callable[..., Any]) -> Callable[..., Any]:
        def checked(path: Any, *rest: Any, **options: Any) -> Any:
            for name in (path, *rest[:1]):
                if isinstance(name, str | bytes | Path):
                    check(name)
            return call(path, *rest, **options)

        return checked

    for module, name in _CALLS:
        monkeypatch.setattr(module, name, guarded(getattr(module, name)))
    real_open, real_low = io.open, os.open

    def checked_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
        if set(mode) & set("wax+"):
            check(file)
        return real_open(file, mode, *rest, **options)

    def checked_low(path: Any, flags: int, *rest: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            check(path)
        return real_low(path, flags, *rest, **options)

    monkeypatch.setattr(io, "open", checked_open)
    monkeypatch.setattr("builtins.open", checked_open)
    monkeypatch.setattr(os, "open", checked_low)
    return folder


_TRAIN = ["--backbone", "small", "--image-size", "32", "--batch-size", "8", "--device", "cpu"]
_TRAIN += ["--amp", "off", "--workers", "0", "--max-steps", "1"]

COMMANDS = {
    "prepare demo": ["prepare", "demo", "locked/demo"],
    "prepare folder": ["prepare", "folder", "sorted", "locked/lists"],
    "prepare cifar10": ["prepare", "cifar10", "locked/cifar", "--source", "sorted"],
    "finetune": ["finetune", "--data", "colours", "--run", "locked/new", *_TRAIN],
    "finetune, class folders": ["finetune", "sorted", "--run", "locked/new", *_TRAIN],
    "finetune, no labels": ["finetune", "photos", "--run", "locked/new", *_TRAIN[:8]],
    "encode": ["encode", "photos", "-o", "locked/new.npy", "--workers", "0"],
    "encode, anew": ["encode", "photos", "-o", "locked/codes.npy", "--features", "--force"],
    "index": ["index", "locked/codes.npy"],
    "merge": ["merge", "codes.npy", "-o", "locked/new.npy"],
    "export, rows": ["export", "codes.npy", "locked/codes.csv"],
    "export": ["export", "locked/model.onnx", "--run", "runs/one"],
    "search --html": ["search", "photos/00.png", "--html", "locked/page.html"],
    "duplicates --html": ["duplicates", "--html", "locked/page.html"],
    "evaluate": ["evaluate", "locked/run", "--workers", "0"],
    "evaluate, class folders": ["evaluate", "locked/run", "--data", "sorted", "--workers", "0"],
    "evaluate --report": ["evaluate", "--report", "locked/page.html", "--workers", "0"],
    "evaluate --plots": ["evaluate", "--plots", "locked/plots", "--workers", "0"],
}


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_locked_folder_is_one_line(
    words: list[str], locked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(locked.rglob("*"))
    assert run(*words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "locked" in lines[-1]
    assert ".tmp" not in lines[-1]
    assert "what is done so far" not in lines[-1]
    assert "denied" in lines[-1] or "Read-only" in lines[-1]
    assert sorted(locked.rglob("*")) == before


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_a_file_in_place_of_a_folder_is_one_line(
    words: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree("locked")
    Path("locked").write_bytes(b"text")
    assert run(*words) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if line.startswith("error: ")] == lines[-1:]
    assert "locked" in lines[-1]
    assert Path("locked").read_bytes() == b"text"


def test_a_set_that_is_up_to_date_may_lie_in_a_locked_folder(locked: Path) -> None:
    assert run("encode", "photos", "-o", "locked/codes.npy", "--workers", 0) == 0
    assert run("search", "photos/00.png", "--codes", "locked/codes.npy") == 0


def test_a_run_elsewhere_is_trained_from_a_locked_folder(
    locked: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(locked)
    for number, more in enumerate((_TRAIN, [*_TRAIN, "--freeze"])):
        made = locked.parent / f"run{number}"
        assert run("finetune", "--data", locked.parent / "colours", "--run", made, *more) == 0
        shown = capsys.readouterr().err
        assert f"name this run with --run {made}" in shown
        assert shown.splitlines()[-1].endswith(f" --run {made}")


@pytest.mark.posix
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_a_folder_that_is_read_only_in_truth(place: Path) -> None:
    Path("locked").chmod(0o555)
    command = [sys.executable, "-m", "bitcodes", "prepare", "demo", "locked/demo"]
    done = subprocess.run(command, capture_output=True, text=True)
    Path("locked").chmod(0o755)
    assert done.returncode == 1
    assert done.stderr == "error: cannot make the data folder locked/demo: Permission denied\n"
