"""Reading the images of a source, in order and in batches, in worker processes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BufferedReader
from itertools import chain, cycle, islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image, open_reduced, to_upright_rgb
from bitcodes.images.reasons import image_errors
from bitcodes.images.transforms import Preprocessing
from bitcodes.sources.extent import Deflated
from bitcodes.sources.item import Bytes, Item, Place, Stat
from bitcodes.sources.workers import AHEAD, in_order, shared_memory

Decode = Literal["reduced", "full"]
"""Whether JPEGs may be decoded at a smaller scale, see Preprocessing.reduction."""

_KILLED = "each process that read it was killed: by its decoder, or because memory was used up"
_NO_STAT = np.empty((0, 2), np.int64)

MAX_HELD = 1 << 25
"""Bytes that the images of a batch hold before they are read, beyond which the batch is full."""


@dataclass(frozen=True)
class Batch:
    """Images that are read together."""

    items: Sequence[Item]


AnyBatch = TypeVar("AnyBatch", bound=Batch)


@dataclass(frozen=True)
class ReadBatch:
    """A batch of images, read: the pixels of n of them, and why the others have none."""

    good: NDArray[np.intp]  # (n,) their positions in the batch
    pixels: NDArray[np.uint8]  # (n, S, S, 3)
    stat: NDArray[np.int64]  # (n, 2)
    skipped: tuple[tuple[int, str], ...]  # position in the batch, and the reason


def read_batch(
    places: Sequence[Place],
    preprocessing: Preprocessing,
    decode: Decode = "full",
    pixels: NDArray[np.uint8] | None = None,
) -> ReadBatch:
    """Read images; one that cannot be read, or changes meanwhile, is skipped with the reason.

    The pixels are written to `pixels`, (n or more, S, S, 3), if given.
    """
    if pixels is None:
        side = preprocessing.image_size
        pixels = np.empty((len(places), side, side, 3), np.uint8)
    to_pixels = partial(read_pixels, preprocessing=preprocessing, decode=decode)
    good: list[int] = []
    stats: list[Stat] = []
    skipped: list[tuple[int, str]] = []
    for position, place in enumerate(places):
        try:
            with image_errors():  # whatever one image raises, the others are read
                pixels[len(good)], stat = place.read(to_pixels)
        except ImageError as error:
            skipped.append((position, str(error)))
        else:
            good.append(position)
            stats.append(stat)
    return ReadBatch(
        np.array(good, np.intp),
        pixels[: len(good)],
        np.array(stats, np.int64).reshape(-1, 2),
        tuple(skipped),
    )


def read_pixels(
    image: str | Path | bytes | BufferedReader | Image.Image,
    preprocessing: Preprocessing,
    decode: Decode = "full",
) -> NDArray[np.uint8]:
    """An image in a file, in bytes or in memory -> uint8 (S, S, 3); raises ImageError."""
    if isinstance(image, Image.Image):
        return preprocessing.to_array(to_upright_rgb(image))
    if decode == "reduced":
        return preprocessing.to_array(*open_reduced(image, preprocessing.reduction))
    return preprocessing.to_array(open_image(image))


def batches_of(items: Iterable[Item], size: int) -> Iterator[Batch]:
    """Items, `size` at a time; fewer if they hold their bytes, and these are many."""
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size or sum(map(held_bytes, batch)) >= MAX_HELD:
            yield Batch(batch)
            batch = []
    if batch:
        yield Batch(batch)


def read_batches(
    batches: Iterable[AnyBatch],
    batch_size: int,
    preprocessing: Preprocessing,
    decode: Decode,
    workers: int,
) -> Iterator[tuple[AnyBatch, ReadBatch]]:
    """Read batches of at most `batch_size` images: each with what was read of it, in their order.

    `workers` processes read ahead. They hand the pixels over in shared memory: those of a batch are
    good until the next is taken. With 0 workers, or a single batch, it is done in this process.

    An image whose decoder kills three processes is skipped.
    """
    workers, batches = useful_workers(workers, batches)
    if workers == 0:
        for batch, places in with_places(batches):
            yield batch, read_batch(places, preprocessing, decode)
        return
    count = workers * AHEAD + 1  # one more is in use
    slots = _Slots(count, batch_size, preprocessing, decode)
    tasks = (
        ((batch, slot), (places, slot))
        for (batch, places), slot in zip(with_places(batches), cycle(range(count)))
    )

    def weigh(task: tuple[Sequence[Place], int]) -> int:
        return memory_of(task[0])

    for (batch, slot), read in in_order(slots.read, tasks, workers, weigh, slots.read_apart):
        yield batch, replace(read, pixels=slots.pixels[slot, : len(read.good)])


def read_apart(
    places: Sequence[Place], preprocessing: Preprocessing, decode: Decode = "full"
) -> ReadBatch:
    """`read_batch` in another process: an image whose decoder kills it is skipped, and no other."""
    slots = _Slots(1, len(places), preprocessing, decode)
    read = slots.read_apart((places, 0))
    return replace(read, pixels=slots.pixels[0, : len(read.good)])


class _Slots:
    """Room for batches of pixels in memory that processes share, and the reading into it."""

    def __init__(
        self, count: int, batch_size: int, preprocessing: Preprocessing, decode: Decode
    ) -> None:
        side = preprocessing.image_size
        self._shape = (count, batch_size, side, side, 3)
        self._memory = shared_memory(math.prod(self._shape))
        self._preprocessing, self._decode = preprocessing, decode

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """(slots, B, S, S, 3)"""
        return np.frombuffer(self._memory, np.uint8).reshape(self._shape)

    def read(self, task: tuple[Sequence[Place], int]) -> ReadBatch:
        """Read a batch into a slot; the result is without pixels."""
        places, slot = task
        read = read_batch(places, self._preprocessing, self._decode, self.pixels[slot])
        return replace(read, pixels=read.pixels[:0])

    def read_apart(self, task: tuple[Sequence[Place], int]) -> ReadBatch:
        """`read` for a batch that kills processes: each image by itself, but those that kill."""
        places, slot = task
        rows = _Slots(len(places), 1, self._preprocessing, self._decode)
        tasks = (((), ([place], row)) for row, place in enumerate(places))
        killed = ReadBatch(np.empty(0, np.intp), np.empty(0, np.uint8), _NO_STAT, ((0, _KILLED),))
        reads = [read for _, read in in_order(rows.read, tasks, 1, rescue=lambda task: killed)]
        good = np.array([row for row, read in enumerate(reads) if len(read.good)], np.intp)
        self.pixels[slot, : len(good)] = rows.pixels[good, 0]
        return ReadBatch(
            good,
            rows.pixels[:0, 0],
            np.concatenate([_NO_STAT, *(read.stat for read in reads)]),
            tuple((row, reason) for row, read in enumerate(reads) for _, reason in read.skipped),
        )


def held_bytes(item: Item) -> int:
    """Bytes that an image holds in memory before it is read, if it comes out of a stream."""
    return len(item.place.data) if isinstance(item.place, Bytes | Deflated) else 0


def memory_of(places: Sequence[Place]) -> int:
    """About how many bytes a process needs to read a batch, besides the pixels of its images.

    All that the images hold already, and the most that one of them needs.
    """
    held = sum(len(place.data) for place in places if isinstance(place, Bytes | Deflated))
    return 2 * held + max((place.memory() for place in places), default=0)


def with_places(batches: Iterable[AnyBatch]) -> Iterator[tuple[AnyBatch, list[Place]]]:
    """Each batch with the places of its images, which are all that goes to a worker."""
    for batch in batches:
        yield batch, [item.place for item in batch.items]


def useful_workers(workers: int, batches: Iterable[AnyBatch]) -> tuple[int, Iterator[AnyBatch]]:
    """The number of workers, 0 for a single batch, which is not worth starting one; all batches."""
    source = iter(batches)
    first = list(islice(source, 2))
    return workers if len(first) > 1 else 0, chain(first, source)
