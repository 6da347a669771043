"""Commands over files with hostile names: what they print, their pages, and how they end."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from attacks.archives import ODD_NAMES
from attacks.mutate import TEXTS
from commands import run
from hostile import picture, saved
from parsed_page import Page
from tiny import make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import save_code_set
from bitcodes.report.review import script
from bitcodes.wording import CONTROLS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="names that other systems forbid")

MARKUP = (
    '"><script>alert(1)</script>',
    "' onerror='alert(1)' x='",
    '" onload="alert(1)',
    "<img src=x onerror=alert(1)>",
    "</style><script>alert(1)<!--",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;&#60;",
    "javascript:alert(1)",
    "]]><svg onload=alert(1)>",
    "`$(touch it_ran)`;|&",
)


def texts() -> list[str]:
    """Hostile names that a code set can hold."""
    names = [*MARKUP, *TEXTS, *(name.removesuffix(".png") for name in ODD_NAMES.values())]
    return [name for name in dict.fromkeys(names) if 0 < len(name) < 200 and name != "\ud800"]


def file_names() -> list[str]:
    """The same as names of files, without an extension."""
    names = [text.replace("/", "\u2215").replace("\0", "\x01") for text in texts()]
    return [name for name in names if len(os.fsencode(name)) < 200 and name != "-"]


def make_files(folder: Path, names: list[str]) -> None:
    """A picture of each name, and a file that is none."""
    folder.mkdir()
    for number, name in enumerate(names):
        (folder / f"{number} {name}.png").write_bytes(saved(picture(seed=number), "PNG"))
    (folder / f"torn {names[0]}.png").write_bytes(b"no picture")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of pictures with hostile names and with as many plain ones, and two code sets."""
    place = tmp_path_factory.mktemp("place")
    plain = [f"n{number}" for number in range(len(texts()))]
    kinds = {"hostile": (file_names(), texts()), "plain": (plain[: len(file_names())], plain)}
    make_run(place / "run", 24)
    for kind, (files, names) in kinds.items():
        make_files(place / kind, files)
        paths = [f"{number} {name}.png" for number, name in enumerate(names)]
        rng = np.random.default_rng(0)
        codes = rng.integers(0, 256, (len(paths), 2), np.uint8)
        labels = np.arange(len(paths)) % len(names)
        code_set = CodeSet.from_arrays(codes, 16, paths, labels, class_names=names, root=place)
        save_code_set(code_set, place / f"{kind} set.npy")
    return place


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command wrote, which has no control character but ends of lines and tabs."""
    captured = capsys.readouterr()
    text = captured.out + captured.err
    match = CONTROLS.search(text.replace("\n", "").replace("\t", ""))
    assert match is None, repr(text[max(0, match.start() - 60) : match.start() + 60])
    assert "Traceback" not in text
    return captured.out


def shape(file: Path) -> set[tuple[str, tuple[str, ...]]]:
    """The elements of a page, each with the names of its attributes."""
    text = file.read_text(encoding="utf-8")
    assert CONTROLS.search(text.replace("\n", "")) is None
    own, _ = script()
    page = Page(text.replace(f"<script>{own}</script>", ""))
    for tag, attributes in page.tags:
        if tag == "script":
            assert attributes["type"] == "application/json"  # data, which no browser runs
        link = attributes.get("href") or attributes.get("src") or ""
        assert not link.lower().startswith(("javascript:", "http"))
        assert not any(name.startswith("on") for name in attributes)
    return {(tag, tuple(sorted(attributes))) for tag, attributes in page.tags}


PAGES = {
    "search": ("search", "{kind}", "--codes", "{kind}.npy", "--run", "run", "--html", "p.html"),
    "search of a set": (
        "search",
        "{kind} set.npy",
        "--codes",
        "{kind} set.npy",
        "--html",
        "p.html",
    ),
    "duplicates": ("duplicates", "{kind}.npy", "--radius", "24", "--html", "p.html"),
    "evaluate": (
        *("evaluate", "--queries", "{kind} set.npy", "--database", "{kind} set.npy"),
        *("--report", "p.html"),
    ),
}


@pytest.mark.parametrize("name", PAGES)
def test_pages_have_no_element_or_attribute_from_a_name(
    name: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    shapes = {}
    for kind in ("plain", "hostile"):
        run("encode", kind, "-o", f"{kind}.npy", "--run", "run", "--force")
        words = [word.format(kind=kind) for word in PAGES[name]]
        assert run(*words) in (0, 1)
        printed(capsys)
        shapes[kind] = shape(place / "p.html")
        (place / "p.html").unlink()
    assert shapes["hostile"] <= shapes["plain"] | {("wbr", ())}  # where a long name may be broken
    assert not list(place.rglob("*it_ran*.html")) and not (place / "it_ran").exists()


def test_lines_to_a_pipe_have_as_many_fields_for_every_name(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    columns = {}
    for kind in ("plain", "hostile"):
        run("encode", kind, "-o", f"{kind}.npy", "--run", "run", "--force")
        printed(capsys)
        for words in (
            ("search", kind, "--codes", f"{kind}.npy", "--run", "run", "-k", "3"),
            ("duplicates", f"{kind}.npy", "--radius", "24"),
        ):
            assert run(*words) in (0, 1)
            lines = printed(capsys).splitlines()
            assert len(lines) >= len(file_names())
            columns[kind, words[0]] = (len(lines), {line.count("\t") for line in lines})
        assert run("info", f"{kind}.npy", "--json") == 0
        assert json.loads(printed(capsys))
        assert run("info", f"{kind} set.npy") == 0
        printed(capsys)
    for command in ("search", "duplicates"):
        assert columns["hostile", command] == columns["plain", command]


@pytest.mark.parametrize("number", range(0, len(file_names()), 3))
def test_each_command_ends_as_it_should(
    number: int, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    name = file_names()[number]
    for words in (
        ("search", f"hostile/{number} {name}.png", "--codes", "hostile set.npy", "--run", "run"),
        ("search", name, "--codes", "hostile set.npy", "--run", "run"),
        ("info", name),
        ("encode", name, "-o", "x.npy", "--run", "run"),
        ("duplicates", name),
        ("evaluate", name),
        (name,),
    ):
        assert run(*words) in (0, 1, 2), words
        printed(capsys)
