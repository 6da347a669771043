"""The public names, as README.md uses them."""

import re
from pathlib import Path

import pytest
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
    assert isinstance(names["results"], bitcodes.tasks.results.SearchResults)


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


def test_settings_are_short_to_look_at() -> None:
    settings = bitcodes.Settings(data=Path("/photos"), bits=32)
    assert repr(settings) == f"Settings(data={settings.data!r}, bits=32)"
