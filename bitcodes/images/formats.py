"""Which image formats are read: by the names of files, and by what is in them."""

import importlib
from codecs import getincrementaldecoder
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from typing import Any, BinaryIO, cast

from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.boxes import colours as box_colours
from bitcodes.images.camera_raw import (
    RAW_SUFFIXES,
    UnknownRawError,
    is_named_raw,
    is_raw,
    raw_preview,
)
from bitcodes.images.claims import check_boxes, check_size
from bitcodes.images.code_points import png_colours, profile_of
from bitcodes.images.depth import PRECISION
from bitcodes.images.exif import ORIENTATION, orientation_in, xmp_orientation
from bitcodes.images.jpeg_xl import JXL_HINT, jxl_size
from bitcodes.images.kinds import why_not_read

_PILLOW_SUFFIXES = frozenset(
    {".apng", ".avif", ".avifs", ".blp", ".bmp", ".bw", ".cur", ".dcx", ".dds", ".dib", ".fit"}
    | {".fits", ".flc", ".fli", ".ftc", ".ftu", ".gbr", ".gif", ".icb", ".icns", ".ico", ".im"}
    | {".j2c", ".j2k", ".jfif", ".jp2", ".jpc", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".mpo"}
    | {".msp", ".pbm", ".pcd", ".pcx", ".pfm", ".pgm", ".png", ".pnm", ".ppm", ".psd", ".pxr"}
    | {".qoi", ".ras", ".rgb", ".rgba", ".sgi", ".tga", ".tif", ".tiff", ".vda", ".vst", ".webp"}
    | {".xbm", ".xpm"}
)
_HEIF_SUFFIXES = frozenset({".heic", ".heics", ".heif", ".heifs", ".hif"})
_JXL_SUFFIXES = frozenset({".jxl"})


def _readable_suffixes() -> frozenset[str]:
    optional = {"pillow_heif": _HEIF_SUFFIXES, "pillow_jxl": _JXL_SUFFIXES, "rawpy": RAW_SUFFIXES}
    extra = (names for module, names in optional.items() if find_spec(module) is not None)
    return _PILLOW_SUFFIXES.union(*extra)


IMAGE_SUFFIXES = _readable_suffixes()
"""Names of files that are taken for images, in lower case: those with a decoder installed."""

UNSUPPORTED_SUFFIXES = (
    frozenset(
        {".afphoto", ".ai", ".bpg", ".cdr", ".dcm", ".djvu", ".emf", ".eps", ".exr", ".flif"}
        | {".fpx", ".hdp", ".hdr", ".jls", ".jxr", ".kra", ".psb", ".svg", ".svgz", ".wdp"}
        | {".wmf", ".xcf"}
    )
    | _HEIF_SUFFIXES
    | _JXL_SUFFIXES
    | RAW_SUFFIXES
) - IMAGE_SUFFIXES
"""Names of pictures that nothing installed here can read, in lower case."""

# The first bytes of a file, and the plugin of Pillow for it. Only that one is loaded.
_MAGICS = {
    b"\xff\xd8\xff": "Jpeg",
    b"\x89PNG\r\n\x1a\n": "Png",
    b"GIF8": "Gif",
    b"BM": "Bmp",
    b"II*\0": "Tiff",
    b"MM\0*": "Tiff",
    b"II+\0": "Tiff",
    b"MM\0+": "Tiff",
    b"\xff\x4f\xff\x51": "Jpeg2K",
    b"\0\0\0\x0cjP  \r\n\x87\n": "Jpeg2K",
    b"8BPS": "Psd",
}
_NAMES = {"Jpeg": "JPEG", "Png": "PNG", "WebP": "WebP", "Jpeg2K": "JPEG 2000", "Psd": "Photoshop"}
_FORMATS = {"Jpeg2K": "JPEG2000"}
_HEIF_BRANDS = frozenset(
    {b"1pic", b"avci", b"avcs", b"heic", b"heif", b"heim", b"heis", b"heix", b"hevc", b"hevm"}
    | {b"hevs", b"hevx", b"j2is", b"j2ki", b"jpeg", b"jpgs", b"miaf", b"mif1", b"mif2", b"mif3"}
    | {b"msf1", b"unif", b"vvic", b"vvis"}
)
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
# What Pillow identifies without reading it, and what it reads by starting another program.
_NOT_READ = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
_JPEG2000_HEAD = 1 << 16  # bytes in which its codestream begins
_HEIF_HINT = "a HEIF image, which is not supported here: pip install pillow-heif"


