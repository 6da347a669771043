"""open_image: every kind of picture comes out right, and everything else says why not."""

import contextlib
import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile import find_images, make_hostile_folder, picture, png, saved, scan_bomb
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images import decode
from bitcodes.images.decode import MAX_PIXELS, image_size, open_image
from bitcodes.images.thumbnails import thumbnail_jpeg


def pixels(source: Path | bytes) -> np.ndarray:
    return np.asarray(open_image(source)).astype(int)


def write_16_bit(values: np.ndarray, kind: str) -> bytes:
    return saved(Image.fromarray(values.astype(np.uint16)), kind)


def test_an_rgb_picture_comes_out_as_it_is() -> None:
    image = open_image(saved(picture(), "PNG"))
    assert image.mode == "RGB"
    assert image.info == {}
    np.testing.assert_array_equal(np.asarray(image), np.asarray(picture()))


def test_paths_text_bytes_and_files_are_sources(tmp_path: Path) -> None:
    content = saved(picture(), "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(content)
    sources = [path, str(path), content, io.BytesIO(content)]
    assert len({open_image(source).tobytes() for source in sources}) == 1


def test_every_exif_orientation() -> None:
    # What the stored rows and columns have to undergo, from the EXIF standard's table.
    upright = np.asarray(picture()).astype(int)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),  # shown turned clockwise, so stored turned anticlockwise
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    for orientation, stored in undo.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = Image.fromarray(np.ascontiguousarray(stored(upright)).astype(np.uint8))
        for kind in ("PNG", "TIFF", "JPEG", "WEBP"):
            options = {"lossless": True} if kind == "WEBP" else {}
            if kind == "JPEG":
                options = {"quality": 100, "subsampling": 0}
            found = pixels(saved(turned, kind, exif=exif, **options))
            assert found.shape == upright.shape, (orientation, kind)
            assert abs(found - upright).max() <= (8 if kind == "JPEG" else 0), (orientation, kind)


def test_gray_becomes_three_equal_channels() -> None:
    gray = np.asarray(picture("L"))
    found = pixels(saved(picture("L"), "PNG"))
    np.testing.assert_array_equal(found, np.stack([gray] * 3, axis=-1))


def test_one_bit_is_black_and_white() -> None:
    bits = np.asarray(picture("1"))
    for kind in ("PNG", "TIFF", "BMP", "PPM"):
        np.testing.assert_array_equal(pixels(saved(picture("1"), kind))[..., 1], bits * 255)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_laid_over_white(kind: str) -> None:
    colours = np.array([[[200, 100, 0, 255], [200, 100, 0, 0], [200, 100, 0, 51]]], np.uint8)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    found = pixels(saved(Image.fromarray(colours), kind, **options))
    # 51 / 255 = a fifth of the colour, four fifths of white.
    expected = [[[200, 100, 0], [255, 255, 255], [244, 224, 204]]]
    assert abs(found - expected).max() <= 1


def test_gray_with_alpha_is_laid_over_white() -> None:
    values = np.array([[[100, 255], [100, 0], [0, 51]]], np.uint8)
    found = pixels(saved(Image.fromarray(values), "PNG"))
    assert abs(found[0, :, 0] - [100, 255, 204]).max() <= 1


