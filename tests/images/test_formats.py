"""Formats: what is in a file decides which decoder reads it, and every format gives a picture."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import picture, saved
from PIL import Image, JpegImagePlugin, features

from bitcodes.errors import ImageError
from bitcodes.images import formats
from bitcodes.images.claims import MAX_PIXELS
from bitcodes.images.decode import image_size, open_image, open_reduced
from bitcodes.images.formats import IMAGE_SUFFIXES, UNSUPPORTED_SUFFIXES

CASES = Path(__file__).with_name("cases")


def heif(image: Image.Image, **options: object) -> bytes:
    pytest.importorskip("pillow_heif").register_heif_opener()
    return saved(image, "HEIF", quality=-1, chroma=444, matrix_coefficients=0, **options)


def reason(content: bytes) -> str:
    with pytest.raises(ImageError) as caught:
        open_image(content)
    return str(caught.value)


def test_every_suffix_that_pillow_reads_pictures_by_is_known() -> None:
    Image.init()
    # Known by name, and not read or never written: data, films, drawings, documents, palm.
    others = {"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF", "PDF", "PALM"}
    suffixes = {suffix for suffix, name in Image.EXTENSION.items() if name not in others}
    assert suffixes <= IMAGE_SUFFIXES | UNSUPPORTED_SUFFIXES
    assert not IMAGE_SUFFIXES & UNSUPPORTED_SUFFIXES


def test_heic_is_read_exactly() -> None:
    content = heif(picture())
    np.testing.assert_array_equal(np.asarray(open_image(content)), np.asarray(picture()))
    assert image_size(content) == picture().size


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_heic_is_turned_once(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    found = open_image(heif(picture(), exif=exif.tobytes()))
    expected = open_image(saved(picture(), "PNG", exif=exif))
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_is_read_and_turned(orientation: int) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    expected = np.asarray(open_image(saved(picture(), "PNG", exif=exif)))
    options = {"exif": exif.tobytes(), "quality": 100, "subsampling": "4:4:4"}
    found = np.asarray(open_image(saved(picture(), "AVIF", **options))).astype(int)
    assert abs(found - expected).max() <= 4


ANIMATED = ["GIF", "PNG", "WEBP", "TIFF", "MPO"] + ["AVIF"] * features.check("avif")


@pytest.mark.parametrize("kind", [*ANIMATED, "HEIF"])
def test_the_first_of_several_pictures_is_the_picture(kind: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "lime", "blue")]
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    content = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
    found = np.asarray(open_image(content))
    assert found.shape == (64, 64, 3)
    assert abs(found.astype(int) - (255, 0, 0)).max() <= 5
    for cut in (image_size(content), open_reduced(content, lambda size: 1)[0].size):
        assert cut == (64, 64)


@pytest.mark.parametrize("kind", ["BMP", "DDS", "ICO", "PCX", "QOI", "SGI", "TGA"])
def test_less_usual_formats_are_read(kind: str) -> None:
    if kind == "QOI" and "QOI" not in Image.SAVE:
        pytest.skip("this Pillow does not write QOI")
    whole = picture().resize((32, 32))
    np.testing.assert_array_equal(np.asarray(open_image(saved(whole, kind))), np.asarray(whole))


def ftex() -> bytes:
    """A texture of 4 x 4 red pixels, not compressed: its plugin closes the file that it reads."""
    head = struct.pack("<4siiiii", b"FTEX", 1, 4, 4, 1, 1)
    return head + struct.pack("<iii", 1, 32, 48) + b"\xff\0\0" * 16


def test_a_plugin_that_closes_its_file_does_not_cost_the_image(tmp_path: Path) -> None:
    path = tmp_path / "a.ftu"
    path.write_bytes(ftex())
    with path.open("rb") as file:
        found = open_image(file)
        assert not file.closed
    assert (found.size, found.getpixel((0, 0))) == ((4, 4), (255, 0, 0))


@pytest.mark.parametrize("name", ["DSCF0005.MPO", "scan.j2k"])
def test_files_of_cameras_and_scanners(name: str) -> None:
    assert Path(name).suffix.lower() in IMAGE_SUFFIXES
    assert open_image(CASES / name).size == (200, 150)


def lossless_jpeg() -> bytes:
    """8 x 8 gray of SOF3, predictor 1: all differences 0, so all pixels are 128 (ITU T.81, H)."""
    frame = bytes([0xFF, 0xC3, 0, 11, 8, 0, 64, 0, 64, 1, 1, 0x11, 0])
    table = bytes([0xFF, 0xC4, 0, 20, 0, 1, *[0] * 15, 0])  # one code of one bit, for length 0
    scan = bytes([0xFF, 0xDA, 0, 8, 1, 1, 0, 1, 0, 0])
    return b"\xff\xd8" + frame + table + scan + bytes(64 * 64 // 8) + b"\xff\xd9"


def test_a_lossless_jpeg_is_read_whole_where_it_cannot_be_read_reduced() -> None:
    try:
        Image.open(io.BytesIO(lossless_jpeg())).load()
    except OSError:
        pytest.skip("this Pillow's libjpeg reads no lossless JPEG")
    for reduction in (1, 2, 8):
        found, box = open_reduced(lossless_jpeg(), lambda size, times=reduction: times)
        assert (found.size, box) == ((64, 64), (0, 0, 64, 64))
        assert np.unique(np.asarray(found)).tolist() == [128]


def test_whatever_fails_reduced_is_tried_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    content = saved(picture().resize((400, 300)), "JPEG")
    original: Callable[..., object] = JpegImagePlugin.JpegImageFile.load

    def refuse(image: Image.Image) -> object:
        if image.size != (400, 300):
            raise OSError("broken data stream when reading image file")
        return original(image)

    monkeypatch.setattr(JpegImagePlugin.JpegImageFile, "load", refuse)
    assert open_reduced(content, lambda size: 4)[0].size == (400, 300)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_a_huge_avif_is_too_large_and_not_something_else(kind: str) -> None:
    if kind == "AVIF":
        if not features.check("avif"):
            pytest.skip("this Pillow has no AVIF")
        content = saved(picture(), "AVIF")
    else:
        content = heif(picture())
    width, height = (side.to_bytes(4, "big") for side in picture().size)
    place = content.index(b"ispe") + 8
    assert content[place : place + 8] == width + height or kind == "HEIF"
    huge = (17_000).to_bytes(4, "big") * 2
    found = reason(content[:place] + huge + content[place + 8 :])
    assert f"17,000 x 17,000, more than {MAX_PIXELS:,} pixels" in found


def bmp(depth: int = 24, compression: int = 0, header: int = 40) -> bytes:
    content = bytearray(saved(picture(), "BMP"))
    content[14:18] = header.to_bytes(4, "little")
    content[28:30] = depth.to_bytes(2, "little")
    content[30:34] = compression.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        (CASES / "ten-bits.bmp").read_bytes(),
        bmp(depth=2),
        bmp(depth=0, compression=5),  # a PNG within
        bmp(compression=6),
        bmp(header=16),
        saved(picture(), "TIFF").replace(
            b"\x06\x01\x03\0\x01\0\0\0\x02", b"\x06\x01\x03\0\x01\0\0\0\x63"
        ),
    ],
    ids=["ten bits", "depth 2", "png in bmp", "compression", "header", "tiff colours"],
)
def test_valid_files_that_pillow_cannot_read_are_not_called_damaged(content: bytes) -> None:
    assert reason(content).startswith("not supported: ")


def test_a_missing_decoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pillow_heif", "pillow_jxl", "pillow_jxl.JpegXLImagePlugin"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("bitcodes.images.camera_raw.find_spec", lambda name: None)
    assert "not supported here: pip install pillow-heif" in reason(
        b"\0\0\0\x18ftypheic" + bytes(90)
    )
    assert "pip install 'bitcodes[jxl]'" in reason(b"\xff\x0a" + bytes(90))
    assert "pip install 'bitcodes[raw]'" in reason(b"FUJIFILMCCD-RAW 0201" + bytes(90))


def test_suffixes_follow_what_is_installed() -> None:
    code = (
        "import sys, importlib.util as u; whole = u.find_spec; "
        "u.find_spec = lambda name, *rest: None if name in ('rawpy', 'pillow_jxl') "
        "else whole(name, *rest); "
        "from bitcodes.images.formats import IMAGE_SUFFIXES as i, UNSUPPORTED_SUFFIXES as n; "
        "assert '.nef' in n and '.jxl' in n and '.heic' in i and not i & n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_decoder_is_found_by_content() -> None:
    contents = {kind: saved(picture(), kind) for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF")}
    found = {
        kind: formats.identify(io.BytesIO(content))[0].format for kind, content in contents.items()
    }
    assert found == {kind: kind for kind in contents}


@pytest.mark.parametrize(
    ("version", "bits", "mode", "words"),
    [
        (2, 8, 3, "a large Photoshop document (PSB)"),
        (1, 16, 3, "a Photoshop document of 16 bits and colour mode 3"),
        (1, 32, 3, "a Photoshop document of 32 bits and colour mode 3"),
        (1, 8, 65, "a Photoshop document of 8 bits and colour mode 65"),
    ],
)
def test_photoshop_documents_of_other_kinds(version: int, bits: int, mode: int, words: str) -> None:
    head = b"8BPS" + struct.pack(">H6xHIIHH", version, 3, 9, 9, bits, mode)
    assert reason(head + bytes(99)) == f"{words}, which is not supported"


def test_a_heif_image_of_other_pixels_is_not_called_damaged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")

    def refuse(*_: object) -> None:
        raise SyntaxError("not identified by this driver")

    monkeypatch.setattr(pillow_heif, "HeifImageFile", refuse)
    assert "not supported" in reason(b"\0\0\0\x18ftypunif\0\0\0\0mif1unif" + bytes(64))


def test_jpeg_2000_that_cannot_be_decoded_may_be_of_another_kind() -> None:
    content = saved(picture(), "JPEG2000")
    damaged = content[: len(content) // 2] + b"\xff" * 50
    assert "or a kind of JPEG 2000 that is not decoded here" in reason(damaged)


@pytest.mark.parametrize("compression", ["webp", "zstd", "lzma", "jpeg", "packbits", "tiff_lzw"])
def test_a_compression_of_tiff_is_read_or_named(compression: str) -> None:
    try:
        content = saved(picture(), "TIFF", compression=compression)
    except OSError:  # Pillow's libtiff lacks it: what it says of a file that has it
        number = {"webp": 50001, "zstd": 50000, "lzma": 34925}[compression]
        whole = saved(picture(), "TIFF", compression="tiff_adobe_deflate")
        content = whole.replace(
            struct.pack("<HHIH", 259, 3, 1, 8), struct.pack("<HHIH", 259, 3, 1, number)
        )
        assert content != whole
        assert reason(content).startswith("not supported: ")
        return
    found = np.asarray(open_image(content)).astype(int)
    assert abs(found - np.asarray(picture())).max() <= (90 if compression == "jpeg" else 0)


def test_a_jpeg_of_12_bits_and_jpeg_ls_are_not_supported() -> None:
    whole = saved(picture("L"), "JPEG")
    frame = whole.index(b"\xff\xc0")
    assert reason(whole[: frame + 4] + b"\x0c" + whole[frame + 5 :]).startswith("not supported: ")
    jpeg_ls = b"\xff\xd8\xff\xf7\0\x0b\x08\0\x08\0\x08\1\1\x11\0\xff\xda\0\x08\1\1\0\0\0\0" + bytes(
        20
    )
    assert reason(jpeg_ls + b"\xff\xd9") == "a JPEG-LS image, which is not supported"


@pytest.mark.parametrize("process", [0xC5, 0xC7, 0xCB, 0xCF])
def test_other_processes_of_jpeg_are_not_called_damaged(process: int) -> None:
    content = lossless_jpeg().replace(b"\xff\xc3", bytes([0xFF, process]))
    assert reason(content) == f"not supported: a JPEG of the unsupported process {process:#x}"
