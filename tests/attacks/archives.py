"""Tar and zip archives that lead out, lie about sizes, hold bombs, or have names that are odd."""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from functools import cache

from attacks.attack import Attack, Attacks
from hostile import picture, saved

MIB = 1 << 20
NAMES = {
    "up": "../up.png",
    "up later": "a/../../up.png",
    "absolute": "/tmp/it_ran.png",
    "two slashes": "//tmp/it_ran.png",
    "dots in dots": "....//....//up.png",
}
"""Names of which all but the last lead out of an archive."""
ODD_NAMES = {
    "a drive": "C:/it_ran.png",
    "a drive with backslashes": "C:\\it_ran.png",
    "a share": "\\\\server\\share\\it_ran.png",
    "up with backslashes": "..\\..\\up.png",
    "a stream": "a.png:stream.png",
    "a device of Windows": "train/cat/CON.png",
    "control characters": "a\x1b]0;title\x07\x1b[2J\x9b31m\u202egpj\u2066\x0b.png",
    "lines": "a\r\nb\u2028c\x85.png",
    "a tab": "a\tb.png",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>.png",
    "a formula": "=cmd|' calc'!A0.png",
    "an option": "--help.png",
    "300 letters": "x" * 300 + ".png",
    "3,000 folders": "d/" * 3000 + "a.png",
    "a path of 100,000 letters": ("d" * 200 + "/") * 500 + "a.png",
    "spaces": " .png",
    "a dot at the end": "a.png.",
    "many slashes": "a" + "/" * 200 + "b.png",
    "this folder": "./././a.png",
    "no utf-8": "\udce9\udcff.png",
}
"""Names that are no harm in an archive: they are only names."""


@cache
def image() -> bytes:
    """A good picture."""
    return saved(picture(), "PNG")


# -- tar -------------------------------------------------------------------------------------------


