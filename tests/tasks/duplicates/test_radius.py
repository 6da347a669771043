"""The radius is the one at which near codes stop being those of copies."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.errors import CodeSetError
from bitcodes.tasks.duplicates.finding import find_duplicates


def spots(seed: int, size: tuple[int, int]) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (18, 24, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def make(folder: Path, *flips: tuple[int, bool]) -> CodeSet:
    """Pairs of pictures whose codes differ in so many bits, and whether they are copies."""
    rng = np.random.default_rng(0)
    codes, names = [], []
    for number, (flipped, are_copies) in enumerate(flips):
        code = rng.random(64) < 0.5
        near = code.copy()
        near[:flipped] ^= True
        codes += [code, near]
        for letter, seed in (("a", number), ("b", number if are_copies else 100 + number)):
            names.append(f"{number}{letter}.png")
            spots(seed, (96, 72) if letter == "a" else (60, 45)).save(folder / names[-1])
    return CodeSet.from_arrays(pack_bits(np.array(codes)), 64, names, root=folder)


def test_the_radius_ends_where_pairs_are_no_copies(tmp_path: Path) -> None:
    code_set = make(tmp_path, (1, True), (3, True), (4, True), (5, False), (6, True), (7, False))
    result = find_duplicates(code_set, "auto")
    assert result.radius == 4 and len(result.groups) == 3
    assert result.notes[0] == (
        "radius 4, by the pixels of 12 pairs: 100% of the pairs within it are copies, and 75% of "
        "the copies within 20"
    )


def test_no_radius_is_precise_enough_or_nothing_is_near(tmp_path: Path) -> None:
    result = find_duplicates(make(tmp_path, (2, False), (3, False)), "auto")
    assert (result.radius, result.groups) == (0, ())
    result = find_duplicates(make(tmp_path, (30, True)), "auto")
    assert result.radius == 8
    assert result.notes == ("radius 8, by default: no codes lie within 20",)
    with pytest.raises(CodeSetError, match="no radius can be estimated"):
        find_duplicates(CodeSet.from_arrays(np.zeros((2, 8), np.uint8), 64), "auto")
