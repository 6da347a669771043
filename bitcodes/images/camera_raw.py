"""Camera RAW files by the preview that the camera stored in them, with rawpy (LibRaw)."""

import io
import os
from functools import cache
from importlib.util import find_spec
from pathlib import PurePath
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.claims import check_size
from bitcodes.images.decoder_noise import held_back
from bitcodes.images.exif import directory, orientation_of

RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".iiq", ".k25"}
    | {".kdc", ".mef", ".mos", ".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2"}
    | {".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
RAW_HINT = "a camera RAW file, which is not supported without rawpy: pip install 'bitcodes[raw]'"

_SMALL = 256
"""Previews with a shorter side are not shown: the RAW data is developed instead."""
_TINY = 128
"""Previews with a shorter side are not shown either where the development is lost."""
_MOST = 0.7
_MAGICS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
_TIFF = (b"II*\0", b"MM\0*")
_SUBFILE, _COMPRESSION, _PHOTOMETRIC, _SUB_DIRECTORIES, _DNG_VERSION = 254, 259, 262, 330, 50706
_SENSOR_COLOURS = (32803, 34892)  # colour filter array, linear raw
_RAW_COMPRESSIONS = (32767, 32769, 34713, 65535)  # Sony, packed, Nikon, Pentax
_THREADS = "OMP_NUM_THREADS"
# LibRaw's flip, and EXIF's orientation for it.
_ORIENTATIONS = {3: 3, 5: 8, 6: 6}


class UnknownRawError(ImageError):
    """LibRaw does not know this kind of file."""


def is_raw(head: bytes, file: BinaryIO) -> bool:
    """Whether a file that begins with `head` is a camera RAW file, by what is in it.

    Most are TIFF files whose first picture is a small preview.
    """
    if head.startswith(_MAGICS) or head[6:14] == b"HEAPCCDR" or head[4:12] == b"ftypcrx ":
        return True
    if not head.startswith(_TIFF):
        return False
    if head[8:10] == b"CR":
        return True
    tags = directory(file)
    return (
        _DNG_VERSION in tags
        or (tags.get(_SUBFILE, 0) & 1 == 1 and _SUB_DIRECTORIES in tags)
        or tags.get(_PHOTOMETRIC) in _SENSOR_COLOURS
        or tags.get(_COMPRESSION) in _RAW_COMPRESSIONS
    )


def is_named_raw(head: bytes, file: BinaryIO) -> bool:
    """Whether a TIFF file is called like a camera RAW file, and so may be one."""
    name = getattr(file, "name", "")
    is_named = isinstance(name, str) and PurePath(name).suffix.lower() in RAW_SUFFIXES
    return is_named and head.startswith(_TIFF)


def raw_size(file: BinaryIO) -> tuple[int, int] | None:
    """Width and height of the picture that a RAW file holds; None for any other file."""
    file.seek(0)
    head = file.read(64)
    if not (is_raw(head, file) or is_named_raw(head, file)):
        return None
    rawpy = _rawpy()
    file.seek(0)
    try:
        with held_back(), rawpy.imread(file) as raw:
            return int(raw.sizes.width), int(raw.sizes.height)
    except rawpy.LibRawFileUnsupportedError:
        return None  # an ordinary TIFF, perhaps
    except rawpy.LibRawError as error:
        raise _damaged(error) from None


def raw_preview(file: BinaryIO) -> tuple[Image.Image, int]:
    """The largest preview in a RAW file, not decoded yet, and the orientation it is to have.

    Without a preview of some size, the RAW data is developed, at half its width and height.
    """
    rawpy = _rawpy()
    file.seek(0)
    try:
        with held_back(), rawpy.imread(file) as raw:
            check_size(raw.sizes.raw_width, raw.sizes.raw_height)
            preview = _preview(raw)
            if preview is None or min(preview.size) < _SMALL:
                developed = raw.postprocess(half_size=True, use_camera_wb=True)
                if preview is None or min(preview.size) < _TINY or not _is_lost(developed):
                    return Image.fromarray(developed), 1
            turned = _ORIENTATIONS.get(raw.sizes.flip, 1)
            return preview, orientation_of(preview) or turned
    except rawpy.LibRawFileUnsupportedError:
        raise UnknownRawError(
            "a camera RAW file of a kind that is not supported by LibRaw"
        ) from None
    except rawpy.LibRawError as error:
        raise _damaged(error) from None


def _rawpy() -> Any:
    """The module that reads RAW files; ImageError without it."""
    if find_spec("rawpy") is None:
        raise ImageError(RAW_HINT)
    return _single_threaded()


@cache
def _single_threaded() -> Any:
    """Import rawpy so that its OpenMP library starts no threads.

    A process that is forked after they have started waits for them for ever.
    """
    before = os.environ.get(_THREADS)
    os.environ[_THREADS] = "1"  # the library reads it when it is loaded, and never again
    try:
        import rawpy
    finally:
        if before is None:
            del os.environ[_THREADS]
        else:
            os.environ[_THREADS] = before
    return rawpy


def _damaged(error: Exception) -> ImageError:
    said = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
    return ImageError(f"a camera RAW file that is damaged or truncated: {said}")


def _preview(raw: "rawpy.RawPy") -> Image.Image | None:  # type: ignore[name-defined] # noqa: F821
    import rawpy

    try:
        thumbnail = raw.extract_thumb()
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError):
        return None
    if thumbnail.format == rawpy.ThumbFormat.JPEG:
        image: Image.Image = Image.open(io.BytesIO(thumbnail.data), formats=("JPEG",))
    else:
        image = Image.fromarray(thumbnail.data)
    return image


def _is_lost(pixels: NDArray[np.uint8]) -> bool:
    """Whether most pixels are white, as of film scans that LibRaw takes for photographs."""
    return float((pixels == 255).mean()) > _MOST
