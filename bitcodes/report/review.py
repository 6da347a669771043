"""The page on which people decide about near-duplicates: what it shows of each image, and data."""

import base64
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from filecmp import cmp
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image as Picture

from bitcodes.errors import ImageError
from bitcodes.images.decode import recorded_size
from bitcodes.report.page import Thumbnail, Thumbnails
from bitcodes.sources.members import find_places
from bitcodes.tasks.duplicates.decisions import Decisions, as_field
from bitcodes.tasks.duplicates.groups import Group, Image

_SCRIPT = Path(__file__).with_name("templates") / "review.js"
_SIDE = 32  # pixels of the pictures that are compared


class _File(NamedTuple):
    size: tuple[int, int]
    bytes: int
    time: int


class Facts:
    """What is shown of each image beside its picture: size and date, and what differs."""

    def __init__(self, files: Iterable[Path | None], thumbnail: Thumbnails, pixels: int) -> None:
        self._thumbnail, self._pixels = thumbnail, pixels
        self._files: dict[Path, _File] = {}
        for file, place in find_places(file for file in files if file is not None):
            try:
                size, (count, time) = place.read(recorded_size)
            except ImageError:
                continue
            self._files[file] = _File(size, count, time)

    def __call__(self, image: Image, kept: Image) -> list[str]:
        """Lines on an image; `kept` is the one to keep."""
        if image.file is None or (one := self._files.get(image.file)) is None:
            return []
        lines = [
            f"{one.size[0]} × {one.size[1]}, {_in_words(one.bytes)}",
            *([f"{datetime.fromtimestamp(one.time / 1e9):%Y-%m-%d %H:%M}"] * (one.time > 0)),
        ]
        if image is not kept and kept.file in self._files:
            lines += image.changes or self._difference(image.file, kept.file)
        return lines

    def _difference(self, file: Path, kept: Path) -> Iterator[str]:
        """What differs: no byte, or how much of the pixels, made small."""
        if file.is_file() and kept.is_file() and cmp(file, kept, shallow=False):
            yield "same bytes"
            return
        one, other = (self._thumbnail(path, self._pixels) for path in (file, kept))
        if one.url and other.url:
            apart = np.abs(_small(one) - _small(other)).mean() / 255
            yield f"pixels differ by {apart:.1%}"


def _small(thumbnail: Thumbnail) -> NDArray[np.float32]:
    data = base64.b64decode(str(thumbnail.url).partition(",")[2])
    picture = Picture.open(io.BytesIO(data)).convert("RGB").resize((_SIDE, _SIDE))
    return np.asarray(picture, np.float32)


def _in_words(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 10**6 else f"{size / 1e3:.0f} kB"


def script() -> tuple[Markup, str]:
    """The script of the page, and its hash as a security policy has it."""
    text = _SCRIPT.read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


def _known(images: Group, decisions: Decisions) -> dict[str, Any]:
    """What the script knows of a group. It is decided if all its duplicates are."""
    best, *others = images
    same = [image.path for image in others if image.kind != "similar"]
    return {
        "paths": [as_field(image.path) for image in images],
        "similar": [place for place, image in enumerate(images) if image.kind == "similar"],
        "decided": bool(same) and all(decisions.is_duplicate(best.path, path) for path in same),
    }


def data(name: str, lines: Iterable[str], groups: Iterable[Group]) -> Markup:
    """What the script knows, as JSON in which HTML sees nothing."""
    decisions = Decisions(lines := [*lines])
    known = [_known(images, decisions) for images in groups]
    text = json.dumps({"name": name, "lines": lines, "groups": known})
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
