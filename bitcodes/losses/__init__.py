"""What training minimises: the registry of losses.

A loss is one small class in a file of this folder, and one line of `LossName`; or a class of the
user's, named as package.module:Class. Its file is imported
when it is used (`loss_class`, `fit_function`), so that the names alone do not load torch.
"""

import importlib
from enum import StrEnum
from typing import Any


class Family(StrEnum):
    """Kinds of losses; the value says what the losses of a kind do, as the help prints it."""

    CENTERS = "pull the codes of each class to a center"
    CLASSIFIER = "classify images by their codes"
    PAIRS = "bring the codes of two images of a class together"
    LABEL_FREE = "need no labels and no training, and take seconds for any folder of images"


class LossName(StrEnum):
    """Each loss: its name, its class or function as module.name in this folder, and its family."""

    place: str
    family: Family

    def __new__(cls, name: str, place: str, family: Family) -> "LossName":
        """A member whose value is the name alone."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.place = place
        member.family = family
        return member

    CE = "ce", "pointwise.LatentCrossEntropy", Family.CLASSIFIER
    CSQ = "csq", "pointwise.HashCenters", Family.CENTERS
    ORTHO = "ortho", "pointwise.OrthoHash", Family.CENTERS
    GREEDY = "greedy", "pointwise.GreedyHash", Family.CLASSIFIER
    DPN = "dpn", "pointwise.DeepPolarizedNetwork", Family.CENTERS
    HASHNET = "hashnet", "pairwise.HashNet", Family.PAIRS
    DCH = "dch", "pairwise.DeepCauchyHashing", Family.PAIRS
    ITQ = "itq", "label_free.fit_itq", Family.LABEL_FREE
    ITQ_NN = "itq-nn", "label_free.fit_neighbours", Family.LABEL_FREE
    LSH = "lsh", "label_free.fit_lsh", Family.LABEL_FREE

    @property
    def label_free(self) -> bool:
        """Whether it fits codes without labels and without training."""
        return self.family == Family.LABEL_FREE

    def load(self) -> Any:
        """The class or function, whose file is imported now (see `loss_class`, `fit_function`)."""
        module, _, attribute = self.place.partition(".")
        return getattr(importlib.import_module(f"{__name__}.{module}"), attribute)


NO_ARGUMENTS = "none"
"""What stands for no arguments of a loss."""

LABEL_FREE = tuple(name for name in LossName if name.label_free)
LOSSES = tuple(name for name in LossName if not name.label_free)


def families() -> str:
    """What the losses of each family do, as the help of --loss says it."""
    members = {family: [name for name in LossName if name.family == family] for family in Family}
    return " ".join(f"{', '.join(names)} {family}." for family, names in members.items() if names)
