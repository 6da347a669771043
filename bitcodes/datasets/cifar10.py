"""CIFAR-10 as a data folder, from any form that people have it in.

Krizhevsky 2009, https://www.cs.toronto.edu/~kriz/cifar.html: 60,000 pictures of 32 x 32 pixels in
ten classes, 5,000 a class to train and 1,000 a class to test.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image

from bitcodes.choices import Protocol
from bitcodes.datasets.archives import members
from bitcodes.datasets.dataset import LIST_NAMES
from bitcodes.datasets.prepared import (
    Prepared,
    Progress,
    check_disjoint,
    check_settings,
    staged_folder,
    write_dataset,
    write_description,
)
from bitcodes.datasets.splits import hash_order
from bitcodes.errors import DataError
from bitcodes.images.decode import IMAGE_SUFFIXES
from bitcodes.sources.description import DATASET_FILE, read_description
from bitcodes.sources.lists import ImageList, parse_list, single_labels, write_list
from bitcodes.sources.paths import quote_path
from bitcodes.unpickle import Expected, RefusedPickle, unpickle

CLASSES = tuple("airplane automobile bird cat deer dog frog horse ship truck".split())  # noqa: SIM905
PER_CLASS = {"train": 5000, "test": 1000}
LOW_DATA = {"train": 500, "test": 100}

UNSEEN_SPLITS = (1, 2, 3)

_BATCHES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
_PICKLED = Expected(
    [f"{kind}{size}" for kind in "uif" for size in (1, 2, 4, 8)], "numbers", longest=10_000
)


def prepare_cifar10(
    out: Path,
    source: Path | None = None,
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
    "unseen" trains on 500 images of each of seven classes, queries with the test images of the
    other three and searches their training images: Sablayrolles et al., ICASSP 2017,
    https://arxiv.org/abs/1609.06753. `split`, 1 (the default), 2 or 3, says which three; no class
    is unseen in two splits.
    Raises DataError for a source that is damaged, incomplete or not CIFAR-10.
    """
    if protocol is not None and protocol not in get_args(Protocol):
        raise DataError(f"expected a protocol of {get_args(Protocol)}, found {protocol!r}")
    if split is not None and (protocol != "unseen" or split not in UNSEEN_SPLITS):
        raise DataError(
            f"expected a split of {UNSEEN_SPLITS} and the protocol 'unseen', found split {split} "
            f"and protocol {protocol!r}"
        )
    in_place = source is not None and out.is_dir() and source.resolve() == out.resolve()
    settings = {"name": "cifar10", "protocol": protocol, "seed": seed, "split": split}
    ready = None
    if read_description(out) is not None or not in_place:
        advice = f"for another division: bitcodes prepare cifar10 OTHER_FOLDER --source {out} ..."
        ready = check_settings(out, settings, advice)
    if ready is not None:
        return ready
    if source is not None and in_place:
        content = _gather(source, None, progress)
        return Prepared(out, _write_lists(out, content, protocol, seed or 0, split), "new")
    with staged_folder(out) as folder:
        content = _gather(source or download(out.absolute().parent), folder, progress)
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


@dataclass(frozen=True)
class _Batch:
    """A file of the official archive: pixels uint8 (N, 32, 32, 3) and class numbers."""

    pixels: npt.NDArray[np.uint8]
    labels: list[int]


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
    list_keys = {name: key for key, name in LIST_NAMES.items()}
    total = sum(PER_CLASS.values()) * len(CLASSES)
    for member in members(source):
        parts = member.path.parts
        if parts[-1] in _BATCHES:
            batches[parts[-1]] = _read_batch(member.read(), f"{source}: {member.path}")
        elif parts[-1] in list_keys:
            content.lists[list_keys[parts[-1]]] = member.read()
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
                _write_new(folder / path, member.read(), f"{source}: {member.path}")
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
        unseen = unseen_classes(settings["split"])
    pools = _pools(folder, content)
    items: dict[str, list[tuple[str, int]]] = {key: [] for key in LIST_NAMES}
    for label, (name, pool) in enumerate(zip(CLASSES, pools, strict=True)):
        # The unseen classes are queried and searched as in the full protocol.
        division = _choose(pool, name, "full" if name in unseen else settings["protocol"], seed)
        if name in unseen:
            division["train"] = []
        for key, paths in division.items():
            items[key] += [(path, label) for path in paths]
    return write_dataset(folder, items, CLASSES, settings)


