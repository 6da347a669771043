"""How Learning-bit-codes-for-images trained: the recipe "predecessor"."""

from typing import Any

# To 1,250 epochs or 10,000 steps, whichever ends first.
RECIPE: dict[str, Any] = {
    "backbone": "bvlc_alexnet",
    "loss": "ce",
    "bits": 48,
    "retrain": "fc6,fc7",
    "dropout": 0.5,
    "epochs": 1250,
    "max_steps": 10_000,
    "batch_size": 128,
    "optimizer": "sgd",
    "learning_rate": 0.01,
    "head_learning_rate": 0.01,
    "momentum": 0.0,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warm_up": 0.0,
    "amp": "off",
    "augment": False,
    "val": 0.0,
}
