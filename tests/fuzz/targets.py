"""What is fuzzed: valid files of each kind, changes to them, and the reader of the kind."""

import gzip
import io
import json
import random
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from attacks import archives, models, pickles
from attacks.code_sets import ChangedSet, fit_header, fit_index, read_header, write_header
from attacks.mutate import TEXTS, mutated, mutated_array, mutated_value
from attacks.readers import Room, codes
from hostile import picture, saved
from predecessor import save_as_python2, save_as_python3

Check = Callable[[int], None]
"""Reads a file that was changed as this seed says; raises what the reader raises."""


def generator(seed: int) -> random.Random:
    """The same changes for the same seed, in every process."""
    return random.Random(seed)


def from_bytes(
    role: str,
    seeds: Sequence[bytes],
    fit: Callable[[bytes], bytes] | None = None,
) -> Callable[[Path], Check]:
    """Changed bytes for a reader; half of them with `fit`, which makes their checksums right."""

    def make(folder: Path) -> Check:
        room = Room(folder / "room")
        file = folder / "changed"

        def check(seed: int) -> None:
            rng = generator(seed)
            content = mutated(rng.choice(seeds), rng, seeds)
            if fit is not None and rng.random() < 0.6:
                content = fit(content)
            file.write_bytes(content)
            room.read(role, file)

        return check

    return make


def from_values(role: str, values: Sequence[Any], as_yaml: bool = False) -> Callable[[Path], Check]:
    """Changed values for a reader of documents, and changed bytes of these."""

    def make(folder: Path) -> Check:
        import yaml

        room = Room(folder / "room")
        file = folder / "changed"

        def check(seed: int) -> None:
            rng = generator(seed)
            value = rng.choice(values)
            for _ in range(rng.choice((1, 1, 2, 3))):
                value = mutated_value(value, rng)
            text = json.dumps(value)  # YAML too
            if as_yaml:
                with suppress(RecursionError):  # too deep to be written as others write it
                    text = yaml.dump(value)
            content = text.encode("utf-8", "surrogatepass")
            file.write_bytes(mutated(content, rng) if rng.random() < 0.4 else content)
            room.read(role, file)

        return check

    return make


# -- code sets and indexes -------------------------------------------------------------------------

_ARRAYS = ("codes.npy", "codes.labels.npy", "codes.features.npy", "codes.stat.npy")
_TEXTS = ("codes.paths.txt", "codes.skipped.txt")


def code_set(folder: Path) -> Check:
    """A set of which an array, a text or the header was changed; mostly with right checksums."""
    (folder / "set").mkdir()
    one = ChangedSet(folder / "set")

    def check(seed: int) -> None:
        rng = generator(seed)
        kind = rng.randrange(5)
        name = rng.choice(_ARRAYS if kind < 3 else _TEXTS)
        file = one.folder / name
        if kind == 0:
            np.save(file, mutated_array(np.load(file), rng))
        elif kind < 4:
            file.write_bytes(mutated(file.read_bytes(), rng))
        else:
            header = mutated_value(read_header(one.folder), rng)
            if isinstance(header, dict):
                write_header(one.folder, header)
            else:
                (one.folder / "codes.json").write_text(json.dumps(header))
        if kind < 4 and rng.random() < 0.9:
            fit_header(one.folder)
        one.read(codes)

    return check


def index(folder: Path) -> Check:
    """An index of which an array or the header was changed; mostly with right checksums."""
    (folder / "set").mkdir()
    one = ChangedSet(folder / "set")
    place = one.folder / "codes.index"
    arrays = sorted(place.glob("*.npy"))

    def check(seed: int) -> None:
        rng = generator(seed)
        kind = rng.randrange(4)
        file = rng.choice(arrays)
        if kind < 2:
            np.save(file, mutated_array(np.load(file), rng))
        elif kind == 2:
            file.write_bytes(mutated(file.read_bytes(), rng))
        else:
            header = place / "index.json"
            header.write_text(json.dumps(mutated_value(json.loads(header.read_text()), rng)))
        if kind < 3 and rng.random() < 0.9:
            fit_index(one.folder)
        one.read(codes)

    return check


# -- archives --------------------------------------------------------------------------------------


def _members() -> list[tuple[str, bytes]]:
    return [
        ("train/cat/a.png", saved(picture(), "PNG")),
        ("train/dog/é.jpg", saved(picture(seed=1), "JPEG")),
        ("test/" + "d" * 120 + "/" + "e" * 120 + ".png", b"none"),
        ("train.txt", b"train/cat/a.png 1 0\n"),
    ]


def tars() -> list[bytes]:
    """Tars in each format, one with a file with holes and one with links."""
    results = []
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        entries = [
            (archives.entry(name, len(data)), data)
            for name, data in _members()
            if form != tarfile.USTAR_FORMAT or len(name) < 100
        ]
        results.append(archives.tar(*entries, form=form))
    links = [(archives.entry("x.png", 0, kind, "a.png"), b"") for kind in (b"1", b"2", b"6")]
    return [*results, archives.tar(*links), archives._holes(3) + results[1]]