def unseen_classes(split: int) -> list[str]:
    """The three classes that split 1, 2 or 3 of the protocol "unseen" does not train on."""
    order = hash_order(0, "unseen classes", CLASSES)
    return [CLASSES[i] for i in order[3 * split - 3 : 3 * split]]


def _choose(
    pool: Mapping[str, list[str]], name: str, protocol: object, seed: int
) -> dict[str, list[str]]:
    """Divide the images of one class, in halves train and test, among the lists."""
    if protocol == "full":
        return {"train": pool["train"], "test": pool["test"], "database": pool["train"]}
    if protocol == "unseen":
        first = hash_order(seed, name, [str(index) for index in range(len(pool["train"]))])
        rows = sorted(first[: LOW_DATA["train"]])
        return {"train": [pool["train"][i] for i in rows], "test": [], "database": []}
    paths = [*pool["train"], *pool["test"]]
    order = hash_order(seed, name, [str(index) for index in range(len(paths))])
    queries, rest = order[: LOW_DATA["test"]], order[LOW_DATA["test"] :]
    train, others = rest[: LOW_DATA["train"]], rest[LOW_DATA["train"] :]
    division = {"train": train, "test": queries, "database": others}
    if protocol == "low-data":
        division["database"] = rest
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
                    f"{content.source}: expected {number:,} images of the class {name} in "
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
    for key, images in _own_lists(folder, content).items():
        classes = None if images.labels is None else single_labels(images.labels)
        if classes is None or images.labels is None or images.labels.shape[1] != len(CLASSES):
            raise DataError(
                f"{content.source}: expected one-hot labels of {len(CLASSES)} classes in "
                f"{LIST_NAMES[key]}"
            )
        labels.update(zip(images.paths, classes.tolist(), strict=True))
    if unlisted := set(content.images) - set(labels):
        raise DataError(
            f"{content.source}: {len(unlisted):,} images are in no list and so without a class "
            f"(such as {min(unlisted)})"
        )
    return sorted(labels.items())


def _keep_lists(folder: Path, content: _Content, seed: int) -> dict[str, Any]:
    """Write the lists that the source has, with paths that fit the new folder."""
    lists = _own_lists(folder, content)
    description = json.loads(content.description or "{}")
    settings = {
        "name": "cifar10",
        "protocol": description.get("protocol", "own lists"),
        "seed": description.get("seed", seed),
    }
    if "split" in description:
        settings["split"] = description["split"]
    paths = {key: images.paths for key, images in lists.items()}
    check_disjoint(folder, paths)
    for key, images in lists.items():
        write_list(folder / LIST_NAMES[key], images.paths, images.labels)
    return write_description(folder, paths, description.get("class_names", CLASSES), settings)


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
                f"{name}: {len(missing):,} of {len(paths):,} images are not in the source "
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
        pixels = np.asarray(batch["data"])
        labels = np.asarray(batch["labels"])
    except RefusedPickle as refused:
        raise DataError(f"refused {where}: not a batch of CIFAR-10 (it holds {refused})") from None
    except Exception as error:  # a damaged pickle raises nearly everything
        raise DataError(f"refused {where}: not a batch of CIFAR-10 ({error})") from error
    shape = (len(labels), 3 * 32 * 32)
    if pixels.dtype != np.uint8 or pixels.shape != shape or labels.dtype.kind not in "iu":
        raise DataError(
            f"{where}: expected uint8 pixels of shape {shape} and numbers as labels, "
            f"found {pixels.dtype} {pixels.shape} and {labels.dtype}"
        )
    if ((labels < 0) | (labels >= len(CLASSES))).any():
        raise DataError(f"{where}: expected labels from 0 to 9, found {labels.max()}")
    return _Batch(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels.tolist())


def _write_batches(
    batches: Mapping[str, _Batch], folder: Path, source: Path, progress: Progress | None
) -> list[str]:
    """Write the pixels of the official batches as PNG, train/<class>/0000.png and so on."""
    if missing := [name for name in _BATCHES if name not in batches]:
        raise DataError(f"{source}: incomplete, it lacks {', '.join(missing)}")
    total = sum(len(batch.labels) for batch in batches.values())
    numbers: Counter[str] = Counter()
    paths = []
    for name in _BATCHES:
        split = "test" if name == "test_batch" else "train"
        for pixels, label in zip(batches[name].pixels, batches[name].labels, strict=True):
            parent = f"{split}/{CLASSES[label]}"
            (folder / parent).mkdir(parents=True, exist_ok=True)
            paths.append(f"{parent}/{numbers[parent]:04}.png")
            numbers[parent] += 1
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / paths[-1])
            if progress is not None:
                progress(len(paths), total)
    return paths
