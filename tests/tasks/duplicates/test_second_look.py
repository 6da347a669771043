"""Pixels decide which of the images that the codes propose are copies."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import CodeSetError
from bitcodes.hamming.linkage import Edges
from bitcodes.images.alignment import Placement
from bitcodes.images.likeness import Likeness
from bitcodes.tasks.duplicates.against import find_in_other
from bitcodes.tasks.duplicates.finding import find_duplicates
from bitcodes.tasks.duplicates.second_look import verified_stars
from bitcodes.tasks.encoding.encode import encode


def stars(pairs: dict[tuple[int, int], str]) -> tuple[dict[int, list[tuple[int, str]]], int]:
    """Groups of ranks, each pair of which is near, and a copy (c), similar (s) or neither (-)."""
    better, worse = np.array(sorted(pairs), np.int64).T
    scores = {"c": (1.0, 1.0), "s": (0.1, 0.9), "-": (0.0, 0.0)}
    nowhere = Placement(0, (1, 1), (0, 0))

    def compare(one, others):
        return [Likeness(*scores[pairs[one, other]], nowhere) for other in others]

    members, different = verified_stars(Edges(better, worse, np.ones(len(better), int)), compare)
    return {best: [(m.rank, m.kind) for m in group] for best, group in members.items()}, different


def test_copies_of_a_worse_image_are_found_beside_similar_better_ones() -> None:
    # 0 is another shot, and larger; 2 is a copy of 1.
    pairs = {(0, 1): "s", (0, 2): "s", (1, 2): "c"}
    assert stars(pairs) == ({1: [(2, "copy")]}, 0)
    pairs = {(0, 1): "s", (0, 2): "-", (0, 3): "c", (1, 3): "c"}
    assert stars(pairs) == ({0: [(3, "copy"), (1, "similar")]}, 1)


def test_a_similar_image_is_in_one_group_alone() -> None:
    pairs = {(0, 1): "s", (0, 2): "s", (1, 2): "s"}
    assert stars(pairs) == ({0: [(1, "similar"), (2, "similar")]}, 0)
    assert stars({(0, 1): "c", (0, 2): "-", (1, 2): "c"}) == ({0: [(1, "copy")]}, 1)


def spots(seed: int, size: tuple[int, int] = (96, 72)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (18, 24, 3), np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def test_groups_are_of_copies_that_the_pixels_show(tmp_path: Path) -> None:
    spots(1).save(tmp_path / "a.png")
    ImageOps.mirror(spots(1, (48, 36))).save(tmp_path / "b.png")
    spots(2, (48, 36)).save(tmp_path / "c.png")
    (tmp_path / "d.png").write_bytes(b"no picture")
    codes = np.array([[0], [1], [1], [0]], np.uint8)
    code_set = CodeSet.from_arrays(codes, 8, [f"{name}.png" for name in "abcd"], root=tmp_path)
    result = find_duplicates(code_set, verify=True)
    assert result.radius == 2 and result.verified and result.extra == 1
    assert [[(i.path, i.distance, i.kind) for i in group] for group in result.groups] == [
        [("a.png", 0, None), ("b.png", 1, "copy")]
    ]
    assert (result.groups[0][1].score or 0) > 0.8
    left_out, different = result.notes
    assert left_out.startswith("left out: 1 image that cannot be read (") and "d.png" in left_out
    assert different == "1 pair within distance 2 of different pictures left out"
    assert "1 verified copy and 0 similar images among 4 images" in result.describe()
    with pytest.raises(CodeSetError, match="does not say where its images are"):
        find_duplicates(CodeSet.from_arrays(codes, 8), verify=True)


@pytest.fixture(scope="module")
def encoded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture, turned, in gray, and another, encoded with the built-in model."""
    folder = tmp_path_factory.mktemp("turned")
    image = spots(1)
    images = {"a": image, "b": image.transpose(Image.Transpose.ROTATE_270), "c": spots(2)}
    images["d"] = ImageOps.grayscale(image)
    for name, one in images.items():
        one.save(folder / f"{name}.png")
    encode("built-in", folder, folder / "codes.npy")
    return folder / "codes.npy"


def test_turned_and_gray_copies_are_proposed_by_the_codes_of_such_images(encoded: Path) -> None:
    result = find_duplicates(encoded, 3, verify=True, turned=True, keep="first")
    assert [[(i.path, i.distance) for i in group] for group in result.groups] == [
        [("a.png", 0), ("d.png", 0), ("b.png", 0)]  # of d, all gray values are those of a
    ]
    assert find_duplicates(encoded, 3, verify=True).groups == ()
    against = find_in_other(encoded, encoded, 3, verify=True, turned=True)
    found = {one.image.path: [(i.path, i.distance) for i in one.others] for one in against.images}
    assert sorted(found["a.png"]) == [("b.png", 0), ("d.png", 0)]
