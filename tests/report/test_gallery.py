"""Search results as pictures on a terminal, and names that it opens."""

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.cells import cell_len
from rich.console import Console

from bitcodes.codes.codeset import CodeSet
from bitcodes.report.gallery import gallery
from bitcodes.report.links import WithoutLinks, has_links, linked
from bitcodes.report.pictures import HalfBlocks, Screen, find_screen, why_no_pictures
from bitcodes.tasks.searching.results import SearchResults
from bitcodes.tasks.searching.search import search

RED, BLUE = (250, 10, 20), (0, 20, 200)
BLOCKS = Screen(20, 1, 2, HalfBlocks)


def console(width: int = 80, **how: object) -> Console:
    settings: dict[str, object] = {"color_system": "truecolor", "force_terminal": True, **how}
    return Console(file=io.StringIO(), width=width, **settings)  # type: ignore[arg-type]


def shown(content: object, width: int = 80) -> str:
    out = console(width)
    for part in content if hasattr(content, "__next__") else [content]:  # type: ignore[attr-defined]
        out.print(part)
    return out.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[^\x1b]*\x1b\\", "", text)


def results(root: Path, paths: list[str], labels: bool = False) -> SearchResults:
    codes = np.zeros((len(paths), 1), np.uint8)
    database = CodeSet.from_arrays(
        codes,
        8,
        paths=paths,
        root=root,
        labels=np.arange(len(paths)) % 2 if labels else None,
        class_names=("cat", "dog") if labels else (),
    )
    query = CodeSet.from_arrays(codes[:1], 8, paths=["q.png"])
    return search(query, database, k=len(paths))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number in range(4):
        Image.new("RGB", (40, 20), RED).save(tmp_path / f"{number}.png")
    return tmp_path


def test_half_blocks_have_the_colours_of_the_picture() -> None:
    image = Image.new("RGB", (2, 3), RED)
    image.putpixel((1, 1), BLUE)
    text = shown(HalfBlocks(image, 2, 2))
    lines = text.splitlines()
    red, blue = "250;10;20", "0;20;200"
    assert lines[0] == f"\x1b[38;2;{red};48;2;{red}m▀\x1b[0m\x1b[38;2;{red};48;2;{blue}m▀\x1b[0m"
    assert lines[1] == f"\x1b[38;2;{red}m▀\x1b[0m" * 2


def test_a_grid_with_number_distance_and_name(photos: Path) -> None:
    paths = [f"{number}.png" for number in range(4)]
    lines = plain(shown(gallery(results(photos, paths), BLOCKS, 66))).splitlines()
    assert lines[0].startswith("the 4 nearest by 8-bit codes") and lines[2] == "q.png"
    block = "▀" * 20
    assert [line.rstrip() for line in lines[3:8]] == ["  ".join([block] * 3)] * 5
    assert lines[8].split() == ["1", "distance", "0", "2", "distance", "0", "3", "distance", "0"]
    assert lines[9].split() == ["0.png", "1.png", "2.png"]
    assert lines[10].strip() == ""
    assert lines[11].rstrip() == block and lines[17].rstrip() == "3.png"
    assert all(len(line) <= 66 for line in lines)


@pytest.mark.parametrize("width", [12, 21, 41, 42, 200])
def test_any_width(photos: Path, width: int) -> None:
    Path(photos / ("long " * 20 + "猫.png")).write_bytes((photos / "0.png").read_bytes())
    paths = ["0.png", "long " * 20 + "猫.png", "gone.png"]
    text = plain(shown(gallery(results(photos, paths, labels=True), BLOCKS, width), width))
    lines = text.splitlines()[2:]
    assert all(cell_len(line) <= width for line in lines)
    assert "…" in text and "cat" in text and "no picture" in text


def test_missing_files_and_members_of_archives(photos: Path) -> None:
    with tarfile.open(photos / "set.tar", "w") as archive:
        archive.add(photos / "0.png", "in/0.png")
    paths = ["set.tar/in/0.png", "gone.png", "set.tar/none.png"]
    text = plain(shown(gallery(results(photos, paths), BLOCKS, 80)))
    assert "▀" * 20 in text
    assert text.count("no picture: ") == 2 and "there is no such" not in text


def test_names_are_links(photos: Path) -> None:
    os.rename(photos / "0.png", photos / "a b.png")  # noqa: PTH104
    text = shown(linked("a b.png", photos / "a b.png"))
    uri = (photos / "a b.png").as_uri()
    assert "%20" in uri
    assert re.fullmatch(rf"\x1b\]8;id=[^;]*;{re.escape(uri)}\x1b\\a b\.png\x1b\]8;;\x1b\\\n", text)
    assert shown(linked("gone", photos / "gone")) == shown(linked("gone", None)) == "gone\n"
    assert shown(WithoutLinks(linked("a b.png", photos / "a b.png"))) == "a b.png\n"


@pytest.mark.posix
def test_no_name_can_give_orders_to_the_terminal(photos: Path) -> None:
    evil = "\x1b]8;;http:\x1b\\x\n\u202e.png"
    (photos / evil).write_bytes((photos / "0.png").read_bytes())
    text = shown(gallery(results(photos, [evil]), BLOCKS, 80))
    left = re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;(id=[^;]*;file:[!-~]*|;)\x1b\\", "", text)
    assert "\x1b" not in left and "\u202e" not in left


def test_where_there_are_no_links_and_no_pictures() -> None:
    assert has_links(console()) and why_no_pictures(console()) is None
    assert why_no_pictures(console(color_system="256")) is None
    for how, reason in (
        ({"force_terminal": False}, "not a terminal"),
        ({"no_color": True}, "NO_COLOR"),
    ):
        assert not has_links(console(**how))
        assert reason in str(why_no_pictures(console(**how)))
    assert "colours" in str(why_no_pictures(console(color_system="standard")))
    assert "narrower" in str(why_no_pictures(console(width=11)))


def test_without_a_keyboard_the_terminal_is_not_asked() -> None:
    assert find_screen().draw is HalfBlocks


ASK = """
from bitcodes.report.pictures import find_screen
screen = find_screen()
print(f"<{type(screen.picture(__import__('PIL.Image').Image.new('RGB', (9, 9)), 5)).__module__}>")
"""


@pytest.mark.posix
@pytest.mark.parametrize(
    ("answers", "module"),
    [
        ({b"\x1b[c": b"\x1b[?62;4c"}, b"<textual_image.renderable.sixel>"),
        (
            {b"\x1b[c": b"\x1b[?62c", b"AAAA": b"\x1b_Gi=1;OK\x1b\\"},
            b"<textual_image.renderable.tgp>",
        ),
        ({b"\x1b[c": b"\x1b[?62c"}, b"<bitcodes.report.pictures>"),
        ({}, b"<bitcodes.report.pictures>"),
    ],
)
def test_the_terminal_is_asked_for_its_protocol(answers: dict[bytes, bytes], module: bytes) -> None:
    import fcntl
    import pty
    import struct
    import termios

    terminal, its_side = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 800, 480))
    command = [sys.executable, "-c", ASK]
    done = subprocess.Popen(command, stdin=its_side, stdout=its_side, start_new_session=True)
    os.close(its_side)
    shown = b""
    while b">" not in shown:
        try:
            shown += os.read(terminal, 4096)
        except OSError:  # the other side is closed
            break
        for question in [question for question in answers if question in shown]:
            os.write(terminal, answers.pop(question))
    assert done.wait() == 0
    os.close(terminal)
    assert module in shown
