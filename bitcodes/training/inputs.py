"""What the network takes of the training images: pixels, augmented for training, or features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes import callbacks, runs
from bitcodes.images.augmentation import Augmentation
from bitcodes.images.transforms import Preprocessing
from bitcodes.machine import memory_bytes
from bitcodes.models.hashing import HashModel
from bitcodes.settings import ResolvedSettings
from bitcodes.sources.item import File, Item
from bitcodes.sources.lists import ImageList
from bitcodes.sources.reading import Batch, read_batches
from bitcodes.training.distributed import Group
from bitcodes.training.frozen import FrozenFeatures, unreadable_image
from bitcodes.training.seeds import step_seed

# Larger sets of decoded images are streamed.
_MEMORY_SHARE = 1 / 3  # of the machine's memory
_UNKNOWN_MEMORY = 8 * 2**30  # bytes to assume if the system does not tell
_AT_ONCE = 8  # batches, at most
_PIXELS_AT_ONCE = 2**24  # at most: 0.6 GB while they are augmented
_PIXELS_AT_ONCE_CPU = 2**20  # there it takes longer if they do not stay in its caches


class TrainingImages:
    """Images by index, uint8 (S, S, 3), decoded by `workers` processes (0: in this one).

    With `keep` they stay in memory if they take at most a third of it, which `processes` on this
    machine share, and on a CUDA `device` if they take at most a third of its free memory.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        preprocessing: Preprocessing,
        workers: int,
        progress: callbacks.Progress = lambda done, total: None,
        device: torch.device | None = None,
        processes: int = 1,
        keep: bool = True,
    ) -> None:
        self._items = [Item(str(path), File(str(path))) for path in paths]
        self._preprocessing = preprocessing
        self._workers = workers
        self._arrays: torch.Tensor | None = None
        self.side = side = preprocessing.image_size
        memory = memory_bytes() or _UNKNOWN_MEMORY
        if not keep or processes * len(paths) * side * side * 3 > _MEMORY_SHARE * memory:
            return
        arrays = torch.empty(len(paths), side, side, 3, dtype=torch.uint8)
        done = 0
        for batch in self._stream(np.array_split(np.arange(len(paths)), len(paths) // 64 + 1)):
            arrays[done : done + len(batch)] = batch
            done += len(batch)
            progress(done, len(paths))
        if device is not None and device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            arrays = arrays.to(device) if arrays.nbytes <= _MEMORY_SHARE * free else arrays
        self._arrays = arrays

    def __len__(self) -> int:
        return len(self._items)

    def batches(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """For each array of n indices: the images, uint8 (n, S, S, 3)."""
        if (arrays := self._arrays) is None:
            return (images.clone() for images in self._stream(batches))
        return (arrays[torch.from_numpy(indices).to(arrays.device)] for indices in batches)

    @property
    def in_memory(self) -> bool:
        """Whether all images are decoded already, so that batches take no time."""
        return self._arrays is not None

    def _stream(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """The images of each batch, which are good until the next is taken."""
        items = (Batch([self._items[index] for index in indices]) for indices in batches)
        most = max(map(len, batches), default=0)
        for batch, read in read_batches(items, most, self._preprocessing, "full", self._workers):
            for position, reason in read.skipped:
                raise unreadable_image(f"{batch.items[position].path}: {reason}")
            yield torch.from_numpy(read.pixels)


@dataclass
class TrainingInputs:
    """Inputs of the network by row of the training list.

    `read_images` comes first, or `load_features` if the settings freeze the backbone of `model`.
    `batch_size` counts images over all processes.
    """

    settings: ResolvedSettings
    train: ImageList
    model: HashModel
    batch_size: int
    group: Group
    device: torch.device
    workers: int
    loading: callbacks.Progress
    images: TrainingImages | None = None
    features: torch.Tensor | None = None  # (N, D)

    def read_images(self, preprocessing: Preprocessing, keep: bool = True) -> None:
        """Have the images at the size of this preprocessing; unless `keep`, read when needed."""
        paths = [self.train.absolute_path(row) for row in range(len(self.train))]
        self.images = TrainingImages(
            *(paths, preprocessing, self.workers, self.loading, self.device, self.group.here),
            keep=keep,
        )

    def load_features(self, between: Callable[[], None]) -> None:
        """Have the features of all images instead; `between` is called after each batch."""

        def progress(done: int, total: int | None) -> None:
            self.loading(done, total)
            between()

        frozen = FrozenFeatures(runs.FEATURES, self.model, self.train)
        features = frozen.load(self.workers, progress)
        frozen.check_all_readable(features)
        self.features = features

    def batches(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """Inputs of each batch of rows: uint8 images (B, S, S, 3) or float32 features (B, D)."""
        if (features := self.features) is not None:
            return (features[torch.from_numpy(batch)] for batch in batches)
        assert self.images is not None, "`read_images` comes first"
        return self.images.batches(batches)

    def augmented(
        self, batches: Sequence[NDArray[np.int64]], first_step: int
    ) -> Iterator[torch.Tensor]:
        """The inputs of this process's part of each batch, on the device, augmented.

        Random numbers come from the number of the step, which is `first_step` for the first batch.
        Call it outside of mixed precision: positions of pixels need float32.
        """
        settings = self.settings
        part = self.group.part(self.batch_size)
        inputs = (batch.to(self.device) for batch in self.batches([b[part] for b in batches]))
        if self.images is None or not settings.augment:
            return inputs
        augmentation = Augmentation(
            settings.flip, settings.shift, settings.zoom, settings.rand_augment
        )
        seeds = (step_seed(settings.seed, step) for step in count(first_step))
        generators = (torch.Generator().manual_seed(seed) for seed in seeds)
        draws = (augmentation.draw(self.batch_size, each).part(part) for each in generators)
        images = self.batch_size // self.group.size
        at_once = batches_at_once(images, self.images.side, self.device, self.images.in_memory)
        return augmentation.stream(inputs, draws, at_once)


def batches_at_once(images: int, side: int, device: torch.device, in_memory: bool) -> int:
    """How many batches of images of this side in pixels are augmented together.

    Several, unless images are still to be read or are large.
    """
    if not in_memory:
        return 1
    most = _PIXELS_AT_ONCE_CPU if device.type == "cpu" else _PIXELS_AT_ONCE
    return max(1, min(_AT_ONCE, most // (images * side**2)))
