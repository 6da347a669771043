"""Ranges of names, and those that are too much."""

from itertools import islice
from pathlib import Path

import pytest

from bitcodes.errors import DataError
from bitcodes.sources.ranges import MAX_NAMES, expand, has_range
from bitcodes.sources.source import open_stream


@pytest.mark.parametrize(
    ("argument", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("s-{08..11}.tar", ["s-08.tar", "s-09.tar", "s-10.tar", "s-11.tar"]),
        ("{9..10}", ["9", "10"]),
        ("{0..1}/{00..01}.tar", ["0/00.tar", "0/01.tar", "1/00.tar", "1/01.tar"]),
        ("s-{3..3}.tar", ["s-3.tar"]),
        ("{a..b}.tar", ["{a..b}.tar"]),
        ("{1,2}.tar", ["{1,2}.tar"]),
        ("{٣..٤}.tar", ["{٣..٤}.tar"]),
        (f"{{1..{'9' * 5000}}}.tar", [f"{{1..{'9' * 5000}}}.tar"]),
    ],
)
def test_a_range_stands_for_its_names(argument: str, names: list[str]) -> None:
    assert list(expand(argument)) == names
    assert has_range(argument) == (names != [argument])


def test_a_file_of_such_a_name_is_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s-{0..1}.tar").touch()
    assert list(expand("s-{0..1}.tar")) == ["s-{0..1}.tar"]


def test_names_are_made_as_they_are_needed() -> None:
    assert list(islice(expand(f"{{0..{MAX_NAMES - 1}}}"), 2)) == ["0", "1"]


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("s-{3..1}.tar", r"expected a range that ascends, found \{3\.\.1\}"),
        ("s-{0..9999999999999}.tar", "at most 1,000,000 names, found a range of 10,000,000,000,0"),
        ("{0..999999}/{0..29}.tar", "at most 1,000,000 names, found a range of 30,000,000"),
        ("{0..9}" * 40, "found a range of 10,000,000,"),
        ("s-{000000..999999}.tar", "no such file or folder: 's-000000.tar'"),
    ],
)
def test_too_much_is_one_error_at_once(argument: str, error: str) -> None:
    with pytest.raises(DataError, match=error):
        open_stream([argument])