def entry(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tarfile.TarInfo:
    """The header of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    return info


def tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A tar of members, each with its bytes."""
    parts = [
        info.tobuf(form, "utf-8", "surrogateescape") + data + bytes(-len(data) % 512)
        for info, data in members
    ]
    return b"".join(parts) + bytes(1024)


def tar_with(name: str) -> bytes:
    """A tar with a good picture of this name."""
    return tar((entry(name, len(image())), image()))


def raw_header(name: bytes, size_field: bytes, kind: bytes = b"0") -> bytes:
    """A header whose size field holds any 12 bytes, with a checksum that fits."""
    block = bytearray(512)
    block[: len(name)] = name
    block[100:108], block[108:116], block[116:124] = [b"0000644\0"] * 3
    block[124:136], block[136:148] = size_field.ljust(12, b"\0"), b"00000000000\0"
    block[148:156], block[156:157], block[257:265] = b" " * 8, kind, b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def extended(records: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header with these records."""
    return raw_header(b"x", b"%011o" % len(records), kind) + records + bytes(-len(records) % 512)


def record(key: str, value: str) -> bytes:
    """A record of an extended header."""
    text = f" {key}={value}\n".encode("utf-8", "surrogateescape")
    length = len(text) + 1
    while len(str(length)) + len(text) != length:
        length += 1
    return b"%d" % length + text


def _tars() -> Attacks:
    good = tar_with("good.png")
    plain = good[:-1024]  # without its end
    kinds = {
        "a link": (tarfile.SYMTYPE, "/etc/passwd"),
        "a hard link": (tarfile.LNKTYPE, "good.png"),
        "a hard link up": (tarfile.LNKTYPE, "../../etc/passwd"),
        "a pipe": (tarfile.FIFOTYPE, ""),
        "a device": (tarfile.CHRTYPE, ""),
        "a disk": (tarfile.BLKTYPE, ""),
    }
    made = {
        f"tar with {name}": Attack(
            "tar", plain + tar((entry("x.png", 0, kind, link), b"")), "a link"
        )
        for name, (kind, link) in kinds.items()
    }
    sizes = {
        "negative": b"\xff" * 12,
        "2**63": b"\x80\0\0\0" + struct.pack(">Q", 2**63),
        "2**95": b"\xbf" + b"\xff" * 11,
        "8 GB": b"77777777777",
        "no number": b"12x4",
        "empty": b"",
        "with a minus": b"-0000000777",
    }
    made |= {
        f"tar with a size that is {name}": Attack(
            "tar", plain + raw_header(b"x.png", size) + good, ""
        )
        for name, size in sizes.items()
    }
    records = {
        "size of 20 digits": record("size", "9" * 20),
        "size of 5,000 digits": record("size", "9" * 5000),
        "negative size": record("size", "-1"),
        "size in other digits": record("size", "٣"),
        "time without an end": record("mtime", "inf"),
        "time that is none": record("mtime", "nan"),
        "time of 10,000 digits": record("mtime", "9" * 10_000),
        "path of a million letters": record("path", "x" * 900_000),
        "path up": record("path", "../up.png"),
        "path with a zero": record("path", "train/cat/a\0b.png"),
        "path of nothing": record("path", ""),
        "path of a dot": record("path", "."),
        "link path": record("linkpath", "/etc/passwd"),
        "length of 0": b"0 a=b\n",
        "length of a million": b"1000000 a=b\n",
        "length of 600 digits": b"9" * 600,
        "no length": b"x",
        "200,000 records": b"5 a=\n" * 200_000,
        "sparse name": record("GNU.sparse.name", "../up.png") + record("GNU.sparse.major", "1"),
        "sparse size": record("GNU.sparse.realsize", "9" * 19) + record("GNU.sparse.major", "0"),
        "encoding": record("hdrcharset", "BINARY") + record("path", "\udcff.png"),
    }
    made |= {
        f"pax with {name}": Attack("tar", extended(data) + good, "")
        for name, data in records.items()
    }
    made |= {
        f"tar of {name}": Attack("tar", tar_with(value), "leads out")
        for name, value in NAMES.items()
        if name != "dots in dots"
    }
    made |= {
        f"tar of {name}": Attack("tar", tar_with(value), "") for name, value in ODD_NAMES.items()
    }
    return made | {
        "tar of dots in dots": Attack("tar", tar_with("....//....//a.png"), "1 hidden"),
        "tar of a member without a name": Attack("tar", raw_header(b"", b"0") + good, ""),
        "tar of a member called dot": Attack("tar", raw_header(b".", b"0") + good, ""),
        "tar with 3 pax headers": Attack("tar", extended(b"5 a=\n" * 200_000) * 3 + good, ""),
        "tar that is all magic": Attack("tar", b"ustar" * 60_000, "damaged|no tar"),
        "tar of zeros": Attack("tar", bytes(100_000), ""),
        "tar of nothing": Attack("tar", b"", "empty"),
        "tar with a long name of 8 GB": Attack(
            "tar", raw_header(b"x", b"77777777777", tarfile.GNUTYPE_LONGNAME) + good, "damaged"
        ),
        "tar with holes without an end": Attack("tar", _holes(1000) + good, ""),
        "tar of a file that is a folder": Attack(
            "tar",
            tar((entry("train/a.png", len(image())), image()), (entry("train/a.png/b.png"), b"")),
            "",
        ),
        "tar in a tar": Attack("tar", tar((entry("a.tar", len(good)), good)), "1 .tar"),
        "tar of 3,000 links": Attack(
            "tar", b"".join(raw_header(b"x%d.png" % n, b"0", b"2") for n in range(3000)), "a link"
        ),
        **_compressed(good),
    }


def _holes(blocks: int) -> bytes:
    """The header of a file with holes, whose list of parts goes on for so many blocks."""
    block = bytearray(raw_header(b"holes.png", b"0", tarfile.GNUTYPE_SPARSE))
    block[482] = 1
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + (bytes(504) + b"\1" + bytes(7)) * blocks


def _compressed(good: bytes) -> Attacks:
    member = raw_header(b"x.png", b"%011o" % (300 * MIB))
    text = raw_header(b"x", b"%011o" % (60 * MIB), tarfile.XHDTYPE)
    name = raw_header(b"x", b"%011o" % (60 * MIB), tarfile.GNUTYPE_LONGNAME)
    xz = lzma.compress(good, filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 4096}])
    return {
        "gzip of 300 MB": Attack("tar.gz", gzip_of(member, 300), "larger than"),
        "gzip of a pax header of 60 MB": Attack("tar.gz", gzip_of(text, 60), "damaged"),
        "gzip of a name of 60 MB": Attack("tar.gz", gzip_of(name, 60), "damaged"),
        "gzip of 60 MB that are no tar": Attack(
            "tar.gz", gzip_of(b"x" * 512, 60), "no tar|damaged|zeros"
        ),
        "gzip of nothing": Attack("tar.gz", gzip.compress(b"", mtime=0), "empty"),
        "gzip that is cut": Attack("tar.gz", gzip.compress(good, mtime=0)[:200], "cut short"),
        "gzip in gzip": Attack("tar.gz", gzip.compress(gzip.compress(good, mtime=0), mtime=0), ""),
        "gzip with a wrong sum": Attack("tar.gz", gzip.compress(good, mtime=0)[:-8] + bytes(8), ""),
        "xz that needs 4 GB": Attack("tar.xz", _with_dictionary(xz, 40), "cannot be read"),
        "xz that is cut": Attack("tar.xz", xz[:-50], "cut short"),
        "a magic and no more": Attack("tar.bz2", b"BZh9", "cannot be read|cut short"),
    }


def gzip_of(head: bytes, megabytes: int) -> bytes:
    """A gzip file of `head` and so many MiB of zeros, made without compressing them all."""
    return (
        b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
        + deflated(head, megabytes)
        + struct.pack("<II", 0, (len(head) + megabytes * MIB) % 2**32)
    )


def deflated(head: bytes, megabytes: int) -> bytes:
    """Deflated: `head` and so many MiB of zeros."""
    deflate = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    start = deflate.compress(head) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(MIB)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return start + block * megabytes + b"\x03\0"  # an empty last block


def _with_dictionary(xz: bytes, size: int) -> bytes:
    """An xz file that asks for a dictionary of another size: 40 is 4 GB. The block header is first.

    Format: https://tukaani.org/xz/xz-file-format.txt, 3.1
    """
    start = 12
    length = (xz[start] + 1) * 4
    block = bytearray(xz[start : start + length - 4])
    block[block.index(b"\x21\x01") + 2] = size
    return xz[:start] + bytes(block) + struct.pack("<I", zlib.crc32(block)) + xz[start + length :]


# -- zip -------------------------------------------------------------------------------------------

ENTRY, LOCAL, END = b"PK\1\2", b"PK\3\4", b"PK\5\6"
HUGE = struct.pack("<HHQQQ", 1, 24, 2**63 - 1, 2**63 - 1, 2**64 - 1)
"""A zip64 field with sizes and an offset that no file has."""


def zip_of(
    *members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED
) -> bytes:
    """A zip of members, all of the same time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        for name, data in members:
            packed.writestr(zipfile.ZipInfo(name) if isinstance(name, str) else name, data, method)
    return file.getvalue()


def renamed(archive: bytes, name: bytes) -> bytes:
    """A zip whose only member has a name of any bytes, where zipfile would write another."""
    local = bytearray(archive[: archive.index(ENTRY)])
    old = struct.unpack_from("<H", local, 26)[0]
    struct.pack_into("<H", local, 26, len(name))
    local[30 : 30 + old] = name
    listed = bytearray(archive[archive.index(ENTRY) : archive.index(END)])
    struct.pack_into("<H", listed, 28, len(name))
    listed[46 : 46 + old] = name
    end = bytearray(archive[archive.index(END) :])
    struct.pack_into("<II", end, 12, len(listed), len(local))
    return bytes(local + listed + end)


def patched(data: bytes, changes: Iterable[tuple[bytes, int, bytes]]) -> bytes:
    """Bytes changed at a place behind each occurrence of a signature."""
    content = bytearray(data)
    for signature, offset, new in changes:
        place = content.find(signature)
        while place >= 0:
            content[place + offset : place + offset + len(new)] = new
            place = content.find(signature, place + 1)
    return bytes(content)


def zip_bomb(megabytes: int, copies: int = 1, head: bytes = b"") -> bytes:
    """A zip of zeros; with several copies, members that share their bytes."""
    size = len(head) + megabytes * MIB
    data = deflated(head, megabytes)
    local = LOCAL + struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(data), size, 5, 0) + b"x.png"
    listed = ENTRY + struct.pack(
        "<HHHHHHIIIHHHHHII", 20, 20, 0, 8, 0, 33, 0, len(data), size, 5, 0, 0, 0, 0, 0, 0
    )
    listed = (listed + b"x.png") * copies
    end = END + struct.pack("<HHHHIIH", 0, 0, copies, copies, len(listed), len(local + data), 0)
    return local + data + listed + end


def _large_ends(archive: bytes) -> Attacks:
    end = archive.index(END)
    made = {}
    for number in (2**63 - 1, 2**63, 2**64 - 1, 2**32):
        four = [number] * 4
        last = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *four)
        for place in (end, number):
            locator = b"PK\6\7" + struct.pack("<IQI", 0, place, 1)
            content = archive[:end] + last + locator + archive[end:]
            where = "its place" if place == end else "nowhere"
            made[f"zip64 with an end of {number} in {where}"] = Attack("zip", content, "")
    return made


