"""Files of known kinds that are not read: the reason says what they are."""

import gzip
import io

import pytest

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image
from bitcodes.images.kinds import why_not_read

SVG = '<svg xmlns="http://www.w3.org/2000/svg"/>'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "an EPS drawing"),
        (b"\x04%!PS-Adobe-3.0\n", "an EPS drawing"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\xef\xbb\xbf  " + SVG.encode(), "an SVG drawing"),
        (f"<?xml version='1.0'?>\n<!-- x -->\n<!DOCTYPE svg>\n{SVG}".encode(), "an SVG drawing"),
        (f"<?xml version='1.0'?>{SVG}".encode("utf-16"), "an SVG drawing"),
        (gzip.compress(SVG.encode(), mtime=0), "an SVG drawing"),
        (b"v/1\x01\x02\0\0\0", "an OpenEXR image"),
        (b"#?RADIANCE\n", "a Radiance HDR image"),
        (b"#?RGBE\n", "a Radiance HDR image"),
        (b"gimp xcf v011\0", "a GIMP image"),
        (b"\xd7\xcd\xc6\x9a" + bytes(40), "a WMF drawing"),
        (b"P7\nWIDTH 1\n", "a PAM image"),
        (bytes(128) + b"DICM", "a DICOM image"),
        (b"\x8bJNG\r\n\x1a\n", "a JNG image"),
    ],
)
def test_other_pictures_are_not_supported(content: bytes, kind: str) -> None:
    with pytest.raises(ImageError) as caught:
        open_image(content)
    assert str(caught.value) == f"{kind}, which is not supported"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\n<!DOCTYPE HTML><html><title>404</title>", "a web page"),
        (b"<html><svg></svg>", "a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "an XML document"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "a pointer of Git LFS"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "a film, or something else of the brand 'mp42'"),
        (b"\0\0\0\x08wide\0\0\0\0mdat", "a QuickTime film"),
        (b"RIFF\0\0\0\0AVI LIST", "an AVI film"),
        (b"\x1aE\xdf\xa3", "a Matroska or WebM film"),
        (b"PK\x03\x04", "a zip archive"),
        (gzip.compress(b"words", mtime=0), "a file compressed by gzip"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an OLE file"),
        (bytes(5000), "it begins with zeros"),
    ],
)
def test_what_is_no_picture_is_named(content: bytes, kind: str) -> None:
    with pytest.raises(ImageError, match=r"^not an image: ") as caught:
        open_image(content)
    assert kind in str(caught.value)
    assert str(caught.value).isprintable()


def test_other_files_are_of_no_known_kind() -> None:
    for content in (b"", b"words", b"\x0a\x05\x01\x08" * 9, b"<a>", b"P7 332\n"):
        assert why_not_read(io.BytesIO(content)) is None
