"""Sources gone through item by item: what they hold, in which order, and when it changed."""

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import find_images, make_hostile_folder
from tiny import make_pictures

from bitcodes.errors import DataError, ImageError
from bitcodes.sources.item import Item
from bitcodes.sources.lists import ImageList, read_list
from bitcodes.sources.source import Source, open_stream, to_source


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b/deep", "b.c"):
        make_pictures(tmp_path / "photos" / folder, 3)
    (tmp_path / "photos" / ".hidden.png").touch()
    (tmp_path / "photos" / "notes.txt").touch()
    return tmp_path / "photos"


def content(item: Item) -> bytes:
    return item.place.read(lambda image: image if isinstance(image, bytes) else image.read())[0]


def paths(source: Source) -> list[str]:
    return [item.path for item in source]


def test_a_folder_comes_in_the_order_of_find_images(photos: Path) -> None:
    source = open_stream(["photos"])
    assert paths(source) == find_images(photos)
    assert source.root == str(photos)
    assert source.count == 9
    assert [content(item) for item in source] == [
        (photos / path).read_bytes() for path in find_images(photos)
    ]


@pytest.mark.posix
def test_links_are_followed_but_not_in_circles(photos: Path) -> None:
    (photos / "a/up").symlink_to("..")
    (photos / "again").symlink_to("b")
    (photos / "self").symlink_to("self")
    make_pictures(photos.parent / "elsewhere", 1)
    (photos / "other").symlink_to(photos.parent / "elsewhere")
    assert paths(open_stream(["photos"])) == find_images(photos)
    assert "other/00.png" in find_images(photos)


@pytest.mark.posix
def test_hostile_files_are_all_there(tmp_path: Path) -> None:
    expected = make_hostile_folder(tmp_path / "hostile")
    assert set(paths(open_stream([str(tmp_path / "hostile")]))) == set(expected)


def test_the_digest_changes_with_what_is_there(photos: Path) -> None:
    def digest() -> str:
        return open_stream(["photos"]).digest

    seen = {digest(), digest()}
    assert len(seen) == 1
    os.utime(photos / "a/00.png", ns=(1, 1))
    seen.add(digest())
    (photos / "a/00.png").unlink()
    seen.add(digest())
    assert len(seen) == 3


def test_lists_and_standard_input(photos: Path) -> None:
    lines = b"a/01.png 0 1 0\nb/deep/00.png 1 0 0\na/02.png 0 0 1\n"
    (photos / "list.txt").write_bytes(lines)
    source = open_stream(["photos/list.txt"])
    whole = read_list(photos / "list.txt")
    assert paths(source) == list(whole.paths)
    assert whole.labels is not None
    np.testing.assert_array_equal([item.labels for item in source], whole.labels)
    assert (source.columns, source.single, source.root) == (3, True, str(photos))
    assert source.digest == to_source(whole).digest
    spooled = open_stream(["-"], photos, io.BytesIO(lines))
    assert paths(spooled) == paths(spooled) == list(whole.paths)

    (photos / "list.txt").write_bytes(b"a/01.png 1 1\na/02.png 0 1\n")
    assert not open_stream(["photos/list.txt"]).single
    (photos / "list.txt").write_bytes(b"a/01.png 1 1\na/99.png 0 1\n")
    with pytest.raises(DataError, match=r"not there: 1 of 2 images \(line 2: 'a/99.png'\)"):
        open_stream(["photos/list.txt"])
    (photos / "list.txt").write_bytes(b"a/01.png 1 1\na/00.png 1 1\na/02.png 7\n")
    with pytest.raises(DataError, match="line 3: expected 2 labels"):
        open_stream(["photos/list.txt"])
    with pytest.raises(DataError, match="standard input: the list is empty"):
        open_stream(["-"])


@pytest.mark.parametrize("names", ["same", "different", "missing"])
def test_class_names_are_found_as_in_whole_lists(photos: Path, names: str) -> None:
    rows = {
        "same": ["a/00.png 0 1", "b/deep/00.png 1 0", "a/01.png 0 1"],
        "different": ["a/00.png 0 1", "b/deep/00.png 1 0", "b.c/00.png 0 1"],
        "missing": ["a/00.png 0 1", "a/01.png 0 1"],
    }[names]
    (photos / "list.txt").write_text("\n".join(rows))
    assert (
        open_stream(["photos/list.txt"]).class_names == read_list(photos / "list.txt").class_names
    )


