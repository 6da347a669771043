"""Camera RAW files: the preview in them, by rawpy, in DNG files put together by hand."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hostile import saved
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.camera_raw import is_raw
from bitcodes.images.decode import image_size, open_image, open_reduced, recorded_size

_FORMS = {1: "B", 3: "H", 4: "I", 5: "II", 10: "ii"}
Entry = tuple[int, int, list[object] | bytes]


def directory(entries: list[Entry], start: int) -> bytes:
    """A TIFF directory that begins at `start`, and the values that do not fit into it."""
    values_start = start + 2 + 12 * len(entries) + 4
    body, values = struct.pack("<H", len(entries)), b""
    for tag, kind, numbers in entries:
        if isinstance(numbers, bytes):
            data = numbers
        else:
            rows = [n if isinstance(n, tuple) else (n,) for n in numbers]
            data = b"".join(struct.pack("<" + _FORMS[kind], *row) for row in rows)
        place = data.ljust(4, b"\0")
        if len(data) > 4:
            place = struct.pack("<I", values_start + len(values))
            values += data + bytes(len(data) % 2)
        body += struct.pack("<HHI", tag, kind, len(numbers)) + place
    return body + bytes(4) + values


def dng(preview: bytes, size: tuple[int, int], orientation: int = 1) -> bytes:
    """A DNG file: a JPEG preview in its first directory, 64 x 48 sensor values in a second."""
    sensor = np.full((48, 64), 1000, "<u2").tobytes()
    sensor_start = 8 + len(preview) + len(preview) % 2
    raw_start = sensor_start + len(sensor)
    raw: list[Entry] = [(254, 4, [0]), (256, 4, [64]), (257, 4, [48]), (258, 3, [16])]
    raw += [(259, 3, [1]), (262, 3, [32803]), (273, 4, [sensor_start]), (277, 3, [1])]
    raw += [(278, 4, [48]), (279, 4, [len(sensor)]), (33421, 3, [2, 2]), (33422, 1, [0, 1, 1, 2])]
    second = directory([*raw, (50717, 4, [65535])], raw_start)
    start = raw_start + len(second) + len(second) % 2
    first: list[Entry] = [(254, 4, [1]), (256, 4, [size[0]]), (257, 4, [size[1]])]
    first += [(258, 3, [8, 8, 8]), (259, 3, [7]), (262, 3, [6]), (271, 2, b"Nobody\0")]
    first += [(272, 2, b"Test\0"), (273, 4, [8]), (274, 3, [orientation]), (277, 3, [3])]
    first += [(278, 4, [size[1]]), (279, 4, [len(preview)]), (330, 4, [raw_start])]
    identity: list[object] = [(int(i == j), 1) for i in range(3) for j in range(3)]
    first += [(50706, 1, [1, 4, 0, 0]), (50708, 2, b"Nobody Test\0"), (50721, 10, identity)]
    first += [(50728, 5, [(1, 1), (1, 1), (1, 1)]), (50778, 3, [21])]
    whole = b"II*\0" + struct.pack("<I", start) + preview
    return (whole.ljust(sensor_start, b"\0") + sensor + second).ljust(start, b"\0") + directory(
        first, start
    )


def photograph(width: int = 400, height: int = 300) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 255 // width, y * 255 // height, x * 0], -1).astype("u1"))


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_preview_is_the_picture_upright(orientation: int) -> None:
    pytest.importorskip("rawpy")
    preview = saved(photograph(), "JPEG", quality=95)
    exif = Image.Exif()
    exif[274] = orientation
    expected = open_image(saved(photograph(), "JPEG", quality=95, exif=exif))
    content = dng(preview, (400, 300), orientation)
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(expected))
    assert sorted(image_size(content)) == [300, 400]
    found, box = open_reduced(content, lambda size: 2)
    assert sorted(found.size) == [150, 200]
    assert box == (0, 0, *found.size)


def test_without_a_preview_of_some_size_the_sensor_is_developed() -> None:
    pytest.importorskip("rawpy")
    content = dng(saved(photograph(80, 60), "JPEG"), (80, 60), orientation=6)
    found = open_image(content)
    assert found.size == (24, 32)
    assert np.ptp(np.asarray(found)) <= 60  # all of one brightness


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_is_cut_is_damaged(share: float, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rawpy")
    content = dng(saved(photograph(), "JPEG"), (400, 300))
    with pytest.raises(ImageError, match=r"RAW|damaged|truncated|not supported"):
        open_image(content[: int(len(content) * share)])
    assert capfd.readouterr().err == ""


def test_without_rawpy_the_line_that_installs_it_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("bitcodes.images.camera_raw.find_spec", lambda name: None)
    path = tmp_path / "a.tif"  # whatever it is called: the small preview is not the picture
    path.write_bytes(dng(saved(photograph(), "JPEG"), (400, 300)))
    with pytest.raises(ImageError, match=r"camera RAW .*not supported.*'bitcodes\[raw\]'"):
        open_image(path)


def test_ordinary_tiff_files_are_no_raw_files_and_jpegs_never() -> None:
    for kind in ("TIFF", "JPEG", "PNG"):
        content = saved(photograph(), kind)
        assert not is_raw(content[:64], io.BytesIO(content))
    heads = [b"II*\0\x10\0\0\0CR\x02\0", b"IIRO\x08\0\0\0", b"FUJIFILMCCD-RAW 0201", b"IIU\0\x18\0"]
    heads += [b"\0\0\0\x18ftypcrx ", b"II\x1a\0\0\0HEAPCCDR", b"FOVb\0", b"\0MRM"]
    for head in heads:
        assert is_raw(head.ljust(64, b"\0"), io.BytesIO(head.ljust(64, b"\0")))


def test_a_jpeg_called_nef_is_a_jpeg(tmp_path: Path) -> None:
    path = tmp_path / "a.nef"
    path.write_bytes(saved(photograph(), "JPEG"))
    assert open_image(path).size == (400, 300)
    path.write_bytes(saved(photograph(), "TIFF"))
    assert open_image(path).size == (400, 300)


def test_the_recorded_size_is_that_of_the_sensor(tmp_path: Path) -> None:
    pytest.importorskip("rawpy")
    path = tmp_path / "a.nef"
    path.write_bytes(dng(saved(photograph(), "JPEG"), (400, 300)))
    assert recorded_size(path) == (64, 48)
    assert sorted(image_size(path)) == [300, 400]  # of the preview
    for kind in ("JPEG", "TIFF"):
        path.write_bytes(saved(photograph(), kind))
        assert recorded_size(path) == (400, 300)
    path.write_bytes(b"II*\0 no picture")
    with pytest.raises(ImageError):
        recorded_size(path)
