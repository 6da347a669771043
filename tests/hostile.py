"""A folder of odd, broken and hostile image files, and what must become of each."""

import io
import os
import random
import socket
import struct
import zlib
from pathlib import Path

import numpy as np
import PIL
from PIL import Image, features

from bitcodes.sources.folders import walk_files

WIDTH, HEIGHT = 40, 30


def find_images(folder: Path) -> list[str]:
    """What is taken for an image in a folder and its subfolders: paths relative to it, sorted."""
    return [path for path, is_image in walk_files(str(folder)) if is_image]


def make_hostile_folder(folder: Path) -> dict[str, str | None]:
    """Fill `folder` with well over 100 files that go wrong, or nearly so.

    Returns, for each path relative to `folder` (as find_images gives it), None where it must
    open as an image, else a word of the reason why it cannot.
    """
    expected: dict[str, str | None] = {}
    for make in (odd, odd_names, truncated, not_images, damaged, bombs):
        for name, (content, reason) in make().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            expected[name] = reason
    expected.update(special(folder))
    return expected


Files = dict[str, tuple[bytes, str | None]]


def picture(mode: str = "RGB", seed: int = 0) -> Image.Image:
    """A small picture, smooth with some noise, in any mode that RGB converts to."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([x * 6, y * 8, (x + y) * 3], axis=-1)
    noise = np.random.default_rng(seed).integers(0, 16, smooth.shape)
    return Image.fromarray((smooth + noise).astype(np.uint8)).convert(mode)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of an image file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def png(width: int, height: int, depth: int, colour: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG file put together by hand; IHDR and IEND are added."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    whole = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in whole
    )


def tiff(*entries: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A little-endian TIFF file put together by hand from (tag, type, count, value)."""
    body = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + body + struct.pack("<I", 0) + tail