def test_several_sources_are_relative_to_the_working_folder(photos: Path) -> None:
    arguments = ["photos/b", "photos/a/01.png", str(photos / "b.c")]
    assert paths(open_stream(arguments)) == [
        *(f"photos/b/deep/0{number}.png" for number in range(3)),
        "photos/a/01.png",
        *(f"photos/b.c/0{number}.png" for number in range(3)),
    ]
    with pytest.raises(DataError, match="no such file"):
        open_stream(["photos", "nowhere"])
    (photos / "empty").mkdir()
    with pytest.raises(DataError, match="no images in the folder"):
        open_stream(["photos/empty"])


def test_parts_are_the_whole(photos: Path) -> None:
    source = open_stream(["photos"])
    for of in (1, 2, 4, 9):
        parts = [source.part(number, of) for number in range(1, of + 1)]
        assert [path for part in parts for path in paths(part)] == paths(source)
        sizes = [part.count for part in parts]
        assert max(sizes) - min(sizes) <= 1  # type: ignore[operator,type-var]
        assert len({part.digest for part in parts}) == of
    with pytest.raises(DataError, match="part 1 of 10 is empty"):
        source.part(1, 10)


# -- archives --------------------------------------------------------------------------------------


def pack(photos: Path, name: str) -> Path:
    """All of the folder in an archive of the kind that its name says."""
    archive = photos.parent / name
    files = sorted((path for path in photos.rglob("*") if path.is_file()), key=str)
    if name.endswith(".zip"):
        method = zipfile.ZIP_DEFLATED if "deflated" in name else zipfile.ZIP_STORED
        with zipfile.ZipFile(archive, "w", method) as packed:
            for file in files:
                packed.write(file, file.relative_to(photos))
    else:
        kind = {"gz": "w:gz", "xz": "w:xz", "bz2": "w:bz2"}.get(name.rsplit(".", 1)[-1], "w")
        with tarfile.open(archive, kind) as packed:  # type: ignore[call-overload]
            for file in files:
                packed.add(file, file.relative_to(photos))
    return archive


KINDS = ["p.tar", "p.tar.gz", "p.tar.xz", "p.tar.bz2", "p.zip", "deflated.zip"]


@pytest.mark.parametrize("name", KINDS)
def test_an_archive_is_what_the_folder_was(photos: Path, name: str) -> None:
    archive = pack(photos, name)
    source = open_stream([name])
    assert source.root == str(archive)
    items = list(source)
    assert [item.path for item in items] == find_images(photos)
    for item in items:
        file = photos / item.path
        assert content(item) == file.read_bytes()
        size, time = item.place.stat()
        assert size == file.stat().st_size
        if "tar" in name:
            assert abs(time - file.stat().st_mtime_ns) < 2e9
    assert source.count is None
    assert source.part(2, 3).count == 3


def test_shards_are_one_source(photos: Path) -> None:
    for number, folder in enumerate(("a", "b", "b.c")):
        pack_into(photos / folder, Path(f"shard-{number:03}.tar"))
    source = open_stream(["shard-{000..002}.tar"])
    names = [f"{number:02}.png" for number in range(3)]
    assert paths(source) == [
        *(f"shard-000.tar/{name}" for name in names),
        *(f"shard-001.tar/deep/{name}" for name in names),
        *(f"shard-002.tar/{name}" for name in names),
    ]
    assert source.root == str(photos.parent)
    assert paths(open_stream([f"shard-00{number}.tar" for number in range(3)])) == paths(source)
    with pytest.raises(DataError, match=r"shard-003\.tar"):
        open_stream(["shard-{000..003}.tar"])


def pack_into(folder: Path, archive: Path) -> None:
    with tarfile.open(archive, "w") as packed:
        for file in sorted(folder.rglob("*.png")):
            packed.add(file, file.relative_to(folder))


