"""Search results in words, lines and JSON."""

from dataclasses import replace
from pathlib import Path

import pytest

from bitcodes.report import views
from bitcodes.report.text import printable
from bitcodes.tasks.searching.results import Hit, QueryResult, SearchResults

HIT = Hit(1, 7, "cat/1.png", None, 3, 0.9375, None, ("cat", "pet"), True)
QUERY = QueryResult("q.png", None, ("pet",), (HIT, replace(HIT, rank=2, relevant=None)), False)
RESULTS = SearchResults("codes.npy", 48, 5000, 10, None, None, None, (QUERY,), ())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "the 10 nearest"),
        ({"k": None, "radius": 2}, "all within distance 2"),
        ({"radius": 2}, "the 10 nearest within distance 2"),
        ({"shortlist": 1000}, "the 10 nearest in features, of the 1,000 nearest"),
        ({"shortlist": 9000}, "the 10 nearest in features, of the 5,000 nearest"),
        ({"radius": 12, "k": 120}, "the 120 nearest in features, of all within distance 12"),
        ({"radius": 12, "k": None}, "all by features, of all within distance 12"),
        ({"radius": 12, "k": None}, "all by hash outputs, of all within distance 12"),
        ({"shortlist": 1000}, "the 10 nearest in hash outputs, of the 1,000 nearest"),
    ],
)
def test_what_was_done_in_words(changes: dict[str, object], words: str) -> None:
    by = next((fine for fine in ("features", "outputs") if fine in words), None)
    results = replace(RESULTS, **changes, reranked=by)  # type: ignore[arg-type]
    assert results.describe() == f"{words} by 48-bit codes, among 5,000 images"


def test_a_line_a_hit() -> None:
    assert list(views.lines(RESULTS) or ()) == [
        "q.png\t1\t3\t0.9375\tcat/1.png\tcat,pet",
        "q.png\t2\t3\t0.9375\tcat/1.png\tcat,pet",
    ]


def test_a_path_that_works_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for file, path in ((tmp_path / "a" / "1.png", "a/1.png"), (Path("/b/1.png"), "/b/1.png")):
        query = replace(QUERY, hits=(replace(HIT, file=file, fine_distance=0.5),))
        line = next(iter(views.lines(replace(RESULTS, queries=(query,))) or ()))
        assert line == f"q.png\t1\t3\t0.9375\t{path}\tcat,pet\t0.5000"
    query = replace(QUERY, file=tmp_path / "queries" / "q.png")
    line = next(iter(views.lines(replace(RESULTS, queries=(query,))) or ()))
    assert line.startswith(f"{Path('queries/q.png')}\t")


def test_images_that_are_gone_are_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    hits = [replace(HIT, path=name, file=tmp_path / name) for name in ("gone.png", "there.png")]
    results = [replace(RESULTS, queries=(replace(QUERY, hits=tuple(some)),)) for some in (hits, [])]
    assert list(views.remarks(results[0])) == [
        "note: 1 of these images is no longer there, such as 'gone.png'; `bitcodes encode` brings "
        "the set up to date"
    ]
    assert list(views.remarks(results[1])) == []
    elsewhere = replace(RESULTS, queries=(replace(QUERY, hits=(hits[0],)),))
    assert list(views.remarks(elsewhere)) == []  # no image is there: they are on another computer


def test_correct_counts_what_is_judged() -> None:
    assert QUERY.correct == 1
    assert replace(QUERY, hits=(replace(HIT, relevant=False),)).correct == 0
    assert replace(QUERY, hits=(replace(HIT, relevant=None),)).correct is None
    assert replace(QUERY, hits=()).correct is None


def test_printable_keeps_every_language_and_no_controls() -> None:
    assert printable("été 東京 🙂\u202f.png") == "été 東京 🙂\u202f.png"
    assert printable("a\x1b[2J\x7f\u202e\n\\") == r"a\x1b[2J\x7f\u202e\n\\"
