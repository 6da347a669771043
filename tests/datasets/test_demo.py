"""The demo set: pictures whose classes tell apart, in a folder like any other."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.datasets import demo as shapes
from bitcodes.datasets.dataset import read_dataset
from bitcodes.datasets.demo import CLASSES, SIZE, draw, prepare_demo
from bitcodes.errors import DataError
from bitcodes.images.decode import open_image


def test_pictures() -> None:
    assert len(CLASSES) == 10
    assert list(CLASSES) == sorted(CLASSES)
    picture = draw("heart", 3)
    assert picture.size == (SIZE, SIZE)
    assert picture.mode == "RGB"
    assert picture.tobytes() == draw("heart", 3).tobytes()
    others = [draw("heart", 4), draw("star", 3), draw("heart", 3, seed=1)]
    assert len({image.tobytes() for image in [picture, *others]}) == 4


def form(name: str) -> np.ndarray:
    """A form of 24 pixels radius in the middle of a mask, as shares from 0 to 1."""
    mask = shapes._mask(np.random.default_rng(0), shapes._FORMS[name], (24, 24), 0)
    return np.asarray(mask) / 255


def profile(mask: np.ndarray) -> np.ndarray:
    """How much of each circle around the middle is covered: the same however a form is turned."""
    y, x = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    ring = np.hypot(x, y).astype(int) // 2
    return np.bincount(ring.ravel(), mask.ravel())[:15] / np.bincount(ring.ravel())[:15]


def test_forms_differ_however_they_are_turned() -> None:
    profiles = {name: profile(form(name)) for name in shapes._FORMS}
    for one, other in combinations(profiles, 2):
        assert np.abs(profiles[one] - profiles[other]).max() > 0.2, (one, other)
    assert profiles["ring"][0] == 0
    assert all(profiles[name][0] == 1 for name in ("circle", "cross", "heart", "star", "triangle"))


@pytest.mark.parametrize("name", shapes._FORMS)
def test_forms_have_smooth_edges_and_stay_within_the_picture(name: str) -> None:
    mask = form(name)
    assert 0.1 < mask.mean() < 0.5
    assert 0 < ((mask > 0) & (mask < 1)).mean() < 0.15
    assert not any(edge.any() for edge in (mask[0], mask[-1], mask[:, 0], mask[:, -1]))


@pytest.mark.parametrize("name", shapes._PATTERNS)
def test_patterns_cover_the_whole_picture(name: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        mask = np.asarray(shapes._mask(rng, [(shapes._PATTERNS[name](rng), 255)], (8, 22), 8)) / 255
        quarters = mask.reshape(2, SIZE // 2, 2, SIZE // 2).mean(axis=(1, 3))
        assert ((quarters > 0.1) & (quarters < 0.85)).all(), seed


def test_colours_are_exact() -> None:
    picture = Image.new("RGB", (SIZE, SIZE))
    picture.paste((90, 180, 9), mask=shapes._faint(Image.new("L", (SIZE, SIZE), 255), 0.5))
    assert picture.getpixel((0, 0)) == (45, 90, 5)


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
    assert pictures[0].tobytes() == draw(CLASSES[0], 0).tobytes()
    assert pictures[30].tobytes() == draw(CLASSES[0], 3).tobytes()


@pytest.mark.usefixtures("few")
def test_running_it_again(tmp_path: Path) -> None:
    prepare_demo(tmp_path / "demo")
    assert prepare_demo(tmp_path / "demo").state == "unchanged"
    with pytest.raises(DataError, match="already prepared with seed 0, not 5"):
        prepare_demo(tmp_path / "demo", seed=5)
    assert prepare_demo(tmp_path / "other", seed=5).description["seed"] == 5
