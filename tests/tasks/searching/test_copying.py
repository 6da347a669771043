"""Copies of the hits of a search."""

import errno
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from commands import run
from tiny import make_pictures

from bitcodes import files
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import BitcodesError, ConfigError, DataError
from bitcodes.tasks.searching import copying
from bitcodes.tasks.searching.copying import check_folder, copy_hits
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.searching.search import search


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    for name in ("a/x.jpg", "b/x.jpg", "c.tar.jpg"):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode())
        os.utime(file, (1_000_000_000, 1_000_000_000))
    return folder


def results(
    root: Path, paths: list[str], queries: list[str] | None = None, k: int = 10
) -> SearchResults:
    """All paths as hits of each query, in their order."""
    codes = np.zeros((len(paths), 1), np.uint8)
    names = queries or ["q.jpg"]
    asked = CodeSet.from_arrays(np.zeros((len(names), 1), np.uint8), 8, paths=names)
    return search(asked, CodeSet.from_arrays(codes, 8, paths=paths, root=root), k=k)


def names(folder: Path) -> list[str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_copies_sort_by_rank_and_keep_their_time(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    copies = copy_hits(results(photos, ["b/x.jpg", "c.tar.jpg", "a/x.jpg"]), out)
    assert names(out) == ["01 x.jpg", "02 c.tar.jpg", "03 x.jpg"]
    assert (out / "01 x.jpg").read_bytes() == b"b/x.jpg"
    assert (out / "01 x.jpg").stat().st_mtime == 1_000_000_000
    assert list(copies.remarks()) == [f"copied 3 images to {out}"]


def test_a_hundred_hits_have_three_digits(photos: Path, tmp_path: Path) -> None:
    copy_hits(results(photos, ["a/x.jpg"] * 100, k=100), tmp_path / "out")
    assert names(tmp_path / "out")[0] == "001 x.jpg"
    assert len(names(tmp_path / "out")) == 100


def test_nothing_is_replaced(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(3):
        copy_hits(results(photos, ["a/x.jpg"]), out)
    assert names(out) == ["01 x (2).jpg", "01 x (3).jpg", "01 x.jpg"]


def test_several_queries_have_a_folder_each(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    copy_hits(results(photos, ["a/x.jpg", "b/x.jpg"], ["one/q.jpg", "two/q.jpg"]), out)
    assert names(out) == ["1 q/01 x.jpg", "1 q/02 x.jpg", "2 q/01 x.jpg", "2 q/02 x.jpg"]


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_members_of_archives_are_unpacked(photos: Path, tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"all{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for name in ("a/x.jpg", "b/x.jpg"):
                file.write(photos / name, name)
    else:
        import tarfile

        with tarfile.open(archive, "w:gz" if suffix.endswith("gz") else "w") as tar:
            for name in ("a/x.jpg", "b/x.jpg"):
                tar.add(photos / name, name)
    inside = results(archive, ["b/x.jpg", "gone.jpg", "a/x.jpg"])
    copies = copy_hits(inside, tmp_path / "out")
    assert names(tmp_path / "out") == ["01 x.jpg", "03 x.jpg"]
    assert (tmp_path / "out" / "01 x.jpg").read_bytes() == b"b/x.jpg"
    assert copies.problems == (("gone.jpg", f"it is not in the archive {archive}"),)
    named = results(tmp_path, [f"all{suffix}/a/x.jpg", "photos/c.tar.jpg"])
    assert copy_hits(named, tmp_path / "more").count == 2


def test_what_is_missing_is_told(photos: Path, tmp_path: Path) -> None:
    copies = copy_hits(results(photos, ["a/x.jpg", "none.jpg", "a"]), tmp_path / "out")
    assert names(tmp_path / "out") == ["01 x.jpg"]
    told = list(copies.remarks())
    assert told[0].startswith("not copied: 'none.jpg': ") and told[1].startswith("not copied: 'a'")
    rootless = search(
        CodeSet.from_arrays(np.zeros((1, 1), np.uint8), 8),
        CodeSet.from_arrays(np.zeros((9, 1), np.uint8), 8),
    )
    told = list(copy_hits(rootless, tmp_path / "none").remarks())
    assert len(told) == 7 and told[5] == "not copied: 4 more images"
    assert not (tmp_path / "none").exists()


def test_copies_do_not_become_images_of_the_set(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(photos, 2)
    for arguments in (
        ["photos", "-o", "all.npy"],
        ["photos", "-o", "hidden.npy", "--all-files"],
        ["photos/00.png", "-o", "one.npy"],
    ):
        assert run("encode", *arguments, "--run", "built-in-32", "--workers", 0) == 0
    refused = {
        "all.npy": ["photos", "photos/hits", "photos/a/deep/hits", "photos/a/../hits"],
        "hidden.npy": ["photos/hits", "photos/.hits"],
        "one.npy": [],
    }
    for codes, folders in refused.items():
        for folder in ["hits", "photos/hits", "photos/.hits/in", *folders]:
            if folder in folders or folder.removesuffix("/in") in folders:
                with pytest.raises(ConfigError, match="lies in photos, which was encoded"):
                    check_folder(Path(folder), Path(codes))
            else:
                check_folder(Path(folder), Path(codes))
    Path("all.origin.json").unlink()
    with pytest.raises(ConfigError, match="which was encoded"):
        check_folder(photos / "hits", tmp_path / "all.npy")
    with pytest.raises(ConfigError, match=r"one\.npy: expected a folder, found a file"):
        check_folder(Path("one.npy"), Path("all.npy"))
    search = ("search", "photos/00.png", "--codes", "hidden.npy", "--copy-to")
    assert run(*search, "photos/hits") == 1
    assert run(*search, "one.npy") == 1
    assert not Path("photos/hits").exists()
    assert run(*search, "hits") == 0
    assert names(tmp_path / "hits") == ["01 00.png", "02 01.png"]


@pytest.mark.posix
def test_a_link_into_the_folder_is_seen(photos: Path, tmp_path: Path) -> None:
    save_code_set(
        CodeSet.from_arrays(np.zeros((1, 1), np.uint8), 8, root=photos), tmp_path / "x.npy"
    )
    (tmp_path / "link").symlink_to(photos / "a", target_is_directory=True)
    with pytest.raises(ConfigError, match="which was encoded"):
        check_folder(tmp_path / "link" / "hits", tmp_path / "x.npy")


@pytest.mark.posix
def test_names_that_other_systems_refuse(photos: Path, tmp_path: Path) -> None:
    odd = ["a\n\x1b[31m?:b.jpg", "x" * 240 + ".jpg", os.fsdecode(b"\xff.jpg"), "end. ."]
    for name in odd:
        (photos / name).write_bytes(b"odd")
    copies = copy_hits(results(photos, odd), tmp_path / "out")
    assert copies.count == 4
    made = names(tmp_path / "out")
    assert made[0] == "01 a__[31m__b.jpg" and made[1] == f"02 {'x' * 196}.jpg"
    assert made[3] == "04 end"


def test_a_folder_that_cannot_be_written(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"cannot copy to .*; name another folder"):
        copy_hits(results(photos, ["a/x.jpg"]), tmp_path / "file")
    for folder in ("file", "none"):
        with pytest.raises(BitcodesError, match=f"cannot write .*out: .*{folder}"):
            copy_hits(results(photos, ["a/x.jpg"]), tmp_path / folder / "out")
    assert not (tmp_path / "none").exists()


def test_a_copy_appears_when_it_is_whole(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    seen: list[str] = []
    real = files.give_name

    def give_name(file: Path, name: Path) -> bool:
        seen.extend(path.name for path in out.iterdir() if path != file)
        assert file.read_bytes() == b"a/x.jpg"
        return real(file, name)

    monkeypatch.setattr(copying, "give_name", give_name)
    for _ in range(2):
        copy_hits(results(photos, ["a/x.jpg"]), out)
    assert names(out) == ["01 x (2).jpg", "01 x.jpg"]
    assert seen == ["01 x.jpg"] * 2  # in the second round, for two names


def test_a_drive_without_links(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*names: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for _ in range(2):
        copy_hits(results(photos, ["a/x.jpg"]), tmp_path / "out")
    assert names(tmp_path / "out") == ["01 x (2).jpg", "01 x.jpg"]
