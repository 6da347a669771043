"""What the network takes of the training images: pixels, augmented for training, or features."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes import runs
from bitcodes.images.augmentation import Augmentation
from bitcodes.images.transforms import Preprocessing
from bitcodes.models.hashing import HashModel
from bitcodes.settings import ResolvedSettings
from bitcodes.sources.lists import ImageList
from bitcodes.training.distributed import Group, processes_here
from bitcodes.training.frozen import FrozenFeatures
from bitcodes.training.loading import TrainingImages
from bitcodes.training.seeds import step_seed

_AT_ONCE = 8  # batches, at most
_PIXELS_AT_ONCE = 2**24  # at most: 0.6 GB while they are augmented
_PIXELS_AT_ONCE_CPU = 2**20  # there it takes longer if they do not stay in its caches


class TrainingInputs:
    """Inputs of the network by row of the training list.

    `read_images` comes first, or `load_features` if the settings freeze the backbone of `model`.
    `batch_size` counts images over all processes.
    """

    def __init__(
        self,
        settings: ResolvedSettings,
        train: ImageList,
        model: HashModel,
        batch_size: int,
        group: Group,
        device: torch.device,
        workers: int,
        loading: Callable[[int, int | None], None] | None,
    ) -> None:
        self._settings = settings
        self._train = train
        self._batch_size = batch_size
        self._group = group
        self._device = device
        self._workers = workers
        self._loading = loading
        self._images: TrainingImages | None = None
        self._side = 0
        self._frozen = FrozenFeatures(runs.FEATURES, model, train) if settings.freeze else None
        self._features: torch.Tensor | None = None  # (N, D)
        self._augmentation = Augmentation(
            settings.flip, settings.shift, settings.zoom, settings.rand_augment
        )

    def read_images(self, preprocessing: Preprocessing) -> None:
        """Have the images at the size of this preprocessing."""
        self._side = preprocessing.image_size
        self._images = TrainingImages(
            [self._train.absolute_path(row) for row in range(len(self._train))],
            preprocessing,
            self._workers,
            self._loading,
            self._device,
            processes_here(),
        )

    def load_features(self, between: Callable[[], None]) -> None:
        """Have the features of all images instead; `between` is called before each batch."""
        assert self._frozen is not None, "the backbone is not frozen"
        features = self._frozen.load(self._workers, self._loading, between)
        self._frozen.check_all_readable(features)
        self._features = features

    def batches(self, batches: Sequence[NDArray[np.int64]]) -> Iterator[torch.Tensor]:
        """Inputs of each batch of rows: uint8 images (B, S, S, 3) or float32 features (B, D)."""
        if self._features is None:
            assert self._images is not None, "`read_images` comes first"
            yield from self._images.batches(batches)
            return
        for batch in batches:
            yield self._features[torch.from_numpy(batch)]

    def augmented(
        self, batches: Sequence[NDArray[np.int64]], first_step: int
    ) -> Iterator[torch.Tensor]:
        """The inputs of this process's part of each batch, on the device, augmented.

        Random numbers come from the number of the step, which is `first_step` for the first batch.
        Call it outside of mixed precision: positions of pixels need float32.
        """
        part = self._group.part(self._batch_size)
        inputs = (batch.to(self._device) for batch in self.batches([b[part] for b in batches]))
        if self._features is not None or not self._settings.augment:
            return inputs
        assert self._images is not None, "`read_images` comes first"
        seeds = (step_seed(self._settings.seed, step) for step in count(first_step))
        generators = (torch.Generator().manual_seed(seed) for seed in seeds)
        draws = (self._augmentation.draw(self._batch_size, each).part(part) for each in generators)
        images = self._batch_size // self._group.size
        at_once = batches_at_once(images, self._side, self._device, self._images.in_memory)
        return self._augmentation.stream(inputs, draws, at_once)


def batches_at_once(images: int, side: int, device: torch.device, in_memory: bool) -> int:
    """How many batches of images of this side in pixels are augmented together.

    Several, unless images are still to be read or are large.
    """
    if not in_memory:
        return 1
    most = _PIXELS_AT_ONCE_CPU if device.type == "cpu" else _PIXELS_AT_ONCE
    return max(1, min(_AT_ONCE, most // (images * side**2)))
