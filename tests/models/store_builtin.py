"""The built-in model's constants: run this after its hash layer has changed, to store them anew.

    PYTHONPATH=.:tests python tests/models/store_builtin.py

It writes tests/models/data/builtin.json, and prints what FINGERPRINTS in bitcodes/models/builtin.py
must be.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bitcodes.builtin import BUILT_IN_BITS, built_in_name
from bitcodes.codes.pack import pack_outputs
from bitcodes.models.builtin import built_in_model
from bitcodes.models.encoding import encode_images

STORED = Path(__file__).parent / "data" / "builtin.json"


def pictures() -> list[Image.Image]:
    """Five pictures of 320 x 240, drawn with whole numbers: the same everywhere."""
    y, x = np.mgrid[:240, :320].astype(np.int64)
    planes: list[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]] = [
        (x * 255 // 319, y * 255 // 239, (x + y) * 255 // 558),  # slopes
        ((x // 20 + y // 20) % 2 * 200, (x // 40) % 2 * 90, y // 2),  # squares
        *(
            (near * 230 + 15, near * wave + 40, 120 - near * 80 + y // 3)  # a disc with rings
            for near, wave in [_disc(x, y, 150, 110, 80)]
        ),
        (x * y % 251, x * x // 7 % 256, (x * 3 + y * y) % 241),  # moire
        (
            200 - y // 2 * (y < 140),
            90 + (y >= 140) * 60 + x % 9 * 4,
            230 - y * (y < 200),
        ),  # a shore
    ]
    return [
        Image.fromarray(np.stack(three, axis=2).clip(0, 255).astype(np.uint8)) for three in planes
    ]


def _disc(
    x: NDArray[Any], y: NDArray[Any], across: int, down: int, radius: int
) -> tuple[NDArray[Any], NDArray[Any]]:
    distance = (x - across) ** 2 + (y - down) ** 2
    return (distance < radius**2).astype(np.int64), distance // 300 % 160


def main() -> None:
    """Compute the constants with torch and store them."""
    fingerprints, codes = {}, {}
    for bits in BUILT_IN_BITS:
        model = built_in_model(bits)
        fingerprints[bits] = model.fingerprint()
        packed = pack_outputs(encode_images(model, pictures()).outputs)
        codes[built_in_name(bits)] = [code.tobytes().hex() for code in packed]
    STORED.parent.mkdir(exist_ok=True)
    STORED.write_text(json.dumps({"fingerprints": fingerprints, "codes": codes}, indent=1) + "\n")
    print("FINGERPRINTS = {")
    for bits, fingerprint in fingerprints.items():
        print(f'    {bits}: "{fingerprint}",')
    print("}")


if __name__ == "__main__":
    main()
