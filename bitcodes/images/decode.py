"""Any image file or bytes as an upright RGB picture, or an error that says why not."""

import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageOps, JpegImagePlugin, UnidentifiedImageError

from bitcodes.errors import ImageError

IMAGE_SUFFIXES = frozenset(
    {".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"}
    | {".pnm", ".ppm", ".tif", ".tiff", ".webp"}
)
"""Names of files that are taken for images, in lower case."""

MAX_PIXELS = 178_956_970
"""Larger images are refused before they are decoded: they are mostly decompression bombs."""

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a part of an image, in its pixels."""

# Named one by one, because Pillow would also run Ghostscript on EPS and take text for pictures.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
# A progressive JPEG repeats every pixel in each of its scans, and a scan can take a few bytes.
_MAX_SCANNED_PIXELS = 4_000_000_000


def open_image(source: str | Path | bytes | BinaryIO) -> Image.Image:
    """Read an image as an upright, fully decoded 8-bit RGB picture that holds no file open.

    EXIF orientation is applied, transparency laid over white, 16-bit gray scaled to 8 bits. An
    animation gives its first frame. Colour profiles are not applied. Raises ImageError, whose
    message is the reason without the path: truncated, empty, not an image, a folder, a pipe, gone,
    or too large (MAX_PIXELS).
    """
    return open_reduced(source, lambda size: 1)[0]


def open_reduced(
    source: str | Path | bytes | BinaryIO, reduction: Callable[[tuple[int, int]], int]
) -> tuple[Image.Image, Box]:
    """Read an image as open_image does, a JPEG smaller; also return the box of the picture in it.

    `reduction` takes the size of an image and returns how many times smaller a JPEG may be decoded,
    1, 2, 4 or 8, which saves most of the work. Decoded sizes are rounded up: pixels beyond the box,
    in the last column and row, do not belong to the picture.
    """
    with _reasons(), _open(source) as file:
        return _decode(file, reduction)


def image_size(source: str | Path | bytes | BinaryIO) -> tuple[int, int]:
    """Width and height in an image's header, before it is turned upright; nothing is decoded.

    Raises ImageError as open_image does.
    """
    with _reasons(), _open(source) as file, _identify(file) as image:
        return image.size


@contextmanager
def _reasons() -> Iterator[None]:
    """Turn whatever goes wrong inside into an ImageError, and keep Pillow's warnings to itself."""
    try:
        with warnings.catch_warnings():
            # Only Pillow's: if threads restore these filters in the wrong order, no harm is done.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            yield
    except ImageError:
        raise
    except MemoryError:
        raise ImageError("not enough memory to decode it") from None
    except Image.DecompressionBombError:
        raise ImageError(f"larger than {MAX_PIXELS:,} pixels (a decompression bomb?)") from None
    except Exception as error:  # Pillow's decoders raise nearly everything on damaged files
        raise ImageError(_reason(error)) from error


def open_file(path: str | Path, is_regular: bool = False) -> io.BufferedReader:
    """Open a file to read an image from, without ever waiting for a pipe or a device.

    `is_regular`: the caller has looked it up already. Raises ImageError as open_image does.
    """
    with _reasons():
        if not is_regular:
            _check_regular(os.stat(path).st_mode, path)  # noqa: PTH116 - takes any str
        try:
            file = open(path, "rb", opener=_open_at_once)  # noqa: SIM115 - takes any str
        except OSError:
            _check_regular(os.stat(path).st_mode, path)  # noqa: PTH116 - it is no longer one
            raise
        try:
            _check_regular(os.fstat(file.fileno()).st_mode, path)
        except ImageError:
            file.close()
            raise
        return file


