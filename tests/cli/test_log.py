"""Standard error as a log, and what a command does if its output cannot be written."""

import io
import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest
from commands import run
from rich.console import Console
from rich.progress import Progress

from bitcodes.cli import console, log, training_progress


def documents(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_is_a_document_with_the_time(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("encode", "photos", "--log-format", "json") == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("codes.npy: 11 codes")
    lines = documents(shown.err)
    assert [line["level"] for line in lines] == ["info"] * len(lines)
    assert any(line["message"].startswith("skipped 'photos/a b.jpg'") for line in lines)
    assert all(datetime.fromisoformat(line["time"]).utcoffset() is not None for line in lines)

    assert run("encode", "nothing", "--log-format", "json") == 1
    (line,) = documents(capsys.readouterr().err)
    assert line["level"] == "error" and line["message"].startswith("no such file or folder")
    assert run("encode", "photos", "-o", "x.npy", "--bits", "3", "--log-format", "json") == 2
    (line,) = documents(capsys.readouterr().err)
    assert line["message"].startswith("--bits: expected 32, ") and line["level"] == "error"
    assert run("encode", "nothing") == 1
    assert capsys.readouterr().err.startswith("error: no such file or folder")


class Clock:
    """The time that the console sees, in seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        monkeypatch.setattr(console, "time", SimpleNamespace(monotonic=lambda: self.seconds))


def test_progress_has_the_time_and_the_rate(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "_PLAIN_LINE_SECONDS", 0.0)
    clock = Clock(monkeypatch)
    with console.progress("images") as report:
        report(0, 80)
        clock.seconds += 5
        report(40, 80)
    _, line = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d images: 40/80, 8/s, 5 s left", line)
    with log.logging():
        assert isinstance(sys.stderr, log._Log)
        sys.stderr.is_json = True
        with console.progress("images") as report:
            report(0, 80)
            clock.seconds += 4
            report(40, 80)
    *_, line = documents(capsys.readouterr().err)
    facts = {"step": "images", "done": 40, "total": 80, "per_second": 10.0}
    assert line.items() >= facts.items()


def test_work_that_begins_anew_has_a_rate_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As training images that are read at a larger size, half an hour later."""
    monkeypatch.setattr(console, "_PLAIN_LINE_SECONDS", 0.0)
    monkeypatch.setattr(console, "log", lambda message, **facts: lines.append(message))
    lines: list[str] = []
    clock = Clock(monkeypatch)
    with console.progress("images") as report:
        for done, total, seconds in ((40, 40, 1800), (10, 80, 5), (50, 80, 0)):
            report(done, total)
            clock.seconds += seconds
    assert lines == ["images: 40/40", "images: 10/80", "images: 50/80, 8/s, 4 s left"]


def test_a_bar_of_work_that_begins_anew_has_a_rate_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "err", Console(file=io.StringIO(), force_terminal=True))
    clock = Clock(monkeypatch)
    shown: list[str] = []
    monkeypatch.setattr(
        Progress, "update", lambda this, bar, *, description, **_: shown.append(description)
    )
    with training_progress.reporting() as (loading, _):
        for done, total, seconds in ((10, 40, 1), (40, 40, 1800), (10, 80, 5), (50, 80, 0)):
            loading(done, total)
            clock.seconds += seconds
    assert shown[2:] == ["reading images: 10 of 80", "reading images: 50 of 80, 4 s left"]


def test_training_tells_its_figures(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)  # where runs/latest is written
    quick = ("--no-pretrained", "--image-size", 32, "--val", 0, "--instance-bits", 0)
    words = ("--data", data, "--run", tmp_path / "run", *quick, "--epochs", 1, "--amp", "off")
    assert run("finetune", *words, "--log-format", "json") == 0
    (line,) = [line for line in documents(capsys.readouterr().err) if "epoch" in line]
    assert (line["epoch"], line["step"], line["val_map"]) == (1, 1, None)
    assert line["loss"] > 0 and line["images_per_second"] > 0


class _Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_log_that_cannot_be_written_stops_no_work(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", _Full())
    assert run("encode", "photos") == 0
    assert capsys.readouterr().out.startswith("codes.npy: 11 codes")


def bitcodes(*words: str, stdout: IO[bytes] | int, **options: Any) -> tuple[int, str]:
    """The exit status and the errors of a command in a process of its own."""
    command = [sys.executable, "-m", "bitcodes", *words]
    done = subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, **options)
    return done.returncode, done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("words", [("--help",), ("info", "built-in", "--json")])
def test_a_full_disk_is_one_line(words: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        status, errors = bitcodes(*words, stdout=full)
    assert status == 1
    assert errors == "error: No space left on device; make room, and run this again\n"


@pytest.mark.skipif(os.name != "posix", reason="pipes of this system tell it in other words")
@pytest.mark.parametrize("words", [("--help",), ("info", "built-in")])
def test_a_reader_that_goes_away_fails_no_pipeline(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert bitcodes(*words, stdout=writing) == (0, "")
    finally:
        os.close(writing)


@pytest.mark.skipif(os.name != "posix", reason="descriptors are closed in another way there")
def test_a_closed_standard_output_is_one_line() -> None:
    status, errors = bitcodes("info", "built-in", stdout=subprocess.DEVNULL, preexec_fn=_close)
    assert status == 1
    assert errors.startswith("error: standard output is closed; ") and errors.count("\n") == 1


def _close() -> None:
    os.close(1)