def identify(file: BinaryIO) -> tuple[Image.Image, int | None]:
    """An image whose header is read and whose pixels are not, and EXIF's orientation for it.

    The orientation is None where the image itself says it, perhaps after its pixels. What is in the
    file decides, not its name. Raises ImageError for what is no image or has no decoder here, and
    whatever Pillow raises for a damaged header.
    """
    file.seek(0)
    head = file.read(64)
    if is_raw(head, file):
        return raw_preview(file)
    if is_named_raw(head, file):
        with suppress(UnknownRawError):  # an ordinary TIFF
            return raw_preview(file)
    plugin = _plugin(head)
    if plugin is None:
        return _open_other(head, file), None
    if plugin in _OPENERS:
        return _OPENERS[plugin](file)
    importlib.import_module(f"PIL.{plugin}ImagePlugin")
    return _open_known(plugin, file), None


def begins_like_image(head: bytes) -> bool:
    """Whether bytes are the first of an image in one of the usual formats, whatever its name."""
    return _plugin(head) not in (None, "Bmp", "Ppm")  # those begin with two letters


def _plugin(head: bytes) -> str | None:
    if head[:3] == b"\xff\xd8\xff" and b"\xff\xf7" in head:  # JPEG-LS, see ISO/IEC 14495-1
        return None
    for magic, plugin in _MAGICS.items():
        if head.startswith(magic):
            return plugin
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"P" + head[1:2] and head[1:2] in b"123456fF" and head[2:3].isspace():
        return "Ppm"
    if head.startswith(b"\xff\x0a") or head.startswith(b"\0\0\0\x0cJXL \r\n\x87\n"):
        return "Jxl"
    brands = set(_brands(head))
    if brands & _AVIF_BRANDS:
        return "Avif"
    return "Heif" if brands & _HEIF_BRANDS else None


def _brands(head: bytes) -> Iterator[bytes]:
    """The brands of an ISO base media file (ISO/IEC 14496-12), as far as they are in its head."""
    if head[4:8] == b"ftyp":
        yield head[8:12]
        for place in range(16, min(len(head), int.from_bytes(head[:4])), 4):
            yield head[place : place + 4]


def _open_as(name: str, file: BinaryIO) -> Image.Image:
    """An image in a format whose plugin is loaded; unlike Image.open, an error says why."""
    file.seek(0)
    factory, _ = Image.OPEN[name]
    return factory(file, "")


def _open_known(plugin: str, file: BinaryIO) -> Image.Image:
    """An image that begins as those of a plugin of Pillow, which is loaded."""
    try:
        return _open_as(_FORMATS.get(plugin, plugin.upper()), file)
    except SyntaxError as error:
        name = _NAMES.get(plugin, plugin.upper())
        raise SyntaxError(f"begins like a {name} image, but: {error}") from error


def _open_png(file: BinaryIO) -> tuple[Image.Image, None]:
    """A PNG image; Pillow does not look at code points, which go before a profile."""
    from PIL import PngImagePlugin  # noqa: F401

    image = _open_known("Png", file)
    colours = png_colours(file)
    if colours is not None:
        image.info["icc_profile"] = profile_of(*colours)
    return image, None


def _open_jpeg2000(file: BinaryIO) -> tuple[Image.Image, None]:
    """A JPEG 2000 image, and the depth of its first channel (ISO/IEC 15444-1, A.5.1)."""
    from PIL import Jpeg2KImagePlugin  # noqa: F401

    image = _open_known("Jpeg2K", file)
    file.seek(0)
    head = file.read(_JPEG2000_HEAD)
    place = head.find(b"\xff\x4f\xff\x51")
    image.info[PRECISION] = int.from_bytes(head[place + 42 : place + 43]) if place >= 0 else 0
    return image, None


def _open_psd(file: BinaryIO) -> tuple[Image.Image, None]:
    """A Photoshop document, if it is of a kind that Pillow reads."""
    from PIL import PsdImagePlugin

    file.seek(0)
    head = file.read(26)
    if head[4:6] == b"\0\2":
        raise ImageError("a large Photoshop document (PSB), which is not supported")
    bits, mode = int.from_bytes(head[22:24]), int.from_bytes(head[24:26])
    if len(head) == 26 and (mode, bits) not in PsdImagePlugin.MODES:
        raise ImageError(
            f"a Photoshop document of {bits} bits and colour mode {mode}, which is not supported"
        )
    return _open_known("Psd", file), None


