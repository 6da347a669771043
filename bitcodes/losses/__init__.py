"""What training minimises: one small class a loss, found by name in LOSSES.

LABEL_FREE has, by name, what fits a hash layer without labels and without training.
"""

from bitcodes.losses.base import HashLoss
from bitcodes.losses.label_free import LABEL_FREE
from bitcodes.losses.pairwise import DeepCauchyHashing, HashNet
from bitcodes.losses.pointwise import (
    DeepPolarizedNetwork,
    GreedyHash,
    HashCenters,
    LatentCrossEntropy,
    OrthoHash,
)

LOSSES: dict[str, type[HashLoss]] = {
    "ce": LatentCrossEntropy,
    "csq": HashCenters,
    "ortho": OrthoHash,
    "greedy": GreedyHash,
    "dpn": DeepPolarizedNetwork,
    "hashnet": HashNet,
    "dch": DeepCauchyHashing,
}

__all__ = ["LABEL_FREE", "LOSSES", "HashLoss"]
