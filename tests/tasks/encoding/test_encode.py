"""encode: the same codes however it runs, whatever it meets and wherever it is stopped."""

import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import torch
from hostile import make_hostile_folder, picture
from PIL import Image
from tiny import SIDE, make_model, make_pictures, make_run

from bitcodes.codes.codeset import CodeSet
from bitcodes.errors import BitcodesError, CodeSetError, DataError, ImageError
from bitcodes.files import lock
from bitcodes.hamming.index import HammingIndex
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.encoding import encode_images
from bitcodes.models.hashing import HashModel
from bitcodes.sources import reading
from bitcodes.sources.lists import ImageList, write_list
from bitcodes.sources.reading import read_pixels
from bitcodes.tasks.encoding.encode import encode


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of 23 good pictures, and two that cannot be read among them."""
    folder = tmp_path / "photos"
    make_pictures(folder, 23)
    (folder / "05b.jpg").write_bytes(b"not a picture")
    (folder / "17b.png").write_bytes((folder / "17.png").read_bytes()[:60])
    return folder


def family(out: Path) -> dict[str, bytes]:
    """All files of a code set, by the rest of their names."""
    names = out.parent.glob(f"{out.stem}.*")
    return {file.name[len(out.stem) :]: file.read_bytes() for file in names}


def test_a_set_holds_what_the_model_says_of_each_image(photos: Path, tmp_path: Path) -> None:
    model = make_model()
    done: list[tuple[int, int | None]] = []
    made = encode(
        model,
        photos,
        tmp_path / "codes.npy",
        features=True,
        batch_size=10,
        progress=lambda *step: done.append(step),
    )

    names = [f"{number:02}.png" for number in range(23)]
    assert list(made.paths) == names
    assert made.root == photos
    assert [path for path, _ in made.skipped] == ["05b.jpg", "17b.png"]
    assert "not an image" in made.skipped[0][1]
    assert done == [(0, 25), (10, 25), (20, 25), (25, 25)]

    squares = []
    for name in names:  # cropped by hand: 24 x 20 -> the middle 20 x 20
        image = Image.open(photos / name).convert("RGB").crop((2, 0, 22, 20))
        squares.append(np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    pixels = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2) / 127.5 - 1  # (N, 3, S, S)
    with torch.inference_mode():
        features = model.backbone(pixels).numpy()
        outputs = features @ model.hash_layer.weight.numpy().T + model.hash_layer.bias.numpy()
    assert np.abs(outputs).min() > 1e-5  # so that rounding cannot turn a bit here
    np.testing.assert_array_equal(made.codes, np.packbits(outputs > 0, axis=1))
    assert made.features is not None
    np.testing.assert_allclose(made.features, features, atol=5e-3)
    stat = [(photos / name).stat() for name in names]
    assert made.stat is not None
    assert made.stat.tolist() == [[file.st_size, file.st_mtime_ns] for file in stat]


def test_the_header_says_how_codes_were_made(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs" / "one")
    make_pictures(tmp_path / "photos", 3)
    header = encode(load_model(run), tmp_path / "photos", tmp_path / "codes.npy").header
    assert (header.backbone, header.engine, header.dtype, header.decode) == (
        "tiny",
        "torch",
        "float32",
        "reduced",
    )
    assert (header.root, header.run) == ("photos", "runs/one")  # moves with the folder
    (tmp_path / "other").mkdir()
    elsewhere = encode(load_model(run), tmp_path / "photos", tmp_path / "other" / "codes.npy")
    assert elsewhere.header.root == str(tmp_path / "photos")
    assert elsewhere.header.run == str(run)


@pytest.mark.parametrize(
    ("batch_size", "workers"), [(1, 0), (4, 0), (64, 0), (25, 1), (1, 2), (4, 2)]
)
def test_batches_and_workers_change_nothing(
    photos: Path, tmp_path: Path, batch_size: int, workers: int
) -> None:
    model = make_model()
    encode(model, photos, tmp_path / "a.npy", batch_size=7)
    encode(model, photos, tmp_path / "b.npy", batch_size=batch_size, workers=workers)
    assert family(tmp_path / "a.npy") == family(tmp_path / "b.npy")


def test_each_image_finds_itself(photos: Path, tmp_path: Path) -> None:
    model = make_model()
    made = encode(model, photos, tmp_path / "codes.npy")
    index = HammingIndex(made)
    for row, path in enumerate(made.paths):
        query = np.packbits(encode_images(model, [photos / path]).outputs > 0, axis=1)
        distances, rows = index.search(query, made.count)
        assert distances[0, rows[0] == row] == 0


def test_the_default_backbone_gives_a_code_whatever_the_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    half = (0.5, 0.5, 0.5)
    preprocessing = Preprocessing(image_size=32, mean=half, std=half)
    model = HashModel("tf_efficientnet_lite0", 64, preprocessing, weights="pretrained").eval()
    # Near the outputs' median many are close to zero, where rounding could turn a bit.
    make_pictures(tmp_path / "photos", 12)
    outputs = encode_images(model, sorted((tmp_path / "photos").iterdir())).outputs
    with torch.no_grad():
        model.hash_layer.bias -= torch.from_numpy(outputs[7])
    sets = [
        encode(model, tmp_path / "photos", tmp_path / f"{size}.npy", batch_size=size).codes
        for size in (1, 5, 12)
    ]
    np.testing.assert_array_equal(sets[0], sets[1])
    np.testing.assert_array_equal(sets[0], sets[2])


def test_labels_are_classes_or_sets_of_them(tmp_path: Path) -> None:
    names = make_pictures(tmp_path, 4)
    (tmp_path / "00.png").write_bytes(b"broken")
    one_hot = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]], np.uint8)
    single = ImageList(names, one_hot, tmp_path, ("cat", "dog", "ship"))
    made = encode(make_model(), single, tmp_path / "single.npy")
    assert made.labels is not None and made.labels.dtype == np.int32
    assert made.labels.tolist() == [2, 1, 2]
    assert made.class_names == ("cat", "dog", "ship")

    several = one_hot | np.array([0, 1, 0], np.uint8)
    made = encode(make_model(), ImageList(names, several, tmp_path), tmp_path / "several.npy")
    assert made.labels is not None and made.labels.dtype == np.uint8
    np.testing.assert_array_equal(made.labels, several[1:])


def test_strict_stops_at_an_image_that_cannot_be_read(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    with pytest.raises(DataError, match=r"05b\.jpg' cannot be read: not an image"):
        encode(make_model(), photos, out, strict=True, batch_size=2)
    assert not out.exists()
    log: list[str] = []
    encode(make_model(), photos, out, batch_size=2, log=log.append)
    assert log == ["continuing after 6 of 25 images"]  # whole batches before its own
    with pytest.raises(DataError, match=r"05b\.jpg.*and 1 more"):
        encode(make_model(), photos, out, strict=True)


def test_strict_remembers_what_was_skipped_before_it_was_interrupted(
    photos: Path, tmp_path: Path
) -> None:
    interrupt_after(3, photos, tmp_path / "codes.npy")
    with pytest.raises(DataError, match="1 image encoded before"):
        encode(make_model(), photos, tmp_path / "codes.npy", batch_size=4, strict=True)


def test_nothing_readable_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.jpg").touch()
    (folder / "b.jpg").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"no image of 2 could be read.*b\.jpg': not an image"):
        encode(make_model(), folder, tmp_path / "codes.npy")
    assert [file.name for file in tmp_path.iterdir()] == ["photos"]


# -- up to date ------------------------------------------------------------------------------------


def test_a_set_that_is_up_to_date_is_left_alone(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    encode(make_model(), photos, out, features=True)
    before = family(out), out.stat().st_mtime_ns
    for force in (False, True):
        log: list[str] = []
        made = encode(make_model(), photos, out, force=force, log=log.append)
        same = "the same model and the same 25 images, 2 of them skipped"
        assert log == [f"{out} is up to date: {same}"]
        assert made.count == 23
    assert (family(out), out.stat().st_mtime_ns) == before


def _add(photos: Path) -> None:
    shutil.copy(photos / "00.png", photos / "new.png")


def _touch(photos: Path) -> None:
    os.utime(photos / "03.png", ns=(1, 1))


def _remove(photos: Path) -> None:
    (photos / "03.png").unlink()
    (photos / "05b.jpg").unlink()


def _repair(photos: Path) -> None:
    shutil.copy(photos / "05.png", photos / "05b.jpg")


@pytest.mark.parametrize(
    ("change", "told", "encoded", "count"),
    [
        (_add, "23 kept, 3 new, 0 changed, 0 gone; 2 of these cannot be read", 1, 24),
        (_touch, "22 kept, 2 new, 1 changed, 0 gone; 2 of these cannot be read", 1, 23),
        (_remove, "22 kept, 1 new, 0 changed, 1 gone; 1 of these cannot be read", 0, 22),
        (_repair, "23 kept, 2 new, 0 changed, 0 gone; 1 of these cannot be read", 1, 24),
    ],
)
@pytest.mark.parametrize("features", [False, True])
def test_a_set_follows_its_images_and_only_what_is_new_is_encoded(
    photos: Path, tmp_path: Path, change: Any, told: str, encoded: int, count: int, features: bool
) -> None:
    out = tmp_path / "codes.npy"
    encode(make_model(), photos, out, features=features)
    change(photos)
    model, images = make_model(), set()
    whole = model.encode_batch
    model.encode_batch = lambda pixels: images.update(map(bytes, pixels)) or whole(pixels)  # type: ignore
    log: list[str] = []
    assert encode(model, photos, out, log=log.append, batch_size=2).count == count
    assert log == [told]
    assert len(images) == encoded
    encode(make_model(), photos, tmp_path / "anew.npy", features=features)
    assert family(out) == family(tmp_path / "anew.npy")


def test_labels_of_rows_that_stay_are_those_of_the_source(tmp_path: Path) -> None:
    names = make_pictures(tmp_path, 5)
    out = tmp_path / "codes.npy"
    encode(make_model(), ImageList(names, None, tmp_path), out)
    for order in ([0, 1, 2, 3, 4], [3, 1, 4, 0], [1, 3, 2, 4, 0]):
        labels = np.eye(5, dtype=np.uint8)[order[::-1]]
        images = ImageList([names[i] for i in order], labels, tmp_path)
        encode(make_model(), images, out)
        encode(make_model(), images, tmp_path / "anew.npy", force=True)
        assert family(out) == family(tmp_path / "anew.npy")


# -- appended --------------------------------------------------------------------------------------


def test_append_keeps_all_and_adds_what_is_new(photos: Path, tmp_path: Path) -> None:
    out, more = tmp_path / "codes.npy", tmp_path / "more"
    make_pictures(more, 5, seed=1)
    encode(make_model(), photos, out)
    log: list[str] = []
    made = encode(make_model(), more, out, append=True, log=log.append, batch_size=2)
    assert log == ["23 kept, 5 new, 0 changed"]
    assert made.root == photos
    assert made.count == 28
    assert made.paths[23:] == [str(more / f"{number:02}.png") for number in range(5)]
    alone = encode(make_model(), more, tmp_path / "alone.npy")
    np.testing.assert_array_equal(made.codes[23:], alone.codes)

    log.clear()
    encode(make_model(), more, out, append=True, log=log.append)
    assert log == [f"{out} is up to date: nothing to append"]
    os.utime(more / "01.png", ns=(1, 1))
    (more / "02.png").unlink()  # what is gone stays
    encode(make_model(), more, out, append=True, log=log.append)
    assert log[-1] == "27 kept, 0 new, 1 changed"
    last = CodeSet.open(out, verify=True)
    assert last.count == 28
    assert last.paths[27] == str(more / "01.png")
    np.testing.assert_array_equal(last.codes[27], alone.codes[1])


@pytest.mark.parametrize("batches", [1, 2])
def test_an_append_that_was_stopped_goes_on(photos: Path, tmp_path: Path, batches: int) -> None:
    more = tmp_path / "more"
    make_pictures(more, 11, seed=1)
    for name in ("codes", "whole"):
        encode(make_model(), photos, tmp_path / f"{name}.npy")
    encode(make_model(), more, tmp_path / "whole.npy", append=True)
    before = family(tmp_path / "codes.npy")
    interrupt_after(batches, more, tmp_path / "codes.npy", append=True)
    assert family(tmp_path / "codes.npy") == before  # valid throughout
    log: list[str] = []
    encode(make_model(), more, tmp_path / "codes.npy", append=True, batch_size=3, log=log.append)
    assert log[0] == f"continuing after {25 + 4 * batches} of 36 images"  # 2 were skipped
    assert family(tmp_path / "codes.npy") == family(tmp_path / "whole.npy")


def test_a_set_of_other_settings_is_replaced_only_by_force(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    encode(make_model(), photos, out)
    with pytest.raises(CodeSetError, match="it has no features"):
        encode(make_model(), photos, out, features=True)
    with pytest.raises(CodeSetError, match="it was made with an unknown model, and this"):
        encode(make_model(seed=1), photos, out)
    with pytest.raises(CodeSetError, match=r"this would be .* --full-decode"):
        encode(make_model(), photos, out, decode="full")
    labels = np.eye(25, dtype=np.uint8)
    listed = ImageList(sorted(file.name for file in photos.iterdir()), labels, photos)
    with pytest.raises(CodeSetError, match="only one has labels"):
        encode(make_model(), listed, out, append=True)
    moved = shutil.copytree(photos, tmp_path / "moved")
    with pytest.raises(CodeSetError, match=f"its images lie in {photos}, these in {moved}"):
        encode(make_model(), moved, out)
    assert encode(make_model(seed=1), moved, out, features=True, force=True).features is not None


def test_files_of_others_are_not_overwritten(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    np.save(out, np.zeros((2, 3), np.uint8))
    with pytest.raises(CodeSetError, match="no header"):
        encode(make_model(), photos, out)
    out.write_bytes(b"something else")
    annotations = tmp_path / "photos.json"
    annotations.write_bytes(b"{}")
    for name, file in (("codes.npy", out), ("photos.npy", annotations)):
        for force in (False, True):
            with pytest.raises(CodeSetError, match=f"{file.name} is there already and is no part"):
                encode(make_model(), photos, tmp_path / name, force=force)
    assert (out.read_bytes(), annotations.read_bytes()) == (b"something else", b"{}")

    (tmp_path / "more.features.npy").write_bytes(b"features")
    with pytest.raises(CodeSetError, match=r"exists already \(more\.features\.npy\)"):
        encode(make_model(), photos, tmp_path / "more.npy")
    (tmp_path / "more.features.npy").unlink()
    assert encode(make_model(), photos, tmp_path / "more.npy").count == 23
    (tmp_path / "more.npy").unlink()  # the header says that the rest was a code set
    assert encode(make_model(), photos, tmp_path / "more.npy").count == 23


def test_two_encodes_of_one_output_do_not_meet(photos: Path, tmp_path: Path) -> None:
    with (
        lock(tmp_path / ".codes.npy.lock", "codes.npy"),
        pytest.raises(BitcodesError, match="another process"),
    ):
        encode(make_model(), photos, tmp_path / "codes.npy")


# -- interrupted -----------------------------------------------------------------------------------


class _Stop(Exception):
    pass


def interrupt_after(batches: int, photos: Path, out: Path, append: bool = False) -> None:
    """Encode until some batches are done."""
    model = make_model()
    count = 0
    whole = model.encode_batch

    def encode_batch(images: Any) -> Any:
        nonlocal count
        count += 1
        if count > batches:
            raise _Stop
        return whole(images)

    model.encode_batch = encode_batch  # type: ignore[method-assign]
    with pytest.raises(_Stop):
        encode(model, photos, out, batch_size=4, append=append)


def test_it_continues_where_it_stopped(photos: Path, tmp_path: Path) -> None:
    encode(make_model(), photos, tmp_path / "whole.npy", batch_size=4)
    for batches in (0, 1, 4, 6):
        out = tmp_path / f"{batches}.npy"
        interrupt_after(batches, photos, out)
        with pytest.raises(CodeSetError, match="no such code set"):
            CodeSet.open(out)
        log: list[str] = []
        steps: list[int] = []
        encode(
            make_model(),
            photos,
            out,
            batch_size=3,
            log=log.append,
            progress=lambda done, _, steps=steps: steps.append(done),
        )
        assert steps[0] == batches * 4
        assert log == ([f"continuing after {steps[0]} of 25 images"] if batches else [])
        assert family(out) == family(tmp_path / "whole.npy")


def test_it_starts_over_if_an_image_changed_meanwhile(photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "codes.npy"
    interrupt_after(2, photos, out)
    shutil.copy(photos / "09.png", photos / "01.png")
    log: list[str] = []
    made = encode(make_model(), photos, out, log=log.append)
    assert log == ["starting over without the 7 images encoded before: images or settings changed"]
    np.testing.assert_array_equal(made.codes[1], made.codes[9])


KILLED = """
import os, signal, sys
import tiny
from bitcodes.codes.layout import Layout
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.tasks.encoding.encode import encode
from bitcodes.models.checkpoint import load_model

