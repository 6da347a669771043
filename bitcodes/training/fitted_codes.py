"""The codes of the images that a hash layer was fitted to: `encode` takes them from the run.

So each image is read once. The bits are those that encoding gives: hash outputs that rounding could
turn are computed by the encoder itself, for each such image alone, as encoding does.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bitcodes.codes.pack import pack_outputs
from bitcodes.codes.writer import CodeSetWriter
from bitcodes.errors import ImageError
from bitcodes.losses.label_free import Planes
from bitcodes.models.encoder import UNSURE, Encoder
from bitcodes.sources.item import Stat
from bitcodes.sources.lists import ImageList
from bitcodes.sources.reading import Decode, read_pixels

DECODE: Decode = "reduced"
"""How images are read for the fit: as `encode` reads them."""

_ROWS = 4096


def write_codes(
    file: Path,
    encoder: Encoder,
    planes: Planes,
    images: ImageList,
    features: NDArray[np.float32],
    stats: list[Stat],
) -> None:
    """Write the code set of a fit: of the images with features (N, D), which are NaN for others.

    `stats` are those of the files before they were read. `encoder` is the fitted model as `encode`
    loads it.
    """
    with CodeSetWriter(
        file,
        bits=encoder.bits,
        columns=("stat",),
        root=images.root,
        fingerprint=encoder.fingerprint(),
        backbone=encoder.backbone_name,
        run=file.parent,
        engine=encoder.engine,
        dtype=encoder.dtype,
        decode=DECODE,
        force=True,
        resume=False,
    ) as writer:
        for start in range(0, len(features), _ROWS):
            part = features[start : start + _ROWS]
            outputs, good = _outputs(part, planes), ~np.isnan(part[:, 0])
            for row in np.flatnonzero(_unsure(part, outputs, planes) & good).tolist():
                alone = _encoded_alone(encoder, images.absolute_path(start + row))
                good[row] = alone is not None
                if alone is not None:
                    outputs[row] = alone
            rows = np.flatnonzero(good).tolist()
            writer.append(
                pack_outputs(outputs[rows]),
                [images.paths[start + row] for row in rows],
                stat=np.array([stats[start + row] for row in rows], np.int64).reshape(-1, 2),
            )
        writer.commit()


def _outputs(features: NDArray[np.float32], planes: Planes) -> NDArray[np.float32]:
    """Features (n, D) -> hash outputs (n, K)."""
    return features @ planes.weight.T + planes.bias


def _unsure(
    features: NDArray[np.float32], outputs: NDArray[np.float32], planes: Planes
) -> NDArray[np.bool_]:
    """Which rows have an output that rounding could turn, (n,): as `settle` finds them."""
    norms = np.linalg.norm(planes.weight, axis=1)  # (K,)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)  # (n, 1)
    unsure: NDArray[np.bool_] = (np.abs(outputs) <= UNSURE * norms * lengths).any(axis=1)
    return unsure


def _encoded_alone(encoder: Encoder, path: Path) -> NDArray[np.float32] | None:
    """The hash outputs (K,) of an image; None if it cannot be read any more."""
    try:
        pixels = np.array(read_pixels(path, encoder.preprocessing, DECODE))
    except ImageError:
        return None
    outputs: NDArray[np.float32] = encoder.encode_batch(pixels[None]).outputs[0]
    return outputs
