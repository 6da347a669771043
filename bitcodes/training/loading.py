"""Decoded images for training: in memory if they fit, else decoded when they are needed."""

import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from bitcodes.errors import DataError, ImageError
from bitcodes.images.decode import open_image
from bitcodes.images.transforms import Preprocessing
from bitcodes.machine import memory_bytes

# Larger sets of decoded images are streamed.
_MEMORY_SHARE = 0.25  # of the machine's memory
_UNKNOWN_MEMORY = 8 * 2**30  # bytes to assume if the system does not tell


class _Decoded(Dataset[torch.Tensor | DataError]):
    """Image files as uint8 (S, S, 3) tensors.

    Errors are returned, not raised: a worker process would turn them into a traceback.
    """

    def __init__(self, paths: Sequence[Path], preprocessing: Preprocessing) -> None:
        self.paths = paths
        self.preprocessing = preprocessing

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor | DataError:
        path = self.paths[index]
        try:
            image = open_image(path)
        except ImageError as error:
            return unreadable(path, error)
        return torch.from_numpy(self.preprocessing.to_array(image).copy())


class TrainingImages:
    """Images by index, uint8 (S, S, 3), decoded by `workers` processes (0: in this one).

    They stay in memory if they take at most a quarter of it, which `processes` on this machine
    share, and on a CUDA `device` if they take at most a quarter of its free memory.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        workers: int,
        progress: Callable[[int, int | None], None] | None = None,
        device: torch.device | None = None,
        processes: int = 1,
    ) -> None:
        self._files = _Decoded(paths, preprocessing)
        self._workers = workers
        self._arrays: torch.Tensor | None = None
        side = preprocessing.image_size
        if processes * len(paths) * side * side * 3 <= _MEMORY_SHARE * (
            memory_bytes() or _UNKNOWN_MEMORY
        ):
            arrays = torch.empty(len(paths), side, side, 3, dtype=torch.uint8)
            done = 0
            for batch in self._stream(np.array_split(np.arange(len(paths)), len(paths) // 64 + 1)):
                arrays[done : done + len(batch)] = batch
                done += len(batch)
                if progress is not None:
                    progress(done, len(paths))
            if device is not None and device.type == "cuda":
                free, _ = torch.cuda.mem_get_info(device)
                arrays = arrays.to(device) if arrays.nbytes <= _MEMORY_SHARE * free else arrays
            self._arrays = arrays

    def __len__(self) -> int:
        return len(self._files)

    @property
    def in_memory(self) -> bool:
        """Whether all images are decoded already, so that batches take no time."""
        return self._arrays is not None

    def batches(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """For each array of n indices: the images, uint8 (n, S, S, 3)."""
        if self._arrays is None:
            yield from self._stream(list(batches))
        else:
            for indices in batches:
                yield self._arrays[torch.from_numpy(indices).to(self._arrays.device)]

    def _stream(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        loader = DataLoader(
            self._files,
            batch_sampler=[batch.tolist() for batch in batches],
            num_workers=self._workers,
            collate_fn=_stack,
            worker_init_fn=_ignore_interrupts,
            # The workers' own random numbers are never used; without this, making them would
            # move the random state that training depends on.
            generator=torch.Generator(),
        )
        for batch in loader:
            if isinstance(batch, DataError):
                raise batch
            yield batch


def _stack(images: list[torch.Tensor | DataError]) -> torch.Tensor | DataError:
    """The images as one batch, or the first error among them."""
    good: list[torch.Tensor] = []
    for image in images:
        if isinstance(image, DataError):
            return image
        good.append(image)
    return torch.stack(good)


def unreadable(path: Path, reason: object) -> DataError:
    """The error of training when an image of its list cannot be read."""
    return DataError(
        f"{path}: {reason}; training needs every image of its list: "
        "repair the file or take its line out of the list"
    )


def _ignore_interrupts(worker: int) -> None:
    # Ctrl-C reaches the whole process group; only the process that trains decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