def _open_at_once(path: str, flags: int) -> int:
    """Open a pipe that nobody writes to without waiting, as `opener` of open."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


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


def _check_regular(mode: int, path: str | Path) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISDIR(mode) and not os.access(path, os.R_OK | os.X_OK):
        raise ImageError("a folder that cannot be read (permission denied)")
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    raise ImageError(f"{kinds.get(stat.S_IFMT(mode), 'a special file')}, not an image file")


def _identify(file: BinaryIO) -> Image.Image:
    """An image whose header is read and whose pixels are not."""
    try:
        image: Image.Image = Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        raise ImageError(_unidentified(file.read(16))) from None
    if image.width * image.height > MAX_PIXELS:  # Pillow's own limit may be lifted by the program
        raise Image.DecompressionBombError
    return image


def _decode(file: BinaryIO, reduction: Callable[[tuple[int, int]], int]) -> tuple[Image.Image, Box]:
    image = _identify(file)
    if image.info.get("progressive"):
        _check_scans(file, image)
    times = reduction(image.size)
    width: float  # of the picture: with fractions of a pixel, once reduced
    height: float
    width, height = image.size
    if times > 1 and isinstance(image, JpegImagePlugin.JpegImageFile):
        drafted = image.draft(None, (image.width // times, image.height // times))
        if drafted is not None:
            _, (_, _, width, height) = drafted
    image.load()
    if image.width * image.height == 0:
        raise ImageError("it has no pixels")
    box = _turn_upright(image, width, height)
    rgb = _to_rgb(image)
    rgb.info = {}
    return rgb, box


def _unidentified(head: bytes) -> str:
    magics = {
        b"\xff\xd8\xff": "JPEG",
        b"\x89PNG": "PNG",
        b"GIF8": "GIF",
        b"BM": "BMP",
        b"II*\0": "TIFF",
        b"MM\0*": "TIFF",
        b"RIFF": "WebP",
    }
    for magic, name in magics.items():
        if head.startswith(magic):
            return f"begins like a {name} image but is damaged or truncated"
    return f"not an image in a format that is read here (it begins with {head!r})"


def _check_scans(file: BinaryIO, image: Image.Image) -> None:
    """Refuse a progressive JPEG whose thousands of scans would take hours to decode."""
    position = file.tell()
    file.seek(0)
    scans = file.read().count(b"\xff\xda")
    file.seek(position)
    if scans * image.width * image.height > _MAX_SCANNED_PIXELS:
        raise ImageError(
            f"a progressive JPEG of {image.width} x {image.height} pixels in {scans} scans "
            "would take too long to decode (a decompression bomb?)"
        )


def _turn_upright(image: Image.Image, width: float, height: float) -> Box:
    """Apply the EXIF orientation; where the picture then is, that fills so much from 0, 0 on."""
    beyond, below = image.width - width, image.height - height
    orientation = 1
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
        ImageOps.exif_transpose(image, in_place=True)
    except MemoryError:
        raise
    except Exception:  # damaged EXIF says nothing about the pixels: take them as they are
        orientation = 1
    if orientation in (5, 6, 7, 8):  # on its side
        width, height, beyond, below = height, width, below, beyond
    left = beyond if orientation in (2, 3, 6, 7) else 0
    top = below if orientation in (3, 4, 7, 8) else 0
    return left, top, left + width, top + height


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _gray_to_8_bits(image).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _gray_to_8_bits(image: Image.Image) -> Image.Image:
    """Scale 16-bit, 32-bit and float gray to 8 bits: (H, W) of any range -> mode L.

    16-bit values keep their high byte, as Pillow does for 16-bit colour. Others have no agreed
    white: 0..1 (float) and 0..255 are taken as such, any other range is stretched to 0..255.
    """
    values = np.asarray(image)  # (H, W)
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PPM"):
        return Image.fromarray((values >> 8).astype(np.uint8))
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        raise ImageError("no pixel has a finite value")
    low, high = float(finite.min()), float(finite.max())
    if values.dtype.kind == "i" and low >= 0 and 255 < high <= 65535:
        return Image.fromarray((values >> 8).astype(np.uint8))
    if low >= 0 and high <= 1 and values.dtype.kind == "f":
        low, high = 0.0, 1.0
    elif low >= 0 and high <= 255:
        low, high = 0.0, 255.0
    values = np.nan_to_num(values.astype(np.float64), nan=low, posinf=high, neginf=low)
    scaled = (values - low) / (high - low or 1.0) * 255.0
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _reason(error: Exception) -> str:
    """One printable line that says what went wrong, without the path and without surprises."""
    if isinstance(error, FileNotFoundError):
        return "no such file (was it removed?)"
    if isinstance(error, PermissionError):
        return "permission denied"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    text = "".join(c if c.isprintable() else "?" for c in text)[:200]
    if "truncated" in text.lower():
        return "the file is truncated"
    return f"damaged or truncated: {text}"
