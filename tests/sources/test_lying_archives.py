"""Archives that lie about sizes, or hold far more than they weigh: bounded, and said."""

import io
import struct
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from attacks.archives import patched
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.sources import archives
from bitcodes.sources.archives import archive_images, stream_images
from bitcodes.sources.extent import MAX_BYTES, Deflated
from bitcodes.sources.item import Bytes, Damage, File, Item
from bitcodes.sources.reading import MAX_HELD, batches_of, memory_of
from bitcodes.sources.workers import MEMORY, in_order

MIB = 1 << 20


def picture(size: tuple[int, int], form: str) -> bytes:
    """A picture as a file of this form."""
    file = io.BytesIO()
    Image.new("RGB", size, "red").save(file, form)
    return file.getvalue()


class Zeros(io.RawIOBase):
    """So many bytes of 0, behind a beginning."""

    def __init__(self, size: int, head: bytes = b"") -> None:
        self._left, self._head = size, head

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        count = min(count if count >= 0 else self._left, self._left, MIB)
        self._left -= count
        head, self._head = self._head[:count], self._head[count:]
        return head + bytes(count - len(head))


def zip_of_zeros(file: Path, sizes: list[int], head: bytes = b"") -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for number, size in enumerate(sizes):
            with packed.open(f"{number}.png", "w") as member:
                zeros = Zeros(size, head)
                while data := zeros.read(MIB):
                    member.write(data)


def tar_of_zeros(file: Path, sizes: list[int], head: bytes = b"") -> None:
    with tarfile.open(file, "w:gz", compresslevel=1) as packed:
        for number, size in enumerate(sizes):
            entry = tarfile.TarInfo(f"{number}.png")
            entry.size = size
            packed.addfile(entry, Zeros(size, head))


def reasons(items: list[Item]) -> dict[str, str]:
    """Why each item cannot be decoded, or ""; under the path of an archive, what is said of it."""
    told = {}
    for item in items:
        try:
            item.place.read(open_image)
            told[item.path] = ""
        except ImageError as error:
            told[item.path] = str(error)
    return told


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_zeros_take_no_memory_and_are_no_images(kind: str, tmp_path: Path) -> None:
    file = tmp_path / f"a.{kind}"
    (zip_of_zeros if kind == "zip" else tar_of_zeros)(file, [100 * MIB] * 2 + [MAX_BYTES + 1])
    tracemalloc.start()
    try:
        items = list(archive_images(str(file)))
        told = reasons(items)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "not an image" in told["0.png"] and "not an image" in told["1.png"]
    assert told["2.png"].startswith("larger than 268,435,456 bytes")
    assert peak < 20 * MIB