moment, run, photos, out = sys.argv[1:]

def kill(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGKILL)

def before_call(number, whole):
    count = 0
    def call(*args, **kwargs):
        nonlocal count
        count += 1
        return kill() if count == number else whole(*args, **kwargs)
    return call

if moment.startswith("append"):
    CodeSetWriter.append = before_call(int(moment[6:]), CodeSetWriter.append)
if moment == "commit":
    CodeSetWriter.commit = kill
if moment == "renames":
    Layout.finish = before_call(2, Layout.finish)
if moment == "rename":
    os.replace = before_call(3, os.replace)
encode(load_model(run), photos, out, batch_size=4, workers=2, features=True)
"""


def assert_none_runs(argument: str) -> None:
    """Soon no process has this argument: workers do not outlive their parent."""
    for _ in range(100):
        lines = [
            file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline") if file.exists()
        ]
        if not any(argument.encode() in line for line in lines):
            return
        time.sleep(0.05)
    raise AssertionError("a worker outlived its parent")


@pytest.mark.parametrize("moment", ["append1", "append4", "commit", "renames", "rename"])
@pytest.mark.posix
@pytest.mark.proc
def test_kill_9_at_any_moment_costs_nothing(photos: Path, tmp_path: Path, moment: str) -> None:
    run = make_run(tmp_path / "run")
    encode(load_model(run), photos, tmp_path / "whole.npy", batch_size=4, features=True)
    out = tmp_path / "codes.npy"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, moment, str(run), str(photos), str(out)],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path]),
        },
    )
    assert done.returncode == -signal.SIGKILL
    assert_none_runs(str(out))
    encode(load_model(run), photos, out, batch_size=4, features=True)
    assert family(out) == family(tmp_path / "whole.npy")
    hidden = {file.name for file in tmp_path.iterdir() if file.name.startswith(".")}
    assert hidden <= {".codes.npy.lock"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system cannot be mounted: that needs root, and mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("when", [20, 200])
def test_a_full_disk_is_an_error_that_leaves_what_is_done(
    tmp_path: Path, small_disk: Path, when: int
) -> None:
    make_pictures(tmp_path / "photos", 200)
    out, rest = small_disk / "codes.npy", small_disk / "rest"

    def fill(done: int, count: int | None) -> None:
        if done == when:  # by other files; 200: as all is encoded and the set is to be made of it
            with suppress(OSError), rest.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

    features: dict[str, Any] = {"features": True, "batch_size": 10}
    with pytest.raises(CodeSetError, match=r"No space left.* kept in .*: make room, run this a"):
        encode(make_model(), tmp_path / "photos", out, progress=fill, **features)
    assert not out.exists()
    with pytest.raises(CodeSetError, match="No space left"):  # as full as before
        encode(make_model(), tmp_path / "photos", out, **features)
    rest.unlink()
    log: list[str] = []
    encode(make_model(), tmp_path / "photos", out, log=log.append, **features)
    assert re.fullmatch("continuing after [1-9][0-9]+ of 200 images", log[0])
    (tmp_path / "whole").mkdir()
    encode(make_model(), tmp_path / "photos", tmp_path / "whole" / "codes.npy", **features)
    assert family(out) == family(tmp_path / "whole" / "codes.npy")


def test_features_are_those_of_one_encode_of_all(tmp_path: Path) -> None:
    """PyTorch rounds otherwise in batches of other sizes, in the last digit that features keep."""
    photos, all_photos = tmp_path / "photos", tmp_path / "all"
    photos.mkdir()
    names = make_pictures(all_photos, 23)
    torch.manual_seed(0)
    backbone = "tf_efficientnet_lite0_stages"
    model = HashModel(backbone, 24, find_backbone(backbone).preprocessing(96))
    for count in (3, 4, 18, 23):
        for name in names[:count]:
            shutil.copy2(all_photos / name, photos / name)
        grown = encode(model, photos, tmp_path / "grown.npy", features=True, batch_size=16)
    whole = encode(model, all_photos, tmp_path / "whole.npy", features=True, batch_size=16)
    assert grown.features is not None and whole.features is not None
    assert np.array_equal(grown.features, whole.features)


# -- reading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.posix
def test_hostile_files_are_skipped_and_explained(tmp_path: Path, workers: int) -> None:
    folder = tmp_path / "photos"
    expected = make_hostile_folder(folder)
    for number in range(10):
        picture(seed=number).save(folder / f"good{number}.png")
        expected[f"good{number}.png"] = None
    made = encode(make_model(), folder, tmp_path / "codes.npy", batch_size=16, workers=workers)

    reasons = dict(made.skipped)
    assert len(reasons) > 100
    assert set(made.paths) == {path for path, reason in expected.items() if reason is None}
    assert reasons.keys() == {path for path, reason in expected.items() if reason is not None}
    for path, reason in reasons.items():
        assert str(expected[path]).lower() in reason.lower(), (path, reason)
    opened = CodeSet.open(tmp_path / "codes.npy", verify=True)
    assert opened.skipped == made.skipped


def test_an_image_that_changes_while_it_is_read_is_skipped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = reading.open_reduced

    def open_reduced(file: BinaryIO, reduction: Any) -> Any:
        image = whole(file, reduction)
        if file.name.endswith("02.png"):
            os.utime(file.name, ns=(5, 5))
        return image

    monkeypatch.setattr(reading, "open_reduced", open_reduced)
    out = tmp_path / "codes.npy"
    made = encode(make_model(), photos, out)
    assert made.skipped[0] == ("02.png", "it changed while it was being read")
    monkeypatch.undo()
    made = encode(make_model(), photos, out)
    assert "02.png" in made.paths


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_vanishes_before_it_is_read_is_skipped(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    whole = reading.open_reduced

    def open_reduced(file: BinaryIO, reduction: Any) -> Any:
        if file.name.endswith("02.png"):
            (photos / "03.png").unlink()
        return whole(file, reduction)

    monkeypatch.setattr(reading, "open_reduced", open_reduced)
    made = encode(make_model(), photos, tmp_path / "codes.npy", batch_size=4, workers=workers)
    assert made.skipped[0] == ("03.png", "no such file (was it removed?)")
    assert made.count == 22
    monkeypatch.undo()
    encode(make_model(), photos, tmp_path / "codes.npy", batch_size=4)
    encode(make_model(), photos, tmp_path / "anew.npy", batch_size=4)
    assert family(tmp_path / "codes.npy") == family(tmp_path / "anew.npy")


def _deadly(monkeypatch: pytest.MonkeyPatch, often: int, marks: Path) -> None:
    """Make reading 20.png kill the worker that does it, so many times."""
    here = os.getpid()
    whole = reading.open_reduced

    def open_reduced(file: BinaryIO, reduction: Any) -> Any:
        if (
            file.name.endswith("20.png")
            and os.getpid() != here
            and len(list(marks.iterdir())) < often
        ):
            (marks / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return whole(file, reduction)

    marks.mkdir()
    monkeypatch.setattr(reading, "open_reduced", open_reduced)


@pytest.mark.posix
def test_a_worker_that_is_killed_is_replaced_and_nothing_is_lost(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode(make_model(), photos, tmp_path / "whole.npy", batch_size=4)
    _deadly(monkeypatch, 2, tmp_path / "deaths")
    encode(make_model(), photos, tmp_path / "codes.npy", batch_size=4, workers=2)
    assert len(list((tmp_path / "deaths").iterdir())) == 2
    assert family(tmp_path / "codes.npy") == family(tmp_path / "whole.npy")


@pytest.mark.posix
def test_an_image_that_kills_its_workers_again_and_again_is_lost_alone(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = encode(make_model(), photos, tmp_path / "whole.npy", batch_size=4)
    _deadly(monkeypatch, 99, tmp_path / "deaths")
    made = encode(make_model(), photos, tmp_path / "codes.npy", batch_size=4, workers=2)
    assert len(list((tmp_path / "deaths").iterdir())) == 6  # 3 with others, 3 by itself
    rows = [row for row, path in enumerate(whole.paths) if path != "20.png"]
    assert list(made.paths) == [whole.paths[row] for row in rows]
    np.testing.assert_array_equal(made.codes, whole.codes[rows])
    (reason,) = {reason for path, reason in made.skipped if path == "20.png"}
    assert "each process that read it was killed" in reason
    assert {path for path, _ in made.skipped} == {path for path, _ in whole.skipped} | {"20.png"}
    for path, _ in whole.skipped:
        (photos / path).unlink()
    with pytest.raises(DataError, match=r"20.png.*killed"):
        encode(make_model(), photos, tmp_path / "x.npy", batch_size=4, workers=2, strict=True)
    monkeypatch.undo()
    encode(make_model(), photos, tmp_path / "codes.npy", batch_size=4, force=True)
    encode(make_model(), photos, tmp_path / "whole.npy", batch_size=4)
    assert family(tmp_path / "codes.npy") == family(tmp_path / "whole.npy")


def test_large_jpegs_are_decoded_smaller_unless_told_not_to(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):  # the network sees 16 x 16 of them
        colours = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8))
        colours.resize((320, 240), Image.Resampling.BICUBIC).save(folder / f"{number}.jpg")
    model = make_model(64)
    exact = encode(model, folder, tmp_path / "full.npy", decode="full")
    assert exact.header.decode == "full"
    assert encode(model, folder, tmp_path / "full.npy").header.decode == "full"  # follows the set
    quick = encode(model, folder, tmp_path / "reduced.npy")
    whole = read_pixels(str(folder / "0.jpg"), model.preprocessing)
    smaller = read_pixels(str(folder / "0.jpg"), model.preprocessing, "reduced")
    assert (whole != smaller).any()
    assert np.abs(whole.astype(int) - smaller).max() <= 24
    agree = np.unpackbits(exact.codes ^ quick.codes).mean()
    assert agree < 0.03


def test_the_random_numbers_of_the_program_are_left_alone(photos: Path, tmp_path: Path) -> None:
    model = make_model()
    before = torch.get_rng_state()
    encode(model, photos, tmp_path / "codes.npy", batch_size=4, workers=1)
    assert torch.equal(before, torch.get_rng_state())


def test_sources_are_named_in_many_ways(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_list(photos / "list.txt", ["03.png", "01.png"], None)
    model = make_model()
    assert list(encode(model, "photos/list.txt", "a.npy").paths) == ["03.png", "01.png"]
    assert encode(model, str(photos), "b.npy").count == 23
    several = encode(model, ["photos/02.png", photos / "list.txt"], "c.npy")
    assert list(several.paths) == ["photos/02.png", "photos/03.png", "photos/01.png"]
    assert encode(model, "photos/../photos", "d.npy").root == photos
    assert encode(model, "photos/../photos", "d.npy").count == 23  # up to date


def test_images_in_memory_get_the_codes_of_their_files(photos: Path) -> None:
    model = make_model()
    files = [photos / "00.png", photos / "01.png", photos / "02.png"]
    expected = encode_images(model, files)
    mixed = [files[0], files[1].read_bytes(), Image.open(files[2])]
    found = encode_images(model, mixed, batch_size=2)
    np.testing.assert_array_equal(found.outputs > 0, expected.outputs > 0)
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-5)
    assert encode_images(model, []).outputs.shape == (0, 24)
    with pytest.raises(ImageError, match="not an image"):
        encode_images(model, [photos / "05b.jpg"])


def test_a_model_without_a_file_leaves_the_run_open(photos: Path, tmp_path: Path) -> None:
    model = make_model()
    assert encode(model, photos, tmp_path / "a.npy").header.run is None
    save_model(model, tmp_path / "portable.safetensors")
    loaded = load_model(tmp_path / "portable.safetensors")
    assert encode(loaded, photos, tmp_path / "b.npy").header.run == "portable.safetensors"


def test_the_example_searches_photos(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_run(tmp_path / "run")
    make_pictures(tmp_path / "photos", 6)
    monkeypatch.chdir(tmp_path)
    example = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "search_photos.py"))
    example["main"]("run", "photos", "photos/02.png")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "6 photos, 24 bits each, 18 bytes"
    assert lines[1] == f"  0 bits apart: {tmp_path / 'photos' / '02.png'}"
    assert len(lines) == 6
