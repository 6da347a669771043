"""Any image file or bytes as an upright RGB picture, or an error that says why not."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from PIL import Image, JpegImagePlugin

from bitcodes.errors import ImageError
from bitcodes.files import NotAFileError, open_regular
from bitcodes.images.bare import bare, jpeg_process
from bitcodes.images.camera_raw import raw_size
from bitcodes.images.checksums import check_png
from bitcodes.images.claims import MAX_GRAY_32_PIXELS, MAX_PIXELS, check_scans, check_size
from bitcodes.images.decoder_noise import held_back
from bitcodes.images.depth import brighten_deep, gray_to_8_bits, is_deep
from bitcodes.images.exif import orientation_of
from bitcodes.images.formats import IMAGE_SUFFIXES, identify
from bitcodes.images.profiles import to_srgb
from bitcodes.images.reasons import image_errors
from bitcodes.images.transparency import lay_over

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "Box", "image_size", "open_file", "open_image"]
__all__ += ["open_reduced", "recorded_size", "to_upright_rgb"]

Result = TypeVar("Result")
Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of an image, in its pixels."""

# A progressive JPEG repeats every pixel in each of its scans, and a scan can take a few bytes.
_MAX_SCANNED_PIXELS = 4_000_000_000
_UNSUPPORTED = (0xC5, 0xC6, 0xC7, 0xCB, 0xCD, 0xCE, 0xCF)
"""Hierarchical JPEGs, and lossless ones in arithmetic coding: ITU-T T.81, table B.1."""

_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, for each of EXIF's orientations."""


