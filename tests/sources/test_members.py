"""Where the bytes of images are that results name."""

import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bitcodes.errors import ImageError
from bitcodes.sources import members
from bitcodes.sources.members import find_places


def content(files: list[Path]) -> dict[str, bytes | str]:
    """What each file holds, or why it cannot be read."""
    found: dict[str, bytes | str] = {}
    for file, place in find_places(files):
        assert file.name not in found
        try:
            found[file.name] = place.read(
                lambda source: source if isinstance(source, bytes) else source.read()
            )[0]
        except ImageError as error:
            found[file.name] = str(error)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("one.jpg", "two.jpg", "three.jpg"):
        (tmp_path / name).write_bytes(name.encode())
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "two.jpg", "./a/two.jpg")
        archive.add(tmp_path / "three.jpg", "three.jpg")
    (tmp_path / "two.jpg").unlink()
    (tmp_path / "notes.txt").touch()
    return tmp_path


def test_files_and_members(folder: Path) -> None:
    archive = folder / "set.tar.gz"
    files = [archive / "three.jpg", folder / "one.jpg", archive / "a" / "two.jpg"]
    assert content([*files, *files]) == {
        "one.jpg": b"one.jpg",
        "two.jpg": b"two.jpg",
        "three.jpg": b"three.jpg",
    }


def test_what_is_not_there(folder: Path) -> None:
    found = content([folder / "gone.jpg", folder / "set.tar.gz" / "no.jpg", folder / "none" / "x"])
    assert found["no.jpg"] == f"it is not in the archive {folder / 'set.tar.gz'}"
    assert len(found) == 3 and all(isinstance(reason, str) for reason in found.values())
    inside = content([folder / "notes.txt" / "a.jpg"])
    assert isinstance(inside["a.jpg"], str) and "archive" not in inside["a.jpg"]


def test_each_archive_is_read_once_and_no_further_than_it_must(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real: Callable[[str], object] = members.archive_images

    def counting(path: str) -> object:
        for item in real(path):  # type: ignore[attr-defined]
            read.append(item.path)
            yield item

    monkeypatch.setattr(members, "archive_images", counting)
    archive = folder / "set.tar.gz"
    content([archive / "a" / "two.jpg", archive / "a" / "two.jpg"])
    assert len(read) == 1