def test_an_image_with_much_behind_it_is_checked_without_keeping_that(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    zip_of_zeros(file, [60 * MIB], picture((5, 4), "PNG"))
    tracemalloc.start()
    try:
        assert reasons(list(archive_images(str(file)))) == {"0.png": ""}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * MIB


def test_a_large_member_of_a_stream_is_its_bytes(tmp_path: Path) -> None:
    data = picture((300, 200), "BMP") + bytes(17 * MIB)
    for kind in ("zip", "tar.gz"):
        file = tmp_path / f"a.{kind}"
        (zip_of_zeros if kind == "zip" else tar_of_zeros)(
            file, [len(data)], picture((300, 200), "BMP")
        )
        with file.open("rb") as stream:
            (streamed,) = stream_images(stream, file.name)
            assert isinstance(streamed.place, Deflated)
            (local,) = archive_images(str(file))
            for item in (streamed, local):
                content = item.place.read(
                    lambda image: image if isinstance(image, bytes) else image.read()
                )[0]
                assert content == data
            assert streamed.place.stat() == local.place.stat() == local.place.read(open_image)[1]


def test_checksums_of_large_files_are_of_both_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the tar is read as a file or as a stream, and held as it is or deflated."""
    monkeypatch.setattr(archives, "_LARGE", 200_000)
    stats = set()
    for size in (10, 65_536, 65_537, 150_000, 250_000):
        data = bytes(range(256)) * (size // 256 + 1)
        for change in (0, size // 2, size - 1):
            content = bytearray(data[:size])
            content[change] ^= 0xFF
            file = tmp_path / "a.tar"
            with tarfile.open(file, "w") as packed:
                entry = tarfile.TarInfo("a.png")
                entry.size = size
                packed.addfile(entry, io.BytesIO(content))
            (local,) = archive_images(str(file))
            (streamed,) = stream_images(io.BytesIO(file.read_bytes()), "a.tar")
            assert local.place.stat() == streamed.place.stat()
            assert local.place.stat() == local.place.read(bytes)[1]  # type: ignore[arg-type]
            stats.add(local.place.stat())
    assert len(stats) == 15


ENTRY = b"PK\1\2"
HUGE = struct.pack("<HHQQQ", 1, 24, 2**63 - 1, 2**63 - 1, 2**64 - 1)
ALL = b"\xff" * 4


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ([(ENTRY, 24, b"\0\0\0\x0f")], "lies about its size"),
        ([(ENTRY, 20, b"\0\0\0\x0f")], "ends before it does, or lies about its size"),
        ([(ENTRY, 20, b"\1\0\0\0"), (ENTRY, 24, b"\1\0\0\0")], "its size or checksum is another"),
        ([(ENTRY, 42, b"\0\0\0\x7f")], "ends before it does, or lies about its size"),
        ([(ENTRY, 42, b"\7\0\0\0")], "the archive is damaged where it should begin"),
        ([(ENTRY, 20, ALL), (ENTRY, 24, ALL), (ENTRY, 42, ALL), (b"zz", 2, HUGE)], "larger than"),
    ],
)
def test_a_zip_whose_list_lies(
    changes: list[tuple[bytes, int, bytes]], reason: str, tmp_path: Path
) -> None:
    data = picture((5, 4), "PNG")
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as packed:
        info = zipfile.ZipInfo("a.png")
        info.extra = b"zz" + struct.pack("<H", 0) + HUGE if len(changes) == 4 else b""
        packed.writestr(info, data)
    content = file.read_bytes()
    if len(changes) == 4:  # the field is there already, with these numbers
        changes = changes[:3]
    file.write_bytes(patched(content, changes))
    for items in (
        list(archive_images(str(file))),
        list(stream_images(io.BytesIO(file.read_bytes()), "a.zip")),
    ):
        assert reason in reasons(items)["a.png"]


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_list_far_beyond_the_end(number: int, tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr("a.png", picture((5, 4), "PNG"))
    content = file.read_bytes()
    end = content.index(b"PK\5\6")
    record = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, number, number, number, number)
    for place in (end, number):
        locator = b"PK\6\7" + struct.pack("<IQI", 0, place, 1)
        file.write_bytes(content[:end] + record + locator + content[end:])
        items = list(archive_images(str(file)))
        assert reasons(items)["a.png"] == ""  # without the list
        assert isinstance(items[0].place, Damage)


def test_members_that_share_their_bytes_are_a_bomb(tmp_path: Path) -> None:
    file = tmp_path / "a.zip"
    zip_of_zeros(file, [50 * MIB])
    content = file.read_bytes()
    start, end = content.index(ENTRY), content.index(b"PK\5\6")
    entry, tail = content[start:end], bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, 500, 500, 500 * len(entry))
    file.write_bytes(content[:start] + entry * 500 + tail)
    items = list(archive_images(str(file)))
    assert len(items) < 3
    assert "overlap" in reasons(items)["a.zip"]


def test_sizes_in_extended_headers_that_are_too_much(tmp_path: Path) -> None:
    for size in ("9" * 20, "9" * 5000, "-1", "1e9", "٣"):
        file = tmp_path / "a.tar"
        with tarfile.open(file, "w") as packed:
            entry = tarfile.TarInfo("a.png")
            entry.pax_headers = {"size": size}
            packed.addfile(entry)
            data = picture((5, 4), "PNG")
            entry = tarfile.TarInfo("b.png")
            entry.size = len(data)
            packed.addfile(entry, io.BytesIO(data))
        told = reasons(list(archive_images(str(file))))
        assert told["b.png"] == "" and told["a.tar"]


def test_an_extended_header_of_many_records_takes_a_moment(tmp_path: Path) -> None:
    """The time grows with its length, not with the square of it, which would be minutes."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 20
    records = b"5 a=\n" * ((1 << 20) // 5 - 10)
    data = picture((5, 4), "PNG")
    entry = tarfile.TarInfo("b.png")
    entry.size = len(data)
    whole = records.ljust(1 << 20, b"\0")
    member = entry.tobuf() + data + bytes(-len(data) % 512)
    (tmp_path / "a.tar").write_bytes((header.tobuf() + whole) * 10 + member + bytes(1024))
    assert reasons(list(archive_images(str(tmp_path / "a.tar")))) == {"b.png": ""}


# -- one budget ------------------------------------------------------------------------------------


def test_what_is_held_fills_a_batch() -> None:
    half = Bytes(bytes(MAX_HELD // 2), 0)
    items = [Item(str(number), half) for number in range(5)]
    assert [len(batch.items) for batch in batches_of(items, 32)] == [2, 2, 1]
    assert memory_of([half, half]) == 2 * MAX_HELD
    file = File("a.png", (10**9, 0))
    assert memory_of([file, Deflated(b"x" * 10, 1000, 0, 0), Deflated(b"", 500, 0, 0)]) == 2020


def test_tasks_wait_for_room_in_memory() -> None:
    """At most as many are taken as fit, but always one; the results come in order all the same."""
    taken = done = most = 0
    weights = [MEMORY // 4] * 6 + [3 * MEMORY] + [MEMORY // 2] * 3

    def tasks():  # type: ignore[no-untyped-def]
        nonlocal taken, most
        for number, weight in enumerate(weights):
            taken += 1
            most = max(most, taken - done)
            yield number, weight

    for number, weight in in_order(int, tasks(), 3, weigh=int):
        assert (number, weight) == (done, weights[done])
        done += 1
    assert done == len(weights)
    assert most <= 6  # four that fit, the next, which waits, and one whose result is used
