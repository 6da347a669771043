"""Searches without the query's own file: as the whole ranking, without that row."""

from pathlib import Path

import pytest
from tiny import make_pictures, make_run

from bitcodes.models.checkpoint import load_model
from bitcodes.runs import set_latest
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.searching.results import QueryResult
from bitcodes.tasks.searching.search import search

PHOTOS = [f"photos/{number:02}.png" for number in range(24)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with 24 photos in codes.npy, of few bits, so that many tie; another one."""
    make_pictures(tmp_path / "photos", 24)
    make_pictures(tmp_path / "asked", 1, seed=1)
    monkeypatch.chdir(tmp_path)
    run = make_run(tmp_path / "runs" / "one", 8)
    set_latest(run)
    encode(load_model(run), tmp_path / "photos", tmp_path / "codes.npy", features=True)
    return tmp_path


def rows(query: QueryResult) -> list[tuple[int, int, int]]:
    return [(hit.rank, hit.distance, hit.row) for hit in query.hits]


def others(query: QueryResult) -> list[tuple[int, int, int]]:
    """All hits but the query's own file, ranked anew."""
    left = [hit for hit in query.hits if hit.file != query.file]
    return [(rank, hit.distance, hit.row) for rank, hit in enumerate(left, 1)]


def test_the_k_nearest_others_and_how_many_tie_with_the_last(place: Path) -> None:
    for asked in [*PHOTOS, "asked/00.png"]:
        (whole,) = search(asked, k=24).queries
        results = search(asked, k=5, exclude_self=True)
        (query,) = results.queries
        expected = others(whole)
        assert rows(query) == expected[:5] and results.k == 5
        as_near = [row for row in expected[5:] if row[1] == expected[4][1]]
        assert query.tied == bool(as_near)
        assert (query.ties or 0) == len(as_near)
        assert len(rows(whole)) - len(expected) == (asked in PHOTOS)


def test_all_within_a_radius_and_the_first_of_them(place: Path) -> None:
    whole = search(PHOTOS, radius=3).queries
    for query, everything in zip(
        search(PHOTOS, radius=3, exclude_self=True).queries, whole, strict=True
    ):
        assert rows(query) == others(everything) and not query.more
    for query, everything in zip(
        search(PHOTOS, radius=3, k=2, exclude_self=True).queries, whole, strict=True
    ):
        assert rows(query) == others(everything)[:2]
        assert query.more == (len(others(everything)) > 2)


def test_shortlists_are_ordered_without_it(place: Path) -> None:
    whole = search(PHOTOS, k=24, rerank=True).queries
    some = search(PHOTOS, k=3, rerank=True, exclude_self=True).queries
    assert [rows(query) for query in some] == [others(query)[:3] for query in whole]
