"""What tests of finding images share."""

from pathlib import Path

import pytest


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with ordinary files in images/ and a list of two of them."""
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "a.JPG", "sub/c.jpeg", "sub/deep/d.tiff", "notes.md", ".hidden.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    (tmp_path / "list.txt").write_text("images/b.png 1 0\nimages/sub/c.jpeg 0 1\n")
    return tmp_path
