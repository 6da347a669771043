"""merge: sets of one model, one after the other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.merge import merge
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.errors import CodeSetError


def make(folder: Path, name: str, start: int, stop: int, **plan: Any) -> CodeSet:
    """Rows start to stop of one long set."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (40, 2), np.uint8)
    features = rng.normal(size=(40, 3))
    settings: dict[str, Any] = {
        "bits": 16,
        "fingerprint": "f",
        "engine": "torch",
        "dtype": "float32",
        "decode": "full",
        "root": folder / "images",
        "class_names": ("a", "b"),
        "columns": ("labels", "features", "stat"),
        **plan,
    }
    with CodeSetWriter(folder / name, **settings) as writer:
        rows = slice(start, stop)
        writer.skip(f"bad\n{start}.png", "broken\tfile")
        writer.append(
            codes[rows],
            [f"sub\\{row}.png" for row in range(start, stop)],
            **{
                "labels": np.arange(start, stop, dtype=np.int32) % 2,
                "features": features[rows],
                "stat": np.arange(2 * start, 2 * stop).reshape(-1, 2),
            },
        )
        return writer.commit()


def family(path: Path) -> dict[str, bytes]:
    return {
        file.name.removeprefix(path.stem): file.read_bytes()
        for file in path.parent.glob(f"{path.stem}.*")
    }


def test_rows_follow_each_other(tmp_path: Path) -> None:
    whole = make(tmp_path, "whole.npy", 0, 40)
    parts = [make(tmp_path, f"{i}.npy", 10 * i, 10 * i + 10) for i in range(4)]
    made = merge(parts, tmp_path / "merged.npy")
    made.verify()
    np.testing.assert_array_equal(made.codes, whole.codes)
    assert list(made.paths) == list(whole.paths)
    for name in ("labels", "features", "stat"):
        np.testing.assert_array_equal(getattr(made, name), getattr(whole, name))
    assert made.skipped == [(f"bad\n{10 * i}.png", "broken\tfile") for i in range(4)]
    assert made.root == tmp_path / "images"
    with pytest.raises(CodeSetError, match="exists already"):
        merge(parts, tmp_path / "merged.npy")


def test_paths_follow_the_roots(tmp_path: Path) -> None:
    one = make(tmp_path, "one.npy", 0, 2, root=tmp_path / "images" / "one")
    two = make(tmp_path, "two.npy", 2, 4, root=tmp_path / "images" / "two")
    made = merge([one, two], tmp_path / "merged.npy")
    assert made.root == tmp_path / "images"
    assert list(made.paths) == [
        *("one/sub\\0.png", "one/sub\\1.png", "two/sub\\2.png", "two/sub\\3.png")
    ]
    assert [path for path, _ in made.skipped] == ["one/bad\n0.png", "two/bad\n2.png"]
    for row in range(4):
        assert made.absolute_path(row) == (one, two)[row // 2].absolute_path(row % 2)


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"fingerprint": "g"}, "expected fingerprint f, found g"),
        ({"decode": "reduced"}, "expected decode full, found reduced"),
        ({"class_names": ("a", "c")}, "expected class_names"),
    ],
)
def test_what_does_not_go_together_is_refused(
    tmp_path: Path, plan: dict[str, Any], message: str
) -> None:
    one, two = make(tmp_path, "one.npy", 0, 2), make(tmp_path, "two.npy", 2, 4, **plan)
    with pytest.raises(CodeSetError, match=message):
        merge([one, two], tmp_path / "merged.npy")
    bare = CodeSet.from_arrays(one.codes, 16, fingerprint="f")
    with pytest.raises(CodeSetError):
        merge([one, bare], tmp_path / "merged.npy")
    assert not (tmp_path / "merged.npy").exists()


def test_a_set_can_be_merged_onto_itself(tmp_path: Path) -> None:
    one, two = make(tmp_path, "one.npy", 0, 2), make(tmp_path, "two.npy", 2, 4)
    assert merge([one, two], tmp_path / "one.npy", force=True).count == 4


