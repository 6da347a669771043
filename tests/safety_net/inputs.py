"""Fixed inputs: pictures from integers, written byte by byte, with fixed times of change.

No library that may change encodes them: PNG files are stored, not compressed, so that their sizes,
which code sets record, are the same with every version of zlib.
"""

import hashlib
import io
import json
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

Pixels = NDArray[np.uint8]

SECOND = 10**9
TIME = 1_700_000_000 * SECOND  # ns, of every file
CLASSES = ("cat", "dog", "hen")
BITS = 24
FINGERPRINT = "a8db169be11203c64791d5633597fd87dff26dd4682586c7a2e10de28104eb66"  # of make_model
_BLOCK = 65535  # bytes in a stored block of deflate, at most


def picture(name: str, width: int = 16, height: int = 16, cell: int = 4) -> Pixels:
    """A picture of square cells whose colours are a digest of its name, (H, W, 3)."""
    rows, columns = -(-height // cell), -(-width // cell)
    digest = hashlib.shake_128(name.encode()).digest(3 * rows * columns)
    colours = np.frombuffer(digest, np.uint8).reshape(rows, columns, 3)
    return colours.repeat(cell, axis=0).repeat(cell, axis=1)[:height, :width]


def of_class(label: int, number: int, side: int = 16, plain: int = 0) -> Pixels:
    """A picture of a class, (side, side, 3): cells near to the ones that all of the class have.

    With more of `plain` it is nearer to one colour of the class, and easier to learn.
    """
    cells = picture(f"class {label}", side, side, side // 4).astype(np.int32)
    own = picture(f"class {label} picture {number}", side, side, side // 4).astype(np.int32)
    colour = np.roll([200, 90, 40], label)
    return ((3 * cells + own + plain * colour) // (4 + plain)).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    """A PNG file of (H, W, 3) or, in grey, (H, W)."""
    height, width = pixels.shape[:2]
    kind = 0 if pixels.ndim == 2 else 2
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    body = b"\x78\x01" + _stored(rows) + struct.pack(">I", zlib.adler32(rows))
    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", body) + _chunk(b"IEND", b"")
    )


def bmp(pixels: Pixels) -> bytes:
    """A BMP file of 24 bits a pixel, its rows from below."""
    height, width = pixels.shape[:2]
    padding = b"\0" * (-3 * width % 4)
    rows = b"".join(row[:, ::-1].tobytes() + padding for row in pixels[::-1])
    head = struct.pack("<2sIHHI", b"BM", 54 + len(rows), 0, 0, 54)
    return head + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0) + rows


def ppm(pixels: Pixels) -> bytes:
    """A binary PPM file."""
    height, width = pixels.shape[:2]
    return f"P6 {width} {height} 255\n".encode() + pixels.tobytes()


def gzipped(content: bytes) -> bytes:
    """A gzip file, stored."""
    end = struct.pack("<II", zlib.crc32(content), len(content))
    return b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + _stored(content) + end


def _stored(content: bytes) -> bytes:
    """Deflate without compression."""
    blocks = [content[start : start + _BLOCK] for start in range(0, len(content), _BLOCK)]
    return b"".join(
        struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) + block
        for block in blocks
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


def write(file: Path, content: bytes, seconds: int = 0) -> None:
    """Write a file and its folder; `seconds` move its time of change on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(TIME, TIME + seconds * SECOND))


def tar(members: Mapping[str, bytes]) -> bytes:
    """A tar archive."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(content), TIME // SECOND
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip archive, stored."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20))
            entry.create_system = 3
            archive.writestr(entry, content)
    return out.getvalue()


def photos() -> dict[str, bytes]:
    """Pictures of several kinds and sizes: some in class folders, copies and near copies."""
    files = {}
    for label, name in enumerate(CLASSES):
        for number in range(4):
            files[f"{name}/{number}.png"] = png(of_class(label, number))
    nearly = of_class(0, 1).copy()
    nearly[:4, :4] += np.uint8(9)
    files |= {
        "cat/copy of 0.png": png(of_class(0, 0)),
        "cat/nearly 1.png": png(nearly),
        "dog/copy.bmp": bmp(of_class(1, 2)),
        "wide.png": png(picture("wide", 56, 24, 8)),
        "tall.ppm": ppm(picture("tall", 24, 40, 8)),
        "deep/er/grey.PNG": png(picture("grey", 32, 32, 8)[..., 0]),
        "é ü.png": png(picture("letters")),
        "large/0.png": png(of_class(0, 0, 32)),
    }
    return files


def make_photos(folder: Path) -> None:
    """The photos, and files beside them that are no images."""
    for name, content in photos().items():
        write(folder / name, content)
    write(folder / "notes.txt", b"no image\n")


def make_dataset(folder: Path, train: int, queries: int, side: int = 16, plain: int = 0) -> None:
    """A prepared folder: train.txt, which is the database too, and test.txt, of three classes."""
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number in range(train + queries):
        key = "train" if number < train else "test"
        label = number % len(CLASSES)
        name = f"images/{number:03}.png"
        write(folder / name, png(of_class(label, number, side, plain)))
        columns = " ".join("1" if column == label else "0" for column in range(len(CLASSES)))
        lists[key].append(f"{name} {columns}\n")
    lists["database"] = lists["train"]
    for key, lines in lists.items():
        write(folder / f"{key}.txt", "".join(lines).encode())
    description = {
        "name": "pictures",
        "protocol": "own",
        "seed": 0,
        "counts": {key: len(lines) for key, lines in lists.items()},
        "class_names": CLASSES,
    }
    write(folder / "dataset.json", json.dumps(description, indent=2).encode() + b"\n")


def make_model(file: Path, seed: str = "model", fingerprint: str = "") -> None:
    """A model file whose codes are the same on every machine, of the backbone "tiny".

    That is the mean of each of 4 x 4 cells. Pixels go in as they are, and weights are integers: all
    sums are exact in float32, in any order, and none is zero.
    """
    digest = hashlib.shake_128(seed.encode()).digest(BITS * 48)
    weight = np.frombuffer(digest, np.int8).reshape(BITS, 48).astype(np.float32) // 16  # -8 to 7
    bias = np.floor(-128 * weight.sum(axis=1)) + np.float32(1 / 32)
    scale = 1 / 255  # pixels are divided by 255, and then by this
    description = {
        "format": "bitcodes-model/1",
        "backbone": "tiny",
        "bits": BITS,
        "class_names": CLASSES,
        "preprocessing": {
            "image_size": 16,
            "mean": (0, 0, 0),
            "std": (scale, scale, scale),
        },
        "device": "cpu",
        "fingerprint": fingerprint,
    }
    tensors = {"hash_layer.weight": weight, "hash_layer.bias": bias.astype(np.float32)}
    file.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, file, {"bitcodes": json.dumps(description)})