def _open_tiff(file: BinaryIO) -> tuple[Image.Image, int]:
    """A TIFF image, which Pillow turns while it decodes."""
    from PIL import TiffImagePlugin

    file.seek(0)
    image = TiffImagePlugin.TiffImageFile(file, "")
    # Pillow would take the orientation from all of the tags, and fail where one is damaged.
    exif = Image.Exif()
    exif[ORIENTATION] = image.tag_v2.get(ORIENTATION) or xmp_orientation(image)
    image.getexif = lambda: exif  # type: ignore[method-assign]
    return image, 1


def _open_avif(file: BinaryIO) -> tuple[Image.Image, int]:
    """An AVIF image, whose EXIF block Pillow makes say how it is turned; XMP does not count."""
    from PIL import AvifImagePlugin

    check_boxes(file)
    file.seek(0)
    image = AvifImagePlugin.AvifImageFile(file, "")
    colours = box_colours(file)
    if "icc_profile" not in image.info and colours is not None:
        image.info["icc_profile"] = profile_of(*colours)
    return image, orientation_in(image.info.get("exif", b""))


def _open_heif(file: BinaryIO) -> tuple[Image.Image, int]:
    """A HEIF image, which its decoder turns."""
    try:
        import pillow_heif
    except ImportError:
        raise ImageError(_HEIF_HINT) from None
    check_boxes(file)
    file.seek(0)
    pillow_heif.options.THUMBNAILS = False
    try:
        image: Image.Image = pillow_heif.HeifImageFile(file, "")  # type: ignore[no-untyped-call]
    except SyntaxError as error:
        if "not identified" in str(error):  # it is sound, but its pixels are of another kind
            raise ImageError("a HEIF image of a kind that is not supported here") from None
        raise
    colours = image.info.get("nclx_profile")
    if "icc_profile" not in image.info and colours is not None:
        primaries, transfer = colours["color_primaries"], colours["transfer_characteristics"]
        image.info["icc_profile"] = profile_of(int(primaries), int(transfer))
    return image, 1


def _open_jxl(file: BinaryIO) -> tuple[Image.Image, int | None]:
    """A JPEG XL image, which its decoder turns, unless it is a JPEG image within."""
    try:
        from pillow_jxl.JpegXLImagePlugin import JXLImageFile
    except ImportError:
        raise ImageError(JXL_HINT) from None
    check_size(*jxl_size(file))
    file.seek(0)
    try:
        image = JXLImageFile(file, "")
    except RuntimeError as error:  # libjxl says no more
        raise OSError("a JPEG XL image that its decoder refuses") from error
    return image, None if image.jpeg else 1


_OPENERS: dict[str, Callable[[BinaryIO], tuple[Image.Image, int | None]]] = {
    "Avif": _open_avif,
    "Heif": _open_heif,
    "Jpeg2K": _open_jpeg2000,
    "Jxl": _open_jxl,
    "Png": _open_png,
    "Psd": _open_psd,
    "Tiff": _open_tiff,
}


class _Unclosed:
    """A file that stays open, as some plugins close theirs when they have read it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """Do nothing."""


def _open_other(head: bytes, file: BinaryIO) -> Image.Image:
    """An image in one of the less usual formats, some of which have no mark of their own."""
    reason = why_not_read(file)
    if reason is not None:
        raise ImageError(reason)
    Image.init()
    problem = _no_image(head)
    for name in sorted(Image.ID, key=lambda name: Image.OPEN[name][1] is None):
        _, accepts = Image.OPEN[name]
        if name in _NOT_READ or (
            accepts is not None and accepts(head[:16].ljust(16, b"\0")) is not True
        ):
            continue
        try:
            return _open_as(name, cast(BinaryIO, _Unclosed(file)))
        except (SyntaxError, IndexError, TypeError, ValueError, KeyError, EOFError) as error:
            if accepts is not None:
                problem = f"begins like a {name} image but is damaged or truncated: {error}"
    raise ImageError(problem)


def _no_image(head: bytes) -> str:
    """What a file is that no decoder takes, by how it begins."""
    text = getincrementaldecoder("utf-8")(errors="replace").decode(head)  # which may be cut
    if all(character.isprintable() or character in "\t\r\n" for character in text):
        return "not an image but a text file"
    return f"not an image in a format that is read here (its first bytes: {head[:8].hex(' ')})"
