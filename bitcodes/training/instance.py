"""The instance bits of a trained model: fitted to its training images when training has ended.

The class bits say which class an image belongs to, and images of one class have much the same class
bits. The instance bits tell these apart. They are the bits of ITQ for the features without the
directions in which the classes' means differ: for what the class bits do not say. The features are
the outputs of the backbone: the hidden layer behind it has learned to forget what they keep.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bitcodes import runs
from bitcodes.hamming.measure import Measure
from bitcodes.losses.label_free import Array, Planes, fit_itq
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.hashing import HashModel, evaluating
from bitcodes.models.modelfile import read_info
from bitcodes.training.seeds import stable_seed
from bitcodes.training.trainer import Trainer
from bitcodes.training.validation import ranking_score
from bitcodes.wording import counted

_SAMPLE = 10_000  # images that the bits are fitted to
_BATCH = 128
_WEIGHTS = (1, 2, 4, 8, 16, 32, 64)
_USUAL_WEIGHT = 4  # where no images are held out

Features = NDArray[np.float32]  # (N, D)
Labels = NDArray[np.uint8]  # (N, C)


def has_instance_bits(run: Path) -> bool:
    """Whether the model of a run has instance bits."""
    path = run / runs.MODEL_FILE
    return path.is_file() and read_info(path).parts is not None


def add_instance_bits(trainer: Trainer) -> None:
    """Give the model of a training that has ended its instance bits, unless it has them.

    The class weight is chosen on the images held out: see `choose_weight`.
    """
    if has_instance_bits(trainer.run):
        return
    settings, path = trainer.settings, trainer.run / runs.MODEL_FILE
    model = load_model(path, str(trainer.device))
    rng = np.random.default_rng(stable_seed(settings.seed, "instances"))
    rows = np.sort(rng.permutation(trainer.train_rows)[:_SAMPLE])
    features = _features(trainer, model, rows)
    planes = fit_instances(features, trainer.labels[rows], settings.instance_bits, settings.seed)
    layer = as_layer(planes, _scale(model, planes, features))

    weight = _USUAL_WEIGHT
    if len(trainer.val_rows):
        both = model.with_instance_bits(layer, weight)
        held_out, others = (
            (_outputs(both, _features(trainer, model, rows)), trainer.labels[rows])
            for rows in (trainer.val_rows, trainer.ranked_rows)
        )
        weight = choose_weight(*held_out, *others, settings.instance_bits)
    trainer.log(
        f"{counted(settings.instance_bits, 'instance bit')} fitted to "
        f"{counted(len(rows), 'image')}; a class bit weighs as much as {weight} of them"
    )
    save_model(model.with_instance_bits(layer, weight), path)


def fit_instances(features: Features, labels: Labels, bits: int, seed: int) -> Planes:
    """The hyperplanes of `bits` bits that tell images of one class apart.

    Features (N, D), labels (N, C). ITQ is fitted to what is left of the features when the
    directions in which class means differ most are taken out: all of them, but no more than leaves
    half of D. So each class lies on both sides of a hyperplane. If nothing is left, ITQ is fitted
    to the features themselves.
    """
    center = features.mean(axis=0, dtype=np.float64)
    directions = class_directions(features, labels)[: features.shape[1] // 2]  # (d, D)
    left = without(features - center, directions).astype(np.float32)
    if np.abs(left).max() <= 1e-5 * np.abs(features).max():
        return fit_itq(features, bits, seed)
    planes = fit_itq(left, bits, seed)
    return Planes.through(center, without(planes.weight.astype(np.float64), directions))


def class_directions(features: Features, labels: Labels) -> Array:
    """Orthonormal directions (d, D) in which class means differ, those that differ most first.

    A class is all images with the same labels (N, C); large classes count more.
    """
    _, numbers, counts = np.unique(labels, axis=0, return_inverse=True, return_counts=True)
    means = np.zeros((len(counts), features.shape[1]))
    np.add.at(means, numbers.ravel(), features)
    means = means / counts[:, None] - features.mean(axis=0, dtype=np.float64)
    _, sizes, directions = np.linalg.svd(np.sqrt(counts)[:, None] * means, full_matrices=False)
    return np.asarray(directions[sizes > 1e-6 * max(sizes[0], 1e-12)])


def without(vectors: Array, directions: Array) -> Array:
    """Vectors (N, D) without their parts along orthonormal directions (d, D)."""
    return np.asarray(vectors - (vectors @ directions.T) @ directions)


def choose_weight(
    outputs: NDArray[np.float32],
    labels: Labels,
    ranked_outputs: NDArray[np.float32],
    ranked_labels: Labels,
    instance_bits: int,
) -> int:
    """The least weight of a class bit that ranks as well as the class bits alone.

    As well means: the mean average precision of the images held out, outputs (Q, K) and labels
    (Q, C), ranked against others, (N, K) and (N, C), is at most a standard error lower. The less
    the class bits weigh, the more of the order is left to the instance bits. Without such a weight
    it is the largest.
    """
    bits = outputs.shape[1]
    class_bits = bits - instance_bits
    best, error = ranking_score(
        outputs[:, :class_bits], labels, ranked_outputs[:, :class_bits], ranked_labels
    )
    sets = outputs, labels, ranked_outputs, ranked_labels
    for weight in _WEIGHTS:
        score, _ = ranking_score(*sets, Measure(bits, instance_bits, weight))
        if score >= best - error:
            return weight
    return _WEIGHTS[-1]


def as_layer(planes: Planes, scale: float) -> nn.Linear:
    """The hyperplanes as a linear layer, whose outputs are multiplied by `scale`."""
    layer = nn.Linear(planes.weight.shape[1], planes.weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(scale * torch.from_numpy(planes.weight))
        layer.bias.copy_(scale * torch.from_numpy(planes.bias))
    return layer


def _scale(model: HashModel, planes: Planes, features: Features) -> float:
    """What makes instance outputs as large as class outputs, so that both can be compared."""
    ours = np.abs(features @ planes.weight.T + planes.bias).mean()
    theirs = np.abs(_outputs(model, features)).mean()
    return float(theirs / ours) if ours > 0 and theirs > 0 else 1.0


@torch.inference_mode()
def _outputs(model: HashModel, features: Features) -> NDArray[np.float32]:
    with evaluating(model):
        inputs = torch.from_numpy(features).to(model.device)
        outputs: NDArray[np.float32] = model.head(inputs).float().cpu().numpy()
    return outputs


@torch.inference_mode()
def _features(trainer: Trainer, model: HashModel, rows: NDArray[np.int64]) -> Features:
    """The outputs of the backbone (len(rows), D) for training images, without augmentation."""
    batches = [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
    pooled: Callable[[torch.Tensor], torch.Tensor] = model.pooled
    if trainer.settings.freeze:
        pooled = torch.Tensor.float  # the inputs are outputs of the backbone
    parts = [
        pooled(inputs.to(model.device)).float().cpu().numpy()
        for inputs in trainer.inputs.batches(batches)
    ]
    return np.concatenate(parts)
