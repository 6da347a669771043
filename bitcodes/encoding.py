"""Encoding: a model and a source of images -> a code set, continued where it was interrupted."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.codes.codeset import CodeSet
from bitcodes.codes.pack import pack_outputs
from bitcodes.codes.writer import CodeSetWriter, finish_commit
from bitcodes.config import MODEL_FILE
from bitcodes.data.lists import ImageList, shown, single_labels
from bitcodes.data.reading import file_stat, read_batches, read_pixels, worker_errors
from bitcodes.data.sources import open_source
from bitcodes.errors import CodeSetError, DataError
from bitcodes.models.checkpoint import fingerprint
from bitcodes.models.hashing import Encoded, HashModel

# How codes are made; kept in the header, so that codes made otherwise do not mix with these.
ENGINE = "torch"
DTYPE = "float32"
DECODE = "full"


@dataclass(frozen=True)
class EncodedBatch:
    """What the model made of one batch of a source: n images, and those that could not be read."""

    positions: NDArray[np.int64]  # (n,) in the source
    outputs: NDArray[np.float32]  # (n, K)
    features: NDArray[np.float32]  # (n, D)
    stat: NDArray[np.int64]  # (n, 2): bytes and modification time in ns of the files
    skipped: tuple[tuple[int, str], ...]  # position in the source and reason

    @property
    def size(self) -> int:
        """How many items of the source this batch deals with."""
        return len(self.positions) + len(self.skipped)


def encode(
    model: HashModel,
    source: ImageList | str | Path | Sequence[str | Path],
    out: str | Path = "codes.npy",
    *,
    features: bool = False,
    batch_size: int = 64,
    workers: int | None = 0,
    strict: bool = False,
    force: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    log: Callable[[str], None] | None = None,
) -> CodeSet:
    """Encode images into the code set `out`, and return it.

    `source` is an ImageList, or what names one: folders, list files, images. Batches follow its
    order, and the codes depend on neither `batch_size` nor `workers`, the processes that read
    images (None: by the number of cores; 0: this one). `features` adds the features sidecar.

    Images that cannot be read are skipped and listed with the reason in `<out>.skipped.txt`; with
    `strict` they raise DataError. If interrupted, even killed, the same call continues. A set that
    is up to date (same model, same files) is returned as it is; any other that exists is an error
    that says what differs, unless `force` allows to replace it. `log` gets a line on either.
    """
    out = Path(out)
    images = source if isinstance(source, ImageList) else open_source(_arguments(source))
    log = log or _silent
    wanted = _Wanted.of(model, images, features)

    finish_commit(out)
    existing = _existing(out, force)
    if existing is not None:
        differences = wanted.differences(existing)
        if not differences:
            log(f"{out} is up to date: the same model and the same {len(images):,} images")
            _check_strict(existing.skipped, strict)
            return existing
        if not force:
            raise CodeSetError(
                f"{out} exists already and is not what this would make: "
                + "; ".join(differences)
                + ". Write to another file with -o, or replace it with --force (force=True)"
            )
    with _writer(out, wanted, force) as writer:
        if writer.dropped:
            log(f"starting over: images or settings changed since {writer.dropped:,} were encoded")
        elif writer.position:
            log(f"continuing after {writer.position:,} of {len(images):,} images")
        _encode_rest(writer, wanted, batch_size, workers, strict, progress)
        return writer.commit()


def encode_images(
    model: HashModel, images: Iterable[str | Path | bytes | Image.Image], batch_size: int = 64
) -> Encoded:
    """Encode images in memory or in files, such as queries: outputs (N, K) and features (N, D).

    `pack_outputs(encoded.outputs)` are their codes, the same as in a code set of this model.
    Raises ImageError for an image that cannot be read.
    """
    pixels = (read_pixels(image, model.preprocessing) for image in images)
    parts = []
    while batch := list(islice(pixels, batch_size)):
        parts.append(model.encode_batch(np.stack(batch)))
    return Encoded(
        np.concatenate([_no_rows(model.bits), *(part.outputs for part in parts)]),
        np.concatenate([_no_rows(model.feature_dim), *(part.features for part in parts)]),
    )


def encode_batches(
    model: HashModel,
    source: ImageList,
    *,
    start: int = 0,
    batch_size: int = 64,
    workers: int | None = 0,
) -> Iterator[EncodedBatch]:
    """Encode a source from position `start` on, batch by batch, in its order."""
    with worker_errors():
        for batch in read_batches(source, model.preprocessing, start, batch_size, workers):
            outputs, features = _no_rows(model.bits), _no_rows(model.feature_dim)
            if len(batch.positions):
                encoded = model.encode_batch(batch.pixels)
                outputs, features = encoded.outputs, encoded.features
            yield EncodedBatch(batch.positions, outputs, features, batch.stat, batch.skipped)


# -- one code set ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Wanted:
    """The code set that a call of `encode` is to leave."""

    model: HashModel
    images: ImageList
    root: Path  # of the images, without links resolved
    features: bool
    fingerprint: str
    stat: NDArray[np.int64]  # (N, 2) of all images, at the beginning
    digest: str  # of the images: paths, labels, class names, sizes and times

    @classmethod
    def of(cls, model: HashModel, images: ImageList, features: bool) -> "_Wanted":
        stat = np.array(
            [file_stat(images.absolute_path(i)) for i in range(len(images))], np.int64
        ).reshape(-1, 2)
        return cls(
            model,
            images,
            _absolute(images.root),
            features,
            fingerprint(model),
            stat,
            _digest(images, stat),
        )

    def differences(self, existing: CodeSet) -> list[str]:
        """What keeps an existing set from being up to date, in words."""
        header = existing.header
        if existing.is_bare:
            return ["it has no header that says what it was made of"]
        found = []
        if header.fingerprint != self.fingerprint:
            found.append(
                f"it is of model {header.fingerprint} ({header.run or 'of an unknown run'}), this "
                f"model is {self.fingerprint}"
            )
        made = (header.engine, header.dtype, header.decode)
        if made != (ENGINE, DTYPE, DECODE):
            found.append(f"it was encoded with {made}, this would be {(ENGINE, DTYPE, DECODE)}")
        if self.features and existing.features is None:
            found.append("it has no features")
        if existing.root != self.root:
            found.append(f"its images lie in {existing.root}, these in {self.root}")
        if header.source != self.digest:
            found.append(self._changes(existing))
        return found

    def _changes(self, existing: CodeSet) -> str:
        """How the images differ from those of a set: new, changed, gone."""
        skipped = {path for path, _ in existing.skipped}
        stat = existing.stat if existing.stat is not None else np.empty((0, 2), np.int64)
        before = dict(zip(existing.paths, map(tuple, stat.tolist()), strict=False))
        now = dict(zip(self.images.paths, map(tuple, self.stat.tolist()), strict=True))
        counts = {
            "new": len(now.keys() - before.keys() - skipped),
            "changed": sum(now[path] != before[path] for path in now.keys() & before.keys()),
            "gone": len((before.keys() | skipped) - now.keys()),
        }
        listed = ", ".join(f"{number:,} {word}" for word, number in counts.items() if number)
        if listed:
            return f"of its images, compared with these, {listed}"
        return "its list had another order, other labels, or images that could not be read then"


def _writer(out: Path, wanted: _Wanted, force: bool) -> CodeSetWriter:
    model, images = wanted.model, wanted.images
    columns = ["stat"]
    if images.labels is not None:
        columns.append("labels")
    if wanted.features:
        columns.append("features")
    file = model.path
    run = file.parent if file is not None and file.name == MODEL_FILE else file
    return CodeSetWriter(
        out,
        bits=model.bits,
        columns=tuple(columns),
        root=wanted.root,
        class_names=images.class_names,
        fingerprint=wanted.fingerprint,
        backbone=model.backbone_name,
        run=run,
        engine=ENGINE,
        dtype=DTYPE,
        decode=DECODE,
        source=wanted.digest,
        force=force,
    )


def _encode_rest(
    writer: CodeSetWriter,
    wanted: _Wanted,
    batch_size: int,
    workers: int | None,
    strict: bool,
    progress: Callable[[int, int | None], None] | None,
) -> None:
    """Stage what is not staged yet."""
    model, images = wanted.model, wanted.images
    labels: NDArray[np.uint8] | NDArray[np.int32] | None = images.labels  # (N, C)
    if images.labels is not None and (classes := single_labels(images.labels)) is not None:
        labels = classes  # (N,)
    done = writer.position
    if strict and writer.skipped:
        raise DataError(
            f"{writer.skipped:,} of the images encoded before cannot be read; repair them or take "
            "them out, or let them be skipped, without --strict (strict=False)"
        )
    reason = ""
    batches = encode_batches(model, images, start=done, batch_size=batch_size, workers=workers)
    if progress is not None:
        progress(done, len(images))
    for batch in batches:
        for position, reason in batch.skipped:
            _check_strict([(images.paths[position], reason)], strict)
            writer.skip(images.paths[position], reason)
        if len(batch.positions):
            writer.append(
                pack_outputs(batch.outputs),
                [images.paths[position] for position in batch.positions],
                labels=None if labels is None else labels[batch.positions],
                features=batch.features if wanted.features else None,
                stat=batch.stat,
            )
        done += batch.size
        if progress is not None:
            progress(done, len(images))
    if writer.done == 0:
        raise DataError(
            f"none of the {len(images):,} images could be read; the last one, "
            f"{shown(images.paths[-1])}: {reason}"
        )


def _existing(out: Path, force: bool) -> CodeSet | None:
    """The set that is there; a damaged one counts as none when it may be replaced."""
    if not os.path.lexists(out):
        return None
    try:
        return CodeSet.open(out)
    except CodeSetError:
        if force:
            return None
        raise


def _check_strict(skipped: Sequence[tuple[str, str]], strict: bool) -> None:
    if strict and skipped:
        path, reason = skipped[0]
        more = f" (and {len(skipped) - 1:,} more)" if len(skipped) > 1 else ""
        raise DataError(
            f"{shown(path)} cannot be read: {reason}{more}; repair it or take it out, or let it be "
            "skipped, without --strict (strict=False)"
        )


def _digest(images: ImageList, stat: NDArray[np.int64]) -> str:
    """SHA-256, in hex, of all that decides the rows of a set but the model."""
    digest = hashlib.sha256()
    for text in (*images.class_names, "", *images.paths):
        digest.update(text.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(np.ascontiguousarray(stat, "<i8").tobytes())
    if images.labels is not None:
        digest.update(np.ascontiguousarray(images.labels).tobytes())
    return digest.hexdigest()


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links


def _arguments(source: str | Path | Sequence[str | Path]) -> list[str]:
    several = [source] if isinstance(source, str | Path) else source
    return [str(item) for item in several]


def _no_rows(columns: int) -> NDArray[np.float32]:
    return np.empty((0, columns), np.float32)


def _silent(line: str) -> None:
    pass
