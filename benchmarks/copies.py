"""Codes without labels on a folder of photographs: is the nearest code of a copy its original's?

    python benchmarks/copies.py PHOTOS [--losses itq lsh] [--bits 64 128 256] [--out TABLE.md]
        [--backbone NAME] [--image-size N]

Fits each loss to all photographs, encodes them, and searches them with changed copies of each:
cropped, reduced, compressed again, mirrored. Where several codes are equally near, one of them
being the original's, it counts as one in their number. Runs are kept in data/copies.
"""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bitcodes.images.changes import cropped, mirrored, recompressed
from bitcodes.images.decode import open_image
from bitcodes.models.checkpoint import load_model
from bitcodes.models.encoding import encode_images
from bitcodes.models.hashing import HashModel
from bitcodes.settings import Settings
from bitcodes.sources.source import open_images
from bitcodes.training import finetune

RESULTS = Path(__file__).resolve().parent / "results"


def reduced(image: Image.Image) -> Image.Image:
    """A quarter of either side."""
    return image.resize((max(1, image.width // 4), max(1, image.height // 4)))


CHANGES = {"cropped": cropped, "reduced": reduced, "recompressed": recompressed}
CHANGES["mirrored"] = mirrored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("--losses", nargs="+", default=["itq", "itq-nn", "lsh"])
    parser.add_argument("--bits", nargs="+", type=int, default=[64, 128, 256])
    parser.add_argument("--backbone", default="auto")
    parser.add_argument("--image-size", default="auto")
    default = RESULTS / f"{date.today():%Y-%m-%d}-copies.md"
    parser.add_argument("--out", type=Path, default=default)
    arguments = parser.parse_args()

    listed = open_images([str(arguments.photos)])
    paths = [listed.absolute_path(row) for row in range(len(listed))]
    rows = []
    features: list[torch.Tensor] = []  # of the photographs, then of their copies: (N, D) each
    for loss in arguments.losses:
        for bits in arguments.bits:
            asked = {"data": arguments.photos, "loss": loss, "bits": bits}
            asked |= {"backbone": arguments.backbone, "image_size": arguments.image_size}
            started = time.monotonic()
            run = Path(f"data/copies/{arguments.photos.name}-{arguments.backbone}-{loss}-{bits}")
            done = finetune(Settings.build(asked), run)
            seconds = time.monotonic() - started
            backbone = done.settings.backbone
            model = load_model(done.run, "cpu")
            if not features:  # the same for every loss: the backbone is not trained
                features = [
                    features_of(model, paths, change) for change in (None, *CHANGES.values())
                ]
            with torch.inference_mode():
                codes, *copies = [(model.hash_features(part) > 0).numpy() for part in features]
            shares = [found(part, codes) for part in copies]
            row = [loss, bits, done.settings.image_size, f"{seconds:.1f}"]
            rows.append([*row, *(f"{share:.3f}" for share in shares)])
            print(rows[-1], file=sys.stderr)
    columns = ["loss", "bits", "pixels", "seconds to fit", *CHANGES]
    lines = [
        f"# Copies of photographs found by codes without labels, {date.today():%Y-%m-%d}",
        "",
        f"bitcodes {version('bitcodes')}, torch {version('torch')}, timm {version('timm')}, Python "
        f"{platform.python_version()}; {platform.machine()}. {len(paths)} photographs, backbone "
        f"{backbone}. Seconds include the features where they were not kept already.",
        "",
        "Share of copies whose nearest code is their original's:",
        "",
        f"| {' | '.join(columns)} |",
        f"|{' --- |' * len(columns)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
    print("\n".join(lines))
    arguments.out.write_text("\n".join(lines) + "\n")


def features_of(
    model: HashModel, paths: list[Path], change: Callable[[Image.Image], Image.Image] | None
) -> torch.Tensor:
    """Features (N, D) of the photographs, or of a changed copy of each."""
    pictures = map(open_image, paths)
    encoded = encode_images(model, pictures if change is None else map(change, pictures))
    return torch.from_numpy(encoded.features)


def found(copies: np.ndarray, codes: np.ndarray) -> float:
    """The share of copies (N, K) that have their own row of codes (N, K) nearest."""
    distances = (copies[:, None] != codes).sum(axis=2)  # (N, N)
    nearest = distances == distances.min(axis=1, keepdims=True)
    return float((nearest.diagonal() / nearest.sum(axis=1)).mean())


if __name__ == "__main__":
    main()
