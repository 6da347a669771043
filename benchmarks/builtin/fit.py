"""Fits the hash layers of the built-in model, for 32, 64, 128 and 256 bits.

    python benchmarks/builtin/fit.py CIFAR10 PHOTOS [--out bitcodes/models/data/builtin.npz]

CIFAR10 is a folder with CIFAR-10's training images as files, of which 10,000 are used. PHOTOS is a
folder of photographs, of which changed copies are used. No label is used. The features are those of
`tf_efficientnet_lite0_trunk`.

The file holds, for each number of bits K, `weight_K` (K, 320) and `bias_K` (K,), both float16, and
`preprocessing`, the JSON of a `Preprocessing`. For the features f of an image, in float32:

    outputs = weight_K f + bias_K
    bit = output > 0

The layers of different K are fitted one by one: the first bits of one are not the bits of another.
The same features give the same file up to rounding. The file in the package is the standard,
whatever this script makes elsewhere: another file is another model.
"""

import argparse
from pathlib import Path

import numpy as np
from features import features_of
from layer import fit_layer
from pictures import opened, paths_in, random_copies

from bitcodes.images.transforms import Preprocessing

BITS = (32, 64, 128, 256)
HALF = (0.5, 0.5, 0.5)
PREPROCESSING = Preprocessing(image_size=160, crop=1.0, fit="squash", mean=HALF, std=HALF)
PACKAGE = Path(__file__).resolve().parents[2] / "bitcodes" / "models" / "data" / "builtin.npz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("data/builtin"))
    parser.add_argument("--out", type=Path, default=PACKAGE)
    arguments = parser.parse_args()

    small = opened(paths_in(arguments.cifar10, every=5))
    copies = random_copies(paths_in(arguments.photos))
    kinds = [
        features_of("cifar10-fit", small, PREPROCESSING, arguments.cache),
        features_of("photos-fit", copies, PREPROCESSING, arguments.cache),
    ]
    arrays = {"preprocessing": np.array(PREPROCESSING.canonical())}
    for bits in BITS:
        layer = fit_layer(kinds, bits)
        arrays |= {f"weight_{bits}": layer.weight, f"bias_{bits}": layer.bias}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **arrays)


if __name__ == "__main__":
    main()
