"""Paths with forward slashes, and what is relative to what."""

import ntpath
import os
from pathlib import Path

import pytest

from bitcodes.codes.paths import with_slashes
from bitcodes.sources import paths
from bitcodes.sources.lists import parse_list, write_list
from bitcodes.sources.paths import absolute, below, folder_of, is_remote, joined, quote_path


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths as on Windows, with C:\\work as the working folder."""
    monkeypatch.setattr(paths, "with_slashes", lambda path: with_slashes(path, ntpath.sep))
    monkeypatch.setattr(paths.os.path, "abspath", lambda path: ntpath.join(r"C:\work", str(path)))


def test_only_the_separators_of_the_system_become_slashes() -> None:
    assert with_slashes(r"a\b c/d.png", "\\") == "a/b c/d.png"
    assert with_slashes(r"a\b c/d.png", "/") == r"a\b c/d.png"


def test_paths_of_windows(windows: None) -> None:
    assert absolute(r"photos\a.png") == "C:/work/photos/a.png"
    assert below(r"C:\work\photos\a.png", r"C:\work") == "photos/a.png"
    assert below(r"C:\work\photos\a.png", "C:/work/") == "photos/a.png"
    assert below(r"D:\photos\a.png", r"C:\work") == "D:/photos/a.png"
    assert below(r"C:\work\a.png", "C:\\") == "work/a.png"


def test_below() -> None:
    assert below("/data/photos/a.png", "/data") == "photos/a.png"
    assert below("/data/photos/a.png", Path("/data/photos")) == "a.png"
    assert below("/database/a.png", "/data") == "/database/a.png"
    assert below("/a.png", "/") == "a.png"


def test_what_is_joined_to_what() -> None:
    assert joined("/data", "a.png") == "/data/a.png"
    assert joined("/data", "/elsewhere/a.png") == "/elsewhere/a.png"
    assert joined("s3://bucket/x.tar", "a.png") == "s3://bucket/x.tar/a.png"
    assert joined("/data", "s3://bucket/a.png") == "s3://bucket/a.png"


def test_what_an_archive_lies_in() -> None:
    assert folder_of("/data/x.tar") == "/data"
    assert folder_of("s3://bucket/deep/x.tar") == "s3://bucket/deep"
    assert folder_of("https://host/x.tar?key=a/b") == "https://host"


def test_a_drive_is_no_url() -> None:
    assert is_remote("s3://bucket/a.png") and is_remote("memory://a") and is_remote("https://a/b")
    for path in (r"C:\photos", "C:/photos", "C://photos", "a.png", "photos/s3://a"):
        assert not is_remote(path)


@pytest.mark.skipif(os.sep == "\\", reason="there it separates folders")
def test_elsewhere_a_backslash_is_part_of_a_name(tmp_path: Path) -> None:
    write_list(tmp_path / "list.txt", [r"a\b.png"], None)
    content = (tmp_path / "list.txt").read_bytes()
    assert content == b"a\\b.png\n"
    assert parse_list(content, "list.txt", tmp_path).paths == [r"a\b.png"]


def test_quoted_paths_are_printable() -> None:
    assert quote_path("a b.png") == "'a b.png'"
    assert quote_path(os.fsdecode(b"caf\xe9\n.png")) == r"'caf\\xe9\n.png'"
