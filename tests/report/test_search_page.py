"""The result page: whole, escaped, needing nothing from anywhere."""

import base64
import io
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from parsed_page import Page
from PIL import Image

from bitcodes.report import pages as module
from bitcodes.report.pages import search_page
from bitcodes.tasks.searching.results import Hit, QueryResult, SearchResults


def hit(rank: int, file: Path | None, **changes: object) -> Hit:
    fields = {
        "rank": rank,
        "row": rank,
        "path": f"{rank}.png",
        "file": file,
        "distance": rank,
        "similarity": 1 - rank / 48,
        "fine_distance": None,
        "labels": (),
        "relevant": None,
    }
    return Hit(**{**fields, **changes})  # type: ignore[arg-type]


def results(*queries: QueryResult, skipped: tuple[tuple[str, str], ...] = ()) -> SearchResults:
    return SearchResults("codes.npy", 48, 100, 10, None, None, None, queries, skipped)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    Image.new("RGB", (640, 480), (200, 30, 30)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_query_with_its_hits(photo: Path) -> None:
    hits = (
        hit(1, photo, labels=("cat",), relevant=True, fine_distance=1.2345),
        hit(2, photo, labels=("dog",), relevant=False),
        hit(3, photo),
    )
    query = QueryResult("a/query.png", photo, ("cat",), hits, False)
    reranked = replace(results(query), reranked="features", shortlist=50)
    page = Page(search_page(reranked))
    assert len(page.of("section")) == 1 and len(page.of("li")) == 3
    assert [item.get("class") for item in page.of("li")] == ["right", "wrong", None]
    assert [item.get("aria-label") for item in page.of("i")] == ["correct", "incorrect"]
    assert [item["alt"] for item in page.of("img")] == [
        "query a/query.png",
        "1.png",
        "2.png",
        "3.png",
    ]
    text = " ".join(" ".join(page.text).split())
    for words in (
        "The 10 nearest in features, of the 50 nearest by 48-bit codes, among 100 images",
        "code set codes.npy",
        "1 of 3 correct",
        "1 bit apart",
        "2 bits apart",
        "1.23 in features",
        "dog",
    ):
        assert words in text
    assert page.of("div")[3] == {"class": "bar"}
    assert page.of("div")[4] == {"style": "width:97.9%"}


def test_pictures_are_inside_and_small(photo: Path) -> None:
    query = QueryResult("q.png", photo, (), tuple(hit(n, photo) for n in range(1, 11)), False)
    text = search_page(results(query))
    sources = [image["src"] or "" for image in Page(text).of("img")]
    sizes = []
    for source in sources:
        kind, data = source.split(",")
        assert kind == "data:image/jpeg;base64"
        sizes.append(Image.open(io.BytesIO(base64.b64decode(data))).size)
    assert sizes == [(448, 336)] + [(224, 168)] * 10
    assert len(text) < 100_000


def test_tiny_pictures_are_enlarged_smoothly(tmp_path: Path) -> None:
    Image.new("RGB", (32, 16)).save(tmp_path / "tiny.png")
    query = QueryResult("q", None, (), (hit(1, tmp_path / "tiny.png"),), False)
    source = Page(search_page(results(query))).of("img")[0]["src"] or ""
    picture = Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))
    assert picture.size == (96, 48)


def test_nothing_is_loaded_from_anywhere(photo: Path) -> None:
    query = QueryResult("https://example.com/x.png", photo, (), (hit(1, photo),), False)
    text = search_page(results(query))
    page = Page(text)
    assert {tag for tag, _ in page.tags} & {"script", "link", "iframe", "object", "a"} == set()
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name in ("src", "href", "style"):
                assert (tag == "img" and value and value.startswith("data:image/jpeg;base64,")) or (
                    name == "style" and re.fullmatch(r"width:[\d.]+%", value or "")
                )
    assert "url(" not in text and "@import" not in text
    policy = next(m["content"] for m in page.of("meta") if m.get("http-equiv"))
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text


def test_whatever_users_name_is_escaped(photo: Path) -> None:
    evil = "\"><script>alert('1')</script>&amp;\n\x1b\u202e\udcff"
    one = hit(1, photo, path=evil, labels=(evil,), relevant=True)
    two = hit(2, Path("/nowhere") / "gone", path=evil)
    query = QueryResult(evil, photo, (evil,), (one, two), True)
    found = SearchResults(evil, 48, 100, 10, 3, None, None, (query,), ((evil, evil),))
    text = search_page(found, title=evil.replace("\udcff", ""))
    page = Page(text)
    assert page.of("script") == []
    assert all(set(attributes) <= {"src", "alt"} for attributes in page.of("img"))
    assert "alert(&#x27;1&#x27;)" in text
    assert "\\n\\x1b\\u202e\\xff" in text  # shown, not obeyed
    for character in "\x1b\u202e\udcff":
        assert character not in text
    text.encode("utf-8")


def test_a_missing_picture_is_a_placeholder_with_the_reason(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "broken.png").touch()
    hits = (hit(1, tmp_path / "gone.png"), hit(2, tmp_path / "broken.png"), hit(3, None))
    page = Page(search_page(results(QueryResult("q", photo, (), hits, False))))
    assert len(page.of("img")) == 1
    text = "".join(page.text)
    assert "No picture: no such file (was it removed?)" in text
    assert "No picture: the file is empty (0 bytes)" in text
    assert "No picture: the file of this image is unknown" in text


def test_nothing_found_and_queries_left_out(photo: Path) -> None:
    query = QueryResult("q", photo, (), (), False)
    page = Page(search_page(results(query, skipped=(("bad.jpg", "not an image"),))))
    text = " ".join("".join(page.text).split())
    assert "Nothing found." in text
    assert "Query bad.jpg left out: not an image." in text


def test_many_results_are_cut_and_it_says_so(photo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_QUERIES", 3)
    monkeypatch.setattr(module, "MAX_HITS", 12)
    hits = tuple(hit(n, photo) for n in range(1, 8))
    page = Page(search_page(results(*[QueryResult("q", photo, (), hits, True)] * 5)))
    assert len(page.of("section")) == 3 and len(page.of("li")) == 12
    text = "".join(page.text)
    assert "Not shown: 2 more queries" in text
    assert text.count("3 of them not shown") == 3
    assert text.count("and more within the distance") == 3


def test_images_in_archives_are_shown(photo: Path) -> None:
    archive = photo.with_name("set.zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(photo, "in/photo.png")
        file.writestr("in/bad.png", b"no")
    hits = tuple(
        hit(rank, archive / "in" / name)
        for rank, name in enumerate(("photo.png", "bad.png", "gone.png"), 1)
    )
    page = Page(search_page(results(QueryResult("query.png", photo, (), hits, False))))
    assert [image["alt"] for image in page.of("img")] == ["query query.png", "1.png"]
    sources = [image["src"] for image in page.of("img")]
    sizes = [
        Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))).size for source in sources
    ]
    assert sizes == [(448, 336), (224, 168)]
    text = "".join(page.text)
    assert "not an image" in text and "it is not in the archive" in text