def test_palettes_with_and_without_transparency() -> None:
    image = Image.new("P", (3, 1))
    image.putpalette([10, 20, 30, 200, 100, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    for kind in ("PNG", "GIF", "BMP"):
        assert pixels(saved(image, kind)).tolist() == [[[10, 20, 30], [200, 100, 0], [0, 0, 255]]]
    for kind in ("PNG", "GIF"):
        found = pixels(saved(image, kind, transparency=1))
        assert found.tolist() == [[[10, 20, 30], [255, 255, 255], [0, 0, 255]]]
    found = pixels(saved(image, "PNG", transparency=bytes([255, 51, 0])))
    assert abs(found - [[[10, 20, 30], [244, 224, 204], [255, 255, 255]]]).max() <= 1


def test_a_transparent_colour_is_white() -> None:
    colours = np.array([[[10, 20, 30], [40, 50, 60]]], np.uint8)
    found = pixels(saved(Image.fromarray(colours), "PNG", transparency=(10, 20, 30)))
    assert found.tolist() == [[[255, 255, 255], [40, 50, 60]]]
    gray = Image.fromarray(np.array([[7, 8]], np.uint8))
    assert pixels(saved(gray, "PNG", transparency=7))[0, :, 0].tolist() == [255, 8]


def test_cmyk_and_inverted_cmyk() -> None:
    cmyk = np.zeros((16, 16, 4), np.uint8)
    cmyk[..., 0] = 255  # cyan ink only: red is taken away
    image = Image.fromarray(cmyk, "CMYK")
    assert pixels(saved(image, "TIFF"))[8, 8].tolist() == [0, 255, 255]
    # Pillow writes an Adobe marker and inverted values, as Photoshop does.
    content = saved(image, "JPEG", quality=100)
    assert b"Adobe" in content
    assert abs(pixels(content)[8, 8] - [0, 255, 255]).max() <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG2000"])
def test_16_bit_gray_is_scaled_and_not_clipped(kind: str) -> None:
    values = np.array([[0, 255, 256, 257, 32768, 65280, 65535]])
    found = pixels(write_16_bit(values, kind))[0, :, 0]
    assert found.tolist() == [0, 0, 1, 1, 128, 255, 255]


def test_16_bit_gray_of_other_kinds() -> None:
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    expected = [0, 1, 128, 255]
    big_endian = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    assert pixels(saved(big_endian, "TIFF"))[0, :, 0].tolist() == expected
    pgm = b"P5 4 1 65535\n" + values.astype(">u2").tobytes()
    assert pixels(pgm)[0, :, 0].tolist() == expected
    dark = b"P5 4 1 60000\n" + np.array([0, 1, 200, 255], ">u2").tobytes()
    assert pixels(dark).max() <= 1  # by the file's own word, however dark
    integers = Image.fromarray(values.astype(np.int32))
    assert pixels(saved(integers, "TIFF"))[0, :, 0].tolist() == expected


def test_16_bit_colour_and_gray_agree() -> None:
    values = np.arange(0, 65536, 97, dtype=">u2")
    gray = png(len(values), 1, 16, 0, (b"IDAT", zlib.compress(b"\0" + values.tobytes())))
    colour = np.repeat(values, 3)
    rgb = png(len(values), 1, 16, 2, (b"IDAT", zlib.compress(b"\0" + colour.tobytes())))
    np.testing.assert_array_equal(pixels(gray), pixels(rgb))


def test_float_and_32_bit_gray() -> None:
    def tiff(values: list[float], kind: type) -> list[int]:
        content = saved(Image.fromarray(np.array([values], kind)), "TIFF")
        return pixels(content)[0, :, 0].tolist()  # type: ignore[no-any-return]

    assert tiff([0, 0.5, 1], np.float32) == [0, 128, 255]
    assert tiff([0, 100, 255], np.float32) == [0, 100, 255]
    assert tiff([-1, 0, 1], np.float32) == [0, 128, 255]
    assert tiff([0, np.nan, np.inf, -np.inf, 1], np.float32) == [0, 0, 255, 0, 255]
    assert tiff([3e38, 3e38], np.float32) == [0, 0]
    assert tiff([0, 100, 255], np.int32) == [0, 100, 255]
    assert tiff([-1000, 0, 1000], np.int32) == [0, 128, 255]
    assert tiff([0, 2**31 - 1], np.int32) == [0, 255]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF", "MPO"])
def test_the_first_frame_of_several(kind: str) -> None:
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("red", "blue")]
    found = pixels(saved(frames[0], kind, save_all=True, append_images=frames[1:]))
    assert found.shape == (16, 16, 3)
    assert abs(found[8, 8] - [255, 0, 0]).max() <= 5


def test_damaged_exif_does_not_cost_the_picture() -> None:
    content = saved(picture(), "JPEG", exif=b"Exif\0\0MM\0*" + b"\xff" * 200)
    assert open_image(content).size == picture().size


@pytest.mark.posix
def test_hostile_files_open_or_say_why_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    expected = make_hostile_folder(tmp_path)
    assert set(find_images(tmp_path)) == set(expected)
    assert sum(reason is not None for reason in expected.values()) > 100
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, reason in expected.items():
            try:
                image = open_image(tmp_path / name)
            except ImageError as error:
                assert reason is not None, (name, str(error))
                assert reason in str(error), (name, str(error))
                assert str(error).isprintable(), name
                assert str(tmp_path) not in str(error), name
                assert len(str(error)) < 300, name
            else:
                assert reason is None, name
                assert image.mode == "RGB"
                assert len(image.tobytes()) == 3 * image.width * image.height > 0
    assert capfd.readouterr() == ("", "")


def test_random_damage_is_never_another_error() -> None:
    chance = random.Random(5)
    wholes = [
        saved(picture(mode), kind)
        for mode, kind in [
            ("RGB", "JPEG"),
            ("RGB", "PNG"),
            ("P", "PNG"),
            ("P", "GIF"),
            ("RGB", "BMP"),
            ("RGB", "TIFF"),
            ("CMYK", "TIFF"),
            ("RGB", "WEBP"),
            ("RGB", "JPEG2000"),
            ("L", "PPM"),
        ]
    ]
    outcomes = set()
    for round_ in range(600):
        content = bytearray(wholes[round_ % len(wholes)])
        for _ in range(chance.choice([1, 3, 10])):
            # Most of the meaning lies in the first bytes.
            limit = chance.choice([64, len(content)])
            content[chance.randrange(min(limit, len(content)))] = chance.randrange(256)
        try:
            outcomes.add(open_image(bytes(content)).mode)
        except ImageError:
            outcomes.add("error")
    assert outcomes == {"RGB", "error"}


def test_scans_are_limited_but_ordinary_progressive_images_open() -> None:
    assert open_image(saved(picture(), "JPEG", progressive=True)).size == picture().size
    assert open_image(scan_bomb(64, 50)).size == (64, 64)
    with pytest.raises(ImageError, match=r"in 1\d\d\d scans would take too long"):
        open_image(scan_bomb(2500, 1000))


def test_the_limit_holds_where_a_program_lifted_pillows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    with pytest.raises(ImageError, match=f"{MAX_PIXELS:,} pixels"):
        open_image(b"P4 100000 100000\n")


def test_a_large_image_opens_without_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # so that 40 x 30 are in the warning zone
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(saved(picture(), "PNG")).size == picture().size


@pytest.mark.posix
def test_what_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def reason(path: str | Path) -> str:
        with pytest.raises(ImageError) as caught:
            open_image(path)
        return str(caught.value)

    assert reason(tmp_path / "gone.png").startswith("no such file")
    assert reason(tmp_path) == "a folder, not an image file"
    assert reason(f"{tmp_path}/zero\0byte") != ""
    assert reason(tmp_path / ("x" * 300)) == "File name too long"
    assert reason(Path("/dev/null")) == "a device, not an image file"
    os.mkfifo(tmp_path / "pipe.png")
    assert reason(tmp_path / "pipe.png") == "a named pipe, not an image file"
    (tmp_path / "a.png").touch()
    assert reason(tmp_path / "a.png") == "the file is empty (0 bytes)"

    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert reason(tmp_path / "a.png") == "permission denied"
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission denied" in reason(tmp_path)


class Panic(BaseException):
    """What decoders written in Rust raise: no Exception."""


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum recursion depth exceeded"), "damaged: too deeply nested"),
        (struct.error("unpack requires a buffer of 4 bytes"), "damaged or truncated: unpack"),
        (SystemError("tile cannot extend outside image"), "damaged or truncated: tile"),
        (AssertionError(), "damaged or truncated: AssertionError"),
        (OSError("Unsupported BMP pixel depth (10)"), "not supported: Unsupported BMP"),
        (NotImplementedError("bit fields"), "not supported: bit fields"),
        (Panic("index out of bounds"), "damaged or truncated: index out of bounds"),
    ],
)
def test_whatever_one_image_raises_is_its_reason(
    error: BaseException, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    for place in ("identify", "_load", "to_srgb", "orientation_of"):
        with monkeypatch.context() as patch:
            patch.setattr(decode, place, fail)
            with pytest.raises(ImageError) as caught:
                open_image(saved(picture(), "PNG"))
        assert str(caught.value).startswith(reason), place


def test_ctrl_c_is_no_fault_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(decode, "identify", interrupt)
    with pytest.raises(KeyboardInterrupt):
        open_image(saved(picture(), "PNG"))


@pytest.mark.posix
@pytest.mark.proc
def test_no_file_is_left_open(tmp_path: Path) -> None:
    make_hostile_folder(tmp_path)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for name in find_images(tmp_path):
        with contextlib.suppress(ImageError):
            open_image(tmp_path / name)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_the_size_is_read_without_decoding(tmp_path: Path) -> None:
    whole = saved(picture(), "PNG")
    assert image_size(whole) == image_size(whole[:100]) == picture().size
    with pytest.raises(ImageError, match="a folder"):
        image_size(tmp_path)
    with pytest.raises(ImageError, match="pixels"):
        image_size(b"P4 100000 100000\n")


def test_thumbnails_fit_and_are_never_enlarged() -> None:
    def size(width: int, height: int) -> tuple[int, int]:
        thumbnail = thumbnail_jpeg(Image.new("RGB", (width, height)), 128)
        image = Image.open(io.BytesIO(thumbnail))
        assert image.format == "JPEG"
        return image.size

    assert size(1000, 500) == (128, 64)
    assert size(32, 32) == (32, 32)
    assert size(1, 10_000) == (1, 128)


def test_thumbnails_carry_nothing_along_and_spare_their_image() -> None:
    image = picture()
    image.info["comment"] = b"secret"
    assert b"secret" not in thumbnail_jpeg(image, 16)
    assert image.size == picture().size


def test_images_are_light_to_import() -> None:
    code = "import sys, bitcodes.images; assert not {'torch', 'numba'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_few_bytes_of_anything_are_not_an_image() -> None:
    for count in range(1, 20):
        with pytest.raises(ImageError, match="not an image"):
            open_image(b"notanimagebutawordofletters"[:count])
