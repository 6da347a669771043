"""What the system refuses to do with a file is one line, whatever command wanted it."""

import errno
from pathlib import Path

import numpy as np
import pytest
from commands import run

from bitcodes.cli import app


def test_a_name_that_cannot_be_replaced_is_the_one_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not that of the temporary file which was to take its place."""

    def fail(*arguments: object, **options: object) -> None:
        raise IsADirectoryError(errno.EISDIR, "Is a directory", ".run.tmp", None, "run")

    monkeypatch.setattr(app, "app", fail)
    assert run("search") == 1
    assert capsys.readouterr().err.startswith("error: run: Is a directory")


@pytest.mark.posix
def test_a_folder_where_a_file_is_to_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("codes.npy", np.zeros((3, 2), np.uint8))
    (tmp_path / "found.html").mkdir()
    assert run("search", "codes.npy", "--html", "found.html") == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1] == "error: the page found.html cannot be written: it is a folder, not a file"
    assert list(Path("found.html").iterdir()) == []
