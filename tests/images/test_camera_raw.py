"""Camera RAW files: the preview in them, by rawpy, in DNG files put together by hand."""

import io
from pathlib import Path

import numpy as np
import pytest
from hostile import saved
from PIL import Image
from raw_files import dng

from bitcodes.errors import ImageError
from bitcodes.images.camera_raw import is_raw
from bitcodes.images.decode import image_size, open_image, open_reduced, recorded_size


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
