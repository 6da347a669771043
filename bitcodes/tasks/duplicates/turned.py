"""Codes of images turned by quarters and in gray, as queries for copies that were changed so.

Codes change little if a picture is resized or mirrored, but much if it is turned or loses its
colours.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from bitcodes.callbacks import Note, Progress
from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.errors import ImageError
from bitcodes.hamming.across import pairs_across
from bitcodes.hamming.plain import Pairs
from bitcodes.images.decode import open_image
from bitcodes.models.encoding import encode_images
from bitcodes.sources.members import find_places
from bitcodes.tasks.searching.queries import find_model

_TURNS = (
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_180,
    Image.Transpose.ROTATE_270,
)
_IMAGES = 16
"""Images that are decoded at a time."""


def pairs_of_turned(
    code_set: CodeSet,
    others: CodeSet,
    radius: int,
    threads: int | None = None,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Iterator[Pairs]:
    """Pairs of rows of a set whose images, turned or in gray, are near codes of others.

    The images are encoded again, with the model of the set. Those that cannot be read are in no
    pair.
    """
    rows, variants = _encoded(code_set, progress, note)
    for codes in variants:
        first, second, distances = pairs_across(codes, others.codes, code_set.bits, radius, threads)
        yield Pairs(rows[first], second, distances)


def _encoded(
    code_set: CodeSet, progress: Progress | None, note: Note | None
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The rows (R,) of images that can be read, and their codes in each variant (V, R, B)."""
    model = find_model(code_set, None, "auto", False, note)
    rows_of: dict[Path, list[int]] = {}
    for row in range(code_set.count):
        rows_of.setdefault(code_set.absolute_path(row), []).append(row)
    rows: list[int] = []
    parts = [np.empty((len(_TURNS) + 1, 0, code_set.codes.shape[1]), np.uint8)]
    images_left = _variants(rows_of)
    while some := list(islice(images_left, _IMAGES)):
        images = [image for _, variants in some for image in variants]
        packed = pack_outputs(encode_images(model, images).outputs)
        codes = packed.reshape(len(some), len(_TURNS) + 1, -1).swapaxes(0, 1)  # (V, n, B)
        sizes = [len(same) for same, _ in some]
        parts.append(np.repeat(codes, sizes, axis=1))
        rows += [row for same, _ in some for row in same]
        if progress is not None:
            progress(len(rows), code_set.count)
    return np.array(rows, np.int64), np.concatenate(parts, axis=1)


def _variants(
    rows_of: dict[Path, list[int]],
) -> Iterator[tuple[list[int], list[Image.Image]]]:
    """The rows of each file that can be read, and the image in each variant."""
    for file, place in find_places(rows_of):
        try:
            image = place.read(open_image)[0]
        except ImageError:
            continue
        gray = ImageOps.grayscale(image).convert("RGB")
        yield rows_of[file], [*map(image.transpose, _TURNS), gray]
