"""CIFAR-10 as a data folder, from any form that people have it in.

Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html: 60,000 pictures of 32 x 32 pixels in
ten classes, 5,000 a class to train and 1,000 a class to test.
"""

import errno
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from bitcodes.callbacks import Progress
from bitcodes.choices import Protocol
from bitcodes.datasets.archives import members
from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.datasets.prepared import (
    Prepared,
    check_settings,
    staged_folder,
    write_dataset,
    write_lists,
)
from bitcodes.datasets.splits import hash_order
from bitcodes.documents import parse_json
from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.description import DATASET_FILE, TRAIN_NAMES, UNSEEN, read_description
from bitcodes.sources.lists import ImageList, parse_list, single_labels
from bitcodes.sources.paths import quote_path
from bitcodes.unpickle import Expected, RefusedPickle, unpickle
from bitcodes.wording import command, counted, either, shortened

CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())  # noqa: SIM905
PER_CLASS = {"train": 5000, "test": 1000}
LOW_DATA = {"train": 500, "test": 100}
VEHICLES = ("airplane", "automobile", "ship", "truck")

UNSEEN_SPLITS = (1, 2, 3)

_Batch = tuple[npt.NDArray[np.uint8], list[int]]
"""A file of the official archive: pixels (N, 32, 32, 3) and class numbers."""
_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_PICKLED = Expected(
    [f"{kind}{size}" for kind in "uif" for size in (1, 2, 4, 8)], "numbers", longest=10_000
)


def prepare_cifar10(
    out: Path | str,
    source: Path | str | None = None,
    protocol: Protocol | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    split: int | None = None,
) -> Prepared:
    """Prepare CIFAR-10 in the data folder `out`: images, train.txt, test.txt, database.txt.

    source: None downloads the official archive into the parent of `out`. Otherwise that archive, or
    a folder, .tar or .zip with train/<class>/ and test/<class>/, or with train/, test/ and the
    three lists.
    protocol: "full" (the default) trains on the 50,000 training images and searches them; the
    10,000 test images are the queries. "low-data" takes 100 of the 6,000 images per class as
    queries, trains on 500 and searches all but the queries, 59,000; "low-data-54k" leaves the
    training images out of the database. SHA-256 of seed, class and index decides which ones. None
    keeps the lists of a source that has lists.
    "coarse" is "full", but trains on two classes, animals and vehicles.
    "unseen" trains on 500 images of each of seven classes; queries and database are those of
    "full", and "unseen_classes" in dataset.json names the other three classes: Sablayrolles et al.,
    ICASSP 2017, https://arxiv.org/abs/1609.06753. `split`, 1 (the default), 2 or 3, says which
    three; no class is unseen in two splits.
    Raises DataError for a source that is damaged, incomplete or not CIFAR-10.
    """
    out, source = Path(out), None if source is None else Path(source)
    if protocol is not None and protocol not in get_args(Protocol):
        raise DataError(f"expected the protocol {either(get_args(Protocol))}; found {protocol!r}")
    if split is not None and (protocol != "unseen" or split not in UNSEEN_SPLITS):
        raise DataError(
            f"expected a split of {either(UNSEEN_SPLITS)} with the protocol unseen; found split "
            f"{split} with the protocol {protocol or 'full'}"
        )
    in_place = source is not None and out.is_dir() and source.resolve() == out.resolve()
    if not in_place or read_description(out) is not None:
        settings = {"name": "cifar10", "protocol": protocol, "seed": seed, "split": split}
        other = command("prepare", "cifar10", "OTHER_FOLDER", "--source", out)
        advice = f"for another division: {other} ..."
        if ready := check_settings(out, settings, advice):
            return ready
    with nullcontext(out) if in_place else staged_folder(out) as folder:
        source = source or download(out.absolute().parent)
        content = _gather(source, None if in_place else folder, progress)
        description = _write_lists(folder, content, protocol, seed or 0, split)
    return Prepared(out, description, "new")


def download(folder: Path) -> Path:
    """The official archive in `folder`, its MD5 checked; torchvision downloads it if necessary."""
    from torchvision.datasets import CIFAR10  # heavy, and seldom needed
    from torchvision.datasets.utils import download_url

    try:
        download_url(CIFAR10.url, folder, CIFAR10.filename, CIFAR10.tgz_md5)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"cannot download {CIFAR10.url}: {error}. Fetch it with another tool and pass "
            f"--source {CIFAR10.filename}, or a copy of CIFAR-10 in another form"
        ) from error
    return folder / str(CIFAR10.filename)


@dataclass
class _Content:
    """The content of a source: images by their new paths, and its own lists."""

    source: Path
    images: list[str] = field(default_factory=list)  # train/... and test/...
    lists: dict[str, bytes] = field(default_factory=dict)  # by the keys of LIST_NAMES
    description: bytes | None = None


