"""Every reader of files that others may have written, by what it takes a file for.

A reader gets the file under the name that it expects, in a folder of its own. It returns what was
said of the file: the reasons of what was skipped, and notes. It may raise BitcodesErrors.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from attacks.code_sets import make_set, set_at

from bitcodes.codes.codeset import CodeSet
from bitcodes.documents import read_json, read_yaml
from bitcodes.errors import BitcodesError, ConfigError, ImageError

Reader = Callable[[Path], list[str]]
"""Reads a file under the name that it has in the folder of the reader."""


def put(file: Path, name: Path) -> None:
    """Let `name` be the file: a link to it, where there are links."""
    name.parent.mkdir(parents=True, exist_ok=True)
    name.unlink(missing_ok=True)
    if os.name == "posix":
        name.symlink_to(file)
    else:
        shutil.copyfile(file, name)


# -- code sets -------------------------------------------------------------------------------------


def codes(file: Path) -> list[str]:
    """A code set and its index: all of it is read and searched, and the answers compared."""
    from bitcodes.hamming.index import HammingIndex
    from bitcodes.hamming.stored import open_index
    from bitcodes.tasks.encoding.origin import read_origins

    code_set = set_at(file)
    notes: list[str] = []
    index = open_index(code_set, threads=1, note=notes.append)
    queries = np.ascontiguousarray(code_set.codes[:3])
    if code_set.count > 0 and code_set.bits <= 1 << 16:
        rows, distances = _sorted(code_set, queries, 5)
        for one in (index, HammingIndex(code_set, threads=1)):
            found = one.search(queries, 5)
            np.testing.assert_array_equal(found[0], distances)
            np.testing.assert_array_equal(found[1], rows)
    read_origins(code_set, file)
    return notes


def _sorted(
    code_set: CodeSet, queries: "np.ndarray[tuple[int, int], np.dtype[np.uint8]]", k: int
) -> tuple[
    "np.ndarray[tuple[int, int], np.dtype[np.intp]]",
    "np.ndarray[tuple[int, int], np.dtype[np.intp]]",
]:
    """The nearest rows to each query, and their distances, by the definition."""
    distances = np.bitwise_count(queries[:, None] ^ code_set.codes).sum(axis=2, dtype=np.intp)
    rows = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return rows, np.take_along_axis(distances, rows, axis=1)


# -- documents and lists ---------------------------------------------------------------------------


def json_document(file: Path) -> list[str]:
    """A JSON file, and dataset.json, settings and the record of an evaluation."""
    from bitcodes.sources.description import read_description

    return _each(
        lambda: read_json(file, ConfigError), lambda: read_description(file.parent)
    ) + settings(file)


def yaml_document(file: Path) -> list[str]:
    """A YAML file, and settings of a run."""
    return _each(lambda: read_yaml(file, ConfigError)) + settings(file)


def settings(file: Path) -> list[str]:
    """A file of settings, also as the predecessor's params.json."""
    from bitcodes.predecessor.params import is_params, read_params
    from bitcodes.runs import load_settings
    from bitcodes.settings import Settings
    from bitcodes.settings_file import read_settings_file

    def build() -> None:
        values = read_settings_file(file)
        if is_params(values):
            read_params(values, str(file))
        built = Settings.build({"data": "data", **values}, str(file))
        os.path.isdir(built.data)  # noqa: PTH112 - any length of name
        repr(built)

    return _each(build, lambda: load_settings(file.parent))


def list_file(file: Path) -> list[str]:
    """A list of images, read into memory and line by line."""
    from bitcodes.sources.lists import read_list
    from bitcodes.sources.source import open_stream

    def stream() -> None:
        source = open_stream([str(file)])
        for _, item in zip(range(1000), source, strict=False):
            _reason(item.place.read)

    return _each(lambda: read_list(file), stream)


def latest(file: Path) -> list[str]:
    """The text file runs/latest, where links cannot be made."""
    from bitcodes.runs import choose_model, follow, resolve_run

    return _each(lambda: resolve_run(follow(file)), lambda: choose_model(follow(file)))


# -- archives and pictures -------------------------------------------------------------------------


def archive(file: Path) -> list[str]:
    """An archive of images, as a file and as a stream; and as the source of `prepare cifar10`."""
    from bitcodes.datasets.cifar10 import prepare_cifar10
    from bitcodes.images.decode import open_image
    from bitcodes.sources.archives import archive_images, archive_version, stream_images

    said = []
    items = [archive_images(str(file))]
    if file.is_file():
        stream = file.open("rb")
        items.append(stream_images(stream, file.name))
    for images in items:
        for item in images:
            said += _reason(lambda decode, place=item.place: place.read(open_image))
    out = file.parent / "prepared"
    said += _each(lambda: archive_version(str(file)))
    problems = _each(lambda: prepare_cifar10(out, source=file))
    assert problems or not out.exists() or out.is_dir()
    shutil.rmtree(out, ignore_errors=True)
    return said


def picture(file: Path) -> list[str]:
    """A picture, at full size, reduced and its size alone."""
    from bitcodes.images.decode import image_size, open_image, open_reduced
    from bitcodes.images.thumbnails import thumbnail_jpeg

    return _each(
        lambda: thumbnail_jpeg(open_image(file), 64),
        lambda: open_reduced(file, lambda size: 8),
        lambda: image_size(file),
    )


