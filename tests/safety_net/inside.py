"""All that the safety net takes from inside bitcodes: the command line and two small backbones.

What it compares, it gets by commands alone, so that everything else may move.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import small  # registers the backbone "small, no dropout"
import tiny  # registers the backbone "tiny"
import torch
from numpy.typing import NDArray

from bitcodes.cli.app import main

__all__ = ["hash_outputs", "main", "small", "tiny"]

torch.set_num_threads(1)


def hash_outputs(run: Path, images: Iterable[Path]) -> NDArray[np.float32]:
    """What a run makes of images before it becomes bits, (B, K); asked for only while storing."""
    from bitcodes.models.checkpoint import load_model
    from bitcodes.models.encoding import encode_images

    return encode_images(load_model(run), images).outputs
