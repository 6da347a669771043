"""What training minimises: one small class a loss, found by name in LOSSES."""

from bitcodes.losses.base import HashLoss
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

__all__ = ["LOSSES", "HashLoss"]
