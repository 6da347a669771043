"""Pictures whose metadata is the attack: EXIF, colour profiles, text and tables of other pictures.

tests/hostile.py makes pictures that are damaged, cut, odd, too large or no pictures at all.
"""

import struct
import zlib

import hostile
from attacks.attack import Attack, Attacks
from hostile import picture, png, saved


def attacks() -> Attacks:
    """Those made here, and all that tests/hostile.py makes that are plain files."""
    made: Attacks = {}
    for make in (
        *(hostile.odd, hostile.odd_names, hostile.truncated, hostile.not_images),
        *(hostile.damaged, hostile.bombs),
    ):
        for name, (content, reason) in make().items():
            made[f"picture {name}"] = Attack("picture", content, reason)
    return made | _exif() | _profiles() | _pngs() | _others()


def _exif_block(
    *entries: tuple[int, int, int, int], following: int = 0, tail: bytes = b""
) -> bytes:
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    count = struct.pack("<H", len(entries))
    return (
        b"Exif\0\0II*\0" + struct.pack("<I", 8) + count + body + struct.pack("<I", following) + tail
    )


def _exif() -> Attacks:
    blocks = {
        "the next directory is the same": _exif_block((274, 3, 1, 6), following=8),
        "the directory of EXIF is the same": _exif_block((0x8769, 4, 1, 8)),
        "the directory of GPS is the same": _exif_block((0x8825, 4, 1, 8), (0x8769, 4, 1, 8)),
        "a thumbnail within itself": _exif_block((513, 4, 1, 0), (514, 4, 1, 2**31), following=8),
        "4 billion values": _exif_block((274, 3, 2**32 - 1, 8)),
        "values behind the end": _exif_block((271, 2, 1000, 2**31)),
        "orientation as text": _exif_block((274, 2, 5, 8)),
        "orientation as a fraction": _exif_block((274, 5, 1, 8)),
        "orientation of nothing": _exif_block((274, 3, 0, 0)),
        "an unknown type": _exif_block((274, 99, 1, 6)),
        "5,000 entries": _exif_block(*[(n, 3, 1, 6) for n in range(5000)]),
        "65,535 entries that are not there": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(100),
        "a directory nowhere": b"Exif\0\0II*\0\xff\xff\xff\xff",
        "no order of bytes": b"Exif\0\0XX*\0\x08\0\0\0",
        "nothing": b"Exif\0\0",
        "a big TIFF": b"Exif\0\0II+\0\x08\0\0\0" + struct.pack("<Q", 2**63) + bytes(40),
    }
    made = {}
    for name, block in blocks.items():
        for form in ("JPEG", "PNG", "WEBP"):
            made[f"exif with {name} ({form})"] = Attack(
                "picture", saved(picture(), form, exif=block), ""
            )
    return made


