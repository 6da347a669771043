"""Queries that are copies of training images are found, whatever was changed."""

from pathlib import Path

import numpy as np
import pytest
from commands import run
from PIL import Image, ImageOps

from bitcodes.tasks.duplicates.leaks import find_leaks


def spots(seed: int) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 256, (18, 24, 3), np.uint8)
    return Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Class folders with a division; the first query is a training image of another class."""
    for part, start in (("train", 0), ("test", 10)):
        for number, name in enumerate(("cat", "dog")):
            folder = tmp_path / "photos" / part / name
            folder.mkdir(parents=True)
            for image in range(2):
                spots(start + 2 * number + image).save(folder / f"{image}.png")
    ImageOps.mirror(spots(3)).save(tmp_path / "photos/test/cat/0.png")  # that of train/dog/1.png
    return tmp_path / "photos"


def test_prepare_names_the_leaks(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prepare", "folder", source, tmp_path / "data", "--check-leaks") == 0
    shown = capsys.readouterr()
    path, other, _, kind, _ = shown.out.splitlines()[-1].split("\t")
    assert path.endswith("test/cat/0.png") and other.endswith("train/dog/1.png")
    assert kind == "copy"
    assert "1 of 4 images with a verified copy among the 4 images of " in shown.err
    leaks = find_leaks(tmp_path / "data")
    assert [(len(one.others), one.others[0].kind) for one in leaks.images] == [(1, "copy")]


def test_json_holds_one_document_and_so_no_leaks(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("evaluate", "--check-leaks", "--json") == 2
    assert "--check-leaks: it goes without --json" in capsys.readouterr().err
