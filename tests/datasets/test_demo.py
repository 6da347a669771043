"""The demo set: the same pixels everywhere, and a folder like any other."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from bitcodes.datasets import demo as shapes
from bitcodes.datasets.dataset import read_dataset
from bitcodes.datasets.demo import CLASSES, SIZE, draw, prepare_demo
from bitcodes.errors import DataError
from bitcodes.images.decode import open_image


def test_the_pixels_are_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for name in CLASSES:
        for index in range(12):
            digest.update(draw(name, index).tobytes())
    assert digest.hexdigest() == "c8c522dc084180b8e3a3fe21602a39ee17806ae5f51d65f42c23ee5a86abf19b"


def test_pictures() -> None:
    assert len(CLASSES) == 10
    assert list(CLASSES) == sorted(CLASSES)
    picture = draw("heart", 3)
    assert picture.shape == (SIZE, SIZE, 3)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(picture, draw("heart", 3))
    others = [draw("heart", 4), draw("star", 3), draw("heart", 3, seed=1)]
    assert len({image.tobytes() for image in [picture, *others]}) == 4


def inside(name: str, x: int, y: int) -> bool:
    """Whether a form covers a point, in hundredths of its radius, y downwards."""
    scaled = (np.array([[value * 1024 // 100]], np.int32) for value in (x, y))
    return bool(shapes._FORMS[name](*scaled)[0, 0])


@pytest.mark.parametrize(
    ("name", "covered", "free"),
    [
        ("circle", [(0, 0), (80, 0), (0, -80)], [(95, 0), (70, 70)]),
        ("ring", [(80, 0), (0, -80)], [(0, 0), (40, 40), (100, 0)]),
        ("moon", [(-80, 0), (0, 90)], [(0, 0), (60, 0), (-100, 0)]),
        ("cross", [(0, 0), (90, 0), (0, -90)], [(50, 50), (-50, 50), (100, 0)]),
        ("triangle", [(0, 0), (0, -100), (80, 50)], [(0, 60), (80, -50), (-80, -50)]),
        # Points up, sides and down at 72 degrees; the notch between the lower two is straight down.
        ("star", [(0, 0), (0, 85), (80, 25)], [(0, -60), (100, 0), (60, 60)]),
        ("heart", [(0, 0), (45, -105), (-45, -105), (0, 75)], [(0, -105), (80, 60), (0, 100)]),
    ],
)
def test_forms(name: str, covered: list[tuple[int, int]], free: list[tuple[int, int]]) -> None:
    assert all(inside(name, *point) for point in covered)
    assert not any(inside(name, *point) for point in free)


def test_edges_are_smooth_and_colours_exact() -> None:
    points = np.zeros((SIZE * 3, SIZE * 3), bool)
    points[:3, :3] = True  # pixel (0, 0) wholly, of (0, 1) a third, of (1, 1) a ninth
    points[0:3, 3] = True
    points[3, 3] = True
    black = np.zeros((SIZE, SIZE, 3), np.int32)
    painted = shapes._paint(black, points, (90, 180, 9))
    assert painted[0, 0].tolist() == [90, 180, 9]
    assert painted[0, 1].tolist() == [30, 60, 3]
    assert painted[1, 1].tolist() == [10, 20, 1]
    assert painted[2:].sum() == 0
    assert shapes._paint(black, points, (90, 180, 9), 50)[0, 0].tolist() == [45, 90, 5]


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "TRAIN_PER_CLASS", 3)
    monkeypatch.setattr(shapes, "TEST_PER_CLASS", 2)


@pytest.mark.usefixtures("few")
def test_the_data_folder(tmp_path: Path) -> None:
    calls: list[tuple[int, int | None]] = []
    done = prepare_demo(tmp_path / "demo", progress=lambda *call: calls.append(call))
    assert done.state == "new"
    assert calls == [(i, 50) for i in range(1, 51)]
    dataset = read_dataset(tmp_path / "demo")
    assert dataset.class_names == CLASSES
    assert [len(dataset.train), len(dataset.test), len(dataset.database)] == [30, 20, 30]
    parts = (dataset.train, dataset.test)
    pictures = [open_image(part.absolute_path(i)) for part in parts for i in range(len(part))]
    assert len({picture.tobytes() for picture in pictures}) == 50
    np.testing.assert_array_equal(np.asarray(pictures[0]), draw(CLASSES[0], 0))
    np.testing.assert_array_equal(np.asarray(pictures[30]), draw(CLASSES[0], 3))


@pytest.mark.usefixtures("few")
def test_running_it_again(tmp_path: Path) -> None:
    prepare_demo(tmp_path / "demo")
    assert prepare_demo(tmp_path / "demo").state == "unchanged"
    with pytest.raises(DataError, match="already prepared with seed 0, not 5"):
        prepare_demo(tmp_path / "demo", seed=5)
    assert prepare_demo(tmp_path / "other", seed=5).description["seed"] == 5
