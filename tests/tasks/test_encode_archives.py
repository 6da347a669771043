"""encode of archives: a row's path says which archive it is from, whatever is added or changed."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import make_model, make_pictures

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.tasks.encode import encode


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: archives a.tar and b.tar, whose members have equal names, sizes, times.

    The pictures in them differ; those of a.tar also lie in the folder a, and so on.
    """
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate("abc"):
        for picture in make_pictures(tmp_path / name, 4, seed=number):
            file = tmp_path / name / picture
            with Image.open(file) as image:
                image.save(file.with_suffix(".bmp"))  # as large as any other of this many pixels
            file.unlink()
        pack(tmp_path / name, f"{name}.tar")
    return tmp_path


def pack(folder: Path, archive: str) -> None:
    """The pictures of a folder in an archive, all of one time."""
    files = sorted(folder.iterdir())
    if archive.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as zipped:
            for file in files:
                zipped.writestr(zipfile.ZipInfo(file.name), file.read_bytes())
        return
    with tarfile.open(archive, "w:gz" if archive.endswith("gz") else "w") as packed:
        for file in files:
            entry = packed.gettarinfo(file, file.name)
            entry.mtime = 10**9
            with file.open("rb") as content:
                packed.addfile(entry, content)


NAMES = [f"{number:02}.bmp" for number in range(4)]


def expected(*names: str) -> tuple[list[str], np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    """Paths and codes of archives that are encoded one by one."""
    sets = [encode(make_model(), name, f"alone-{name}.npy") for name in names]
    rows = [(name, path) for name, each in zip(names, sets, strict=True) for path in each.paths]
    return [f"{name}/{path}" for name, path in rows], np.concatenate([each.codes for each in sets])


def check(made: CodeSet, *names: str) -> None:
    paths, codes = expected(*names)
    assert list(made.paths) == paths
    np.testing.assert_array_equal(made.codes, codes)


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_appended_archive_with_equal_names_keeps_all(here: Path, kind: str) -> None:
    names = [f"x{name}.{kind}" for name in "abc"]
    for name, folder in zip(names, "abc", strict=True):
        pack(here / folder, name)
    log: list[str] = []
    first = encode(make_model(), names[0], "web.npy")
    assert (list(first.paths), first.root) == (NAMES, here / names[0])
    second = encode(make_model(), names[1], "web.npy", append=True, log=log.append)
    assert log == ["4 kept, 4 new, 0 changed"]
    assert second.root == here
    check(second, *names[:2])
    check(encode(make_model(), names[2], "web.npy", append=True), *names)
    for name in names:
        log.clear()
        encode(make_model(), name, "web.npy", append=True, log=log.append)
        assert log == ["web.npy is up to date: nothing to append"]
    encode(make_model(), names, "again.npy")
    check(CodeSet.open("again.npy", verify=True), *names)


def test_an_archive_appended_to_a_folder_replaces_nothing(here: Path) -> None:
    encode(make_model(), "a", "web.npy")
    made = encode(make_model(), "b.tar", "web.npy", append=True)
    assert list(made.paths) == [*NAMES, *(str(here / "b.tar" / name) for name in NAMES)]
    assert made.root == here / "a"


def test_a_folder_appended_to_an_archive_replaces_nothing(here: Path) -> None:
    encode(make_model(), "a.tar", "web.npy")
    made = encode(make_model(), "b", "web.npy", append=True)
    assert list(made.paths) == [*(f"a.tar/{name}" for name in NAMES), *(f"b/{n}" for n in NAMES)]
    assert [file.is_file() for file in map(made.absolute_path, range(4, 8))] == [True] * 4
    log: list[str] = []
    encode(make_model(), "b", "web.npy", append=True, log=log.append)
    assert log == ["web.npy is up to date: nothing to append"]


def test_images_of_other_folders_in_an_archive_s_set_keep_their_places(here: Path) -> None:
    encode(make_model(), "a.tar", "sets/web.npy")
    encode(make_model(), "b", "sets/web.npy", append=True)
    made = encode(make_model(), ["a.tar", "b", "c.tar"], "sets/web.npy", append=True)
    places = [made.absolute_path(row) for row in range(made.count)]
    assert places == [here / name / path for name in ("a.tar", "b", "c.tar") for path in NAMES]


@pytest.mark.parametrize("name", ["/00.bmp", "../00.bmp", "00.bmp/../00.bmp"])
def test_a_member_that_leads_out_replaces_no_row(here: Path, name: str) -> None:
    encode(make_model(), "a", "web.npy")
    with tarfile.open("b.tar", "a") as packed:
        entry = tarfile.TarInfo(str(here / "a/00.bmp") if name.startswith("/") else name)
        packed.addfile(entry)
    made = encode(make_model(), "b.tar", "web.npy", append=True)
    assert made.count == 8
    assert [path for path, _ in made.skipped] == [f"{here / 'b.tar'}/{entry.name}"]


def test_an_append_keeps_what_was_skipped_before(here: Path) -> None:
    (here / "a/broken.png").write_bytes(b"no picture")
    pack(here / "a", "a.tar")
    encode(make_model(), "a.tar", "web.npy")
    made = encode(make_model(), "b.tar", "web.npy", append=True)
    assert [path for path, _ in made.skipped] == ["a.tar/broken.png"]
    (here / "a/broken.png").write_bytes((here / "b/00.bmp").read_bytes())
    pack(here / "a", "a.tar")
    made = encode(make_model(), "a.tar", "web.npy", append=True)
    assert made.skipped == [] and "a.tar/broken.png" in made.paths


def test_equal_names_in_one_archive_are_two_images(here: Path) -> None:
    for name, mode in (("a", "w"), ("b", "a")):
        with tarfile.open("twice.tar", mode) as packed:  # type: ignore[call-overload]
            packed.add(here / name / "00.bmp", "00.bmp")
    made = encode(make_model(), "twice.tar", "web.npy")
    assert list(made.paths) == ["00.bmp", "00.bmp"]
    codes = made.codes.copy()
    encode(make_model(), "c.tar", "web.npy", append=True)
    log: list[str] = []
    made = encode(make_model(), ["c.tar", "twice.tar"], "web.npy", append=True, log=log.append)
    assert log == ["web.npy is up to date: nothing to append"]
    np.testing.assert_array_equal(made.codes[:2], codes)


def test_other_archives_in_place_of_all_must_be_forced(here: Path) -> None:
    encode(make_model(), ["a.tar", "b.tar"], "web.npy")
    with pytest.raises(CodeSetError, match=r"none of its 8 images is among these.*--append"):
        encode(make_model(), ["c.tar", "c"], "web.npy")
    check(encode(make_model(), ["b.tar", "c.tar"], "web.npy"), "b.tar", "c.tar")
    assert encode(make_model(), ["a.tar", "a"], "web.npy", force=True).count == 8


def test_a_set_whose_rows_do_not_name_their_archive_is_not_up_to_date(here: Path) -> None:
    """Sets of several archives were once written so: the first of equal paths cannot be known."""
    made = encode(make_model(), ["a.tar", "b.tar"], "web.npy")
    paths = (here / "web.paths.txt").read_text()
    assert paths.count("a.tar/") == paths.count("b.tar/") == 4
    assert made.header.source != encode(make_model(), "a.tar", "one.npy").header.source
