"""What changed from one version of a code set to the next, against a comparison by hand."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import BitcodesError
from bitcodes.tasks.encoding.changes import changes_between


def made(rows: dict[str, int] | list[tuple[str, int]], fingerprint: str = "a") -> CodeSet:
    """Codes of 8 bits; the time of a file is its code."""
    pairs = list(rows.items()) if isinstance(rows, dict) else rows
    codes = np.array([[code] for _, code in pairs], np.uint8).reshape(-1, 1)
    stat = np.repeat(codes, 2, axis=1).astype(np.int64)
    paths = [path for path, _ in pairs]
    return CodeSet.from_arrays(codes, 8, paths, stat=stat, fingerprint=fingerprint)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_by_hand(tmp_path: Path) -> None:
    changes = changes_between(
        made({"gone": 1, "a\nb": 2, "c": 3}), made({"c": 4, "new": 5, "a\nb": 2})
    )
    assert changes.kept == 1
    changes.write(tmp_path / "changes")
    assert lines(tmp_path / "changes") == [
        {"change": "gone", "row": 0, "path": "gone"},
        {"change": "new", "row": 1, "path": "new", "code": "05"},
        {"change": "changed", "row": 0, "path": "c", "code": "04"},
    ]


def test_the_first_version_and_another_model() -> None:
    first = made({"a": 1, "b": 2})
    assert changes_between(None, first).new.tolist() == [0, 1]
    assert changes_between(first, first).kept == 2
    assert changes_between(first, made({"a": 1, "b": 2}, "other")).changed.tolist() == [0, 1]
    assert changes_between(made({}), first).new.tolist() == [0, 1]
    assert changes_between(first, made({})).gone.tolist() == [0, 1]
    touched = CodeSet.from_arrays(
        first.codes, 8, first.paths, stat=np.array([[1, 1], [2, 9]]), fingerprint="a"
    )
    assert changes_between(first, touched).changed.tolist() == [1]


ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 2)), max_size=8)


@given(ROWS, ROWS)
def test_the_nth_of_a_path_is_compared_with_the_nth(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    def numbered(rows: list[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        times: Counter[str] = Counter()
        known = {}
        for row, (path, code) in enumerate(rows):
            known[path, times[path]] = row, code
            times[path] += 1
        return known

    old, new = numbered(before), numbered(after)
    changes = changes_between(made(before), made(after))
    assert changes.new.tolist() == sorted(new[key][0] for key in new.keys() - old.keys())
    assert changes.gone.tolist() == sorted(old[key][0] for key in old.keys() - new.keys())
    both = new.keys() & old.keys()
    assert changes.changed.tolist() == sorted(
        new[key][0] for key in both if new[key][1] != old[key][1]
    )


def test_a_file_of_something_else_stays(tmp_path: Path) -> None:
    changes = changes_between(None, made({"a": 1}))
    file = tmp_path / "changes"
    for content in ("", '{"change": "new", ...'):
        file.write_text(content)
        changes.write(file)
        assert len(lines(file)) == 1
    file.write_text("mine")
    with pytest.raises(BitcodesError, match="was not made by bitcodes"):
        changes.write(file)
    assert file.read_text() == "mine"
