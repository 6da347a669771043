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
        (special("link.png", tarfile.SYMTYPE, "/etc/passwd"), "a link or a special file"),
        (special("link.png", tarfile.LNKTYPE, "top.txt"), "a link or a special file"),
        (special("pipe.png", tarfile.FIFOTYPE), "a link or a special file"),
        (special("zero.png", tarfile.CHRTYPE), "a link or a special file"),
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
    with pytest.raises(DataError, match=r"refused, .*a link or a special file"):
        read(tmp_path / "a.zip")


def test_a_member_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(2**26 + 1))
    with pytest.raises(DataError, match=r"'bomb.png': larger than 67,108,864 bytes"):
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
    with pytest.raises(DataError, match=r"'a/b/two.png'.* its archive ends before it does"):
        read(tmp_path / "a.tar")


def test_a_damaged_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("one.png", b"x" * 1000)
    content = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "a.zip").write_bytes(content.replace(b"x" * 1000, b"x" * 999 + b"y"))
    with pytest.raises(DataError, match=r"'one.png': damaged in its archive: its size or checksum"):
        read(tmp_path / "a.zip")


def test_what_is_no_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        read(tmp_path / "gone")
    (tmp_path / "a.txt").write_text("text")
    with pytest.raises(DataError, match=r"expected a folder, a .tar"):
        read(tmp_path / "a.txt")


def test_joined_tars_and_tars_without_an_end(tmp_path: Path) -> None:
    content = tar(tmp_path / "a.tar").read_bytes()
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("b.png"))
    (tmp_path / "a.tar").write_bytes(content + (tmp_path / "b.tar").read_bytes())
    assert read(tmp_path / "a.tar") == {**FILES, "b.png": b""}
    (tmp_path / "a.tar").write_bytes(content.rstrip(b"\0").ljust(512 * 10, b"\0")[: 512 * 10])
    assert read(tmp_path / "a.tar") == FILES


@pytest.mark.parametrize("place", [0, 124, 148, 257])
def test_a_damaged_header(place: int, tmp_path: Path) -> None:
    content = bytearray(tar(tmp_path / "a.tar").read_bytes())
    second = content.index(b"a/one.png")
    content[second + place : second + place + 8] = b"\xff" * 8
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(DataError, match=r"cannot be read: it is damaged from byte 1,024 to"):
        read(tmp_path / "a.tar")


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names(form: int, tmp_path: Path) -> None:
    name = "a" * 200 + "/" + "b" * 300 + ".png"
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        archive.addfile(tarfile.TarInfo(name))
    assert read(tmp_path / "a.tar") == {name: b""}


def test_headers_that_claim_more_than_there_is(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("x")
    for kind, size in ((tarfile.REGTYPE, 2**33 - 1), (tarfile.GNUTYPE_LONGNAME, 2**33 - 1)):
        entry.type, entry.size = kind, size
        header = entry.tobuf(tarfile.GNU_FORMAT)
        (tmp_path / "a.tar").write_bytes(header + bytes(2048))
        with pytest.raises(DataError, match=r"refused|cannot be read"):
            read(tmp_path / "a.tar")


def test_names_of_windows_lead_nowhere_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a\\b\\c.png", b"1")
    assert read(tmp_path / "a.zip") == {"a/b/c.png": b"1"}


def test_systems_folders_are_left_out(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("train/@eaDir/a.png/thumb.png", "train/a.png"):
            archive.writestr(name, b"1")
    assert list(read(tmp_path / "a.zip")) == ["train/a.png"]
