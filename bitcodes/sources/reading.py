"""Reading the images of a source, in order and in batches, in worker processes."""

import mmap
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.errors import ImageError
from bitcodes.images.decode import open_image, open_reduced
from bitcodes.images.transforms import Preprocessing
from bitcodes.sources.item import Item, Place
from bitcodes.sources.workers import in_order

Decode = Literal["reduced", "full"]
"""Whether JPEGs may be decoded at a smaller scale, see Preprocessing.reduction."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class ReadBatch:
    """One batch of b places, read: the pixels of n images, and why the others have none."""

    good: NDArray[np.intp]  # (n,) which of the batch they are
    pixels: NDArray[np.uint8]  # (n, S, S, 3)
    stat: NDArray[np.int64]  # (n, 2)
    skipped: tuple[tuple[int, str], ...]  # which of the batch, and the reason


def read_batch(
    places: Sequence[Place],
    preprocessing: Preprocessing,
    decode: Decode = "full",
    room: NDArray[np.uint8] | None = None,
) -> ReadBatch:
    """Read images; one that cannot be read, or changes meanwhile, is told with the reason.

    The pixels are the beginning of `room`, (b or more, S, S, 3), if given.
    """
    side = preprocessing.image_size
    if room is None:
        room = np.empty((len(places), side, side, 3), np.uint8)
    good: list[int] = []
    stats: list[tuple[int, int]] = []
    skipped: list[tuple[int, str]] = []
    for number, place in enumerate(places):
        before = place.stat()
        try:
            room[len(good)] = read_pixels(place.load(), preprocessing, decode)
            place.check(before)
        except ImageError as error:
            skipped.append((number, str(error)))
        else:
            good.append(number)
            stats.append(before)
    return ReadBatch(
        np.array(good, np.intp),
        room[: len(good)],
        np.array(stats, np.int64).reshape(-1, 2),
        tuple(skipped),
    )


def read_pixels(
    image: str | Path | bytes | Image.Image, preprocessing: Preprocessing, decode: Decode = "full"
) -> NDArray[np.uint8]:
    """An image in a file, in bytes or in memory -> uint8 (S, S, 3); raises ImageError."""
    if isinstance(image, Image.Image):
        return preprocessing.to_array(image.convert("RGB"))
    if decode == "reduced":
        return preprocessing.to_array(*open_reduced(image, preprocessing.reduction))
    return preprocessing.to_array(open_image(image))


def batches_of(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """Items, `size` at a time."""
    source = iter(items)
    while batch := tuple(islice(source, size)):
        yield batch


def read_batches(
    batches: Iterable[tuple[Item, ...]],
    preprocessing: Preprocessing,
    decode: Decode,
    batch_size: int,
    workers: int,
) -> Iterator[tuple[tuple[Item, ...], ReadBatch]]:
    """Read batches of at most `batch_size` items, each with what was read of it, in their order.

    `workers` processes read ahead and hand the pixels over in shared memory: those of a batch are
    good until the next one is asked for. With 0 workers, or a single batch, it is done here.
    """
    more, batches = several(batches)
    if workers == 0 or not more:
        for batch in batches:
            yield batch, read_batch([item.place for item in batch], preprocessing, decode)
        return
    side = preprocessing.image_size
    count = 2 * workers + 1  # as many as may be read and not used, and the one in use
    # Memory without a name that forked processes share: no limit on /dev/shm, nothing left behind.
    shared = mmap.mmap(-1, count * batch_size * side * side * 3)
    rooms = np.frombuffer(shared, np.uint8).reshape(count, batch_size, side, side, 3)
    free = deque(range(count))
    asked: deque[tuple[int, tuple[Item, ...]]] = deque()

    def tasks() -> Iterator[tuple[int, list[Place]]]:
        for batch in batches:
            asked.append((free.popleft(), batch))
            yield asked[-1][0], [item.place for item in batch]

    def work(task: tuple[int, list[Place]]) -> ReadBatch:
        room, places = task
        read = read_batch(places, preprocessing, decode, rooms[room])
        return ReadBatch(read.good, np.empty(0, np.uint8), read.stat, read.skipped)

    for read in in_order(work, tasks(), workers):
        room, batch = asked.popleft()
        pixels = rooms[room, : len(read.good)]
        yield batch, ReadBatch(read.good, pixels, read.stat, read.skipped)
        free.append(room)


def work_batches(
    batches: Iterable[tuple[Item, ...]],
    run: Callable[[Iterator[list[Place]]], Iterator[Result]],
) -> Iterator[tuple[tuple[Item, ...], Result]]:
    """Each batch with what `run` makes of its places; `run` may take places ahead, in order."""
    asked: deque[tuple[Item, ...]] = deque()

    def tasks() -> Iterator[list[Place]]:
        for batch in batches:
            asked.append(batch)
            yield [item.place for item in batch]

    for result in run(tasks()):
        yield asked.popleft(), result


def several(
    batches: Iterable[tuple[Item, ...]],
) -> tuple[bool, Iterator[tuple[Item, ...]]]:
    """Whether there is more than one batch, and all of them."""
    source = iter(batches)
    begun = list(islice(source, 2))
    return len(begun) > 1, chain(begun, source)
