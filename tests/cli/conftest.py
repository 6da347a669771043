"""What several tests of commands share."""

from pathlib import Path

import pytest
from tiny import make_pictures, make_run

from bitcodes.runs import set_latest


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 12 photos, one of which is none, and a run."""
    make_pictures(tmp_path / "photos", 11)
    (tmp_path / "photos" / "a b.jpg").write_bytes(b"text")
    monkeypatch.chdir(tmp_path)
    set_latest(make_run(tmp_path / "runs" / "one"))
    return tmp_path
