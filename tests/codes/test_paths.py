"""Paths as lines: every name a file system allows comes back the same."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitcodes.codes.paths import PathList, RowNumbers, escape, unescape
from bitcodes.errors import CodeSetError

# What Linux allows: any bytes but NUL (the separator is part of a path).
names = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"\0", b"\\"))
nasty = st.lists(
    st.sampled_from(
        [b"\\", b"\n", b"\r", b"\t", b"x", b"n", b"\xff", b"\xc3", b"\xa9", b"0", b" "]
    ),
    min_size=1,
    max_size=12,
).map(b"".join)


def stored(paths: list[str], count: int | None = None) -> PathList:
    data = "".join(f"{escape(path)}\n" for path in paths).encode()
    return PathList(data, len(paths) if count is None else count, Path("codes.paths.txt"))


@given(names | nasty)
@settings(max_examples=300, deadline=None)
def test_any_file_name_round_trips(raw: bytes) -> None:
    path = os.fsdecode(raw)
    line = escape(path).encode()  # UTF-8, or this raises
    assert b"\n" not in line
    assert b"\r" not in line
    assert unescape(line) == path
    assert os.fsencode(unescape(line)) == raw


@given(st.lists(names | nasty, max_size=200))
@settings(max_examples=50, deadline=None)
def test_any_list_round_trips(raw: list[bytes]) -> None:
    paths = [os.fsdecode(name) for name in raw]
    assert list(stored(paths)) == paths


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("cats/1.jpg", "cats/1.jpg"),
        ("a\\b", "a\\\\b"),
        ("a\nb\rc", "a\\nb\\rc"),
        ("tab\tand space ", "tab\tand space "),
        ("é/日本.png", "é/日本.png"),
        ("caf\udce9", "caf\\xe9"),  # Latin-1 bytes
        ("\x85\u2028\x0b\x0c", "\x85\u2028\x0b\x0c"),  # line ends to Python, not to this format
        ("\\n", "\\\\n"),
    ],
)
def test_worked_by_hand(path: str, line: str) -> None:
    assert escape(path) == line
    assert unescape(line.encode()) == path


def test_two_spellings_of_one_name_become_one() -> None:
    assert escape("\udcc3\udca9") == "é"  # the bytes of é, each escaped on its own


def test_what_no_file_name_holds_is_refused() -> None:
    with pytest.raises(CodeSetError, match="cannot be stored"):
        escape("\ud800")


@pytest.mark.parametrize("line", [b"\\", b"a\\q", b"\\x4", b"\\xG0", b"\\xAB", b"\xff", b"ab\\"])
def test_unknown_escapes_are_errors(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"escape|decode"):
        unescape(line)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 127, 128, 129, 1000])
def test_lazy_list_is_a_sequence(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitcodes.codes.paths._CHUNK", 17)  # so that lines and blocks cross chunks
    paths = [f"{'d' * (i % 7)}/{i}.jpg" for i in range(count)]
    found = stored(paths)
    assert len(found) == count
    assert list(found) == paths
    assert [found[i] for i in range(count)] == paths
    assert [found[-i] for i in range(1, count + 1)] == paths[::-1]
    assert list(reversed(found)) == paths[::-1]
    for part in (slice(None), slice(3, 70), slice(60, 3, -7), slice(5, 5), slice(-10, None, 3)):
        assert found[part] == paths[part]
    if count:
        assert paths[-1] in found
        assert found.index(paths[-1]) == count - 1
    for row in (count, -count - 1):
        with pytest.raises(IndexError):
            found[row]


@pytest.mark.parametrize(
    ("data", "count", "message"),
    [
        (b"a\nb\n", 3, "expected 3 lines.*found 2"),
        (b"a\nb\n", 1, "expected 1 line,.*found 2"),
        (b"a\nb", 2, "last line, 2, does not end"),
        (b"", 1, "expected 1 line,.*found 0"),
        (b"a\n\\q\n", 2, "line 2: .*unknown escape"),
        (b"a\n\xff\n", 2, "line 2"),
    ],
)
def test_damaged_files(data: bytes, count: int, message: str) -> None:
    with pytest.raises(CodeSetError, match=f"codes.paths.txt.*{message}"):
        list(PathList(data, count, Path("codes.paths.txt")))


def test_many_lines_one_at_a_time() -> None:
    names = [f"a\n{row}/{'x' * (row % 5)}" for row in range(300)]
    paths = stored(names)
    order = [*range(299, -1, -7), *range(300)]
    assert [paths[row] for row in order] == [names[row] for row in order]
    damaged = PathList(b"\\q\n" * 300, 300, Path("codes.paths.txt"))
    for row in (3, *range(0, 300, 30), 299):
        with pytest.raises(CodeSetError, match=f"line {row + 1}: not a path"):
            damaged[row]


def test_row_numbers_stand_in() -> None:
    rows = RowNumbers(12)
    assert list(rows) == [str(i) for i in range(12)]
    assert rows[-1] == "11"
    assert rows[2:4] == ["2", "3"]
    with pytest.raises(IndexError):
        rows[12]
