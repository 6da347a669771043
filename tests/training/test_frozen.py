"""Features kept on disk: the same as computed ones, whatever happened to the files."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import make_model, make_pictures

from bitcodes.errors import DataError
from bitcodes.models.hashing import HashModel
from bitcodes.sources.source import open_images
from bitcodes.training import frozen
from bitcodes.training.frozen import FrozenFeatures


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frozen, "_BATCH", 4)
    monkeypatch.setattr(frozen, "_CHUNK", 8)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    make_pictures(tmp_path / "photos", 21)
    return tmp_path / "photos"


def store(photos: Path, model: HashModel | None = None) -> FrozenFeatures:
    return FrozenFeatures(
        photos.parent / "cache", model or make_model(), open_images([str(photos)])
    )


def load(features: FrozenFeatures) -> torch.Tensor:
    return features.load(0, lambda done, total: None)


def watch(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the batches that go through a backbone from now on."""
    sizes: list[int] = []
    before = HashModel.pooled

    def counting(model: HashModel, pixels: torch.Tensor) -> torch.Tensor:
        sizes.append(len(pixels))
        return before(model, pixels)

    monkeypatch.setattr(HashModel, "pooled", counting)
    return sizes


def test_they_are_the_features_that_encoding_gives(photos: Path) -> None:
    model = make_model()
    result = load(store(photos))
    assert result.shape == (21, 48)
    pixels = np.stack(
        [
            model.preprocessing.to_array(Image.open(path).convert("RGB"))
            for path in sorted(photos.iterdir())
        ]
    )
    np.testing.assert_allclose(result, model.encode_batch(pixels).features, rtol=1e-5)


def test_a_second_time_they_are_read(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load(store(photos))
    sizes = watch(monkeypatch)
    reports: list[tuple[int, int | None]] = []
    again = store(photos).load(0, lambda *now: reports.append(now))
    assert torch.equal(first, again)
    assert (sizes, reports) == ([], [(21, 21)])


def test_what_was_done_before_a_stop_stays(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load(FrozenFeatures(photos.parent / "other", make_model(), open_images([str(photos)])))
    sizes = watch(monkeypatch)

    def stop(done: int, total: int | None) -> None:
        if len(sizes) == 3:  # in the second file, of two batches each
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store(photos).load(0, stop)
    sizes.clear()
    assert torch.equal(load(store(photos)), whole)
    assert sum(sizes) == 21 - 8


@pytest.mark.parametrize("damage", [b"", b"x" * 100])
def test_a_damaged_file_is_made_again(photos: Path, damage: bytes) -> None:
    whole = load(store(photos))
    file = sorted((photos.parent / "cache").glob("*/*.npy"))[1]
    file.write_bytes(damage)
    assert torch.equal(load(store(photos)), whole)
    assert file.stat().st_size > 1000


def test_anything_else_that_decides_them_makes_others(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(store(photos))
    sizes = watch(monkeypatch)
    model = make_model()
    load(store(photos, make_model(bits=8, seed=5)))  # another hash layer
    assert sizes == []
    model.preprocessing = model.preprocessing.model_copy(update={"image_size": 20})
    load(store(photos, model))
    assert sum(sizes) == 21
    sizes.clear()
    os.utime(photos / "03.png", ns=(0, 0))
    load(store(photos))
    assert sum(sizes) == 21
    sizes.clear()
    images = open_images([str(photos)])
    fewer = replace(images, paths=images.paths[:5])
    load(FrozenFeatures(photos.parent / "cache", make_model(), fewer))
    assert sum(sizes) == 5


def test_backbones_of_the_same_weights_do_not_share_them(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(store(photos))
    sizes, other = watch(monkeypatch), make_model()
    other.backbone_name = "another"
    load(store(photos, other))
    assert sum(sizes) == 21
    sizes.clear()
    load(store(photos))
    assert sizes == []


def test_images_that_cannot_be_read_have_none(photos: Path) -> None:
    (photos / "05.png").write_bytes(b"x")
    for _ in range(2):  # computed, then read
        features = store(photos)
        result = load(features)
        assert features.unreadable(result).tolist() == [5]
        assert result[5].isnan().all()
        assert result[:5].isfinite().all()
        assert result[6:].isfinite().all()
        with pytest.raises(DataError, match=r"05\.png: .* take its line out of the list"):
            features.check_all_readable(result)


def test_an_image_that_can_be_read_again_gets_its_features(photos: Path) -> None:
    whole = load(store(photos))
    path = photos / "13.png"
    content, time = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(b"x" * len(content))  # as if it was locked: size and time stay
    os.utime(path, ns=(time, time))
    shutil.rmtree(photos.parent / "cache")
    features = store(photos)
    assert features.unreadable(load(features)).tolist() == [13]
    path.write_bytes(content)
    os.utime(path, ns=(time, time))
    with pytest.raises(DataError, match=r"13\.png: .* but can be now: the next run reads it again"):
        features.check_all_readable(load(store(photos)))
    assert torch.equal(load(store(photos)), whole)
