"""Reading in processes: the pixels come back in shared memory, whatever becomes of a process."""

import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bitcodes.images.transforms import Preprocessing
from bitcodes.sources.item import Decode, File, Item, Refused, Result, Stat
from bitcodes.sources.reading import Batch, read_batches

HALF = (0.5, 0.5, 0.5)
PREPROCESSING = Preprocessing(image_size=8, mean=HALF, std=HALF)


class _DeadlyOnce:
    """A file that ends the process that reads it first."""

    def __init__(self, path: str) -> None:
        self.path = path

    def stat(self) -> Stat:
        return File(self.path).stat()

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        mark = Path(self.path + ".mark")
        if not mark.exists():
            mark.touch()
            os._exit(9)
        return File(self.path).read(decode)

    def memory(self) -> int:
        return 0


class _Deadly(_DeadlyOnce):
    """A file that ends every process that reads it."""

    def read(self, decode: Decode[Result]) -> tuple[Result, Stat]:
        os._exit(9)


def _batches(folder: Path) -> list[Batch]:
    """Batches of 1, 3, 2, 4, 1, ... images, some of which cannot be read."""
    items = []
    for number in range(40):
        file = folder / f"{number}.png"
        Image.new("RGB", (9, 9), (number, 5 * number, 255 - number)).save(file)
        items.append(Item(file.name, File(str(file))))
    items[7] = Item("7.png", Refused("not to be read"))
    items[20] = Item("20.png", _DeadlyOnce(str(folder / "20.png")))
    ends = np.cumsum([1, 3, 2, 4] * 4).tolist()
    return [Batch(items[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


@pytest.fixture(params=["fork", "spawn"])
def start_method(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to start a process that there is here."""
    if request.param not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {request.param} here")
    if request.param == "spawn":
        monkeypatch.delattr(os, "fork", raising=False)


@pytest.mark.usefixtures("start_method")
def test_pixels_of_processes_are_those_of_one(tmp_path: Path) -> None:
    batches = _batches(tmp_path)
    results = [
        (batch, read.good.tolist(), read.pixels.copy(), read.skipped)
        for batch, read in read_batches(batches, 4, PREPROCESSING, "full", workers=2)
    ]
    assert (tmp_path / "20.png.mark").exists()
    assert [batch for batch, *_ in results] == batches
    for (_, good, pixels, skipped), (_, alone) in zip(
        results, read_batches(batches, 4, PREPROCESSING, "full", workers=0), strict=True
    ):
        assert good == alone.good.tolist()
        assert skipped == alone.skipped
        np.testing.assert_array_equal(pixels, alone.pixels)
    assert sum(len(skipped) for *_, skipped in results) == 1


@pytest.mark.usefixtures("start_method")
def test_an_image_that_kills_its_processes_is_lost_alone(tmp_path: Path) -> None:
    batches = _batches(tmp_path)
    expected = [
        [item.path for item in batch.items if item.path not in ("7.png", "21.png")]
        for batch in batches
    ]
    whole = {file.name: np.asarray(Image.open(file))[4, 4] for file in tmp_path.glob("*.png")}
    number = next(n for n, batch in enumerate(batches) if "21.png" in [i.path for i in batch.items])
    items = [
        item._replace(place=_Deadly(str(tmp_path / "21.png"))) if item.path == "21.png" else item
        for item in batches[number].items
    ]
    batches[number] = Batch(items)
    for (batch, read), paths in zip(
        read_batches(batches, 4, PREPROCESSING, "full", workers=2), expected, strict=True
    ):
        assert [batch.items[row].path for row in read.good] == paths
        assert len(read.stat) == len(read.pixels) == len(paths)
        for path, pixels in zip(paths, read.pixels, strict=True):
            np.testing.assert_array_equal(pixels[4, 4], whole[path])
        for row, reason in read.skipped:
            assert batch.items[row].path in ("7.png", "21.png")
            assert "was killed" in reason or batch.items[row].path == "7.png"
