"""Folders and archives, read file by file; hostile and damaged ones are refused."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bitcodes.datasets.archives import members
from bitcodes.errors import DataError

FILES = {"top.txt": b"top", "a/one.png": b"1", "a/b/two.png": b"22" * 1000}


def read(source: Path) -> dict[str, bytes]:
    return {str(member.path): member.read() for member in members(source)}


def tar(file: Path, mode: str = "w", extra: tarfile.TarInfo | None = None) -> Path:
    with tarfile.open(file, mode) as archive:  # type: ignore[call-overload]
        for name, content in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        if extra is not None:
            archive.addfile(extra)
    return file


@pytest.mark.parametrize("kind", ["", "gz", "bz2", "xz"])
def test_tar(kind: str, tmp_path: Path) -> None:
    assert read(tar(tmp_path / "no suffix needed", f"w:{kind}")) == FILES


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_zip(compression: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", compression) as archive:
        archive.mkdir("a")
        for name, content in FILES.items():
            archive.writestr(name, content)
    assert read(tmp_path / "a.zip") == FILES


@pytest.mark.posix
def test_folder(tmp_path: Path) -> None:
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    os.mkfifo(tmp_path / "pipe.png")  # must not be waited for
    assert read(tmp_path) == FILES


def test_hidden_files_are_left_out(tmp_path: Path) -> None:
    hidden = ["__MACOSX/a/one.png", "a/._one.png", ".git/one.png"]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in [*hidden, "a/one.png"]:
            archive.writestr(name, b"1")
    assert list(read(tmp_path / "a.zip")) == ["a/one.png"]


def special(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = link
    return entry


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (special("../up.png", tarfile.REGTYPE), "leads out of the archive"),
        (special("a/../../up.png", tarfile.REGTYPE), "leads out of the archive"),
        (special("..\\up.png", tarfile.REGTYPE), "leads out of the archive"),
        (special("/etc/up.png", tarfile.REGTYPE), "leads out of the archive"),
        (special("../up", tarfile.DIRTYPE), "leads out of the archive"),
        (special("link.png", tarfile.SYMTYPE, "/etc/passwd"), "a link or a device"),
        (special("link.png", tarfile.LNKTYPE, "top.txt"), "a link or a device"),
        (special("pipe.png", tarfile.FIFOTYPE), "a link or a device"),
        (special("zero.png", tarfile.CHRTYPE), "a link or a device"),
    ],
)
def test_hostile_members_are_refused(entry: tarfile.TarInfo, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"refused, .*{reason}"):
        read(tar(tmp_path / "a.tar", extra=entry))


@pytest.mark.parametrize("name", ["../up.png", "/etc/up.png", "a/../../up.png"])
def test_hostile_names_in_a_zip_are_refused(name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"1")
    with pytest.raises(DataError, match=r"refused, .*leads out of the archive"):
        read(tmp_path / "a.zip")


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"refused, .*a link or a device"):
        read(tmp_path / "a.zip")


def test_a_member_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(2**26 + 1))
    with pytest.raises(DataError, match=r"refused, 'bomb.png' is larger than 67,108,864 bytes"):
        read(tmp_path / "a.zip")


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:200] + bytes(60) + content[260:],
    ],
)
@pytest.mark.parametrize("kind", ["gz", "xz", "bz2"])
def test_damaged_archives(kind: str, damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", f"w:{kind}") as archive:  # type: ignore[call-overload]
        entry = tarfile.TarInfo("noise.png")
        entry.size = 5000
        archive.addfile(entry, io.BytesIO(os.urandom(5000)))
    (tmp_path / "a").write_bytes(damage((tmp_path / "a").read_bytes()))
    with pytest.raises(DataError, match=r"cannot be read|expected a folder"):
        read(tmp_path / "a")


def test_a_tar_that_is_cut_short(tmp_path: Path) -> None:
    content = tar(tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(content[: 512 * 6])
    with pytest.raises(DataError, match=r"cannot be read: unexpected end of data"):
        read(tmp_path / "a.tar")


def test_a_damaged_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.png", b"x" * 1000)
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"x" * 1000, b"x" * 999 + b"y"))
    with pytest.raises(DataError, match="cannot be read: Bad CRC-32"):
        read(tmp_path / "a.zip")


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "gone")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match=r"expected a folder, a .tar"):
        read(tmp_path / "a.txt")