def scan_bomb(side: int, scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated: small to send, endless to decode."""
    flat = saved(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    start = flat.rindex(b"\xff\xda")
    return flat[:start] + flat[start:-2] * scans + flat[-2:]


def odd() -> Files:
    rgb = picture()
    gray16 = Image.fromarray(np.arange(WIDTH * HEIGHT, dtype=np.uint16).reshape(HEIGHT, WIDTH) * 50)
    floats = np.linspace(0, 1, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    holes = floats.copy()
    holes[::2] = np.nan
    holes[1] = np.inf
    alpha = rgb.convert("RGBA")
    alpha.putalpha(picture("L", 1))
    palette = rgb.convert("P", palette=Image.Palette.ADAPTIVE)
    frames = [picture(seed=seed) for seed in range(3)]
    rows = zlib.compress(bytes(HEIGHT * (1 + WIDTH * 3)))
    more = {"append_images": frames[1:], "save_all": True}
    files: dict[str, bytes] = {
        "odd/gray.jpg": saved(picture("L"), "JPEG"),
        "odd/gray alpha.png": saved(alpha.convert("LA"), "PNG"),
        "odd/alpha.png": saved(alpha, "PNG"),
        "odd/alpha.webp": saved(alpha, "WEBP"),
        "odd/alpha.tif": saved(alpha, "TIFF"),
        "odd/transparent colour.png": saved(rgb, "PNG", transparency=(0, 0, 0)),
        "odd/transparent gray.png": saved(picture("L"), "PNG", transparency=0),
        "odd/palette.png": saved(palette, "PNG"),
        "odd/palette.gif": saved(palette, "GIF"),
        "odd/palette.bmp": saved(palette, "BMP"),
        "odd/palette transparent.png": saved(palette, "PNG", transparency=3),
        "odd/palette translucent.png": saved(palette, "PNG", transparency=bytes(range(256))),
        "odd/palette transparent.gif": saved(palette, "GIF", transparency=3),
        "odd/palette of 4.png": saved(rgb.quantize(4), "PNG", bits=2),
        "odd/bits.png": saved(picture("1"), "PNG"),
        "odd/bits.tif": saved(picture("1"), "TIFF", compression="group4"),
        "odd/bits.pbm": saved(picture("1"), "PPM"),
        "odd/cmyk.jpg": saved(picture("CMYK"), "JPEG"),
        "odd/cmyk.tif": saved(picture("CMYK"), "TIFF"),
        "odd/ycbcr.tif": saved(picture("YCbCr"), "TIFF", compression="tiff_lzw"),
        "odd/lab.tif": saved(picture("LAB"), "TIFF"),
        "odd/gray16.png": saved(gray16, "PNG"),
        "odd/gray16.tif": saved(gray16, "TIFF"),
        "odd/gray16 deflated.tif": saved(gray16, "TIFF", compression="tiff_adobe_deflate"),
        "odd/gray16.pgm": saved(gray16.convert("I"), "PPM"),
        "odd/gray16.jp2": saved(gray16, "JPEG2000"),
        "odd/gray32.tif": saved(gray16.convert("I"), "TIFF"),
        "odd/float.tif": saved(Image.fromarray(floats), "TIFF"),
        "odd/float wide.tif": saved(Image.fromarray(floats * 1e30 - 5e29), "TIFF"),
        "odd/float holes.tif": saved(Image.fromarray(holes), "TIFF"),
        "odd/animated.gif": saved(frames[0], "GIF", **more),
        "odd/animated.webp": saved(frames[0], "WEBP", **more),
        "odd/animated.png": saved(frames[0], "PNG", **more),
        "odd/pages.tif": saved(frames[0], "TIFF", **more),
        "odd/several.jpg": saved(frames[0], "MPO", **more),
        "odd/progressive.jpg": saved(rgb, "JPEG", progressive=True),
        "odd/no suffix but upper.JPG": saved(rgb, "JPEG"),
        "odd/name.jfif": saved(rgb, "JPEG"),
        "odd/name.ppm": saved(rgb, "PPM"),
        "odd/plain.bmp": saved(rgb, "BMP"),
        "odd/a png called.jpg": saved(rgb, "PNG"),
        "odd/a jpeg called.png": saved(rgb, "JPEG"),
        "odd/a webp called.gif": saved(rgb, "WEBP"),
        "odd/an xpm called.png": b"/* XPM */\nstatic char *x[] = {\n"
        b'"1 1 1 1",\n"a c #ff0000",\n"a"};\n',
        "odd/one pixel.png": saved(Image.new("RGB", (1, 1)), "PNG"),
        "odd/tall.png": saved(Image.new("RGB", (1, 5000)), "PNG"),
        "odd/wide.png": saved(Image.new("RGB", (5000, 1)), "PNG"),
        "odd/broken exif.jpg": saved(rgb, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff" * 9),
        "odd/no exif.jpg": saved(rgb, "JPEG", exif=b"Exif\0\0"),
        "odd/broken profile.jpg": saved(rgb, "JPEG", icc_profile=b"not a profile" * 99),
        "odd/long comment.jpg": saved(rgb, "JPEG", comment=b"x" * 65_000),
        "odd/rubbish after.jpg": saved(rgb, "JPEG") + b"rubbish" * 1000,
        "odd/rubbish after.png": saved(rgb, "PNG") + b"rubbish" * 1000,
        "odd/two in one.jpg": saved(rgb, "JPEG") + saved(picture(seed=1), "JPEG"),
        "odd/fewer rows than it says.png": png(WIDTH, HEIGHT * 2, 8, 2, (b"IDAT", rows)),
        "odd/deep/er/and/deeper/still.png": saved(rgb, "PNG"),
        "odd/folder.png/inside.png": saved(rgb, "PNG"),
    }
    if int(PIL.__version__.split(".")[0]) >= 13:  # before, it could write these but not read them
        files["odd/ycbcr plain.tif"] = saved(picture("YCbCr"), "TIFF")
    if features.check("avif"):
        files["odd/alpha.avif"] = saved(alpha, "AVIF")
    for orientation in (1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 65535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[f"odd/orientation {orientation}.jpg"] = saved(rgb, "JPEG", exif=exif)
    for kind in ("PNG", "WEBP", "TIFF"):
        exif = Image.Exif()
        exif[0x0112] = 6
        files[f"odd/orientation.{kind.lower()}"] = saved(rgb, kind, exif=exif)
    return {name: (content, None) for name, content in files.items()}


def odd_names() -> Files:
    names = [
        " begins with a space.jpg",
        "-rf.jpg",
        "a\nnew line.jpg",
        "a\r\nwindows line.jpg",
        "a\ttab.jpg",
        "back\\slash.jpg",
        "'quotes' and \"quotes\".jpg",
        "[red]markup[/red].jpg",
        "<b>html & more</b>.jpg",
        "%s %d {} $HOME `date`.jpg",
        "ends in labels 0 1 0.jpg",
        "émile 日本語 🦉.jpg",
        "e\u0301mile decomposed.jpg",
        "\u202eright to left.jpg",
        "line\u2028separator\x85.jpg",
        "control \x1b[31m\x07.jpg",
        os.fsdecode(b"latin-1 \xe9\xff.jpg"),
        "long " + "x" * 240 + ".jpg",
        "~.jpg",
        "*.jpg",
    ]
    content = saved(picture(seed=2), "JPEG")
    return {f"names/{name}": (content, None) for name in names}


def truncated() -> Files:
    files: Files = {}
    kinds = {"jpg": "JPEG", "png": "PNG", "gif": "GIF", "bmp": "BMP", "webp": "WEBP", "tif": "TIFF"}
    kinds |= {"ppm": "PPM", "jp2": "JPEG2000"}
    if features.check("avif"):
        kinds["avif"] = "AVIF"
    for suffix, kind in kinds.items():
        whole = saved(picture(), kind)
        for share in (2, 25, 50, 80):
            files[f"truncated/{share}.{suffix}"] = (whole[: len(whole) * share // 100], "")
        files[f"truncated/empty.{suffix}"] = (b"", "empty")
        files[f"truncated/one byte.{suffix}"] = (whole[:1], "")
    progressive = saved(picture(), "JPEG", progressive=True)
    files["truncated/progressive.jpg"] = (progressive[: len(progressive) // 2], "truncated")
    return files


def not_images() -> Files:
    noise = random.Random(0).randbytes
    contents = {
        "text.jpg": b"This is not a picture.\n" * 100,
        "spaces.jpg": b" " * 4096,
        "page.jpg": b"<!DOCTYPE html><html><title>404 Not Found</title></html>",
        "drawing.png": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="/etc/passwd"/></svg>',
        "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n{} loop\n%%EOF\n",
        "document.jpg": b"%PDF-1.7\n1 0 obj\n<</Type /Catalog>>\nendobj\n%%EOF\n",
        "archive.png": b"PK\x05\x06" + bytes(18),
        "gzip.jpg": b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x03\0\0\0\0\0\0\0\0\0",
        "program.jpg": b"\x7fELF\x02\x01\x01" + bytes(57),
        "script.gif": b"#!/bin/sh\nexit 1\n",
        "pickle.jpg": b"cos\nsystem\n(S'exit 1'\ntR.",
        "film.jpg": b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(64),
        "heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "photoshop.jpg": b"8BPS\0\x01"
        + bytes(6)
        + struct.pack(">HIIHH", 3, 9, 9, 8, 3)
        + bytes(99),
        "zeros.jpg": bytes(100_000),
        "ones.jpg": b"\xff" * 100_000,
    }
    contents |= {f"noise {i}.{kind}": noise(3000) for i, kind in enumerate(["jpg", "png", "tif"])}
    magics = {
        "jpg": b"\xff\xd8\xff\xe0",
        "png": b"\x89PNG\r\n\x1a\n",
        "gif": b"GIF89a",
        "bmp": b"BM",
        "tif": b"II*\0",
        "webp": b"RIFF\xff\xff\0\0WEBPVP8 ",
        "ppm": b"P6\n",
        "jp2": b"\xff\x4f\xff\x51",
    }
    contents |= {f"magic and noise.{kind}": magic + noise(2000) for kind, magic in magics.items()}
    return {f"not images/{name}": (content, "") for name, content in contents.items()}


def damaged() -> Files:
    good = saved(picture(), "PNG")
    data = good.index(b"IDAT")
    jpeg = saved(picture(), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    rows = zlib.compress(bytes(HEIGHT * (1 + WIDTH * 3)))
    size = ((256, 4, 1, WIDTH), (257, 4, 1, HEIGHT))
    rest = ((258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 2**31))
    loop = b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8)
    contents = {
        "header checksum.png": good[:16] + b"\x7f" + good[17:],
        "data.png": good[: data + 20] + bytes(60) + good[data + 80 :],
        "no data.png": png(WIDTH, HEIGHT, 8, 2),
        "data is empty.png": png(WIDTH, HEIGHT, 8, 2, (b"IDAT", b"")),
        "no size.png": png(0, 0, 8, 2, (b"IDAT", rows)),
        "strange depth.png": png(WIDTH, HEIGHT, 7, 2, (b"IDAT", rows)),
        "strange colour.png": png(WIDTH, HEIGHT, 8, 5, (b"IDAT", rows)),
        "no palette.jpg": jpeg.replace(b"\xff\xdb", b"\xff\xfe"),  # no quantisation tables
        "no size.jpg": jpeg[: frame + 5] + bytes(4) + jpeg[frame + 9 :],
        "no components.jpg": jpeg[: frame + 9] + b"\0" + jpeg[frame + 10 :],
        "precision.jpg": jpeg[: frame + 4] + b"\x21" + jpeg[frame + 5 :],
        "ends at once.jpg": b"\xff\xd8\xff\xd9",
        "segment too long.jpg": b"\xff\xd8\xff\xe0\xff\xffJFIF\0",
        "no size.gif": b"GIF89a" + bytes(7) + b"\x2c" + bytes(8) + b"\0\x02\0;",
        "no frame.gif": b"GIF89a\x09\0\x09\0\0\0\0;",
        "negative.bmp": saved(picture(), "BMP")[:18] + struct.pack("<ii", -9, -9) + bytes(40),
        "header size.bmp": b"BM" + bytes(12) + struct.pack("<I", 2**31) + bytes(40),
        "negative.ppm": b"P6 -5 -5 255\n" + bytes(75),
        "words.ppm": b"P6 five five 255\n" + bytes(75),
        "no maximum.ppm": b"P6 5 5 0\n" + bytes(75),
        "long number.ppm": b"P6 " + b"9" * 5000 + b" 5 255\n",
        "endless comment.ppm": b"P6 #" + b"x" * 100_000,
        "float.ppm": b"Pf 5 5 -1\n" + struct.pack("<f", float("nan")) * 25,
        "directory nowhere.tif": b"II*\0" + struct.pack("<I", 2**31),
        "directory loops.tif": loop,
        "directory cut.tif": tiff(*size)[:20],
        "no strips.tif": tiff(*size),
        "strip too long.tif": tiff(*size, *rest),
        "compression.tif": tiff(*size, rest[0], (259, 3, 1, 4242), *rest[2:]),
        "no size.tif": tiff((256, 4, 1, 0), (257, 4, 1, 0), *rest),
        "count.tif": tiff((256, 4, 2**31, 8), (257, 4, 2**31, 8), *rest),
        "nothing but nan.tif": saved(
            Image.fromarray(np.full((HEIGHT, WIDTH), np.nan, np.float32)), "TIFF"
        ),
        "chunk.webp": b"RIFF\x40\0\0\0WEBPVP8X" + b"\xff" * 60,
        "box.avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + b"\xff" * 100,
        "box.jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + b"\xff" * 100,
    }
    return {f"damaged/{name}": (content, "") for name, content in contents.items()}


def bombs() -> Files:
    claim = 100_000
    deflated = zlib.compress(bytes(2501 * 10_000))  # 200 Mpixel of one bit in 25 kB
    big_text = zlib.compress(bytes(8_000_000))
    good = (b"IDAT", zlib.compress(bytes(9 * (1 + 9 * 3))))
    jpeg = saved(picture(), "JPEG")
    frame = jpeg.index(b"\xff\xc0")
    gif = saved(picture("P"), "GIF")
    bmp = saved(picture(), "BMP")
    sides = ((256, 4, 1, claim), (257, 4, 1, claim))
    rest = ((258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8), (279, 4, 1, 9))
    contents = {
        "pixels.png": (png(20_000, 10_000, 1, 0, (b"IDAT", deflated)), "pixels"),
        "claim.png": (png(claim, claim, 8, 2, good), "pixels"),
        "largest claim.png": (png(2**31 - 1, 2**31 - 1, 16, 6, good), "pixels"),
        "long and thin.png": (png(2**31 - 1, 1, 8, 2, good), "pixels"),
        "claim.jpg": (jpeg[: frame + 5] + b"\xff\xff\xff\xff" + jpeg[frame + 9 :], "pixels"),
        "claim.gif": (gif[:6] + b"\xff\xff\xff\xff" + gif[10:], "pixels"),
        "claim.bmp": (bmp[:18] + struct.pack("<ii", claim, claim) + bmp[26:], "pixels"),
        "claim.ppm": (b"P6 100000 100000 255\n" + bytes(999), "pixels"),
        "claim.tif": (tiff(*sides, *rest), "pixels"),
        "text.png": (png(9, 9, 8, 2, (b"zTXt", b"Comment\0\0" + big_text), good), None),
        "much text.png": (
            png(9, 9, 8, 2, *[(b"tEXt", b"Comment\0" + b"x" * 1_000_000)] * 70, good),
            None,  # the picture is sound
        ),
        "profile.png": (png(9, 9, 8, 2, (b"iCCP", b"icc\0\0" + big_text), good), None),
        "chunk claims 2 GB.png": (
            png(9, 9, 8, 2)[:33] + struct.pack(">I", 2**31 - 1) + b"tEXtComment\0" + bytes(99),
            "",
        ),
        "scans.jpg": (scan_bomb(2000, 2000), "scans"),
    }
    return {f"bombs/{name}": entry for name, entry in contents.items()}


def special(folder: Path) -> dict[str, str | None]:
    """Things that only a file system can hold: links, pipes, sockets, devices, locked files."""
    (folder / "special").mkdir()
    (folder / "special/target.png").write_bytes(saved(picture(), "PNG"))
    with (folder / "special/sparse gigabyte.jpg").open("wb") as file:
        file.truncate(2**30)
    os.mkfifo(folder / "special/pipe.jpg")
    bind(folder / "special/socket.png")
    links: dict[str, tuple[str, str | None]] = {
        "link.png": ("target.png", None),
        "broken link.png": ("nowhere.png", "no such file"),
        "link to itself.png": ("link to itself.png", ""),
        "link to a device.png": ("/dev/zero", "device"),
        "link to a pipe.png": ("pipe.jpg", "pipe"),
        "link to its folder": (".", None),
        "link to the folder above": ("..", None),
    }
    for name, (target, _) in links.items():
        (folder / "special" / name).symlink_to(target)
    expected = {
        "special/target.png": None,
        "special/sparse gigabyte.jpg": "not an image",
        "special/pipe.jpg": "pipe",
        "special/socket.png": "socket",
    }
    expected |= {f"special/{name}": why for name, (_, why) in links.items() if name[-4] == "."}
    if os.geteuid() != 0:  # root may read everything
        (folder / "special/locked.png").write_bytes(saved(picture(), "PNG"))
        (folder / "special/locked.png").chmod(0)
        expected["special/locked.png"] = "permission"
    return expected


def bind(path: Path) -> None:
    """Make a socket file; bound by a relative name, because a socket's path must be short."""
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.fchdir(here)
        os.close(here)