def _gather(source: Path, folder: Path | None, progress: Progress | None) -> _Content:
    """Read a source and copy its images into `folder` (None: they stay where they are)."""
    content = _Content(source)
    batches: dict[str, _Batch] = {}
    prefix: tuple[str, ...] | None = None
    total = sum(PER_CLASS.values()) * len(CLASSES)
    for member in members(source):
        parts, where = member.path.parts, f"{source}: {member.path}"
        if not parts:
            continue  # its name is that of the archive itself, or none
        if parts[-1] in _BATCHES:
            batches[parts[-1]] = _read_batch(member.read(), where)
        elif parts[-1] in LIST_NAMES.values():
            content.lists[member.path.stem] = member.read()
        elif parts[-1] == DATASET_FILE:
            content.description = member.read()
        elif (start := _start(member.path)) is not None:
            if prefix not in (None, parts[:start]):
                raise DataError(
                    f"{source}: expected one folder with train/ and test/, found "
                    f"{'/'.join(prefix or ()) or '.'} and {'/'.join(parts[:start]) or '.'}"
                )
            prefix = parts[:start]
            path = "/".join(parts[start:])
            if folder is not None:
                _write_new(folder / path, member.read(), where)
            content.images.append(path)
            if progress is not None:
                progress(len(content.images), total)
    if batches and folder is not None and not content.images:
        content.images = _write_batches(batches, folder, source, progress)
    if not content.images:
        raise DataError(
            f"{source}: expected cifar-10-python.tar.gz or images in train/<class>/ and "
            "test/<class>/, found neither"
        )
    content.images.sort()
    return content


def _start(path: PurePosixPath) -> int | None:
    """The position of train/ or test/ in a path to an image; None for other files."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return None
    folders = path.parts[:-1]
    return next((i for i in range(len(folders)) if folders[i] in PER_CLASS), None)


def _write_new(file: Path, content: bytes, where: str) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("xb") as out:
            out.write(content)
    except FileExistsError:
        raise DataError(f"{where} occurs twice") from None
    except (NotADirectoryError, ValueError) as error:
        raise DataError(f"{where} cannot be written: {error}") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise DataError(
            f"{shortened(where, 200)} cannot be written: its name is too long"
        ) from None


def _write_lists(
    folder: Path, content: _Content, protocol: Protocol | None, seed: int, split: int | None
) -> dict[str, Any]:
    """Write the lists of a protocol; None keeps the source's own lists, if it has them."""
    if protocol is None and len(content.lists) == len(LIST_NAMES):
        return _keep_lists(folder, content, seed)
    settings: dict[str, Any] = {"name": "cifar10", "protocol": protocol or "full", "seed": seed}
    unseen: list[str] = []
    if protocol == "unseen":
        settings["split"] = split or 1
        settings[UNSEEN] = unseen = unseen_classes(settings["split"])
    divisions = {
        name: _choose(pool, name, settings["protocol"], seed)
        for name, pool in zip(CLASSES, _pools(folder, content), strict=True)
    }
    for name in unseen:
        divisions[name]["train"] = []
    coarse = ["vehicle" if name in VEHICLES else "animal" for name in CLASSES]
    return write_dataset(folder, divisions, settings, coarse if protocol == "coarse" else None)


def unseen_classes(split: int) -> list[str]:
    """The three classes that split 1, 2 or 3 of the protocol "unseen" does not train on."""
    order = hash_order(0, "unseen classes", CLASSES)
    return [CLASSES[i] for i in order[3 * split - 3 : 3 * split]]


def _choose(
    pool: Mapping[str, list[str]], name: str, protocol: str, seed: int
) -> dict[str, list[str]]:
    """Divide the images of one class, in halves train and test, among the lists."""
    full = {"train": pool["train"], "test": pool["test"], "database": pool["train"]}
    if protocol in ("full", "coarse"):
        return full
    paths = pool["train"] if protocol == "unseen" else [*pool["train"], *pool["test"]]
    order = hash_order(seed, name, [str(index) for index in range(len(paths))])
    if protocol == "unseen":
        return {**full, "train": [paths[i] for i in sorted(order[: LOW_DATA["train"]])]}
    queries = LOW_DATA["test"]
    others = queries + LOW_DATA["train"]
    database = {"low-data": order[queries:], "low-data-54k": order[others:]}.get(protocol, [])
    division = {"train": order[queries:others], "test": order[:queries], "database": database}
    return {key: [paths[i] for i in sorted(indices)] for key, indices in division.items()}


def _pools(folder: Path, content: _Content) -> list[dict[str, list[str]]]:
    """The images of each class, in train and test; complete, or DataError."""
    pools: list[dict[str, list[str]]] = [{"train": [], "test": []} for _ in CLASSES]
    for path, label in _labelled(folder, content):
        pools[label][path.split("/", 1)[0]].append(path)
    for pool, name in zip(pools, CLASSES, strict=True):
        for split, number in PER_CLASS.items():
            if len(pool[split]) != number:
                raise DataError(
                    f"{content.source}: expected {counted(number, 'image')} of the class {name} in "
                    f"{split}/, found {len(pool[split]):,}"
                )
    return pools


