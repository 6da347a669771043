"""What learns: the hash model, its loss, their optimizer, and the moving average of weights."""

from dataclasses import InitVar, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import AveragedModel

from bitcodes.images.transforms import Preprocessing
from bitcodes.losses.base import HashLoss, loss_class
from bitcodes.models.backbones import find_backbone
from bitcodes.models.hashing import HashModel
from bitcodes.settings import Optimizer, Precision, ResolvedSettings
from bitcodes.training.distributed import Group, synchronise_norms
from bitcodes.training.optimizing import freeze, make_optimizer, retrained_layers, set_modes
from bitcodes.training.schema import check_optimizer, check_weights
from bitcodes.training.seeds import stable_seed
from bitcodes.training.state import Checkpoint


@dataclass(eq=False)
class Learner:
    """The model in training. Labels (N, C) tell the loss of classes; a step sees a whole batch."""

    settings: ResolvedSettings
    class_names: tuple[str, ...]
    labels: InitVar[NDArray[np.uint8]]
    device: torch.device
    group: Group

    def __post_init__(self, labels: NDArray[np.uint8]) -> None:
        settings, device, group = self.settings, self.device, self.group
        preprocessing = find_backbone(settings.backbone).preprocessing(settings.size_in(-1))
        preprocessing = preprocessing.model_copy(update={"crop": settings.crop})
        torch.manual_seed(stable_seed(settings.seed, "weights"))
        self.model = HashModel(
            settings.backbone,
            settings.bits,
            preprocessing,
            self.class_names,
            settings.weights,
            retrained_layers(settings),
            settings.hidden,
        ).to(device)
        multi_label = bool((labels.sum(axis=1) != 1).any())
        self.loss: HashLoss = loss_class(settings.loss, settings.loss_args)(
            settings.bits, labels.shape[1], multi_label, settings.seed
        ).to(device)
        if group.size > 1 and device.type == "cuda":
            synchronise_norms(self.model)
        freeze(self.model.backbone, settings)
        if settings.dropout:
            self.model.set_dropout(settings.dropout)
        self.average: AveragedWeights | None = None
        if settings.ema:
            self.average = AveragedWeights(self.model, self.loss, settings.ema)
        self.optimizer = make_optimizer(
            settings,
            nn.ModuleList([self.model.backbone, self.model.hidden]),
            [self.model.hash_layer, self.loss],
        )
        self.forward: nn.Module = self.model  # as `prepare` wraps it

    def prepare(self) -> None:
        """Wrap the network for the processes of the group and compile it, as the settings say."""
        self.forward = self.group.wrap(self.model, self.device)
        if self.settings.compile:
            self.forward = torch.compile(self.forward)  # type: ignore[assignment]

    def set_image_size(self, size: int) -> Preprocessing:
        """Have model and average take images of this size; returns their preprocessing."""
        preprocessing = self.model.preprocessing.model_copy(update={"image_size": size})
        self.model.preprocessing = preprocessing
        if self.average is not None:
            self.average.model.preprocessing = preprocessing
        return preprocessing

    def set_modes(self) -> None:
        """Training mode for all that learns, evaluation mode for what stays as it is."""
        self.model.train()
        set_modes(self.model.backbone)
        self.loss.train()
        if self.settings.freeze_norms:
            for module in self.model.backbone.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    # -- a step -------------------------------------------------------------------------------

    def set_rates(self, share: float) -> None:
        """Set the learning rates to this share of their peaks."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share

    @property
    def rates(self) -> list[float]:
        """The learning rates of the optimizer's groups, the backbone's first."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def lose(
        self, inputs: torch.Tensor, targets: torch.Tensor, progress: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        """The loss () of the whole batch, its hash outputs (B, K) and its logits (B, C) if any.

        `inputs` are this process's part of the batch, `targets` (B, C) those of the whole batch;
        `progress` is the share of all steps that are done.
        """
        mixed = self.settings.amp == Precision.BFLOAT16
        with torch.autocast(self.device.type, torch.bfloat16, mixed):
            outputs = self.outputs(inputs)
        outputs = self.group.gather(outputs.float())  # (B, K)
        if self.loss.has_cross_entropy and not self.loss.multi_label:
            share = self.settings.label_smoothing
            targets = targets * (1 - share) + share / targets.shape[1]
        loss, logits = self.loss(outputs, targets, progress)
        return loss, outputs, logits

    def outputs(self, inputs: torch.Tensor) -> torch.Tensor:
        """Hash outputs (B, K) of images, or with --freeze of features."""
        if self.settings.freeze:
            return self.model.head(inputs)
        outputs: torch.Tensor = self.forward(self.model.preprocessing.normalise(inputs))
        return outputs

    def learn(self, loss: torch.Tensor) -> None:
        """One step of the optimizer, and of the average."""
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.group.average_gradients(self.loss.parameters())
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.model, self.loss)

    # -- what it has learned ------------------------------------------------------------------

    def share_buffers(self) -> None:
        """Give all processes the first one's statistics of batch norms."""
        self.group.share_buffers(self.model)
        if self.average is not None:
            self.group.share_buffers(self.average.model)

    def exported(self) -> HashModel:
        """The model as it is validated and saved: with what the loss adds to its hash layer."""
        source = self if self.average is None else self.average
        layer = source.loss.fold(source.model.hash_layer, self.settings.dither)
        return source.model.with_hash_layer(layer)

    @property
    def bytes(self) -> int:
        """About how many bytes its model and its checkpoint take on a disk."""
        tensors = [*self.model.state_dict().values(), *self.loss.state_dict().values()]
        whole: int = sum(tensor.nbytes for tensor in tensors)
        learning: int = sum(p.nbytes for p in self.model.parameters() if p.requires_grad)
        moments = 2 if self.settings.optimizer == Optimizer.ADAMW else 1
        return whole * (3 if self.settings.ema else 2) + learning * moments

    def load(self, checkpoint: Checkpoint) -> None:
        """Continue from the state in a checkpoint.

        Raises errors of many kinds if it does not fit.
        """
        own = {"model": self.model.state_dict(), "loss": self.loss.state_dict()}
        for part, weights in own.items():
            check_weights(part, weights, getattr(checkpoint, part))
        if (average := checkpoint.average) is not None:
            for part, weights in own.items():
                check_weights(f"average of {part}", weights, average[part])
            if type(average["step"]) is not int or not 0 <= average["step"] <= checkpoint.step:
                raise ValueError(f"average: expected up to {checkpoint.step} steps")
        check_optimizer(self.optimizer, checkpoint.optimizer, checkpoint.step)
        for name, part in self._parts().items():
            part.load_state_dict(getattr(checkpoint, name))

    def state(self) -> dict[str, Any]:
        """Its part of a `Checkpoint`."""
        return {"average": None} | {k: part.state_dict() for k, part in self._parts().items()}

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "loss": self.loss, "optimizer": self.optimizer}
        return parts if self.average is None else {**parts, "average": self.average}