def test_hostile_members_are_refused_and_the_rest_is_read(photos: Path) -> None:
    good = (photos / "a/00.png").read_bytes()
    with tarfile.open("bad.tar", "w") as packed:
        for name in ("../out.png", "/root.png", "ok.png", ".hidden.png", "text.txt"):
            entry = tarfile.TarInfo(name)
            entry.size = len(good)
            packed.addfile(entry, io.BytesIO(good))
        link = tarfile.TarInfo("link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
        packed.addfile(entry_of("last.png", good), io.BytesIO(good))
    found = {item.path: reason_of(item) for item in open_stream(["bad.tar"])}
    assert list(found) == ["../out.png", "/root.png", "ok.png", "link.png", "last.png"]
    assert "leads out" in str(found["../out.png"]) and "leads out" in str(found["/root.png"])
    assert "link" in str(found["link.png"])
    assert found["ok.png"] is found["last.png"] is None


def entry_of(name: str, data: bytes) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    return entry


def reason_of(item: Item) -> str | None:
    try:
        content(item)
    except ImageError as error:
        return str(error)
    return None


def test_changed_bytes_in_a_zip_are_noticed(photos: Path) -> None:
    archive = pack(photos, "p.zip")
    items = list(open_stream(["p.zip"]))
    data = bytearray(archive.read_bytes())
    at = data.index((photos / items[0].path).read_bytes())
    data[at + 5] ^= 1
    status = archive.stat()
    archive.write_bytes(data)
    assert "its archive changed" in str(reason_of(items[0]))
    os.utime(archive, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert "damaged in its archive" in str(reason_of(items[0]))
    assert reason_of(items[1]) is None


def test_a_large_zip_is_read_by_its_64_bit_fields(photos: Path) -> None:
    good = (photos / "a/00.png").read_bytes()
    with zipfile.ZipFile("large.zip", "w") as packed:
        with packed.open("one.png", "w", force_zip64=True) as file:
            file.write(good)
        packed.writestr("two.png", good)
    assert [content(item) for item in open_stream(["large.zip"])] == [good, good]


def test_more_members_than_are_read_at_once(photos: Path) -> None:
    with zipfile.ZipFile("many.zip", "w") as packed:
        for number in range(9000):
            packed.writestr(f"{number:050}.png", b"")
    assert paths(open_stream(["many.zip"])) == [f"{number:050}.png" for number in range(9000)]


def test_urls_need_their_driver_and_say_so(photos: Path) -> None:
    pytest.importorskip("fsspec")
    import fsspec

    memory = fsspec.filesystem("memory")
    for file in sorted(photos.rglob("*.png")):
        memory.pipe(f"/bucket/photos/{file.relative_to(photos)}", file.read_bytes())
    for name in ("p.tar", "p.zip", "p.tar.gz"):
        memory.pipe(f"/bucket/{name}", pack(photos, name).read_bytes())
    try:
        folder = open_stream(["memory://bucket/photos/"])
        assert sorted(paths(folder)) == find_images(photos)
        assert all(content(i) == (photos / i.path).read_bytes() for i in folder)
        for name in ("p.tar", "p.zip", "p.tar.gz"):
            archive = open_stream([f"memory://bucket/{name}"])
            assert paths(archive) == find_images(photos)
            assert all(content(i) == (photos / i.path).read_bytes() for i in archive)
        one = open_stream(["memory://bucket/photos/a/00.png"])
        assert paths(one) == ["00.png"] and one.root == "memory://bucket/photos/a"
        with pytest.raises(DataError, match="cannot be read"):
            open_stream(["memory://bucket/none.tar"])
    finally:
        memory.rm("/bucket", recursive=True)
    with pytest.raises(DataError, match="nosuch"):
        open_stream(["nosuch://bucket/photos/"])


def test_a_list_in_memory(photos: Path) -> None:
    labels = np.array([[1, 0], [1, 1]], np.uint8)
    source = to_source(ImageList(["a/00.png", "a/01.png"], labels, photos, ("x", "y")))
    assert (source.count, source.columns, source.single) == (2, 2, False)
    assert [item.path for item in source] == ["a/00.png", "a/01.png"]