def open_image(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Read an image as an upright, fully decoded 8-bit RGB picture that holds no file open.

    EXIF orientation is applied, colours are converted to sRGB where a profile says what they are,
    transparency is laid over white (over black, if white would hide the picture), and gray of more
    than 8 bits is scaled. An animation gives its first frame, a camera RAW file its preview. Raises
    ImageError, whose message is the reason without the path: truncated, empty, not an image, not
    supported, a folder, a pipe, gone, or too large (MAX_PIXELS).
    """
    with image_errors(), _open(source) as file:
        return _converted(_try_bare(file, lambda part, known: _decode(part, known, _whole))[0])


def to_upright_rgb(image: Image.Image) -> Image.Image:
    """An image in memory as open_image would give it from a file; raises ImageError."""
    with image_errors():
        return _converted(_picture(image.copy(), None, *image.size)[0])


def open_reduced(
    source: str | Path | bytes | BinaryIO, reduction: Callable[[tuple[int, int]], int]
) -> tuple[Image.Image, Box]:
    """Read an image as open_image does, a JPEG smaller; also return the box of the picture in it.

    `reduction` takes the size of an image and returns how many times smaller a JPEG may be decoded,
    1, 2, 4 or 8, which saves most of the work. Decoded sizes are rounded up: pixels beyond the box,
    in the last column and row, do not belong to the picture. A profile that is still to be applied
    is in the info of the image as "icc_profile": that is faster after the resize.
    """
    with image_errors(), _open(source) as file:
        return _try_bare(file, lambda part, known: _decode(part, known, reduction))


def image_size(source: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """Width and height in an image's header, before it is turned upright; nothing is decoded.

    Raises ImageError as open_image does.
    """
    with image_errors(), _open(source) as file:
        return _try_bare(file, _size)


def recorded_size(source: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """Width and height that an image was recorded with; of a camera RAW file those of its sensor.

    Raises ImageError as open_image does.
    """
    with image_errors(), _open(source) as file:
        if (size := raw_size(file)) is not None:
            return size
        with _identify(file)[0] as image:
            return image.size


def open_file(path: str | Path, is_regular: bool = False) -> io.BufferedReader:
    """Open a file to read an image from, without ever waiting for a pipe or a device.

    `is_regular`: the caller has looked it up already. Raises ImageError as open_image does.
    """
    with image_errors():
        try:
            return open_regular(path, is_regular)
        except NotAFileError as error:
            if error.kind == "a folder" and not os.access(path, os.R_OK | os.X_OK):
                raise ImageError("a folder that cannot be read (permission denied)") from None
            raise ImageError(f"{error.kind}, not an image file") from None


@contextmanager
def _open(source: str | Path | bytes | BinaryIO) -> Iterator[BinaryIO]:
    """A source as a file that can seek and is not empty; closed at the end if opened here."""
    file: BinaryIO
    if isinstance(source, bytes):
        file = io.BytesIO(source)
    elif isinstance(source, str | Path):
        file = open_file(source)
    elif isinstance(source, io.BufferedReader) and source.seekable():
        file = source
    else:
        file = io.BytesIO(source.read())
    try:
        if file.seek(0, io.SEEK_END) == 0:
            raise ImageError("the file is empty (0 bytes)")
        file.seek(0)
        yield file
    finally:
        if file is not source:
            file.close()


def _try_bare(file: BinaryIO, read: Callable[[BinaryIO, int], Result]) -> Result:
    """Read an image; if that fails, without metadata, as what a decoder refuses may be those.

    `read` takes a file, and the orientation that was left out with them, or 0.
    """
    try:
        return read(file, 0)
    except (ImageError, Image.DecompressionBombError):
        raise
    except Exception:
        left = bare(file)
        if left is None:
            raise
        with suppress(Exception):
            return read(*left)
        raise


def _size(file: BinaryIO, known: int) -> tuple[int, int]:
    with _identify(file)[0] as image:
        return image.size


def _whole(size: tuple[int, int]) -> int:
    return 1


def _identify(file: BinaryIO) -> tuple[Image.Image, int | None]:
    """An image whose header is read and whose pixels are not, and how it is to be turned."""
    image, orientation = identify(file)
    check_size(*image.size)
    return image, orientation


def _decode(
    file: BinaryIO, known: int, reduction: Callable[[tuple[int, int]], int]
) -> tuple[Image.Image, Box]:
    """Decode an image; `known` is its orientation, if that is not in the file any more, or 0."""
    image, orientation = _identify(file)
    orientation = known or orientation
    if image.info.get("progressive"):
        check_scans(file, *image.size)
    times = reduction(image.size)
    if times > 1 and isinstance(image, JpegImagePlugin.JpegImageFile):
        drafted = image.draft(None, (image.width // times, image.height // times))
        if drafted is not None:
            _, (_, _, width, height) = drafted  # with fractions of a pixel
            try:
                return _picture(image, orientation, width, height)
            except Exception:  # a lossless JPEG has no smaller scales: try the whole
                image, _ = _identify(file)
    return _picture(image, orientation, *image.size)


def _picture(
    image: Image.Image, orientation: int | None, width: float, height: float
) -> tuple[Image.Image, Box]:
    """Decode an image: upright and RGB, and where it is then, if it fills so much from 0, 0 on."""
    is_of_16_bits = is_deep(image)
    _load(image)
    if is_of_16_bits:
        image = brighten_deep(image)
    if image.width * image.height == 0:
        raise ImageError("it has no pixels")
    beyond, below = image.width - width, image.height - height
    profile = image.info.get("icc_profile")
    if image.mode == "RGB" and not image.has_transparency_data:
        rgb = image
    else:
        rgb, profile = _to_rgb(image, profile, is_of_16_bits), None
    if orientation is None:
        orientation = orientation_of(image)  # a PNG may say it after its pixels
    if orientation in _METHODS:
        rgb = rgb.transpose(_METHODS[orientation])
    rgb.info = {"icc_profile": profile} if profile else {}
    if orientation in (5, 6, 7, 8):  # on its side
        width, height, beyond, below = height, width, below, beyond
    left = beyond if orientation in (2, 3, 6, 7) else 0
    top = below if orientation in (3, 4, 7, 8) else 0
    return rgb, (left, top, left + width, top + height)


def _converted(rgb: Image.Image) -> Image.Image:
    """A decoded picture with its profile applied."""
    converted = to_srgb(rgb, rgb.info.get("icc_profile"))
    converted.info = {}
    return converted


def _load(image: Image.Image) -> None:
    """Decode the pixels; what libtiff says about its trouble becomes a part of the error."""
    tiles = getattr(image, "tile", None)
    decoder = tiles[0][0] if tiles else ""
    if decoder == "jpeg2k":
        try:
            image.load()
        except OSError as error:  # OpenJPEG does not tell them apart
            raise OSError(f"{error} (or a kind of JPEG 2000 that is not decoded here)") from error
    elif decoder == "jpeg":
        _load_jpeg(image)
    elif decoder == "zip":
        file: BinaryIO = image.fp  # type: ignore[attr-defined]
        image.load()
        check_png(file)
    elif decoder != "libtiff":
        image.load()
    else:
        _load_tiff(image)


def _load_jpeg(image: Image.Image) -> None:
    file: BinaryIO = image.fp  # type: ignore[attr-defined]
    try:
        image.load()
    except OSError as error:
        file.seek(0)
        if (process := jpeg_process(file.read())) in _UNSUPPORTED:
            raise OSError(f"a JPEG of the unsupported process {process:#x}") from error
        raise


def _load_tiff(image: Image.Image) -> None:
    with held_back() as noise:
        try:
            image.load()
        except Exception as error:
            problem: Exception = error
        else:
            return
    lines = [line.removeprefix("tempfile.tif: ") for line in noise.text.splitlines()]
    raise OSError(" ".join(dict.fromkeys(lines)) or str(problem)) from problem


def _to_rgb(image: Image.Image, profile: object, is_of_16_bits: bool) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        if image.mode in ("I", "F") and not is_of_16_bits:
            check_size(*image.size, MAX_GRAY_32_PIXELS)
        image = gray_to_8_bits(image, is_of_16_bits)
    if image.has_transparency_data:
        return lay_over(image, profile)
    return to_srgb(image, profile)
