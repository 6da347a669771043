"""Decisions on near-duplicates: what a file may hold, and what it changes in groups."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_bits
from bitcodes.codes.writer import save_code_set
from bitcodes.errors import DataError
from bitcodes.tasks.duplicates.decisions import (
    Decisions,
    add_decisions,
    as_field,
    decision_line,
    decisions_file,
)
from bitcodes.tasks.duplicates.finding import find_duplicates


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    """a, b and c share a code; d is two bits away from them, e two more."""
    bits = np.zeros((5, 16), bool)
    bits[3:, :2] = True
    bits[4, 2:4] = True
    file = tmp_path / "codes.npy"
    save_code_set(CodeSet.from_arrays(pack_bits(bits), 16, [*"abcde"]), file)
    return file


def groups(codes: Path, text: str, **options) -> list[str]:
    decisions_file(codes).write_text(text, encoding="utf-8")
    found = find_duplicates(codes, **options).groups
    return ["".join(image.path for image in group) for group in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["abcd"]),
        ("# nothing\n\n", ["abcd"]),
        ("different\ta\tb\n", ["acd"]),
        ("different\ta\tb\tc\n", ["ad"]),
        ("different\ta\tb\tc\td\n", []),
        ("duplicate\tb\ta\n", ["bacd"]),
        ("duplicate\tb\ta\nduplicate\ta\tb\n", ["abcd"]),
        ("duplicate\tb\ta\ndifferent\ta\tb\n", ["acd"]),
        ("different\ta\tb\nduplicate\ta\tb\n", ["abcd"]),
        ("different\tx\ty\nduplicate\ta\tx\n", ["abcd"]),
        ("different\ta\td\n", ["abc"]),
        ("duplicate\td\ta\tb\tc\n", ["dabc"]),
        ("different\ta\tb\tc\nduplicate\ta\tb\tc\n", ["abcd"]),  # so b and c are, too
        ("different\ta\tb\nundecided\ta\tb\n", ["abcd"]),
        ("duplicate\tb\ta\nundecided\ta\tb\tc\n", ["abcd"]),
        ("different\ta\tb\tc\nundecided\ta\tb\n", ["abd"]),
    ],
)
def test_groups_respect_decisions(codes: Path, text: str, expected: list[str]) -> None:
    assert groups(codes, text) == expected


def test_a_new_image_to_keep_keeps_the_bound_of_a_star(codes: Path) -> None:
    assert groups(codes, "duplicate\te\td\n", radius=2) == ["abcd"]  # e is in no group of d
    chain = groups(codes, "duplicate\te\td\n", radius=2, linkage="chain")
    assert chain == ["abcde"]
    assert groups(codes, "duplicate\te\ta\n", radius=2, linkage="chain") == ["edabc"]
    # With d to keep, a is decided; b and c are near enough.
    assert groups(codes, "duplicate\td\ta\n", radius=4) == ["dabce"]


def test_wrong_lines_are_named(tmp_path: Path) -> None:
    file = tmp_path / "codes.decisions.tsv"
    assert Decisions.read(file).lines == ()
    for line in ("same\ta\tb", "duplicate\ta", "different\ta\ta", "duplicate\ta\t\\q"):
        file.write_text(f"# words\nduplicate\ta\tb\n{line}\n")
        with pytest.raises(DataError, match=r"codes\.decisions\.tsv, line 3: "):
            Decisions.read(file)
    file.write_bytes(b"duplicate\t\xff\ta\n")
    with pytest.raises(DataError, match="UTF-8"):
        Decisions.read(file)


def test_any_path_is_one_field() -> None:
    assert as_field("a\tb\\t\n") == "a\\tb\\\\t\\n"
    assert Decisions(["different\t" + as_field("a\tb") + "\tc"]).lines == ("different\ta\\tb\tc",)


def test_decisions_are_added_after_what_is_there(tmp_path: Path) -> None:
    codes = tmp_path / "codes.npy"
    file = decisions_file(codes)
    first = decision_line("duplicate", ["a", "b\tc\n", "d\u2028e"])
    assert add_decisions(codes, [first]).is_duplicate("a", "b\tc\n")
    assert file.read_text(encoding="utf-8").split("\n")[1:] == [first, ""]
    file.write_bytes(b"# mine\r\n\r\n" + first.encode())  # an editor that leaves out the last end
    both = add_decisions(codes, ["# left out", "", "different\tx\ty"])
    assert file.read_bytes() == b"# mine\r\n\r\n" + first.encode() + b"\ndifferent\tx\ty\n"
    assert both.lines == (first, "different\tx\ty") == Decisions.read(file).lines
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


@pytest.mark.parametrize("line", ["same\ta\tb", "duplicate\ta\tb\nno decision", "different\ta\ta"])
def test_no_decision_is_written_if_one_is_wrong(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match="cannot be saved: expected one of duplicate"):
        add_decisions(tmp_path / "codes.npy", ["duplicate\ta\tb", line])
    assert not [*tmp_path.iterdir()]


def test_nothing_is_added_to_a_file_that_is_wrong(tmp_path: Path) -> None:
    codes = tmp_path / "codes.npy"
    decisions_file(codes).write_text("same\ta\tb\n")
    with pytest.raises(DataError, match="line 1"):
        add_decisions(codes, ["duplicate\ta\tb"])
    assert decisions_file(codes).read_text() == "same\ta\tb\n"


def test_threads_add_decisions_at_once(tmp_path: Path) -> None:
    codes = tmp_path / "codes.npy"
    lines = [f"duplicate\t{number}\tx" for number in range(20)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda line: add_decisions(codes, [line]), lines))
    assert {*Decisions.read(decisions_file(codes)).lines} == {*lines}
