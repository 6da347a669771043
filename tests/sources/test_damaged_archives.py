"""Archives that are cut, damaged, joined or empty: what can be read is, the rest is said."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.sources.archives import archive_images, stream_images
from bitcodes.sources.item import Damage, Item
from bitcodes.sources.source import open_stream

rng = np.random.default_rng(0)
FILES = {f"{number}.png": rng.bytes(1000 + 300 * number) for number in range(8)}


def tar_of(files: dict[str, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as packed:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    return file.getvalue()


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as packed:
        for name, data in files.items():
            packed.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def content(item: Item) -> bytes | None:
    """The bytes of an image; None where it is refused."""
    try:
        return item.place.read(lambda image: image if isinstance(image, bytes) else image.read())[0]
    except ImageError:
        return None


def read(archive: bytes, tmp_path: Path, name: str = "a.tar") -> tuple[dict[str, bytes], list[str]]:
    """The images that can be read, and what is said of the archive; from a file and a stream."""
    file = tmp_path / name
    file.write_bytes(archive)
    results = []
    for items in (archive_images(str(file)), stream_images(io.BytesIO(archive), name)):
        images: dict[str, bytes] = {}
        said = []
        for item in items:
            data = content(item)
            if isinstance(item.place, Damage):
                assert item.path == name
                said.append(item.place.reason)
            elif data is not None:
                images[item.path] = data
        results.append((images, said))
    assert results[0][0] == results[1][0]
    assert [bool(said) for _, said in results] in ([False, False], [True, True])
    return results[0]


@pytest.mark.parametrize("kind", ["tar", "zip", "deflated.zip"])
def test_a_cut_archive_gives_all_that_is_before_the_cut(kind: str, tmp_path: Path) -> None:
    name = f"a.{kind}"
    pack = {"tar": tar_of, "zip": zip_of}.get(kind, lambda it: zip_of(it, zipfile.ZIP_DEFLATED))
    whole = pack(FILES)
    ends = [len(pack(dict(list(FILES.items())[: n + 1]))) for n in range(8)]  # with list or zeros
    for length in range(0, len(whole) - 10_000 * (kind == "tar"), 509):
        images, said = read(whole[:length], tmp_path, name)
        assert said, length
        assert images == dict(list(FILES.items())[: len(images)])
        assert len(images) >= sum(end <= length for end in ends)
    assert read(whole, tmp_path, name) == (FILES, [])


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_a_cut_compressed_tar_is_said(kind: str, tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=f"w:{kind[4:]}") as packed:  # type: ignore[call-overload]
        for name, data in FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
    whole = file.getvalue()
    assert read(whole, tmp_path, f"a.{kind}") == (FILES, [])
    counts = set()
    for length in range(0, len(whole), 509):
        images, said = read(whole[:length], tmp_path, f"a.{kind}")
        assert said
        assert images == dict(list(FILES.items())[: len(images)])
        counts.add(len(images))
    assert len(counts) > 4 or kind == "tar.bz2"  # which is one block
    assert read(whole[:-3], tmp_path, f"a.{kind}")[0] == FILES


def headers(archive: bytes) -> list[int]:
    return [at for at in range(0, len(archive), 512) if archive[at + 257 : at + 262] == b"ustar"]


@pytest.mark.parametrize("number", range(8))
@pytest.mark.parametrize("place", [0, 124, 148, 257])
def test_a_damaged_header_costs_its_file_alone(number: int, place: int, tmp_path: Path) -> None:
    data = bytearray(tar_of(FILES))
    at = headers(data)[number]
    data[at + place : at + place + 8] = b"\xff" * 8
    images, said = read(bytes(data), tmp_path)
    assert images == {name: data for name, data in FILES.items() if name != f"{number}.png"}
    to = f"byte {at:,} to " + (
        "its end" if number == 7 else f"{headers(data)[number + 1 - (place == 257)]:,}"
    )
    assert said == [f"it is damaged from {to}: files may be lost there"]


@pytest.mark.parametrize("size", [2**63, 10**9, 40_000])
def test_a_size_that_lies_costs_its_file_alone(size: int, tmp_path: Path) -> None:
    data = bytearray(tar_of(FILES))
    at = headers(data)[3]
    header = tarfile.TarInfo.frombuf(bytes(data[at : at + 512]), "utf-8", "strict")
    header.size = size
    data[at : at + 512] = header.tobuf(tarfile.GNU_FORMAT)
    (tmp_path / "a.tar").write_bytes(data)
    items = list(archive_images(str(tmp_path / "a.tar")))
    images = {item.path: content(item) for item in items if not isinstance(item.place, Damage)}
    assert images == {**FILES, "3.png": None}
    assert "it ends within '3.png', or the size of that file is wrong" in [
        item.place.reason for item in items if isinstance(item.place, Damage)
    ]
    streamed = list(stream_images(io.BytesIO(data), "a.tar"))  # which cannot go back
    assert isinstance(streamed[-1].place, Damage)


def test_changed_bytes_anywhere_never_end_it(tmp_path: Path) -> None:
    for pack, name in ((tar_of, "a.tar"), (zip_of, "a.zip")):
        whole = pack(FILES)
        for seed in range(60):
            damage = np.random.default_rng(seed)
            data = np.frombuffer(whole, np.uint8).copy()
            start = damage.integers(len(data))
            data[start : start + damage.integers(1, 2000)] = damage.integers(256)
            images, _ = read(data.tobytes(), tmp_path, name)
            assert set(images) <= set(FILES) or name == "a.tar"  # a tar has no sum of contents
            assert len(images) >= 5


def test_joined_tars_are_read_on(tmp_path: Path) -> None:
    first, second = {"a.png": b"1" * 700}, {"b.png": b"2", "c.png": b"3"}
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        joined = tar_of(first, form) + tar_of(second, form)
        assert read(joined, tmp_path) == ({**first, **second}, [])
        assert read(joined + b"\0" * 20_000, tmp_path) == ({**first, **second}, [])
    compressed = gzip.compress(tar_of(first)) + gzip.compress(tar_of(second))
    assert read(compressed, tmp_path, "a.tar.gz") == ({**first, **second}, [])
    cut = tar_of(FILES)[:9000] + tar_of(second)  # not at the end of a block
    images, said = read(cut, tmp_path)
    assert set(second) < set(images) and said


def test_what_stands_after_the_end_is_no_damage(tmp_path: Path) -> None:
    assert read(tar_of(FILES) + b"signed by me" * 100, tmp_path) == (FILES, [])


def test_no_marks_of_the_end_are_said(tmp_path: Path) -> None:
    images, said = read(tar_of(FILES).rstrip(b"\0") + bytes(400), tmp_path)
    assert images == FILES
    whole = tar_of(FILES)
    end = headers(whole)[-1] + 512 + -(-len(FILES["7.png"]) // 512) * 512
    images, said = read(whole[:end], tmp_path)
    assert images == FILES
    assert said == ["it ends without the zeros that end a tar: it may be cut short"]


LONG = "a" * 200 + "/" + "b" * 300 + ".png"


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names(form: int, tmp_path: Path) -> None:
    files = {LONG: b"1", "é\udcff.png": b"2", "plain.png": b"3", "a\\b.png": b"4"}
    assert read(tar_of(files, form), tmp_path) == (files, [])


def test_extended_headers_that_lie(tmp_path: Path) -> None:
    """A record of another length, no number, or a header larger than any name."""
    good = tar_of({"0.png": b"0"})[:1024]
    last = tar_of({"1.png": b"1"})
    for records in (
        b"99 path=x.png\n",
        b"19 size=-1\n",
        b"x",
        b"0 a=b\n",
        b"5 =\n6 a\n",
        b"9" * 600,
    ):
        header = tarfile.TarInfo("x")
        header.type, header.size = tarfile.XHDTYPE, len(records)
        extended = header.tobuf(tarfile.USTAR_FORMAT) + records.ljust(1024, b"\0")
        images, said = read(good + extended + last, tmp_path)
        assert images == {"0.png": b"0", "1.png": b"1"} and said
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        header.type, header.size = kind, 2**33 - 1
        images, said = read(good + header.tobuf(tarfile.GNU_FORMAT) + last, tmp_path)
        assert images == {"0.png": b"0", "1.png": b"1"} and said


def test_files_with_holes_are_refused(tmp_path: Path) -> None:
    header = tarfile.TarInfo("holes.png")
    header.type, header.size = tarfile.GNUTYPE_SPARSE, 512
    block = bytearray(header.tobuf(tarfile.GNU_FORMAT))
    block[482] = 1  # another block of the list of parts follows
    block[148:156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 8 * 32)
    archive = bytes(block) + bytes(512) + bytes(512) + tar_of({"1.png": b"1"})
    assert read(archive, tmp_path) == ({"1.png": b"1"}, [])


# -- zip -------------------------------------------------------------------------------------------


def test_a_zip_with_a_program_before_it_is_read(tmp_path: Path) -> None:
    for archive in (zip_of(FILES), zip_of(FILES, zipfile.ZIP_DEFLATED)):
        assert read(b"MZ a program" * 999 + archive, tmp_path, "a.zip") == (FILES, [])
    file = io.BytesIO(b"#!/bin/sh\n")
    file.seek(0, 2)
    with zipfile.ZipFile(file, "a") as packed:  # its offsets are those in the file
        packed.writestr("0.png", FILES["0.png"])
    assert read(file.getvalue(), tmp_path, "a.zip") == ({"0.png": FILES["0.png"]}, [])


@pytest.mark.parametrize("name", ["a.cbz", "a.exe", "A.ZIP", "A.CBZ"])
def test_other_names_of_zips(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for before in (b"", b"MZ a program" * 999):
        archive = before + zip_of(FILES)
        assert read(archive, tmp_path, name) == (FILES, [])
        assert [content(item) for item in open_stream([name])] == list(FILES.values())


def test_other_names_of_tars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.cbt").write_bytes(tar_of(FILES))
    assert [content(item) for item in open_stream(["a.cbt"])] == list(FILES.values())


@pytest.mark.parametrize(
    ("magic", "kind"),
    [(b"7z\xbc\xaf\x27\x1c", "7z"), (b"Rar!\x1a\x07", "RAR"), (b"\x28\xb5\x2f\xfd", "Zstandard")],
)
def test_archives_that_are_not_read_are_named(
    magic: bytes, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.7z", "a.rar", "a.cbr", "a.tar.zst"):
        Path(name).write_bytes(magic + bytes(600))
        (item,) = open_stream([name])
        with pytest.raises(ImageError, match=f"not an image: .*{kind}"):
            item.place.read(open_image)


def test_a_zip_without_its_list_is_read_by_its_members(tmp_path: Path) -> None:
    whole = zip_of(FILES)
    images, said = read(whole[: whole.index(b"PK\1\2")], tmp_path, "a.zip")
    assert images == FILES
    assert said == ["it is no zip file, or its end is missing: it may be cut short"]
    streamed = io.BytesIO()
    with zipfile.ZipFile(_Unseekable(streamed), "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in FILES.items():
            packed.writestr(name, data)  # its sizes come after it
    whole = streamed.getvalue()
    assert whole.count(b"PK\7\x08") == 8
    assert read(whole, tmp_path, "a.zip") == (FILES, [])
    assert read(whole[: whole.index(b"PK\1\2")], tmp_path, "a.zip")[0] == FILES


class _Unseekable(io.RawIOBase):
    def __init__(self, file: io.BytesIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        return self._file.write(data)  # type: ignore[arg-type]


def test_a_list_that_is_damaged_in_the_middle(tmp_path: Path) -> None:
    data = bytearray(zip_of(FILES))
    place = -1
    for _ in range(4):
        place = data.index(b"PK\1\2", place + 1)
    data[place] = 0
    images, said = read(bytes(data), tmp_path, "a.zip")
    assert images == FILES and said == ["its list of members is damaged"]


def test_a_list_of_another_length_is_said(tmp_path: Path) -> None:
    data = bytearray(zip_of(FILES))
    struct.pack_into("<H", data, len(data) - 22 + 10, 9)
    assert read(bytes(data), tmp_path, "a.zip") == (FILES, ["its list has 8 members, not 9"])


def test_names_of_windows_and_dates_that_are_none(tmp_path: Path) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name in (r"set\a.png", r"..\out.png", r"set\.hidden\b.png", "c.png"):
            info = zipfile.ZipInfo("x" * len(name))
            info.create_system = 0
            packed.writestr(info, b"1")
            packed.filelist[-1].filename = name
    data = file.getvalue().replace(struct.pack("<H", 33), b"\0\0")  # 1980-01-01 -> none
    images, said = read(data, tmp_path, "a.zip")
    assert (images, said) == ({"set/a.png": b"1", "c.png": b"1"}, [])


# -- what is in it ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it is empty"),
        ({"a.txt": b"", "b.TXT": b"", "c.json": b""}, "it holds 2 .txt, 1 .json"),
        ({"README": b"", ".a.png": b"", "__MACOSX/b.png": b""}, "1 without a suffix, 2 hidden"),
        ({f"a.{suffix}": b"" for suffix in "cdefghi"}, "1 .c, 1 .d, 1 .e, 1 .f, 1 .g, 2 others"),
    ],
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_an_archive_without_images(
    files: dict[str, bytes], said: str, kind: str, tmp_path: Path
) -> None:
    images, reasons = read((tar_of if kind == "tar" else zip_of)(files), tmp_path, f"a.{kind}")
    assert not images
    (reason,) = reasons
    assert reason.startswith("no images in it: ") and said in reason


def test_folders_are_no_images(tmp_path: Path) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as packed:
        folder = tarfile.TarInfo("set.jpg")
        folder.type = tarfile.DIRTYPE
        packed.addfile(folder)
    archive = file.getvalue()[:512] + tar_of({"set.jpg/a.png": b"1"})
    assert read(archive, tmp_path) == ({"set.jpg/a.png": b"1"}, [])
    zipped = zip_of({"set.jpg/": b"", "set.jpg/a.png": b"1"})
    assert read(zipped, tmp_path, "a.zip") == ({"set.jpg/a.png": b"1"}, [])


@pytest.mark.parametrize(("pack", "name"), [(zip_of, "a.tar"), (tar_of, "a.zip")])
def test_an_archive_with_the_name_of_another_kind(
    pack: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(pack(FILES))  # type: ignore[operator]
    assert [content(item) for item in open_stream([name])] == list(FILES.values())
    Path("b.tar").write_bytes(gzip.compress(tar_of(FILES)))
    assert [content(item) for item in open_stream(["b.tar"])] == list(FILES.values())


@pytest.mark.parametrize(
    "data", [b"", b"no archive at all", b"\x1f\x8b", b"PK\3\4", b"\xff" * 4096]
)
@pytest.mark.parametrize("name", ["a.tar", "a.zip", "a.tar.gz", "a.tar.xz"])
def test_what_is_no_archive(data: bytes, name: str, tmp_path: Path) -> None:
    images, said = read(data, tmp_path, name)
    assert not images and len(said) == 1
