"""The boxes of HEIF and AVIF files, put together by hand."""

import io
import struct

from bitcodes.images.boxes import colours, descriptions, sizes


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def large_box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(content)) + content


def meta(*pictures: tuple[int, int]) -> bytes:
    properties = [box(b"ispe", struct.pack(">III", 0, *size)) for size in pictures]
    return box(b"meta", bytes(4) + box(b"iprp", box(b"ipco", b"".join(properties))))


HEAD = box(b"ftyp", b"avif\0\0\0\0avif")


def test_sizes_are_read_wherever_the_description_is() -> None:
    for before in (b"", box(b"free", bytes(70_000)), large_box(b"mdat", bytes(100_000))):
        file = io.BytesIO(HEAD + before + meta((17_000, 17_000), (64, 48)))
        assert list(sizes(file)) == [(17_000, 17_000), (64, 48)]


def test_a_description_without_an_end_reaches_to_the_end_of_the_file() -> None:
    content = meta((5, 6))
    file = io.BytesIO(HEAD + bytes(4) + content[4:])
    assert list(sizes(file)) == [(5, 6)]


def test_colours_are_those_of_the_first_picture() -> None:
    first = box(b"colr", b"nclx" + struct.pack(">HHHB", 12, 13, 6, 128))
    second = box(b"colr", b"nclx" + struct.pack(">HHHB", 9, 16, 9, 128))
    assert colours(io.BytesIO(HEAD + box(b"meta", first + second))) == (12, 13)
    assert colours(io.BytesIO(HEAD + meta((5, 6)))) is None


def test_bytes_that_are_no_boxes_end_it() -> None:
    for content in (b"", b"x", HEAD[:9], bytes(100), b"\xff" * 100, HEAD + b"\0\0\0\3meta"):
        assert list(descriptions(io.BytesIO(content))) in ([], [(20, b"\0\0\0")])
    many = HEAD + box(b"free") * 2000 + meta((5, 6))
    assert list(sizes(io.BytesIO(many))) == []