class AveragedWeights:
    """A copy of model and loss whose weights are the exponential moving average (EMA) of theirs.

    It is validated and saved instead of the last weights.

    After step t, from 0: average += (1 - d) (weights - average) with d = min(decay,
    (1 + t) / (10 + t)), so that the first steps are soon forgotten. Statistics of batch norms are
    averaged likewise.
    """

    def __init__(self, model: HashModel, loss: HashLoss, decay: float) -> None:
        self.decay = decay
        self.step = 0
        both = nn.ModuleList([model, loss])
        self._average = AveragedModel(both, multi_avg_fn=self._blend, use_buffers=True)
        self._average.requires_grad_(False)
        self._average.n_averaged.fill_(1)  # the weights before the first step count as one
        copies: Any = self._average.module
        self.model: HashModel = copies[0]
        self.loss: HashLoss = copies[1]

    @torch.no_grad()
    def update(self, model: HashModel, loss: HashLoss) -> None:
        """Take one more step's weights into the average."""
        self._average.update_parameters(nn.ModuleList([model, loss]))
        self.step += 1

    def _blend(self, means: Any, values: Any, count: object) -> None:
        """The formula for tensors of one type; those that are no floats are counts."""
        share = 1 - min(self.decay, (1 + self.step) / (10 + self.step))
        for mean, value in zip(means, values, strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, share)
            else:
                mean.copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` continues from."""
        model, loss = self.model.state_dict(), self.loss.state_dict()
        return {"step": self.step, "model": model, "loss": loss}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.loss.load_state_dict(state["loss"])
