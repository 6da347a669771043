"""The instance bits of a trained model: fitted to its training images when training has ended.

The class bits say which class an image belongs to, and images of one class have much the same class
bits. The instance bits tell these apart. They are codes without labels of what the pretrained
backbone sees: training forgets much of what tells the images of a class apart. Most of them tell
images apart, `fit_contrast`, the others kinds of images, `fit_neighbours`. So that encoding needs
no second network, they are imitated: the instance bits are the linear function of the trained
backbone's outputs that comes nearest to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bitcodes import runs
from bitcodes.hamming.measure import Measure
from bitcodes.images.augmentation import Augmentation
from bitcodes.losses.label_free import Planes, fit_contrast, fit_neighbours, spread
from bitcodes.models.backbones import find_backbone
from bitcodes.models.checkpoint import load_model, save_model
from bitcodes.models.hashing import HashModel, evaluating
from bitcodes.models.modelfile import read_info
from bitcodes.settings import ResolvedSettings
from bitcodes.training.inputs import TrainingImages
from bitcodes.training.seeds import stable_seed
from bitcodes.training.trainer import Trainer
from bitcodes.training.validation import mean_and_error, precisions
from bitcodes.wording import counted

_SAMPLE = 10_000  # images that the bits are fitted to
_CHANGED = 4000  # of these, one changed copy each shows what the bits are to overlook
_OF_NEIGHBOURS = 1 / 4  # of the instance bits
_RIDGE = 0.1
_BATCH = 128
_WEIGHTS = (1, 2, 4, 8, 16, 32, 64)
_USUAL_WEIGHT = 8
_FEW = 200  # images held out: fewer may raise the usual weight, not lower it
_FALL = 0.003  # of mAP, that both parts may rank worse than the class bits alone

Features = NDArray[np.float32]  # (N, D)
Labels = NDArray[np.uint8]  # (N, C)
Rows = NDArray[np.int64]  # of the training list


def has_instance_bits(run: Path) -> bool:
    """Whether the model of a run has instance bits."""
    path = run / runs.MODEL_FILE
    return path.is_file() and read_info(path).parts is not None


def images_read(settings: ResolvedSettings, train: Rows, held_out: Rows, ranked: Rows) -> int:
    """How many images backbones encode to fit the instance bits, by the rows of `rows_of`.

    With --freeze, only the changed copies are still to be encoded.
    """
    fitted = min(len(train), _SAMPLE)
    unchanged = (1 + _imitates(settings)) * fitted + len(held_out) + len(ranked)
    return min(fitted, _CHANGED) + (0 if settings.freeze else unchanged)


def _imitates(settings: ResolvedSettings) -> bool:
    """Whether training has changed a pretrained backbone, which is then imitated."""
    return settings.weights != "random" and not settings.freeze


def add_instance_bits(trainer: Trainer) -> None:
    """Give the model of a training that has ended its instance bits, unless it has them.

    The class weight is chosen on the images held out: see `choose_weight`.
    """
    if has_instance_bits(trainer.run):
        return
    settings, path = trainer.settings, trainer.run / runs.MODEL_FILE
    model = load_model(path, str(trainer.device))
    rng = np.random.default_rng(stable_seed(settings.seed, "instances"))
    rows = rng.permutation(trainer.train_rows)[:_SAMPLE]
    validated = trainer.val_rows, trainer.ranked_rows
    reading = _Reading(trainer, images_read(settings, trainer.train_rows, *validated))
    trainer.log(f"fitting {counted(settings.instance_bits, 'instance bit')}")
    features = reading.features(model, rows)
    planes = _fit(reading, model, rows, features)
    layer = as_layer(planes, _scale(model, planes, features))

    weight = _USUAL_WEIGHT
    if len(trainer.val_rows):
        both = model.with_instance_bits(layer, weight)
        held_out, others = (
            (_outputs(both, reading.features(model, rows)), trainer.labels[rows])
            for rows in validated
        )
        weight = choose_weight(*held_out, *others, settings.instance_bits)
    trainer.log(
        f"{counted(settings.instance_bits, 'instance bit')} fitted to "
        f"{counted(len(rows), 'image')}; a class bit weighs as much as {weight} of them"
    )
    save_model(model.with_instance_bits(layer, weight), path)


def _fit(reading: "_Reading", model: HashModel, rows: Rows, features: Features) -> Planes:
    """The hyperplanes of the instance bits, for features (N, D) of these rows by the model."""
    settings = reading.trainer.settings
    pretrained, before = model, features
    if _imitates(settings):
        pretrained = HashModel(
            *(settings.backbone, settings.bits, model.preprocessing),
            weights=settings.weights,
        ).to(model.device)
        before = reading.features(pretrained, rows)
    some = rows[:_CHANGED]
    changes = reading.changed_features(pretrained, some) - before[: len(some)]
    deepest = find_backbone(settings.backbone).deepest
    planes = fit_both(before, changes, settings.instance_bits, settings.seed, deepest)
    if pretrained is model:
        return planes
    return imitate(before @ planes.weight.T + planes.bias, features)


def fit_both(
    features: Features,
    changes: Features,
    bits: int,
    seed: int,
    deepest: tuple[int, int] | None = None,
) -> Planes:
    """The hyperplanes of `fit_contrast`, and for a quarter of the bits those of `fit_neighbours`.

    Neighbours are found by the `deepest` features: see Backbone. The outputs of both are equally
    large.
    """
    of_neighbours = int(bits * _OF_NEIGHBOURS)
    planes = [fit_contrast(features, changes, bits - of_neighbours, seed)]
    if of_neighbours:
        width = features.shape[1]
        columns = slice(*(deepest or (0, width)))
        neighbours = fit_neighbours(features[:, columns], of_neighbours, seed)
        weight = np.zeros((of_neighbours, width), np.float32)
        weight[:, columns] = neighbours.weight
        planes.append(Planes(weight, neighbours.bias))
        if not _size(features, planes[-1]):  # neighbours have nothing in common
            planes = [fit_contrast(features, changes, bits, seed)]
    scales = [1 / (_size(features, each) or 1.0) for each in planes]
    weights = [scale * each.weight for scale, each in zip(scales, planes, strict=True)]
    biases = [scale * each.bias for scale, each in zip(scales, planes, strict=True)]
    return Planes(np.concatenate(weights), np.concatenate(biases))


def imitate(outputs: Features, features: Features) -> Planes:
    """The hyperplanes whose outputs for features (N, D) are nearest to given outputs (N, K).

    It is ridge regression: with the features scaled to a standard deviation of 1, a tenth of that
    is added to each variance.
    """
    center, scale = features.mean(axis=0, dtype=np.float64), spread(features)
    inputs = (features - center) / scale
    mean = outputs.mean(axis=0, dtype=np.float64)
    covariance = inputs.T @ inputs / len(inputs) + _RIDGE * np.eye(inputs.shape[1])
    weight = np.linalg.solve(covariance, inputs.T @ (outputs - mean) / len(inputs)).T / scale
    return Planes(weight.astype(np.float32), (mean - weight @ center).astype(np.float32))


def choose_weight(
    outputs: NDArray[np.float32],
    labels: Labels,
    ranked_outputs: NDArray[np.float32],
    ranked_labels: Labels,
    instance_bits: int,
) -> int:
    """The least weight of a class bit that ranks nearly as well as the class bits alone.

    The images held out, outputs (Q, K) and labels (Q, C), are ranked against others, (N, K) and
    (N, C). Nearly as well means: the fall of their mean average precision plus its standard error
    is at most `_FALL`. The less the class bits weigh, the more of the order is left to the instance
    bits. Without such a weight it is the largest. Few images may all do well by chance: they choose
    no weight below the usual one.
    """
    bits = outputs.shape[1]
    class_bits = bits - instance_bits
    alone = precisions(
        outputs[:, :class_bits], labels, ranked_outputs[:, :class_bits], ranked_labels
    )
    least = 1 if len(alone) >= _FEW else _USUAL_WEIGHT
    for weight in (each for each in _WEIGHTS if each >= least):
        measure = Measure(bits, instance_bits, weight)
        values = precisions(outputs, labels, ranked_outputs, ranked_labels, measure)
        mean, error = mean_and_error(values - alone)
        if error - mean <= _FALL:
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
    ours = _size(features, planes)
    theirs = np.abs(_outputs(model, features)).mean()
    return float(theirs / ours) if ours > 0 and theirs > 0 else 1.0


def _size(features: Features, planes: Planes) -> float:
    """The mean size of the outputs for features (N, D)."""
    return float(np.abs(features @ planes.weight.T + planes.bias).mean())


@torch.inference_mode()
def _outputs(model: HashModel, features: Features) -> NDArray[np.float32]:
    with evaluating(model):
        inputs = torch.from_numpy(features).to(model.device)
        outputs: NDArray[np.float32] = model.head(inputs).float().cpu().numpy()
    return outputs


@dataclass
class _Reading:
    """Reads outputs of backbones for training images.

    It reports how many of the total it has: of the images that are still to be encoded.
    """

    trainer: Trainer
    total: int
    done: int = 0

    def features(self, model: HashModel, rows: Rows) -> Features:
        """The outputs of the backbone (len(rows), D), without augmentation."""
        batches = self.trainer.inputs.batches(_batches(rows))
        if self.trainer.settings.freeze:  # then inputs are outputs of the backbone
            return torch.cat([features.float() for features in batches]).numpy()
        return self._collected(model, batches)

    def changed_features(self, model: HashModel, rows: Rows) -> Features:
        """The same for a changed copy of each image."""
        settings, train = self.trainer.settings, self.trainer.dataset.train
        change = Augmentation(settings.flip, shift=0.125, zoom=0.2, rand_augment=4)
        paths = [train.absolute_path(row) for row in rows.tolist()]
        images = TrainingImages(paths, model.preprocessing, self.trainer.workers, keep=False)
        generator = torch.Generator().manual_seed(stable_seed(settings.seed, "changes"))
        changed = (
            change(batch, change.draw(len(batch), generator))
            for batch in images.batches(_batches(np.arange(len(rows))))
        )
        return self._collected(model, changed)

    @torch.inference_mode()
    def _collected(self, model: HashModel, batches: Iterator[torch.Tensor]) -> Features:
        parts = []
        for images in batches:
            parts.append(model.pooled(images.to(model.device)).float().cpu().numpy())
            self.done += len(images)
            self.trainer.loading(self.done, self.total)
        return np.concatenate(parts)


def _batches(rows: Rows) -> list[Rows]:
    return [rows[start : start + _BATCH] for start in range(0, len(rows), _BATCH)]
