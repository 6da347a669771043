"""The page of near-duplicates: whole, escaped, and it says what it leaves out."""

import json
from pathlib import Path

import pytest
from parsed_page import Page
from PIL import Image as Picture

from bitcodes.report import pages as module
from bitcodes.report.pages import duplicates_page
from bitcodes.report.review import data
from bitcodes.tasks.duplicates.groups import Duplicates, Image

EVIL = "\"><script>alert('1')</script>\x1b\u202e\udcff"


def duplicates(*sizes: int, file: Path | None = None, path: str = "a/b.png") -> Duplicates:
    groups = tuple(tuple(Image(n, path, file, n) for n in range(size)) for size in sizes)
    return Duplicates("codes.npy", 48, 100, 90, 4, "first", groups)


def test_the_largest_group_comes_first_and_the_image_to_keep_first_in_it(tmp_path: Path) -> None:
    Picture.new("RGB", (20, 20)).save(tmp_path / "photo.png")
    page = Page(duplicates_page(duplicates(2, 3, file=tmp_path / "photo.png")))
    text = " ".join(" ".join(page.text).split())
    assert text.index("Group 2 3 images") < text.index("Group 1 2 images")
    assert [item.get("class") for item in page.of("li")] == ["kept", None, None, "kept", None]
    assert "keep" in text and "1 bit apart" in text and "2 bits apart" in text
    assert [picture["alt"] for picture in page.of("img")] == ["a/b.png"] * 5


def test_the_page_knows_what_is_decided_and_what_is_similar() -> None:
    copy, similar = (
        Image(n + 1, f"{kind}.png", None, 3, kind=kind, score=0.5)
        for n, kind in enumerate(("copy", "similar"))
    )
    group = (Image(0, "a.png", None, 0), copy, similar)
    for line, is_decided in (("duplicate\ta.png\tcopy.png", True), ("", False)):
        known = json.loads(data("d.tsv", [line] * is_decided, [group]))
        assert known["groups"] == [
            {
                "paths": ["a.png", "copy.png", "similar.png"],
                "similar": [2],
                "decided": is_decided,
            }
        ]


def test_names_are_escaped() -> None:
    text = duplicates_page(duplicates(2, path=EVIL), title=EVIL)
    page = Page(text)
    assert page.of("script") == [{"type": "application/json", "id": "review"}, {}]
    assert "<script>alert" not in text
    assert not set("\x1b\u202e\udcff") & set(text)
    assert "\\x1b\\u202e\\xff" in text


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_GROUPS", 2)
    monkeypatch.setattr(module, "MAX_IMAGES_OF_GROUP", 3)
    page = Page(duplicates_page(duplicates(2, 5, 4)))
    text = " ".join("".join(page.text).split())
    assert len(page.of("li")) == 6
    assert "5 images, 2 not shown" in text and "4 images, 1 not shown" in text
    assert "Smaller groups that are not shown: 1." in text
    assert "Nothing found." in duplicates_page(duplicates())