# -- models ----------------------------------------------------------------------------------------


def weights(file: Path) -> list[str]:
    """Weights of AlexNet, a pickle in a .npy file."""
    from bitcodes.predecessor.weights import read_pickled_arrays

    read_pickled_arrays(file)
    return []


def pth(file: Path) -> list[str]:
    """An old PyTorch file, read without PyTorch."""
    from bitcodes.models.pth import read_pth

    content = file.read_bytes() if file.is_file() and file.stat().st_size < 1 << 26 else b""
    for array in read_pth(content, file).values():
        array.sum()
    return []


def onnx(file: Path) -> list[str]:
    """An exported model: it is opened and run."""
    from bitcodes.models.onnx import OnnxModel

    model = OnnxModel(file, threads=1)
    side = model.preprocessing.image_size
    model.encode_batch(np.zeros((2, side, side, 3), np.uint8))
    return []


def safetensors(file: Path) -> list[str]:
    """The description in a model file, and whether there is an export beside it."""
    from bitcodes.models.modelfile import find_model, read_info

    return _each(lambda: read_info(find_model(file)))


def stored_arrays(file: Path) -> list[str]:
    """Scores that an evaluation kept."""
    from bitcodes.tasks.evaluate import _read_record, _read_scores

    _read_scores(file, 8)
    _read_record(file)
    return []


# -- with torch ------------------------------------------------------------------------------------


def load_torch_readers() -> None:
    """Import what these readers import, before memory is limited."""
    import bitcodes.models.checkpoint
    import bitcodes.training.state  # noqa: F401


def torch_weights(file: Path) -> list[str]:
    """Weights for torch."""
    from bitcodes.models.weights import read_weights

    return _each(lambda: read_weights(file))


def checkpoint(file: Path) -> list[str]:
    """A checkpoint to train on from."""
    from bitcodes.sources.lists import ImageList
    from bitcodes.training.state import read_checkpoint

    images = ImageList(["a.png"], None, file.parent)
    return _each(lambda: read_checkpoint(file.parent, file.parent, images))


def model_file(file: Path) -> list[str]:
    """A model file, loaded into a network."""
    from bitcodes.models.checkpoint import load_model

    return _each(lambda: load_model(file, "cpu"))


READERS: dict[str, tuple[str, Reader]] = {
    "codes": ("bare/codes.npy", codes),
    "header": ("set/codes.json", codes),
    "paths": ("set/codes.paths.txt", codes),
    "labels": ("set/codes.labels.npy", codes),
    "origin": ("set/codes.origin.json", codes),
    "commit": ("set/.codes.npy.staging/commit", codes),
    "index header": ("set/codes.index/index.json", codes),
    "index rows": ("set/codes.index/rows.npy", codes),
    "json": ("data/dataset.json", json_document),
    "yaml": ("run/config.yaml", yaml_document),
    "list": ("lists/list.txt", list_file),
    "latest": ("runs/latest", latest),
    "tar": ("archives/a.tar", archive),
    "tar.gz": ("archives/a.tar.gz", archive),
    "tar.bz2": ("archives/a.tar.bz2", archive),
    "tar.xz": ("archives/a.tar.xz", archive),
    "zip": ("archives/a.zip", archive),
    "picture": ("pictures/a.png", picture),
    "weights": ("weights/w.npy", weights),
    "pth": ("weights/w.old", pth),
    "onnx": ("models/model.onnx", onnx),
    "safetensors": ("models/model.safetensors", safetensors),
    "stored arrays": ("evaluation/scores.npy", stored_arrays),
}
"""By role: the name of the file in the folder of the readers, and what reads it."""

TORCH_READERS: dict[str, tuple[str, Reader]] = {
    "torch weights": ("torch/w.pth", torch_weights),
    "torch safetensors": ("torch/w.safetensors", torch_weights),
    "checkpoint": ("run/checkpoint.pt", checkpoint),
    "model file": ("models/model.safetensors", model_file),
}
"""The same for readers that load torch."""


class Room:
    """A folder where readers find the file that they are given, and all else as it should be."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_set(_made(folder / "set"))
        for name in ("data", "run", "lists", "runs", "archives", "pictures", "models", "torch"):
            _made(folder / name)
        from hostile import picture as good
        from hostile import saved

        (folder / "lists" / "a.png").write_bytes(saved(good(), "PNG"))

    def read(self, role: str, file: Path) -> list[str]:
        """What a reader says of a file. The room is afterwards as it was before."""
        name, reader = {**READERS, **TORCH_READERS}[role]
        place = self.folder / name
        before = place.read_bytes() if place.is_file() else None
        put(file, place)
        try:
            return reader(self.folder / "set/codes.npy" if name.startswith("set/") else place)
        finally:
            place.unlink()
            if before is not None:
                place.write_bytes(before)
            elif role == "commit":
                place.parent.rmdir()


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _each(*calls: Callable[[], object]) -> list[str]:
    """What each call says, in place of what it raises."""
    return [said for call in calls for said in _said(call)]


def _said(call: Callable[[], object]) -> Iterator[str]:
    try:
        call()
    except BitcodesError as error:
        yield str(error)


def _reason(read: Callable[[Callable[[object], object]], object]) -> list[str]:
    """Why an image cannot be read; nothing where it can."""
    try:
        read(lambda image: None)
    except ImageError as error:
        return [str(error)]
    return []