def test_no_set_is_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = make(tmp_path, "one.npy", 0, 2), make(tmp_path, "two.npy", 2, 4)
    bare = CodeSet.from_arrays(one.codes, 16)
    for sets in ([one, two, one], [one, CodeSet.open("one.npy")], [bare, bare]):
        with pytest.raises(CodeSetError, match="the same code set is given twice"):
            merge(sets, "merged.npy")
    assert not Path("merged.npy").exists()


@pytest.mark.posix
def test_no_set_is_taken_twice_by_way_of_links(tmp_path: Path) -> None:
    one = make(tmp_path, "one.npy", 0, 2)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link.npy").symlink_to(tmp_path / "one.npy")
    (tmp_path / "linked").symlink_to(tmp_path, target_is_directory=True)
    for name in ("folder/link.npy", "folder/../one.npy", "linked/one.npy"):
        with pytest.raises(CodeSetError, match=r"given twice: .*one\.npy and .*; name each set on"):
            merge([one, CodeSet.open(tmp_path / name)], tmp_path / "merged.npy")


def test_images_that_are_in_several_sets_are_said(tmp_path: Path) -> None:
    def told(*sets: CodeSet) -> list[str]:
        notes: list[str] = []
        merge(sets, tmp_path / "merged.npy", force=True, note=notes.append)
        return notes

    sets = [make(tmp_path, f"{start}.npy", start, start + 3) for start in (0, 2, 4, 7)]
    assert told(sets[0], sets[2]) == []
    count, image = "2 images in more than one of these sets", "sub\\2.png"
    assert told(*sets) == [f"note: {count}, with a row of each: {image}"]
    deep = make(tmp_path, "deep.npy", 0, 3, root=tmp_path / "images" / "sub")
    assert told(sets[0], deep) == []
    parts = [
        make(tmp_path, f"part{part}.npy", 0, 3, source=f"{'ab' * 32} part {part}/2")
        for part in (1, 2)
    ]
    assert told(*parts) == []  # one list may name an image twice


def parts(folder: Path, order: str, of: int = 3) -> list[CodeSet]:
    return [
        make(folder, f"{i}-{part}.npy", 0, 2, source=f"{'ab' * 32} part {part}/{of}")
        for i, part in enumerate(order)
    ]


@pytest.mark.parametrize("order", ["123", "132"])
def test_the_source_is_known_of_all_parts_in_order(tmp_path: Path, order: str) -> None:
    expected = "ab" * 32 if order == "123" else None
    merged = merge(parts(tmp_path, order), tmp_path / "merged.npy")
    assert merged.header.source == expected


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ("12", r"expected all 3 parts .*0-1\.npy is a part of; missing: 3\. .*--part 3/3"),
        ("122", r"1-2\.npy and .*2-2\.npy are both part 2/3 of the same images"),
    ],
)
def test_parts_that_are_missing_or_there_twice(tmp_path: Path, order: str, reason: str) -> None:
    other = make(tmp_path, "other.npy", 0, 2, source="cd" * 32)
    sets = parts(tmp_path, order)
    for some in (sets, [other, *sets]):
        with pytest.raises(CodeSetError, match=reason):
            merge(some, tmp_path / "merged.npy")


@pytest.mark.parametrize(
    "roots",
    [
        ("s3://bucket/a", "s3:///a"),
        ("s3:///a", "s3://bucket/a"),
        ("s3://", "s3:///"),
        ("://", "a://b"),
    ],
)
def test_roots_without_a_common_place_are_refused(tmp_path: Path, roots: tuple[str, str]) -> None:
    sets = [make(tmp_path, f"{n}.npy", 0, 2, root=root) for n, root in enumerate(roots)]
    with pytest.raises(CodeSetError, match="have roots that cannot be merged"):
        merge(sets, tmp_path / "merged.npy")
