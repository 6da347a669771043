"""The documentation site: every page is in it, and every link leads somewhere."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]


def test_every_document_is_in_the_navigation() -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]
    pages = [page for entry in nav for part in entry.values() for page in _pages(part)]
    documents = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert sorted(pages) == sorted({*documents, "index.md"})


def _pages(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    assert isinstance(part, list)
    return [page for entry in part for page in entry.values()]


def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: see the extra `docs`")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "training" / "index.html").read_text(encoding="utf-8")
    assert "/blob/HEAD/examples/own_parts.py" in page