def _profile(*tags: tuple[bytes, int, int], tail: bytes = b"", count: int | None = None) -> bytes:
    """A colour profile of RGB with a table of tags: name, place, size."""
    table = b"".join(name + struct.pack(">II", place, size) for name, place, size in tags)
    head = struct.pack(">I4sI4s4s4s", 0, b"lcms", 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head = head.ljust(36, b"\0") + b"acsp" + bytes(88)
    body = struct.pack(">I", len(tags) if count is None else count) + table + tail
    return struct.pack(">I", len(head) + len(body)) + head[4:] + body


def _profiles() -> Attacks:
    start = 128 + 4 + 12 * 3
    curve = b"curv" + bytes(4) + struct.pack(">I", 2**32 - 1) + bytes(100)
    names = (b"rTRC", b"gTRC", b"bTRC")
    table = (
        b"mft2" + bytes(4) + bytes([15, 15, 255, 0]) + bytes(36) + struct.pack(">HH", 4096, 4096)
    )
    blocks = {
        "4 billion tags": _profile(count=2**32 - 1),
        "100 tags that are not there": _profile(count=100),
        "tags behind its end": _profile(*[(name, 2**31, 2**31) for name in names]),
        "tags of 4 GB": _profile(*[(name, start, 2**32 - 1) for name in names], tail=curve),
        "curves of 4 billion points": _profile(*[(n, start, 112) for n in names], tail=curve),
        "a table of 255**15 colours": _profile((b"A2B0", 144, 200), tail=table + bytes(150)),
        "a size of 4 GB": struct.pack(">I", 2**32 - 1) + _profile()[4:],
        "no size": bytes(4) + _profile()[4:],
        "zeros": bytes(60_000),
        "text": b"not a profile" * 900,
    }
    made = {}
    for name, block in blocks.items():
        for form in ("JPEG", "PNG", "WEBP", "TIFF"):
            content = saved(picture(), form, icc_profile=block)
            made[f"profile with {name} ({form})"] = Attack("picture", content, "")
    return made


def _pngs() -> Attacks:
    rows = (b"IDAT", zlib.compress(bytes(9 * (1 + 9 * 3))))
    large = zlib.compress(bytes(8 << 20))
    made = {
        "100 texts of 8 MB": png(9, 9, 8, 2, *[(b"zTXt", b"a\0\0" + large)] * 100, rows),
        "international texts of 8 MB": png(
            9, 9, 8, 2, *[(b"iTXt", b"a\0\1\0\0\0" + large)] * 9, rows
        ),
        "10 profiles of 8 MB": png(9, 9, 8, 2, *[(b"iCCP", b"a\0\0" + large)] * 10, rows),
        "texts after its pixels": png(9, 9, 8, 2, rows, *[(b"zTXt", b"a\0\0" + large)] * 100),
        "20,000 chunks": png(9, 9, 8, 2, *[(b"abCd", b"")] * 20_000, rows),
        "20,000 empty pixels": png(9, 9, 8, 2, *[(b"IDAT", b"")] * 20_000, rows),
        "4 billion frames": png(9, 9, 8, 2, (b"acTL", struct.pack(">II", 2**32 - 1, 0)), rows),
        "a frame that is larger": png(
            *(9, 9, 8, 2),
            (b"acTL", struct.pack(">II", 2, 0)),
            (b"fcTL", struct.pack(">IIIIIHHBB", 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 1, 0, 0)),
            rows,
        ),
        "pixels that inflate to 60 MB": png(
            9, 9, 8, 2, (b"IDAT", zlib.compress(bytes(60 << 20), 1))
        ),
        "a transparency of a megabyte": png(9, 9, 8, 2, (b"tRNS", bytes(1 << 20)), rows),
        "a palette of a megabyte": png(9, 9, 8, 3, (b"PLTE", bytes(1 << 20)), rows),
        "a gamma of nothing": png(9, 9, 8, 2, (b"gAMA", bytes(4)), (b"cHRM", bytes(32)), rows),
        "names with an escape": png(9, 9, 8, 2, (b"\x1b[2J", b""), rows),
    }
    return {f"png with {name}": Attack("picture", content, "") for name, content in made.items()}


def _others() -> Attacks:
    jpeg = saved(picture(), "JPEG")
    rest = jpeg[2:]

    def segment(marker: int, data: bytes) -> bytes:
        return bytes([0xFF, marker]) + struct.pack(">H", len(data) + 2) + data

    mpf = b"MPF\0II*\0\x08\0\0\0\x02\0" + struct.pack("<HHII", 0xB000, 7, 4, 0x30303130)
    mpf += struct.pack("<HHII", 0xB001, 4, 1, 2**32 - 1) + bytes(4)
    parts = [b"ICC_PROFILE\0" + bytes([n % 256, 255]) + bytes(65_000) for n in range(40)]
    made = {
        "4 billion pictures": b"\xff\xd8" + segment(0xE2, mpf) + rest,
        "a profile of parts that are missing": b"\xff\xd8" + segment(0xE2, parts[1]) + rest,
        "a profile of 40 parts": b"\xff\xd8" + b"".join(segment(0xE2, p) for p in parts) + rest,
        "20,000 comments": b"\xff\xd8" + segment(0xFE, b"x") * 20_000 + rest,
        "a Photoshop block without an end": b"\xff\xd8"
        + segment(0xED, b"Photoshop 3.0\08BIM" * 9)
        + rest,
        "XMP of a million letters": b"\xff\xd8"
        + segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x " + b"a" * 60_000) * 16
        + rest,
        "XMP with entities": b"\xff\xd8"
        + segment(0xE1, b'http://ns.adobe.com/xap/1.0/\0<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>')
        + rest,
        "a table of 16 bits": jpeg.replace(b"\xff\xdb\0\x43\0", b"\xff\xdb\0\x43\x1f", 1),
        "restarts": jpeg.replace(b"\xff\xda", b"\xff\xdd\0\x04\0\x01\xff\xda", 1),
    }
    return {f"jpeg with {name}": Attack("picture", content, "") for name, content in made.items()}
