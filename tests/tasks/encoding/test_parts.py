"""Encoding by other processes: the set is that of one process, whatever happens to its parts."""

import pickle
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import make_model, make_pictures

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.layout import Layout
from bitcodes.codes.staging import staged_rows
from bitcodes.errors import BitcodesError, CodeSetError, DataError
from bitcodes.files import lock
from bitcodes.sources.lists import ImageList
from bitcodes.tasks.encoding import parts as encode_parts
from bitcodes.tasks.encoding.encode import encode
from bitcodes.tasks.encoding.parts import Part, PartDone, PartWork


@dataclass
class Pool:
    """A pool of this process; `disturb` is called before each task with its number."""

    disturb: Callable[[int, PartWork, Part], object] = lambda number, work, part: None
    done: list[PartDone] = field(default_factory=list)

    def run(
        self, work: Any, tasks: Iterable[Any], tick: Callable[[], None], gpus: int
    ) -> Iterator[Any]:
        assert gpus == 0
        for number, task in enumerate(tasks):
            sent, part = pickle.loads(pickle.dumps((work, task)))
            self.disturb(number, sent, part)
            result = sent(part)
            tick()
            self.done.append(pickle.loads(pickle.dumps(result)))
        yield from reversed(self.done)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of four images, in batches of two."""
    monkeypatch.setattr(encode_parts, "_LEAST", 4)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """21 pictures, and a part in which none can be read."""
    folder = tmp_path / "photos"
    make_pictures(folder, 21)
    for number in range(4, 8):
        (folder / f"{number:02}.png").write_bytes(b"not a picture")
    return folder


def family(out: Path) -> dict[str, bytes]:
    """All files of a set by the rest of their names, and what else lies beside it."""
    names = [*out.parent.glob(f"{out.stem}.*"), *out.parent.glob(f".{out.stem}.*")]
    return {file.name.replace(out.stem, ""): file.read_bytes() for file in names}


def both(place: Path, source: Any, pool: Pool | None = None, **options: Any) -> Pool:
    """Encode into one.npy in this process and into other.npy in a pool: the same files."""
    pool = Pool() if pool is None else pool
    model = make_model(class_names=options.pop("class_names", ()))
    encode(model, source, place / "one.npy", batch_size=2, **options)
    encode(model, source, place / "other.npy", batch_size=2, pool=pool, **options)
    assert family(place / "other.npy") == family(place / "one.npy")
    return pool


def test_the_set_is_that_of_one_process(photos: Path, tmp_path: Path) -> None:
    pool = both(tmp_path, photos, features=True)
    assert [done.rows for done in pool.done] == [4, 0, 4, 4, 4, 1]
    assert not any(done.is_old for done in pool.done)


def test_the_same_of_a_list_with_labels(tmp_path: Path) -> None:
    names = make_pictures(tmp_path / "photos", 9)
    labels = [[number % 2, 1, number == 3] for number in range(9)]
    images = ImageList(names, np.array(labels, np.uint8), tmp_path / "photos", ("a", "b", "c"))
    (tmp_path / "photos" / names[0]).unlink()
    assert len(both(tmp_path, images).done) == 3


def test_the_same_of_archives(tmp_path: Path) -> None:
    names = make_pictures(tmp_path / "photos", 9)
    for archive in ("a.zip", "b.zip"):
        with zipfile.ZipFile(tmp_path / archive, "w", zipfile.ZIP_DEFLATED) as file:
            for name in names:
                file.write(tmp_path / "photos" / name, name)
    (tmp_path / "b.zip").write_bytes((tmp_path / "b.zip").read_bytes()[:-40])
    both(tmp_path, [tmp_path / "a.zip", tmp_path / "b.zip"])


@pytest.mark.parametrize("append", [False, True])
def test_updates_and_appends_are_the_same(photos: Path, tmp_path: Path, append: bool) -> None:
    other = tmp_path / "more"
    make_pictures(other, 7, seed=1)
    both(tmp_path, photos)
    (photos / "00.png").unlink()
    (other / "02.png").rename(photos / "02.png")
    told: list[str] = []
    pool = both(tmp_path, other if append else photos, append=append, log=told.append)
    assert sum(done.rows for done in pool.done) == CodeSet.open(tmp_path / "one.npy").count
    assert told[-1] == told[len(told) // 2 - 1]  # the summary


def test_what_is_done_is_not_done_again(photos: Path, tmp_path: Path) -> None:
    def stop(number: int, work: PartWork, part: Part) -> None:
        if number == 3:  # in its middle
            encode_one = replace(work, model=_Failing(work.model, 1))
            encode_one(part)

    out = tmp_path / "other.npy"
    with pytest.raises(KeyboardInterrupt):
        encode(make_model(), photos, out, batch_size=2, pool=Pool(stop))
    folder = Layout(out).part_sets
    assert sorted(path.name for path in folder.glob("*.json")) == [
        f"{start:012}.json" for start in (0, 4, 8)
    ]
    assert staged_rows(Layout(folder / "000000000012.npy")) == 2
    told: list[str] = []
    pool = both(tmp_path, photos, log=told.append)
    assert [done.is_old for done in pool.done] == [True] * 3 + [False] * 3
    assert "8 images of these had been encoded before" in told
    assert not folder.exists()


class _Failing:
    """A model that is interrupted after some batches."""

    def __init__(self, model: Any, batches: int) -> None:
        self._model, self._left = model, batches

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_model"], name)

    def encode_batch(self, images: Any) -> Any:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        return self._model.encode_batch(images)


def test_parts_of_other_images_or_of_another_model_are_not_used(
    photos: Path, tmp_path: Path
) -> None:
    def stop(number: int, work: PartWork, part: Part) -> None:
        if number == 2:
            raise KeyboardInterrupt

    out = tmp_path / "other.npy"
    for change in (lambda: make_pictures(photos, 3, seed=2), lambda: None):
        with pytest.raises(KeyboardInterrupt):
            encode(make_model(seed=5), photos, out, batch_size=2, pool=Pool(stop))
        change()
    pool = both(tmp_path, photos)
    assert not any(done.is_old for done in pool.done)
    (tmp_path / "other.npy").unlink()
    (photos / "00.png").unlink()


def test_progress_goes_up_to_all_images(photos: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    encode(
        make_model(),
        photos,
        tmp_path / "codes.npy",
        batch_size=2,
        pool=Pool(),
        progress=lambda done, count: seen.append((done, count)),
    )
    assert seen == sorted(seen) and seen[-1] == (21, 21)


def test_a_machine_that_sees_other_files_says_so(photos: Path, tmp_path: Path) -> None:
    def hide_images(number: int, work: PartWork, part: Part) -> None:
        if number == 1:
            photos.rename(tmp_path / "elsewhere")

    def hide_folder(number: int, work: PartWork, part: Part) -> None:
        if number == 1:
            work.folder.rename(tmp_path / "away")

    out = tmp_path / "other.npy"
    for disturb, text in (
        (hide_folder, r"there is no folder .*\.other\.npy\.parts: all machines must have it"),
        (hide_images, r"04\.png' is not there, nor 3 others: all machines must have it"),
    ):
        with pytest.raises(DataError, match=text):
            encode(make_model(), photos, out, batch_size=2, pool=Pool(disturb))


def test_parts_written_to_the_disk_of_another_machine_are_missed(
    photos: Path, tmp_path: Path
) -> None:
    def remove(number: int, work: PartWork, part: Part) -> None:
        if number == 1:
            for file in work.folder.glob("*"):
                file.unlink()

    with pytest.raises(CodeSetError, match="written by another machine, and this one does not see"):
        encode(make_model(), photos, tmp_path / "c.npy", batch_size=2, pool=Pool(remove))


def test_a_set_that_changes_meanwhile_ends_the_update(photos: Path, tmp_path: Path) -> None:
    def change(number: int, work: PartWork, part: Part) -> None:
        assert work.base is not None
        if number == 1:
            encode(make_model(), photos, work.base[0], batch_size=2)

    encode(make_model(), photos, tmp_path / "c.npy", batch_size=2)
    make_pictures(photos, 1, seed=3)
    with pytest.raises(CodeSetError, match="has changed meanwhile; run this again"):
        encode(make_model(), photos, tmp_path / "c.npy", batch_size=2, pool=Pool(change))


def test_strict_ends_it_and_nothing_readable_is_an_error(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.npy"
    for _ in range(2):
        with pytest.raises(DataError, match=r"04\.png' cannot be read"):
            encode(make_model(), photos, out, batch_size=2, pool=Pool(), strict=True)
    for file in photos.iterdir():
        file.write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"no image of 21 could be read; .*\.png"):
        encode(make_model(), photos, out, batch_size=2, pool=Pool())
    assert not out.exists()


def test_two_at_once_are_refused(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.npy"
    folder = Layout(out).part_sets
    with (
        lock(folder.with_name(f"{folder.name}.lock"), "it"),
        pytest.raises(BitcodesError, match=r"c\.npy is being written by another process"),
    ):
        encode(make_model(), photos, out, batch_size=2, pool=Pool())


@pytest.mark.parametrize(
    "total, batch_size, images, count",
    [(1000, 32, 64, 16), (1000, 48, 96, 11), (270_000, 32, 96, 2813), (70, 256, 256, 1)],
)
def test_parts_are_whole_batches_and_not_too_many(
    monkeypatch: pytest.MonkeyPatch, total: int, batch_size: int, images: int, count: int
) -> None:
    from bitcodes.sources.item import File, Item
    from bitcodes.tasks.encoding.update import New, Step

    monkeypatch.setattr(encode_parts, "_LEAST", 64)
    item = Item("a.png", File("a.png"))
    sizes = [min(batch_size, total - start) for start in range(0, total, batch_size)]
    steps = (Step([item] * size, [New([item] * size)]) for size in sizes)
    parts = list(encode_parts.cut(steps, total, batch_size))
    assert len(parts) == count
    assert [part.start for part in parts] == list(range(0, total, images))
    assert [part.stop for part in parts] == [*range(images, total, images), total]