def _zips() -> Attacks:
    data = image()
    good = zip_of(("a.png", data))
    extra = zipfile.ZipInfo("a.png")
    extra.extra = HUGE
    large, link, folder = zip_of((extra, data)), zipfile.ZipInfo("x.png"), zipfile.ZipInfo("x.png/")
    link.external_attr, link.create_system = 0o120777 << 16, 3
    ones = b"\xff" * 4
    lies = {
        "a size of 250 MB": [(ENTRY, 24, b"\0\0\0\x0f")],
        "250 MB in it": [(ENTRY, 20, b"\0\0\0\x0f")],
        "a size of 1": [(ENTRY, 20, b"\1\0\0\0"), (ENTRY, 24, b"\1\0\0\0")],
        "a place behind its end": [(ENTRY, 42, b"\0\0\0\x7f")],
        "a place that is another": [(ENTRY, 42, b"\7\0\0\0")],
        "another checksum": [(ENTRY, 16, b"\0\0\0\0")],
        "encryption": [(ENTRY, 8, b"\1"), (LOCAL, 6, b"\1")],
        "another method": [(ENTRY, 10, b"\x63"), (LOCAL, 8, b"\x63")],
        "a disk of its own": [(ENTRY, 34, b"\7")],
        "65,535 members": [(END, 8, b"\xff\xff\xff\xff")],
        "a list of 4 GB": [(END, 12, ones)],
        "a list behind its end": [(END, 16, ones)],
        "a name of 65,535": [(ENTRY, 28, b"\xff\xff")],
        "a comment of 65,535": [(END, 20, b"\xff\xff")],
        "an extra field of 65,535": [(ENTRY, 30, b"\xff\xff")],
        "its bytes within its list": [(ENTRY, 42, struct.pack("<I", good.index(ENTRY)))],
    }
    made = {
        f"zip that says {name}": Attack("zip", patched(good, pairs), "")
        for name, pairs in lies.items()
    }
    made["zip that says another checksum"] = made["zip that says another checksum"]._replace(
        said="checksum is another"
    )
    made["zip that says encryption"] = made["zip that says encryption"]._replace(said="encrypted")
    dates = {
        "zero": b"\0\0\0\0",
        "ones": ones,
        "no second": b"\x3f\0\x21\0",
        "no month": b"\0\0\x01\x02",
    }
    made |= {
        f"zip with a date of {name}": Attack(
            "zip", patched(good, [(ENTRY, 12, date), (LOCAL, 10, date)])
        )
        for name, date in dates.items()
    }
    made |= {
        f"zip of {name}": Attack("zip", renamed(good, value.encode()), "leads out")
        for name, value in NAMES.items()
        if name != "dots in dots"
    }
    made |= {
        f"zip of {name}": Attack("zip", renamed(good, value.encode("utf-8", "surrogateescape")), "")
        for name, value in ODD_NAMES.items()
        if len(value) < 65_000
    }
    return (
        made
        | _large_ends(good)
        | {
            "zip of a name with a zero": Attack("zip", renamed(good, b"a\0b.png"), ""),
            "zip of a member without a name": Attack("zip", renamed(good, b""), ""),
            "zip of a member called dot": Attack("zip", renamed(good, b"."), ""),
            "zip64 with sizes near 2**63": Attack(
                "zip", patched(large, [(ENTRY, 20, ones), (ENTRY, 24, ones), (ENTRY, 42, ones)]), ""
            ),
            "zip with a link": Attack(
                "zip", zip_of((link, b"/etc/passwd"), ("a.png", data)), "a link"
            ),
            "zip with a folder that has bytes": Attack(
                "zip", zip_of((folder, data), ("a.png", data)), ""
            ),
            "zip of zeros": Attack("zip", zip_bomb(100), "not an image|checksum is another|lies"),
            "zip of 300 MB": Attack("zip", zip_bomb(300), "larger than"),
            "zip of a picture with much behind it": Attack(
                "zip", zip_bomb(100, 1, data), "checksum"
            ),
            "zip whose members share their bytes": Attack("zip", zip_bomb(100, 500), "overlap"),
            "zip in a zip": Attack("zip", zip_of(("a.zip", zip_of(("b.zip", good)))), "1 .zip"),
            "zip of nothing": Attack("zip", zip_of(), "it is empty"),
            "zip of an end alone": Attack("zip", END, ""),
            "zip of 20,000 headers without an end": Attack("zip", _without_end(20_000), ""),
            "zip of headers and marks behind them": Attack(
                "zip", _without_end(5000, b"PK\7\x08" * 5), ""
            ),
            "zip with extra fields of nothing": Attack("zip", _empty_fields(60), ""),
            "zip and tar at once": Attack("zip", tar_with("t.png") + good, ""),
        }
    )


def _without_end(count: int, behind: bytes = b"") -> bytes:
    """Headers of members whose sizes come behind bytes that never end."""
    header = LOCAL + struct.pack("<HHHHHIIIHH", 20, 8, 8, 0, 33, 0, 0, 0, 5, 0) + b"x.png"
    return (header + behind) * count


def _empty_fields(count: int) -> bytes:
    """A list of members whose extra fields are thousands of empty ones."""
    extra = struct.pack("<HH", 2, 0) * 16_000
    ones = [2**32 - 1] * 2
    listed = ENTRY + struct.pack(
        "<HHHHHHIIIHHHHHII", 20, 20, 0, 0, 0, 33, 0, *ones, 5, len(extra), 0, 0, 0, 0, 0
    )
    listed = (listed + b"x.png" + extra) * count
    return listed + END + struct.pack("<HHHHIIH", 0, 0, count, count, len(listed), 0, 0)


def attacks() -> Attacks:
    """All of them."""
    return _tars() | _zips()
