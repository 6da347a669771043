"""Features of images from a frozen backbone: computed once, then kept on disk."""

import hashlib
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes.errors import ImageError
from bitcodes.files import atomic_write
from bitcodes.images.decode import open_image
from bitcodes.models.hashing import HashModel
from bitcodes.sources.item import file_stat
from bitcodes.sources.lists import ImageList
from bitcodes.sources.reading import batches_of, read_batches
from bitcodes.sources.source import to_source
from bitcodes.training.loading import unreadable

_BATCH = 128
_CHUNK = 16 * _BATCH  # images in a file: what a stop can cost


class FrozenFeatures:
    """Features of a list of images, float32 (N, D), in files of 2,048 images each.

    `folder` is a cache that runs share. The files are in a folder named after a digest of all that
    they depend on: the images (path, size, time), the weights of the backbone, the preprocessing,
    torch and the kind of device. So they are never out of date and may be deleted at any time.
    """

    def __init__(self, folder: Path, model: HashModel, images: ImageList) -> None:
        self.images = images
        self._model = model
        self._folder = folder / _digest(model, images)

    def load(
        self,
        workers: int,
        progress: Callable[[int, int | None], None] | None,
        between: Callable[[], None] = lambda: None,
    ) -> torch.Tensor:
        """The features, (N, D) on the CPU. Missing ones are computed and stored.

        The features of an unreadable image are NaN. `between` is called before each batch and may
        raise to stop: finished files stay.
        """
        count = len(self.images)
        features = torch.empty(count, self._model.backbone_dim)
        done = 0
        while done < count and (stored := self._read(done)) is not None:
            features[done : done + len(stored)] = torch.from_numpy(stored)
            done += len(stored)
        if progress is not None:
            progress(done, count)
        if done == count:
            return features
        self._folder.mkdir(parents=True, exist_ok=True)
        for part in self._compute(done, workers, between):
            features[done : done + len(part)] = part
            done += len(part)
            if done % _CHUNK == 0 or done == count:
                first = (done - 1) // _CHUNK * _CHUNK
                self._write(first, features[first:done].numpy())
            if progress is not None:
                progress(done, count)
        return features

    def unreadable(self, features: torch.Tensor) -> NDArray[np.int64]:
        """Positions of the images without features, in the result of `load`."""
        missing: NDArray[np.int64] = np.flatnonzero(features[:, 0].isnan().numpy())
        return missing

    def reason(self, position: int) -> tuple[Path, str]:
        """The path of an image that cannot be read, and why."""
        path = self.images.absolute_path(position)
        try:
            open_image(path)
        except ImageError as error:
            return path, str(error)
        return path, "it changed while it was being read"

    def check_all_readable(self, features: torch.Tensor) -> None:
        """Raise DataError naming the first image without features, if there is one."""
        missing = self.unreadable(features)
        if len(missing):
            raise unreadable(*self.reason(int(missing[0])))

    def _compute(
        self, start: int, workers: int, between: Callable[[], None]
    ) -> Iterator[torch.Tensor]:
        """Features (B, D) from position `start` on, batch by batch."""
        preprocessing = self._model.preprocessing
        batches = batches_of(islice(to_source(self.images), start, None), _BATCH)
        for batch, read in read_batches(batches, _BATCH, preprocessing, "full", workers):
            between()
            part = torch.full((len(batch.items), self._model.backbone_dim), torch.nan)
            if len(read.good):
                pixels = torch.from_numpy(read.pixels).to(self._model.device)
                part[torch.from_numpy(read.good)] = self._model.pooled(pixels).cpu()
            yield part

    def _path(self, start: int) -> Path:
        return self._folder / f"{start:08}.npy"

    def _read(self, start: int) -> NDArray[np.float32] | None:
        """The features in one file; None if it is missing or damaged."""
        shape = (min(_CHUNK, len(self.images) - start), self._model.backbone_dim)
        try:
            part = np.load(self._path(start), allow_pickle=False)
        except (OSError, ValueError, EOFError):
            return None
        return part if part.shape == shape and part.dtype == np.float32 else None

    def _write(self, start: int, features: NDArray[np.float32]) -> None:
        with atomic_write(self._path(start)) as file:
            np.save(file, features)


def _digest(model: HashModel, images: ImageList) -> str:
    """A name for the features of these images by this backbone, on this kind of device."""
    kind = f"{torch.__version__}\0{model.device.type}\0{model.backbone_name}\0"
    digest = hashlib.sha256(kind.encode())
    digest.update(model.fingerprint(with_head=False).encode())
    for position in range(len(images)):
        path = images.absolute_path(position)
        size, time = file_stat(path)
        digest.update(f"{path}\0{size}\0{time}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]
