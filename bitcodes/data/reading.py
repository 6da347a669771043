"""Reading the images of a source, in order and in batches, in worker processes."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from bitcodes.data.lists import ImageList
from bitcodes.data.loading import default_workers
from bitcodes.data.transforms import Preprocessing
from bitcodes.errors import BitcodesError, ImageError
from bitcodes.images import open_image

_GONE = (-1, -1)  # stands for the size and time of a file that is not there


@dataclass(frozen=True)
class ReadBatch:
    """One batch of a source, read: the pixels of n images, and why the others have none."""

    positions: NDArray[np.int64]  # (n,)
    pixels: NDArray[np.uint8]  # (n, S, S, 3)
    stat: NDArray[np.int64]  # (n, 2)
    skipped: tuple[tuple[int, str], ...]


class _Reader(Dataset[ReadBatch]):
    """The batches of a source by their number, read where they are asked for."""

    def __init__(
        self, source: ImageList, preprocessing: Preprocessing, start: int, batch_size: int
    ) -> None:
        self._source = source
        self._preprocessing = preprocessing
        self._starts = range(start, len(source), batch_size)

    def __len__(self) -> int:
        return len(self._starts)

    def __getitem__(self, number: int) -> ReadBatch:
        start = self._starts[number]
        side = self._preprocessing.image_size
        pixels, positions, stats, skipped = [], [], [], []
        for position in range(start, min(start + self._starts.step, len(self._source))):
            path = self._source.absolute_path(position)
            before = file_stat(path)
            try:
                image = read_pixels(path, self._preprocessing)
                if file_stat(path) != before:
                    raise ImageError("it changed while it was being read")
            except ImageError as error:
                skipped.append((position, str(error)))
            else:
                pixels.append(image)
                positions.append(position)
                stats.append(before)
        return ReadBatch(
            np.array(positions, np.int64),
            np.stack(pixels) if pixels else np.empty((0, side, side, 3), np.uint8),
            np.array(stats, np.int64).reshape(-1, 2),
            tuple(skipped),
        )


def read_batches(
    source: ImageList,
    preprocessing: Preprocessing,
    start: int = 0,
    batch_size: int = 64,
    workers: int | None = 0,
) -> Iterator[ReadBatch]:
    """Read a source from position `start` on, `batch_size` images at a time, in its order.

    `workers` processes read ahead (None: by the number of cores); 0 reads in this process.
    An image that cannot be read, or changes meanwhile, keeps its place and is told with the reason.
    """
    reader = _Reader(source, preprocessing, start, batch_size)
    workers = default_workers() if workers is None else workers
    # A batch travels as an array through a pipe: shared memory is small in many containers.
    loader: DataLoader[Any] = DataLoader(
        reader,
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=min(workers, len(reader)) if len(reader) > 1 else 0,
        worker_init_fn=_ignore_interrupt,
        generator=torch.Generator(),  # leaves the program's own random numbers alone
    )
    yield from loader


@contextmanager
def worker_errors() -> Iterator[None]:
    """Make the death of a worker a BitcodesError; it comes up wherever the program is just then."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise BitcodesError(
            "a process that reads images was killed, perhaps because the memory was used up; run "
            "this again to go on, with fewer --workers"
        ) from error


def _as_it_is(batch: Any) -> Any:
    return batch


def _ignore_interrupt(worker: int) -> None:
    # Ctrl-C reaches the whole group of processes: the parent stops its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def read_pixels(
    image: str | Path | bytes | Image.Image, preprocessing: Preprocessing
) -> NDArray[np.uint8]:
    """An image in a file, in bytes or in memory -> uint8 (S, S, 3); raises ImageError."""
    return preprocessing.to_array(
        image.convert("RGB") if isinstance(image, Image.Image) else open_image(image)
    )


def file_stat(path: Path) -> tuple[int, int]:
    """Size in bytes and modification time in ns; -1 where there is no such file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - twice as fast
    except (OSError, ValueError):
        return _GONE
    return status.st_size, status.st_mtime_ns
