"""Features of images from a frozen backbone: computed once, then kept on disk."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bitcodes.callbacks import Progress
from bitcodes.codes.columns import map_file, read_npy
from bitcodes.errors import CodeSetError, DataError, ImageError
from bitcodes.files import UNWRITABLE, atomic_write
from bitcodes.images.decode import open_image
from bitcodes.models.hashing import HashModel
from bitcodes.sources.item import Stat, file_stat
from bitcodes.sources.lists import ImageList
from bitcodes.sources.reading import Decode, batches_of, read_batches
from bitcodes.sources.source import to_source

_BATCH = 128
_CHUNK = 16 * _BATCH  # images in a file: what a stop can cost


class FrozenFeatures:
    """Features of a list of images, float32 (N, D), in files of 2,048 images each.

    `folder` is a cache that runs share. The files are in a folder named after a digest of all that
    they depend on: the images (path, size, time), the weights of the backbone, the preprocessing,
    torch and the kind of device. So they are never out of date and may be deleted at any time.
    """

    def __init__(
        self, folder: Path, model: HashModel, images: ImageList, decode: Decode = "full"
    ) -> None:
        self.images = images
        paths = (images.absolute_path(position) for position in range(len(images)))
        self.stats = [file_stat(path) for path in paths]
        """Size and time of each image before it is read."""
        self._model = model
        self._decode: Decode = decode
        self._folder = folder / _digest(model, images, self.stats, decode)

    def load(self, workers: int, progress: Progress) -> torch.Tensor:
        """The features, (N, D) on the CPU. Missing ones are computed and stored.

        The features of an unreadable image are NaN. `progress` is called after each batch and may
        raise to stop: finished files stay.
        """
        model, count = self._model, len(self.images)
        features = torch.full((count, model.backbone_dim), torch.nan)
        done = 0
        while done < count and (stored := self._read(done)) is not None:
            features.numpy()[done : done + len(stored)] = stored
            done += len(stored)
        progress(done, count)
        batches = batches_of(islice(to_source(self.images), done, None), _BATCH)
        for batch, read in read_batches(
            batches, _BATCH, model.preprocessing, self._decode, workers
        ):
            if len(read.good):
                pixels = torch.from_numpy(read.pixels).to(model.device)
                features[done + torch.from_numpy(read.good)] = model.pooled(pixels).cpu()
            done += len(batch.items)
            if done % _CHUNK == 0 or done == count:
                first = (done - 1) // _CHUNK * _CHUNK
                self._store(first, features[first:done].numpy())
            progress(done, count)
        return features

    def unreadable(self, features: torch.Tensor) -> NDArray[np.int64]:
        """Positions of the images without features, in the result of `load`."""
        missing: NDArray[np.int64] = np.flatnonzero(features[:, 0].isnan().numpy())
        return missing

    def problem(self, position: int) -> str:
        """The path of an image without features, and why.

        If it can be read now (it changed, it was locked, or memory was short), the file that says
        it cannot is removed: the next call of `load` reads it again.
        """
        path = self.images.absolute_path(position)
        try:
            open_image(path)
        except ImageError as error:
            return f"{path}: {error}"
        with suppress(OSError):  # no more than a cache
            self._path(position // _CHUNK * _CHUNK).unlink()
        return f"{path}: it could not be read before, but can be now: the next run reads it again"

    def check_all_readable(self, features: torch.Tensor) -> None:
        """Raise DataError naming the first image without features, if there is one."""
        for position in self.unreadable(features):
            raise unreadable_image(self.problem(int(position)))

    def _path(self, start: int) -> Path:
        return self._folder / f"{start:08}.npy"

    def _store(self, start: int, features: NDArray[np.float32]) -> None:
        """Keep features in a file, if the folder may be written to: no more than a cache."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_write(self._path(start)) as file:
                np.save(file, features)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise

    def _read(self, start: int) -> NDArray[np.float32] | None:
        """The features in one file; None if it is missing or damaged."""
        shape = (min(_CHUNK, len(self.images) - start), self._model.backbone_dim)
        try:
            part = read_npy(map_file(self._path(start)), self._path(start))
        except (OSError, CodeSetError):
            return None
        return part if part.shape == shape and part.dtype == np.float32 else None


def _digest(model: HashModel, images: ImageList, stats: Sequence[Stat], decode: Decode) -> str:
    """A name for the features of these images by this backbone, on this kind of device."""
    kind = f"{torch.__version__}\0{model.device.type}\0{model.backbone_name}\0{decode}\0"
    digest = hashlib.sha256(kind.encode())
    digest.update(model.fingerprint(with_head=False).encode())
    for position, (size, time) in enumerate(stats):
        path = images.absolute_path(position)
        digest.update(f"{path}\0{size}\0{time}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]


def unreadable_image(problem: str) -> DataError:
    """The error of training if an image of its list cannot be read: `problem` names it."""
    return DataError(
        f"{problem}; training needs every image of its list: "
        "repair the file or take its line out of the list"
    )
