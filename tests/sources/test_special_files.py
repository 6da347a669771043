"""Named pipes, sockets, devices and folders in place of lists, archives and images: no hang."""

import os
import socket
from pathlib import Path

import pytest

from bitcodes.errors import DataError, ImageError
from bitcodes.files import open_regular
from bitcodes.sources.description import read_description
from bitcodes.sources.lists import read_list
from bitcodes.sources.source import open_stream

pytestmark = pytest.mark.posix


@pytest.fixture(params=["a named pipe", "a socket", "a device"])
def special(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """The beginning of names of such files in the working folder, and what they are."""
    monkeypatch.chdir(tmp_path)
    for suffix in ("txt", "tar", "tar.gz", "zip", "png", "json"):
        if request.param == "a named pipe":
            os.mkfifo(f"x.{suffix}")
        elif request.param == "a socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(f"x.{suffix}")
        else:
            Path(f"x.{suffix}").symlink_to("/dev/zero")
    return "x", request.param


def test_each_is_one_error(special: tuple[str, str]) -> None:
    name, kind = special
    for suffix in ("txt", "tar", "tar.gz", "zip"):
        with pytest.raises(DataError, match=f"x.{suffix}.*it is {kind}, not a file"):
            open_stream([f"{name}.{suffix}"])
    with pytest.raises(DataError, match=kind):
        read_list(Path(f"{name}.txt"))
    (item,) = open_stream([f"{name}.png"])
    with pytest.raises(ImageError, match=kind):
        item.place.read(lambda image: image)
    Path(f"{name}.json").rename("dataset.json")
    with pytest.raises(DataError, match=kind):
        read_description(Path())


def test_folders_and_files(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="it is a folder, not a file"):
        open_regular(tmp_path)
    (tmp_path / "a").write_bytes(b"1")
    with open_regular(tmp_path / "a") as file:
        assert file.read() == b"1"


def test_names_that_are_too_long_are_not_there(tmp_path: Path) -> None:
    for name in ("a" * 300, "/".join(["d"] * 3000), "/".join(["d" * 200] * 25)):
        for suffix in ("", ".txt", ".tar", ".png"):
            with pytest.raises(DataError, match="no such file") as caught:
                open_stream([name + suffix])
            assert len(str(caught.value)) < 300
        (tmp_path / "list.txt").write_text(f"{name}.png 1 0\n{name}2.png 0 1\n")
        with pytest.raises(DataError, match="not there: 2 of 2 images"):
            open_stream([str(tmp_path / "list.txt")])
