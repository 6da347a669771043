"""Fits the hash layers of the built-in model, for 32, 64, 128 and 256 bits.

    python benchmarks/builtin/fit.py CIFAR10 [--out bitcodes/models/data/builtin.npz]

CIFAR10 is a folder of ten folders, one per class, with 5,000 training images each as JPEG files.
5,000 images are used, and no label. The other half of the input are prototypes: features that the
pretrained network itself finds typical of ImageNet's classes (see prototypes.py). The features are
those of `tf_efficientnet_lite0_trunk`.

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
from features import PREPROCESSING, Features
from layer import fit_layer
from pictures import of_each, opened
from prototypes import prototypes

BITS = (32, 64, 128, 256)
PACKAGE = Path(__file__).resolve().parents[2] / "bitcodes" / "models" / "data" / "builtin.npz"


def images_for_fit(features: Features, cifar10: Path) -> np.ndarray:
    """Features of the 5,000 images that the layer is fitted to: 500 of each class."""
    return features.of("cifar10-fit", opened(of_each(cifar10, 1000, 1500)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("data/builtin"))
    parser.add_argument("--out", type=Path, default=PACKAGE)
    arguments = parser.parse_args()

    images = images_for_fit(Features("lite0", PREPROCESSING, arguments.cache), arguments.cifar10)
    typical = prototypes("lite0")
    arrays = {"preprocessing": np.array(PREPROCESSING.canonical())}
    for bits in BITS:
        layer = fit_layer(images, typical, bits)
        arrays |= {f"weight_{bits}": layer.weight, f"bias_{bits}": layer.bias}
        print(f"{bits} bits: fitted", flush=True)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(arguments.out, **arrays)


if __name__ == "__main__":
    main()
