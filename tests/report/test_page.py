"""What pages share: every value is escaped, pictures are read once, files are whole."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup
from parsed_page import Page
from PIL import Image

from bitcodes.errors import BitcodesError
from bitcodes.report import page
from bitcodes.report.page import Thumbnails, as_html, render, write_page

EVIL = "\"><script>alert('1')</script>\n\x1b\u202e\udcff"


def test_values_are_escaped_once_and_shown_not_obeyed() -> None:
    assert as_html("a & 'b'") == "a &amp; &#x27;b&#x27;"
    assert as_html(Markup("<b>")) == "<b>" and as_html(7) == 7
    text = render("base.html", title=EVIL, notes=[EVIL, Markup("<b>{}</b>").format(EVIL)])
    parsed = Page(text)
    assert parsed.of("script") == [] and len(parsed.of("b")) == 1
    assert "\\n\\x1b\\u202e\\xff" in text and "&amp;lt;" not in text
    assert not {"\x1b", "\u202e", "\udcff"} & set(
        "".join(render("base.html", title=EVIL, notes=[]))
    )


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="notes"):
        render("base.html", title="x")


def test_lines_break_inside_paths(tmp_path: Path) -> None:
    template = page._environment().from_string("{{ path | breakable }}")
    assert template.render(path="a/b_c-<d>") == "a/<wbr>b_<wbr>c-<wbr>&lt;d&gt;"


def test_each_file_is_read_once_per_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    reads: list[Path] = []
    open_image = page.open_image
    monkeypatch.setattr(page, "open_image", lambda file: reads.append(file) or open_image(file))
    thumbnail = Thumbnails()
    assert thumbnail(tmp_path / "a.png", 16) is thumbnail(tmp_path / "a.png", 16)
    assert (
        thumbnail(tmp_path / "gone.png", 16).problem == thumbnail(tmp_path / "gone.png", 16).problem
    )
    assert len(reads) == 2
    thumbnail(tmp_path / "a.png", 32)
    assert len(reads) == 3


def test_a_page_is_written_as_utf_8_or_its_file_is_named(tmp_path: Path) -> None:
    write_page("ü\n", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == "ü\n".encode()
    with pytest.raises(BitcodesError, match=r"cannot write .*below.html: .*page.html is not a fol"):
        write_page("x", tmp_path / "page.html" / "below.html")
    with pytest.raises(BitcodesError, match=r"cannot write .*page.html: there is no folder .*new;"):
        write_page("x", tmp_path / "new" / "page.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(BitcodesError, match=r"the page .*folder.html cannot be written"):
        write_page("x", tmp_path / "folder.html")


def test_templates_are_of_the_kinds_that_the_package_holds() -> None:
    folder = Path(page.__file__).parent / "templates"
    assert {file.suffix for file in folder.iterdir()} == {".html", ".css", ".js"}


def test_a_page_replaces_nothing_but_pages(tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photograph")
    for file in (photo, tmp_path / "codes.npy", Path()):
        with pytest.raises(BitcodesError, match=r"ends in \.html"):
            write_page("<p>page</p>", file)
    assert photo.read_bytes() == b"a photograph"
    notes = tmp_path / "notes.html"
    notes.write_text("<p>my notes on bitcodes</p>")
    with pytest.raises(BitcodesError, match=r"notes\.html .* was not made by bitcodes"):
        write_page("<p>page</p>", notes)
    assert notes.read_text() == "<p>my notes on bitcodes</p>"
    ours = page.render("base.html", title="A", notes=[])
    for content in (ours, ours.replace("A", "B"), "<p>page</p>"):
        write_page(content, tmp_path / "page.html")
        assert (tmp_path / "page.html").read_text(encoding="utf-8") == content
    write_page("<p>page</p>", tmp_path / "PAGE.HTM")
