"""The public names, as README.md uses them."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import make_pictures, make_run

import bitcodes
from bitcodes.runs import set_latest

ROOT = Path(__file__).parents[1]


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 12)
    (tmp_path / "photos" / "03.png").rename(tmp_path / "holiday.jpg")
    set_latest(make_run(tmp_path / "runs" / "one"))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert blocks
    names: dict[str, object] = {}
    for block in blocks:
        exec(block, names)
    assert isinstance(names["results"], bitcodes.tasks.searching.results.SearchResults)


def test_every_public_name_is_what_it_says() -> None:
    for name in bitcodes.__all__:
        value = getattr(bitcodes, name)
        if name not in ("__version__", "duplicates"):
            assert value.__name__ == name
    assert bitcodes.duplicates.__name__ == "find_duplicates"


def test_search_and_duplicates_take_names_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_pictures(tmp_path / "photos", 6)
    model = bitcodes.load_model(make_run(tmp_path / "runs" / "one"))
    codes = bitcodes.encode(model, "photos", features=True)
    for queries in ("photos", Path("photos"), ["photos/00.png", "photos/01.png"], codes):
        results = bitcodes.search(queries, codes, k=1)
        assert [query.hits[0].row for query in results.queries][:2] == [0, 1]
    assert len(bitcodes.search("codes.npy", rerank=True).queries) == 6
    with pytest.raises(bitcodes.BitcodesError, match=r"one code set \(\.npy\)"):
        bitcodes.search(["codes.npy", "photos"])
    assert bitcodes.duplicates().groups == bitcodes.duplicates(codes).groups


CODES = bitcodes.CodeSet.from_arrays(np.zeros((3, 2), np.uint8), 16)
PICTURE = Image.new("RGB", (8, 8))


@pytest.mark.parametrize(
    ("name", "arguments", "options", "reason"),
    [
        ("search", (CODES, CODES), {"k": 0}, "k: expected a whole number of at least 1; found 0"),
        ("search", (CODES, CODES), {"k": "3"}, "k: expected a whole number .*; found '3'"),
        ("search", (CODES, CODES), {"radius": -1}, "radius: .* of at least 0; found -1"),
        ("search", (CODES, CODES), {"shortlist": 0.5}, "shortlist: .*; found 0.5"),
        ("search", (PICTURE, CODES), {}, "expected names of images.* For images in memory"),
        ("search", ([PICTURE], CODES), {}, "expected names of images.* found 'Image'|not Image"),
        ("encode", ("built-in", PICTURE), {}, "expected names of images"),
        ("duplicates", (CODES,), {"radius": -1}, "radius: .* of at least 0; found -1"),
        ("duplicates", (CODES,), {"threads": 0}, "threads: .* of at least 1; found 0"),
        ("encode_images", ("built-in", "x.jpg"), {}, "images: expected several"),
        ("encode_images", ("built-in", PICTURE), {}, "images: expected several"),
        ("finetune", ("photos",), {}, "expected Settings, such as .*; found 'photos'"),
        ("evaluate", ("built-in",), {}, r"name, as its data \(--data\), a folder"),
    ],
)
def test_wrong_arguments_are_errors_that_say_what_is_expected(
    name: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(bitcodes.BitcodesError, match=reason):
        getattr(bitcodes, name)(*arguments, **options)


def test_numbers_of_numpy_are_numbers() -> None:
    found = bitcodes.search(CODES, CODES, k=np.int64(2), radius=np.uint8(0))
    assert [len(query.hits) for query in found.queries] == [2, 2, 2]


def test_settings_are_short_to_look_at() -> None:
    settings = bitcodes.Settings(data=Path("/photos"), bits=32)
    assert repr(settings) == f"Settings(data={settings.data!r}, bits=32)"
