"""How often encode asks the system about each image: on a network's disk every call is a round."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tiny import make_model, make_pictures

from bitcodes.sources.lists import write_list
from bitcodes.sources.source import open_stream
from bitcodes.tasks.encoding.encode import encode

COUNT = 23


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for folder in ("a", "b/deep", "b"):
        make_pictures(tmp_path / "photos" / folder, COUNT)
    return tmp_path / "photos"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Calls about images by path, and of folders being listed, since it was last cleared."""
    counts: Counter[str] = Counter()

    def count(name: str, suffix: str) -> None:
        whole = getattr(os, name)

        def counting(path: Any, *rest: Any, **options: Any) -> Any:
            text = path if isinstance(path, int) else os.fspath(path)
            if isinstance(text, int) or (suffix in text and not text.endswith(".npy")):
                counts[name] += 1
            return whole(path, *rest, **options)

        monkeypatch.setattr(os, name, counting)

    for name in ("stat", "lstat", "open"):
        count(name, ".png")
    count("scandir", "photos")
    return counts


def test_an_image_of_a_folder_is_looked_up_once_and_opened_once(
    photos: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    source = open_stream([str(photos)])
    assert source.count == 3 * COUNT
    encode(make_model(), source, tmp_path / "codes.npy")
    assert calls == {"stat": 3 * COUNT, "open": 3 * COUNT, "scandir": 4}


@pytest.mark.parametrize("append", [False, True])
def test_an_image_that_is_up_to_date_is_looked_up_once(
    photos: Path, tmp_path: Path, calls: Counter[str], append: bool
) -> None:
    encode(make_model(), photos, tmp_path / "codes.npy")
    calls.clear()
    encode(make_model(), photos, tmp_path / "codes.npy", append=append)
    assert calls == {"stat": 3 * COUNT, "scandir": 4}


@pytest.mark.parametrize("append", [False, True])
def test_new_images_are_opened_and_no_image_is_looked_up_twice(
    photos: Path, tmp_path: Path, calls: Counter[str], append: bool
) -> None:
    encode(make_model(), photos, tmp_path / "codes.npy")
    make_pictures(photos / "c", 2)
    os.utime(photos / "a/07.png", ns=(1, 1))
    calls.clear()
    encode(make_model(), photos, tmp_path / "codes.npy", append=append)
    assert calls == {"stat": 3 * COUNT + 2, "open": 3, "scandir": 5}


def test_an_image_of_a_list_is_looked_up_once_and_opened_once(
    photos: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    names = [f"photos/a/{name:02}.png" for name in range(COUNT)]
    write_list(tmp_path / "list.txt", names, None)
    encode(make_model(), tmp_path / "list.txt", tmp_path / "codes.npy")
    assert calls == {"stat": COUNT, "open": COUNT}


def test_named_images_are_looked_up_at_most_twice(
    photos: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    names = [str(photos / "a" / f"{name:02}.png") for name in range(COUNT)]
    encode(make_model(), names, tmp_path / "codes.npy")
    assert calls == {"stat": 2 * COUNT, "open": COUNT}
