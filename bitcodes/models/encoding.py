"""Encoding batches of images with a model: read, then hash outputs and features, in order."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.errors import ConfigError
from bitcodes.machine import core_count
from bitcodes.models.encoder import Encoded, Encoder
from bitcodes.models.engines import load_encoder
from bitcodes.models.onnx import OnnxModel
from bitcodes.sources.item import Place
from bitcodes.sources.reading import (
    AnyBatch,
    Decode,
    ReadBatch,
    memory_of,
    read_apart,
    read_batch,
    read_batches,
    read_pixels,
    useful_workers,
    with_places,
)
from bitcodes.sources.workers import default_workers, in_order, start_at_once

BATCH_SIZE = 32


@dataclass(frozen=True)
class EncodedBatch:
    """A batch of images, encoded: n of them, and those that could not be read."""

    good: NDArray[np.intp]  # (n,) their positions in the batch
    outputs: NDArray[np.float32]  # (n, K)
    features: NDArray[np.float32]  # (n, D), or (n, 0) if they are not to be kept
    stat: NDArray[np.int64]  # (n, 2): bytes and modification time in ns of the files
    skipped: tuple[tuple[int, str], ...]  # position in the batch, and the reason


class Kept(NamedTuple):
    """What is kept of a batch, and how many images are computed for it at least.

    PyTorch rounds the features of an image otherwise in a batch of another size. With as many
    images in each batch, an update gives the same features as one encode of all.
    """

    features: bool
    at_least: int


def encode_images(
    model: Encoder | Path | str,
    images: Iterable[str | Path | bytes | Image.Image],
    batch_size: int = BATCH_SIZE,
    decode: Decode = "full",
) -> Encoded:
    """Encode images in memory or in files, such as queries: outputs (N, K) and features (N, D).

    `model` is a loaded model, or names one: a run, a model file, the built-in model.
    `pack_outputs(encoded.outputs)` are their codes, the same as in a code set of this model and
    `decode`. Raises ImageError for an image that cannot be read, ConfigError if `images` is one.
    """
    if isinstance(images, str | Path | bytes | Image.Image):
        raise ConfigError("images: expected several, such as a list of images; found a single one")
    model = load_encoder(model) if isinstance(model, str | Path) else model
    pixels = (read_pixels(image, model.preprocessing, decode) for image in images)
    parts = []
    while batch := list(islice(pixels, batch_size)):
        parts.append(model.encode_batch(np.stack(batch)))
    return Encoded(
        np.concatenate([_no_rows(model.bits), *(part.outputs for part in parts)]),
        np.concatenate([_no_rows(model.feature_dim), *(part.features for part in parts)]),
    )


def encode_batches(
    model: Encoder,
    batches: Iterable[AnyBatch],
    batch_size: int,
    *,
    decode: Decode = "full",
    features: bool = True,
    workers: int | None = 0,
    careful: bool = False,
) -> Iterator[tuple[AnyBatch, EncodedBatch]]:
    """Encode batches of at most `batch_size` images: each with the model's outputs, in order.

    With torch the workers read images and hand the pixels over. An exported model runs in each
    worker. Features take a hundred times the bytes of codes, so leave them out if you can.

    An image whose decoder kills the processes that read it is skipped. With 0 workers, this process
    is killed too; if it was, let the next one be `careful`: its first batch is read by another.
    """
    kept = Kept(features, 0 if isinstance(model, OnnxModel) or not features else batch_size)
    batches = iter(batches)
    first = list(islice(batches, 2))
    batches = chain(first, batches)
    is_small = workers != 0 and len(first) == 1 and len(first[0].items) > 1
    if (careful and (workers != 0 or start_at_once())) or (is_small and start_at_once()):
        for batch, places in with_places(batches):
            if places:
                yield batch, _encode_apart(model, decode, kept, places)
                break
            yield batch, _encode_places(model, decode, kept, places)
    yield from _encode_all(model, batches, batch_size, decode, kept, workers)


def _encode_all(
    model: Encoder,
    batches: Iterable[AnyBatch],
    batch_size: int,
    decode: Decode,
    kept: Kept,
    workers: int | None,
) -> Iterator[tuple[AnyBatch, EncodedBatch]]:
    if not isinstance(model, OnnxModel):
        workers = default_workers() if workers is None else workers
        reads = read_batches(batches, batch_size, model.preprocessing, decode, workers)
        return ((batch, _encode(model, read, kept)) for batch, read in reads)
    workers, batches = useful_workers(core_count() if workers is None else workers, batches)
    if workers:
        model = model.with_threads(1)
    work = partial(_encode_places, model, decode, kept)
    rescue = None
    if workers:
        # Another one, so that processes which are started later do not inherit it open.
        rescue = partial(_encode_apart, model.with_threads(1), decode, kept)
    return in_order(work, with_places(batches), workers, memory_of, rescue)


def _encode_places(
    model: Encoder, decode: Decode, kept: Kept, places: Sequence[Place]
) -> EncodedBatch:
    """What a process does that both reads and computes."""
    return _encode(model, read_batch(places, model.preprocessing, decode), kept)


def _encode_apart(
    model: Encoder, decode: Decode, kept: Kept, places: Sequence[Place]
) -> EncodedBatch:
    """`_encode_places` for a batch that may kill: other processes read it, this one computes."""
    return _encode(model, read_apart(places, model.preprocessing, decode), kept)


def _encode(model: Encoder, read: ReadBatch, kept: Kept) -> EncodedBatch:
    """What the model makes of a batch that was read."""
    count = len(read.pixels)
    if count:
        more = np.repeat(read.pixels[-1:], max(0, kept.at_least - count), axis=0)
        encoded = model.encode_batch(np.concatenate([read.pixels, more]))
    else:
        encoded = Encoded(_no_rows(model.bits), _no_rows(model.feature_dim))
    features = encoded.features if kept.features else encoded.features[:, :0]
    outputs, features = encoded.outputs[:count], features[:count]
    return EncodedBatch(read.good, outputs, features, read.stat, read.skipped)


def _no_rows(columns: int) -> NDArray[np.float32]:
    return np.empty((0, columns), np.float32)
