"""Encoding batches of images with a model: read, then hash outputs and features, in order."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.machine import core_count
from bitcodes.models.encoder import Encoded, Encoder
from bitcodes.models.onnx import OnnxModel
from bitcodes.sources.cluster import in_order_on_ray
from bitcodes.sources.item import Item, Place
from bitcodes.sources.reading import (
    Decode,
    ReadBatch,
    read_batch,
    read_batches,
    read_pixels,
    several,
    work_batches,
)
from bitcodes.sources.workers import default_workers, in_order

BATCH_SIZE = 32


@dataclass(frozen=True)
class EncodedBatch:
    """What the model made of one batch of items: n images, and those that could not be read."""

    items: tuple[Item, ...]
    good: NDArray[np.intp]  # (n,) which of the items these are
    outputs: NDArray[np.float32]  # (n, K)
    features: NDArray[np.float32]  # (n, D), or (n, 0) where not asked for
    stat: NDArray[np.int64]  # (n, 2): bytes and modification time in ns of the files
    skipped: tuple[tuple[int, str], ...]  # which of the items, and the reason


def encode_images(
    model: Encoder,
    images: Iterable[str | Path | bytes | Image.Image],
    batch_size: int = BATCH_SIZE,
    decode: Decode = "full",
) -> Encoded:
    """Encode images in memory or in files, such as queries: outputs (N, K) and features (N, D).

    `pack_outputs(encoded.outputs)` are their codes, the same as in a code set of this model and
    `decode`. Raises ImageError for an image that cannot be read.
    """
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
    batches: Iterable[tuple[Item, ...]],
    *,
    decode: Decode = "full",
    features: bool = True,
    batch_size: int = BATCH_SIZE,
    workers: int | None = 0,
    ray: str | None = None,
) -> Iterator[EncodedBatch]:
    """Encode batches of at most `batch_size` items, in their order.

    With torch the workers read, and hand the pixels over; an exported model runs in each worker,
    and either in each process of a cluster, if `ray` is its address ("": one on this machine).
    Without `features` there may be none, (n, 0): they are a hundred times as large as codes.
    """
    if ray is not None:
        address = ray
        one = model.with_threads(1) if isinstance(model, OnnxModel) else model
        alone = _Whole(one, decode, features)
        done = work_batches(
            batches, lambda tasks: in_order_on_ray(_encode_places, alone, tasks, address)
        )
    elif isinstance(model, OnnxModel):
        done = _encode_in_workers(
            model, batches, decode, features, core_count() if workers is None else workers
        )
    else:
        processes = default_workers() if workers is None else workers
        read_ahead = read_batches(batches, model.preprocessing, decode, batch_size, processes)
        done = ((items, _encoded(model, read)) for items, read in read_ahead)
    for items, batch in done:
        yield replace(batch, items=items)


@dataclass(frozen=True)
class _Whole:
    """All that a worker needs which does the whole of the work."""

    model: Encoder
    decode: Decode
    features: bool


def _encode_places(whole: _Whole, places: Sequence[Place]) -> EncodedBatch:
    batch = _encoded(whole.model, read_batch(places, whole.model.preprocessing, whole.decode))
    return batch if whole.features else replace(batch, features=batch.features[:, :0])


def _encode_in_workers(
    model: OnnxModel,
    batches: Iterable[tuple[Item, ...]],
    decode: Decode,
    features: bool,
    workers: int,
) -> Iterator[tuple[tuple[Item, ...], EncodedBatch]]:
    here = os.getpid()
    whole = _Whole(model, decode, features)
    alone = replace(whole, model=model.with_threads(1))  # a worker a core

    def work(places: Sequence[Place]) -> EncodedBatch:
        return _encode_places(whole if os.getpid() == here else alone, places)

    more, batches = several(batches)
    return work_batches(batches, lambda tasks: in_order(work, tasks, workers if more else 0))


def _encoded(model: Encoder, read: ReadBatch) -> EncodedBatch:
    """What the model makes of a batch that was read; its items are left to be put in."""
    if len(read.pixels):
        made = model.encode_batch(read.pixels)
    else:
        made = Encoded(_no_rows(model.bits), _no_rows(model.feature_dim))
    return EncodedBatch((), read.good, made.outputs, made.features, read.stat, read.skipped)


def _no_rows(columns: int) -> NDArray[np.float32]:
    return np.empty((0, columns), np.float32)
