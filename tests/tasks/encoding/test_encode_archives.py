"""encode of archives: a row's path says which archive it is from, whatever is added or changed."""

import hashlib
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import make_model, make_pictures

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.merge import merge
from bitcodes.codes.writer import CodeSetWriter, plan_of
from bitcodes.errors import CodeSetError, DataError
from bitcodes.sources.source import open_stream
from bitcodes.tasks.encoding.encode import encode


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
    (here / "sets").mkdir()
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


def test_sets_of_one_archive_from_before_it_had_a_checksum_are_up_to_date(here: Path) -> None:
    archive = here / "a.tar"
    status = archive.stat()
    old = f"{archive} {status.st_size} {status.st_mtime_ns}"
    assert open_stream(["a.tar"]).old_digest == hashlib.sha256(old.encode()).hexdigest()
    made = encode(make_model(), "a.tar", "web.npy")
    plan = {**plan_of(made), "source": hashlib.sha256(old.encode()).hexdigest()}
    with CodeSetWriter("web.npy", force=True, **plan) as writer:
        writer.copy(made, 0, 4)
        writer.commit()
    log: list[str] = []
    encode(make_model(), "a.tar", "web.npy", log=log.append)
    assert log == ["web.npy is up to date: the same model and the same images"]


# -- damage ----------------------------------------------------------------------------------------


def test_damage_is_said_recorded_and_strict_stops_at_it(here: Path) -> None:
    whole = Path("a.tar").read_bytes()
    Path("cut.tar").write_bytes(whole[:3000])
    log: list[str] = []
    made = encode(make_model(), ["b.tar", "cut.tar"], "web.npy", log=log.append)
    assert made.paths[4:] == ["cut.tar/00.bmp"]
    said = ["it ends within '01.bmp', or the size of that file is wrong"]
    assert [reason for path, reason in made.skipped if path == "cut.tar"] == said
    assert ("cut.tar/01.bmp", "its archive ends before it does") in made.skipped
    assert f"'cut.tar': {said[0]}" in log
    for strict in ("web.npy", "new.npy"):
        with pytest.raises(DataError, match=r"cut.tar.* cannot be read"):
            encode(make_model(), ["b.tar", "cut.tar"], strict, strict=True)
    alone = encode(make_model(), "cut.tar", "alone.npy")
    assert ("cut.tar", said[0]) in alone.skipped


def test_a_damaged_archive_keeps_its_name_when_others_are_appended_or_merged(here: Path) -> None:
    Path("cut.tar").write_bytes(Path("a.tar").read_bytes()[:3000])
    encode(make_model(), "cut.tar", "web.npy")
    encode(make_model(), "b.tar", "b.npy")
    merged = merge([CodeSet.open("web.npy"), CodeSet.open("b.npy")], "merged.npy")
    appended = encode(make_model(), "b.tar", "web.npy", append=True)
    for made in (merged, appended):
        assert [path for path, _ in made.skipped] == ["cut.tar/01.bmp", "cut.tar"]


@pytest.mark.parametrize("name", ["none.tar", "none.zip"])
def test_an_archive_without_images_is_an_error_that_says_what_it_holds(
    here: Path, name: str
) -> None:
    (here / "texts").mkdir()
    (here / "texts/a.txt").touch()
    pack(here / "texts", name)
    with pytest.raises(DataError, match=f"^'{name}': no images in it: it holds 1 .txt$"):
        encode(make_model(), name, "web.npy")
    made = encode(make_model(), ["a.tar", name], "web.npy")
    assert made.skipped == [(name, "no images in it: it holds 1 .txt")]


# -- replaced --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
@pytest.mark.parametrize("is_appended", [False, True])
def test_a_replaced_archive_with_equal_names_sizes_and_times_is_read_again(
    here: Path, kind: str, is_appended: bool
) -> None:
    name = f"z.{kind}"
    pack(here / "a", name)
    time = Path(name).stat().st_mtime_ns
    encode(make_model(), ["c.tar", name], "web.npy")
    encode(make_model(), ["c.tar", name], "same.npy")
    (here / "b/00.bmp").write_bytes((here / "a/00.bmp").read_bytes())  # of four, three change
    pack(here / "b", name)
    log: list[str] = []
    names = name if is_appended else ["c.tar", name]
    made = encode(make_model(), names, "web.npy", append=is_appended, log=log.append)
    assert log == ["5 kept, 0 new, 3 changed" + ", 0 gone" * (not is_appended)]
    anew = encode(make_model(), ["c.tar", name], "anew.npy")
    rows = {path: code.tobytes() for path, code in zip(made.paths, made.codes, strict=True)}
    assert rows == {path: code.tobytes() for path, code in zip(anew.paths, anew.codes, strict=True)}
    if kind != "tar.gz":  # equal in size too
        os.utime(name, ns=(time, time))
        encode(make_model(), ["c.tar", name], "same.npy", log=log.append)
        assert log[1:] == ["5 kept, 0 new, 3 changed, 0 gone"]


def test_an_archive_that_is_only_touched_is_not_encoded_again(here: Path) -> None:
    for name in ("a.tar", "z.zip", "z.tar.gz"):
        pack(here / "a", name)
        encode(make_model(), name, "web.npy", force=True)
        os.utime(name, ns=(1, 1))
        log: list[str] = []
        encode(make_model(), name, "web.npy", log=log.append)
        assert log == ["4 kept, 0 new, 0 changed, 0 gone"]