def _labelled(folder: Path, content: _Content) -> Iterable[tuple[str, int]]:
    """Every image with its class number: from its class folder, else from the lists."""
    names = {path.split("/")[1] for path in content.images if path.count("/") == 2}
    if names == set(CLASSES):
        return [(path, CLASSES.index(path.split("/")[1])) for path in content.images]
    if names or not content.lists:
        raise DataError(
            f"{content.source}: expected the class folders {', '.join(CLASSES)} in train/ and "
            f"test/, found {', '.join(sorted(names)[:20]) or 'none'}; for other images there is "
            "`bitcodes prepare folder`"
        )
    labels: dict[str, int] = {}
    lists = _own_lists(folder, content)
    if TRAIN_NAMES in _description(content):
        del lists["train"]  # its labels are other classes
    for key, images in lists.items():
        one_hot = images.labels
        classes = None if one_hot is None else single_labels(one_hot)
        if classes is None or one_hot is None or one_hot.shape[1] != len(CLASSES):
            raise DataError(
                f"{content.source}: expected one-hot labels of {len(CLASSES)} classes in "
                f"{LIST_NAMES[key]}"
            )
        labels.update(zip(images.paths, classes.tolist(), strict=True))
    if unlisted := set(content.images) - set(labels):
        raise DataError(
            f"{content.source}: {counted(len(unlisted), 'image')} in no list and so without a "
            f"class (such as {min(unlisted)})"
        )
    return sorted(labels.items())


def _keep_lists(folder: Path, content: _Content, seed: int) -> dict[str, Any]:
    """Write the lists that the source has, with paths that fit the new folder."""
    own = _own_lists(folder, content).items()
    lists = {key: (images.paths, images.labels) for key, images in own}
    settings = {"name": "cifar10", "protocol": "own lists", "seed": seed}
    description = _description(content)
    kept = {
        key: description[key]
        for key in ("protocol", "seed", "split", TRAIN_NAMES, UNSEEN)
        if key in description
    }
    return write_lists(folder, lists, description.get("class_names", CLASSES), settings | kept)


def _description(content: _Content) -> dict[str, Any]:
    """What the dataset.json of a source says; nothing if it has none."""
    described = f"{content.source}/{DATASET_FILE}"
    description = parse_json(content.description or b"{}", Path(described), DataError)
    if not isinstance(description, dict):
        raise DataError(f"{described}: expected an object with names and values")
    return description


def _own_lists(folder: Path, content: _Content) -> dict[str, ImageList]:
    """The lists that the source has; their images are matched by the ends of their paths."""
    known = set(content.images)
    lists = {}
    for key, text in content.lists.items():
        name = f"{content.source}: {LIST_NAMES[key]}"
        images = parse_list(text, name, folder)
        paths = [_same_end(path, known) for path in images.paths]
        missing = [old for old, new in zip(images.paths, paths, strict=True) if new is None]
        if missing:
            raise DataError(
                f"{name}: not in the source: {len(missing):,} of {counted(len(paths), 'image')} "
                f"(such as {quote_path(missing[0])})"
            )
        lists[key] = replace(images, paths=[path for path in paths if path is not None])
    return lists


def _same_end(path: str, known: set[str]) -> str | None:
    parts = PurePosixPath(path.replace("\\", "/")).parts
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if end in known), None)


def _read_batch(content: bytes, where: str) -> _Batch:
    try:
        batch = unpickle(content, _PICKLED)
        pixels, labels = np.asarray(batch["data"]), np.asarray(batch["labels"])
    except Exception as error:  # a damaged pickle raises nearly everything
        reason = f"it holds {error}" if isinstance(error, RefusedPickle) else error
        raise DataError(f"refused {where}: not a batch of CIFAR-10 ({reason})") from error
    shape = (len(labels), 3 * 32 * 32)
    if pixels.dtype != np.uint8 or pixels.shape != shape or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected uint8 pixels of shape {shape} and numbers as labels, "
            f"found {pixels.dtype} {pixels.shape} and {labels.dtype}"
        )
    if ((labels < 0) | (labels >= len(CLASSES))).any():
        raise DataError(f"{where}: expected labels from 0 to 9, found {labels.max()}")
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.tolist()


def _write_batches(
    batches: Mapping[str, _Batch], folder: Path, source: Path, progress: Progress | None
) -> list[str]:
    """Write the pixels of the official batches as PNG, train/<class>/0000.png and so on."""
    if missing := [name for name in _BATCHES if name not in batches]:
        raise DataError(f"{source}: incomplete, it lacks {', '.join(missing)}")
    total = sum(len(labels) for _, labels in batches.values())
    numbers: Counter[str] = Counter()
    paths = []
    for name in _BATCHES:
        split = "test" if name == "test_batch" else "train"
        for pixels, label in zip(*batches[name], strict=True):
            parent = f"{split}/{CLASSES[label]}"
            (folder / parent).mkdir(parents=True, exist_ok=True)
            paths.append(f"{parent}/{numbers[parent]:04}.png")
            numbers[parent] += 1
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / paths[-1])
            if progress is not None:
                progress(len(paths), total)
    return paths