def zips() -> list[bytes]:
    """Zips that are stored, deflated, streamed and large."""
    results = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        results.append(archives.zip_of(*_members(), method=method))
        stream = _Stream()
        with zipfile.ZipFile(stream, "w", method) as packed:  # type: ignore[type-var]
            for name, data in _members():
                packed.writestr(zipfile.ZipInfo(name), data)
        results.append(stream.getvalue())
    end = results[0].index(archives.END)
    large = b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 4, 4, 300, 200)
    locator = b"PK\6\7" + struct.pack("<IQI", 0, end, 1)
    return [*results, results[0][:end] + large + locator + results[0][end:]]


class _Stream(io.BytesIO):
    """What zipfile cannot go back in: sizes come behind the bytes."""

    def seekable(self) -> bool:
        return False

    def seek(self, *place: int) -> int:
        raise io.UnsupportedOperation


def fit_tar(data: bytes) -> bytes:
    """A tar whose headers have the checksums that fit them."""
    content = bytearray(data)
    for at in range(0, len(content) - 511, 512):
        if content[at + 257 : at + 262] == b"ustar":
            content[at + 148 : at + 156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(content[at : at + 512])
    return bytes(content)


# -- pictures --------------------------------------------------------------------------------------


def pictures() -> list[bytes]:
    """Small pictures in each format, with profiles, text, orientation and several frames."""
    from PIL import Image, ImageCms, features

    rgb, small = picture(), picture().resize((9, 7))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    other = profile.replace(b"sRGB", b"xRGB").replace("sRGB".encode("utf-16-be"), bytes(8))
    exif = Image.Exif()
    exif[274], exif[271] = 6, "maker"
    more = {"exif": exif, "icc_profile": other}
    deep = Image.fromarray(np.arange(63, dtype=np.uint16).reshape(7, 9) * 1000)
    several = {"save_all": True, "append_images": [small]}
    made = [
        saved(small, "JPEG", **more),
        saved(small, "JPEG", progressive=True, quality=20),
        saved(small.convert("CMYK"), "JPEG"),
        saved(small, "MPO", **several),
        saved(small, "PNG", **more),
        saved(small.convert("RGBA"), "PNG"),
        saved(small.quantize(5), "PNG", transparency=bytes(5)),
        saved(deep, "PNG"),
        saved(small.convert("P"), "GIF", **several),
        saved(small, "WEBP", **more),
        saved(small, "WEBP", lossless=True, **several),
        saved(small, "BMP"),
        saved(small.convert("1"), "BMP"),
        saved(small, "PPM"),
        saved(deep, "TIFF"),
        saved(small, "JPEG2000"),
        saved(rgb, "JPEG", restart_marker_blocks=2),
        saved(Image.fromarray(np.eye(7, dtype=np.float32)), "TIFF"),
    ]
    made += [
        saved(small, "TIFF", compression=name, **more)
        for name in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")
    ]
    if features.check("avif"):
        made.append(saved(small, "AVIF"))
    return made


def fit_png(data: bytes) -> bytes:
    """A PNG whose chunks have the checksums that fit them; anything else as it is."""
    if not data.startswith(b"\x89PNG"):
        return data
    content, at = bytearray(data), 8
    while at + 12 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 8 + length
        if end + 4 > len(content):
            break
        struct.pack_into(">I", content, end, zlib.crc32(content[at + 4 : end]))
        at = end + 4
    return bytes(content)


# -- models ----------------------------------------------------------------------------------------


def fit_onnx(data: bytes) -> bytes:
    """A model with a seal that fits it."""
    return models.seal(data[: -len(models.seal(b""))])


def weights(folder: Path) -> Check:
    """Weights as Python 2 and 3 wrote them, and hostile ones."""
    layers = {"conv1": [np.ones((2, 3), np.float32), np.ones(3, np.float32)]}
    save_as_python2(folder / "2.npy", layers)
    save_as_python3(folder / "3.npy", layers)
    files = [(folder / name).read_bytes() for name in ("2.npy", "3.npy")]
    hostile = [pickles.with_header(data) for data in {**pickles.HOSTILE, **pickles.SHARED}.values()]
    seeds = [*files * 20, *(data for data in hostile if len(data) < 10_000)]
    return from_bytes("weights", seeds)(folder)


def old_pytorch() -> list[bytes]:
    """Old PyTorch files: one tensor, and hostile ones."""
    good = models.pth(models.tensor())
    return [good] * 20 + [data for data in models.pths().values() if len(data) < 10_000]


def origins() -> list[Any]:
    """Origins of a code set."""
    one = {"images": ["a", "b.zip"], "folder": ".", "root": "x", "part": [1, 3], "all_files": True}
    return [{"format": "bitcodes-origin/1", "source": "0" * 64, "encoded": [one, one]}]


def settings_values() -> list[Any]:
    """Settings of a run, and the predecessor's."""
    from predecessor import PARAMS

    from bitcodes.settings import Settings

    return [Settings.build({"data": "data"}).to_dict(), {"bits": 16, "loss": "csq"}, PARAMS]


def datasets() -> list[Any]:
    """dataset.json as `prepare` writes it, and settings in JSON."""
    counts = {"train": 3, "test": 1, "database": 3}
    one = {"name": "cifar10", "protocol": "full", "seed": 0, "counts": counts}
    return [{**one, "class_names": ["cat", "dog"]}, *settings_values()]


def image_lists() -> list[bytes]:
    """Lists as people write them."""
    return [
        b"a.png 1 0\na.png 0 1\n# comment\n\na.png 1 0\n",
        b"path,label\na.png,2\na.png,0\n",
        b'"a.png" 1 0\r\n"a.png" 0 1\r\n',
        b"a.png\na.png\n",
        b"\xef\xbb\xbfa.png;0;1\n",
        "a.png 1 0\n".encode("utf-16"),
        "\n".join(f"{text}.png 0 1" for text in TEXTS[:20]).encode("utf-8", "surrogatepass"),
    ]


def safetensors_files() -> list[bytes]:
    """Model files, with and without tensors."""
    one = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    info = {"bitcodes": json.dumps(models.DESCRIPTION)}
    return [models.safetensors({"__metadata__": info, "a": one}, bytes(8))]


TARGETS: dict[str, Callable[[Path], Check]] = {
    "codes": code_set,
    "index": index,
    "header": lambda folder: _header(folder),
    "origin": from_values("origin", origins()),
    "json": from_values("json", datasets()),
    "yaml": from_values("yaml", settings_values(), as_yaml=True),
    "list": from_bytes("list", image_lists()),
    "tar": from_bytes("tar", tars(), fit_tar),
    "tar.gz": lambda folder: from_bytes("tar.gz", [gzip.compress(one) for one in tars()])(folder),
    "zip": from_bytes("zip", zips()),
    "picture": lambda folder: from_bytes("picture", pictures(), fit_png)(folder),
    "onnx": lambda folder: from_bytes("onnx", [models.onnx_model()], fit_onnx)(folder),
    "safetensors": from_bytes("safetensors", safetensors_files()),
    "weights": weights,
    "pth": from_bytes("pth", old_pytorch()),
}
"""By name: what makes the check of a target, in a folder of its own."""


def _header(folder: Path) -> Check:
    from attacks.code_sets import make_set

    (folder / "whole").mkdir()
    make_set(folder / "whole")
    return from_values("header", [read_header(folder / "whole")])(folder)


# -- with torch ------------------------------------------------------------------------------------


def torch_weights(folder: Path) -> Check:
    """Files of weights for torch, in both formats."""
    import torch

    tensors = {"a": torch.ones(2, 3), "b.c": torch.arange(4)}
    seeds = []
    for is_new in (True, False):
        buffer = io.BytesIO()
        torch.save(tensors, buffer, _use_new_zipfile_serialization=is_new)
        seeds.append(buffer.getvalue())
    return from_bytes("torch weights", [*seeds, *old_pytorch()[:3]])(folder)


def checkpoint(folder: Path) -> Check:
    """Checkpoints with one value changed, and with changed bytes."""
    import torch

    line = {"epoch": 1, "step": 5, "image_size": 32, "loss": 1.0, "train_seconds": 1.0}
    values = {
        **{
            "model": {"a": torch.ones(2)},
            "loss": {},
            "average": None,
            "step": 5,
            "history": [line],
        },
        **{"optimizer": {"state": {}, "param_groups": []}, "loss_sum": 0.0, "seconds": 1.0},
        **{"data": "0" * 64, "events": {"events.out.tfevents.1": 3}, "pace": {}},
    }
    room = Room(folder / "room")
    file = folder / "changed"

    def check(seed: int) -> None:
        rng = generator(seed)
        changed = dict(values)
        key = rng.choice([name for name in values if name not in ("model", "loss")])
        changed[key] = mutated_value({"x": values[key]}, rng)
        if rng.random() < 0.7:
            changed[key] = changed[key].get("x") if isinstance(changed[key], dict) else changed[key]
        buffer = io.BytesIO()
        torch.save(changed, buffer)
        content = buffer.getvalue()
        file.write_bytes(mutated(content, rng) if rng.random() < 0.5 else content)
        room.read("checkpoint", file)

    return check


TORCH_TARGETS: dict[str, Callable[[Path], Check]] = {
    "torch weights": torch_weights,
    "checkpoint": checkpoint,
}
"""The same of readers that load torch."""
