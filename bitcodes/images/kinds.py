"""What files are that are not read here, by their first bytes."""

import zlib
from typing import BinaryIO

_HEAD = 4096
_PICTURES = {
    b"%!PS": "an EPS drawing",
    b"\xc5\xd0\xd3\xc6": "an EPS drawing",
    b"\x04%!PS": "an EPS drawing",
    b"%PDF": "a PDF document",
    b"\xff\xd8\xff\xf7": "a JPEG-LS image",
    b"\xff\xd8\xff\xe8": "a JPEG-LS image",  # in a SPIFF file
    b"\xd7\xcd\xc6\x9a": "a WMF drawing",
    b"\x01\0\0\0": "an EMF drawing",
    b"v/1\x01": "an OpenEXR image",
    b"#?RADIANCE": "a Radiance HDR image",
    b"#?RGBE": "a Radiance HDR image",
    b"gimp xcf": "a GIMP image",
    b"BPG\xfb": "a BPG image",
    b"FLIF": "a FLIF image",
    b"II\xbc\x01": "a JPEG XR image",
    b"\x8bJNG": "a JNG image",
    b"\x8aMNG": "an MNG animation",
    b"P7\n": "a PAM image",
    b"farbfeld": "a farbfeld image",
    b"AT&TFORM": "a DjVu document",
    b"\xabKTX": "a KTX texture",
    b"\x89HDF": "an HDF5 file",
    b"GRIB": "a GRIB file",
    b"BUFR": "a BUFR file",
}
_OTHERS = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an OLE file, as of Office, Thumbs.db or FlashPix",
    b"PK\x03\x04": "a zip archive, or a document that is one inside",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a file compressed by Zstandard",
    b"\x1f\x8b": "a file compressed by gzip",
    b"BZh": "a file compressed by bzip2",
    b"\xfd7zXZ\0": "a file compressed by xz",
    b"\0\0\x01\xba": "an MPEG film",
    b"\0\0\x01\xb3": "an MPEG film",
    b"\x1aE\xdf\xa3": "a Matroska or WebM film",
    b"FLV\x01": "an FLV film",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11": "a Windows Media film",
    b"OggS": "an Ogg sound or film",
    b"version https://git-lfs": "a pointer of Git LFS; `git lfs pull` fetches the image",
}
_QUICKTIME = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # without a brand


def why_not_read(file: BinaryIO) -> str | None:
    """Why a file is not read, if it is of a known kind that nothing here reads."""
    file.seek(0)
    head = file.read(_HEAD)
    text = _unpacked(head).removeprefix(b"\xef\xbb\xbf").lstrip()
    kind = _lookup(_PICTURES, head) or _lookup(_PICTURES, text) or _drawing(text)
    if kind is None and head[128:132] == b"DICM":
        kind = "a DICOM image"
    if kind is not None:
        return f"{kind}, which is not supported"
    kind = _lookup(_OTHERS, head) or _container(head) or _page(text)
    if kind is None and head and not head.strip(b"\0"):
        kind = "it begins with zeros, as if it had never been written"
    return None if kind is None else f"not an image: {kind}"


def _unpacked(head: bytes) -> bytes:
    """The first bytes of what gzip has compressed, as in .svgz."""
    if not head.startswith(b"\x1f\x8b"):
        return head
    try:
        return zlib.decompressobj(31).decompress(head, _HEAD)
    except zlib.error:
        return head


def _lookup(kinds: dict[bytes, str], head: bytes) -> str | None:
    return next((kind for magic, kind in kinds.items() if head.startswith(magic)), None)


def _container(head: bytes) -> str | None:
    if head[4:8] == b"ftyp":
        return f"a film, or something else of the brand {head[8:12].decode('latin-1')!r}"
    if head[4:8] in _QUICKTIME:
        return "a QuickTime film"
    if head[:4] == b"RIFF":
        names = {b"AVI ": "an AVI film", b"WAVE": "a WAV sound"}
        return names.get(head[8:12], f"a RIFF file of the kind {head[8:12].decode('latin-1')!r}")
    return None


def _drawing(text: bytes) -> str | None:
    text = _as_ascii(text)
    is_markup = text.startswith((b"<svg", b"<?xml", b"<!--", b"<!doctype"))
    is_drawing = is_markup and (b"<svg" in text or b"<!doctype svg" in text)
    return "an SVG drawing" if is_drawing else None


def _page(text: bytes) -> str | None:
    text = _as_ascii(text)
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "a web page"
    return "an XML document" if text.startswith(b"<?xml") else None


def _as_ascii(text: bytes) -> bytes:
    """Markup in lower case, whether it is in UTF-8 or UTF-16."""
    return text.removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").replace(b"\0", b"").lower()
