"""The names of a set's files: too long for the system, they are one error before any work."""

from pathlib import Path

import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.errors import CodeSetError


@pytest.mark.posix
@pytest.mark.parametrize(
    "name",
    [
        "a" * 300 + ".npy",
        "é" * 150 + ".npy",
        "/".join(["d" * 200] * 25 + ["x.npy"]),
        "/".join(["d"] * 3000 + ["x.npy"]),
    ],
)
def test_a_name_that_is_too_long(name: str, tmp_path: Path) -> None:
    for use in (CodeSet.open, lambda path: CodeSetWriter(path, bits=8)):
        with pytest.raises(CodeSetError, match="is too long; choose") as caught:
            use(tmp_path / name)
        assert len(str(caught.value)) < 300
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("stem", ["a" * 240, "é" * 120])
def test_a_name_that_is_too_long_with_what_is_added(stem: str, tmp_path: Path) -> None:
    with pytest.raises(CodeSetError, match="with what is added to it, is too long"):
        CodeSetWriter(tmp_path / f"{stem}.npy", bits=8)


def test_a_zero_byte(tmp_path: Path) -> None:
    with pytest.raises(CodeSetError, match="zero byte"):
        CodeSet.open(tmp_path / "a\0b.npy")


def test_a_long_name_that_fits_is_fine(tmp_path: Path) -> None:
    with CodeSetWriter(tmp_path / ("a" * 200 + ".npy"), bits=8) as writer:
        assert writer.commit().count == 0
