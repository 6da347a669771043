"""The page of near-duplicates in a browser: decided by keyboard, and respected by the next run."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import run
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set

playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

GROUPS = 10


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten groups of three images; the first of each is the one to keep."""
    names = [f"{group}/{name}\t<b>.png" for group in range(GROUPS) for name in "abc"]
    for number, name in enumerate(names):
        file = tmp_path / "photos" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        side = 24 - 4 * (number % 3)
        Image.new("RGB", (side, side), (20 * (number // 3), 90, 5 * (number % 3))).save(file)
    codes = np.repeat(np.random.default_rng(0).integers(0, 256, (GROUPS, 8), np.uint8), 3, axis=0)
    save_code_set(
        CodeSet.from_arrays(codes, 64, names, root=tmp_path / "photos"), tmp_path / "codes.npy"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("Chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"] if os.name == "posix" else []
        )
        yield opened
        opened.close()


def groups(capsys: pytest.CaptureFixture[str], *words: object) -> list[list[str]]:
    capsys.readouterr()
    options = () if "--decided" in words else ("--radius", 0)
    assert run("duplicates", *options, "--json", *words) == 0
    found = json.loads(capsys.readouterr().out)["groups"]
    return [[image["path"].split("\t")[0] for image in images] for images in found]


@pytest.mark.skipif(os.name == "nt", reason="names of files there have no tabs")
def test_ten_groups_are_decided_by_keyboard(
    place: Path, browser: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(groups(capsys, "--html", "page.html")) == GROUPS
    page = browser.new_page(accept_downloads=True)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.goto((place / "page.html").as_uri())
    assert page.locator("#progress").inner_text() == "0 of 10 groups decided."
    for _ in range(4):
        page.keyboard.press("Enter")  # 0 to 3: duplicates
    for _ in range(3):
        page.keyboard.press("n")  # 4 to 6: different
    for key in ("ArrowRight", "m", "Enter"):  # 7: b is the one to keep
        page.keyboard.press(key)
    for key in ("ArrowRight", "ArrowRight", "x", "Enter"):  # 8: c is different
        page.keyboard.press(key)
    for key in ("n", "u", "Enter"):  # 9: another mind
        page.keyboard.press(key)
    assert page.locator("#progress").inner_text() == "10 of 10 groups decided."
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "codes.decisions.tsv"
    download.value.save_as(place / "codes.decisions.tsv")
    assert problems == []

    expected = [[f"{group}/{name}" for name in "abc"] for group in range(GROUPS)]
    expected[7] = ["7/b", "7/a", "7/c"]
    expected[8] = ["8/a", "8/b"]
    del expected[4:7]
    assert groups(capsys, "--html", "page.html") == expected
    page.goto((place / "page.html").as_uri())
    assert page.locator("#progress").inner_text() == "7 of 7 groups decided."
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(place / "again.tsv")
    assert Path("again.tsv").read_bytes() == Path("codes.decisions.tsv").read_bytes()
    page.keyboard.press("u")
    assert page.locator("#progress").inner_text() == "6 of 7 groups decided."
    with page.expect_download() as download:
        page.keyboard.press("s")
    download.value.save_as(place / "codes.decisions.tsv")
    assert Path("codes.decisions.tsv").read_text().splitlines()[-1].startswith("undecided\t0/a\\t")
    assert groups(capsys, "--decided")[0] == ["1/a", "1/b", "1/c"]
