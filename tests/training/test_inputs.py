"""Images for training: the same in memory and streamed, whoever decodes them."""

import multiprocessing
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import make_pictures

from bitcodes.errors import DataError
from bitcodes.images.decode import open_image
from bitcodes.images.transforms import Preprocessing
from bitcodes.sources import workers
from bitcodes.sources.workers import default_workers
from bitcodes.training import inputs
from bitcodes.training.inputs import TrainingImages

HALF = (0.5, 0.5, 0.5)
WAY = Preprocessing(image_size=16, mean=HALF, std=HALF)
BATCHES = [np.array([3, 1, 4]), np.array([1, 5]), np.array([9])]


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    return [tmp_path / name for name in make_pictures(tmp_path, 10)]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_hold_the_images_asked_for(
    paths: list[Path], streamed: bool, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(inputs, "_MEMORY_SHARE", 0)
    images = TrainingImages(paths, WAY, workers)
    assert len(images) == 10
    assert (images._arrays is None) == streamed
    batches_seen = list(images.batches(BATCHES))
    assert [tuple(batch.shape) for batch in batches_seen] == [(n, 16, 16, 3) for n in (3, 2, 1)]
    for batch, indices in zip(batches_seen, BATCHES, strict=True):
        assert batch.dtype == torch.uint8
        for image, index in zip(batch, indices, strict=True):
            np.testing.assert_array_equal(image, WAY.to_array(open_image(paths[index])))
    assert list(images.batches([])) == []


def test_workers_may_be_started_anew_as_on_windows_and_macos(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "_MEMORY_SHARE", 0)
    paths[5].write_bytes(b"")  # what goes wrong comes back from the worker too
    spawn = multiprocessing.get_context("spawn")
    monkeypatch.setattr(workers, "_start_method", lambda: spawn)
    batches = TrainingImages(paths, WAY, 1).batches(BATCHES)
    for image, index in zip(next(batches), BATCHES[0], strict=True):
        np.testing.assert_array_equal(image, WAY.to_array(open_image(paths[index])))
    with pytest.raises(DataError, match=f"^{re.escape(str(paths[5]))}: "):
        next(batches)


@pytest.mark.parametrize("streamed", [False, True])
def test_no_random_numbers_are_used(
    paths: list[Path], streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(inputs, "_MEMORY_SHARE", 0)
    before = torch.get_rng_state()
    list(TrainingImages(paths, WAY, 0).batches(BATCHES))
    assert torch.equal(torch.get_rng_state(), before)


def test_progress_counts_every_image(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in make_pictures(tmp_path, 70)]
    reports: list[tuple[int, int | None]] = []
    TrainingImages(paths, WAY, 0, lambda *done: reports.append(done))
    assert [total for _, total in reports] == [70] * len(reports)
    assert reports[-1] == (70, 70)
    assert [done for done, _ in reports] == sorted({done for done, _ in reports})


def test_images_that_do_not_fit_are_not_read_at_once(
    paths: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 10 * 16 * 16 * 3
    for memory, fits in ((3 * size, True), (3 * size - 3, False)):
        monkeypatch.setattr(inputs, "memory_bytes", lambda memory=memory: memory)
        reports: list[int] = []
        images = TrainingImages(
            paths, WAY, 0, lambda done, total, reports=reports: reports.append(done)
        )
        assert (images._arrays is not None) == fits
        assert bool(reports) == fits


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_image_is_named_in_one_line(
    paths: list[Path], streamed: bool, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if streamed:
        monkeypatch.setattr(inputs, "_MEMORY_SHARE", 0)
    paths[4].write_bytes(paths[4].read_bytes()[:100])
    with pytest.raises(DataError) as error:
        list(TrainingImages(paths, WAY, workers).batches(BATCHES))
    message = str(error.value)
    assert message.startswith(f"{paths[4]}: ")
    assert message.endswith("repair the file or take its line out of the list")
    assert len(message.splitlines()) == 1


def test_there_is_a_worker_for_each_core_but_not_more_than_eight() -> None:
    assert 1 <= default_workers() <= 8
