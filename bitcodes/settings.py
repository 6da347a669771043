"""The settings of a run: what each means, its default, and which values it may have."""

import os
import re
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, Never, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.config import JsonDict
from typing_extensions import TypeVar

from bitcodes.choices import DEVICE
from bitcodes.errors import ConfigError
from bitcodes.extensions import installed, is_place
from bitcodes.files import atomic_write
from bitcodes.losses import NO_ARGUMENTS, LossName, families
from bitcodes.settings_file import expectation, explain
from bitcodes.wording import counted

Auto = Literal["auto"]
# What a setting may be beside its own values: "auto" in Settings, nothing in ResolvedSettings.
OrAuto = TypeVar("OrAuto", default=Auto, covariant=True)

_Size = Annotated[int, Field(ge=32, le=1024)]
_Positive = Annotated[float, Field(gt=0)]
_Share = Annotated[float, Field(ge=0, lt=1)]
_Count = Annotated[int, Field(ge=0)]
_Number = Annotated[int, Field(ge=1)]
_ARGUMENTS = re.compile(r"[^\W\d]\w*=[^,=]+(,[^\W\d]\w*=[^,=]+)*")
_LAYERS = re.compile(r"[\w.]+(,[\w.]+)*")


class Optimizer(StrEnum):
    """How gradients change the weights."""

    SGD = "sgd"
    ADAMW = "adamw"


class Schedule(StrEnum):
    """The learning rates after warm-up."""

    COSINE = "cosine"
    CONSTANT = "constant"


class Precision(StrEnum):
    """Mixed precision of training steps."""

    OFF = "off"
    BFLOAT16 = "bfloat16"


class Panel(StrEnum):
    """The parts of the help of finetune, those that most people need first."""

    GENERAL = "Options"
    TRAINING = "Training"
    MODEL = "Model"
    MACHINE = "Machine"
    AUGMENTATION = "Augmentation"
    FREEZING = "Frozen layers"
    OPTIMIZATION = "Optimization"

    def setting(
        self, default: Any, meaning: str, choice: str = "", metavar: str | None = None
    ) -> Any:
        """A setting of this panel: its default and its help, as the help of finetune shows them.

        `choice` says what the default comes to, `metavar` what stands for a value.
        """
        extra: JsonDict = {"panel": self, "choice": choice, "metavar": metavar}
        return Field(default, description=meaning, json_schema_extra=extra)

    def auto(self, meaning: str, choice: str, metavar: str | None = None) -> Any:
        """A setting of this panel whose default is "auto"; `choice` says what that comes to."""
        return self.setting("auto", meaning, choice, metavar)


def _own_loss(name: str) -> str:
    """The place of a loss of the user's, whose name may be that of an entry point."""
    place = name if is_place(name) else installed("loss").get(name)
    if place is None:
        raise ValueError("neither package.module:Class nor an installed loss")
    return place


OwnLoss = Annotated[str, "package.module:Class", AfterValidator(_own_loss)]


class Settings(BaseModel, Generic[OrAuto]):
    """Everything that decides what a run learns; saved with it as config.yaml.

    A setting is declared here once. It is an option of `bitcodes finetune` by the same name, whose
    help is its text. `Settings` alone may have values of "auto"; `training.resolve` chooses them
    and returns `ResolvedSettings`, so that a saved file says what was done and repeats it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: Path = Panel.GENERAL.setting(
        ...,
        "Folder of images in one folder per class, or a prepared dataset (see `bitcodes "
        "prepare`). A folder of images without classes is fitted without labels (--loss itq).",
    )
    backbone: str = Panel.GENERAL.auto(
        "Pretrained network to start from: alexnet, or a network of torchvision or timm, for "
        "example torchvision/resnet50 or timm/vit_small_patch16_224. One of your own: "
        "package.module:function.",
        "tf_efficientnet_lite0_stages, EfficientNet-Lite0 with the features of all its stages; for "
        "itq, itq-nn and lsh tf_efficientnet_lite0_trunk, with those of the last stage",
        metavar="NAME",
    )
    weights: Literal["pretrained", "random"] | Path = Panel.MODEL.setting(
        "pretrained",
        "File with weights for the backbone: .safetensors, .pth, or .npy for bvlc_alexnet. A model "
        "of bitcodes works too.",
        "the published weights, downloaded if no installed package has them",
        metavar="FILE",
    )
    hidden: OrAuto | Annotated[int, Field(ge=0, le=65536)] = Panel.MODEL.auto(
        "Width of a layer between backbone and hash layer. It starts from random weights. "
        "0 leaves it out.",
        "1024 for tf_efficientnet_lite0_stages and with --freeze, else 0",
    )
    loss: Annotated[LossName | OwnLoss, Field(union_mode="left_to_right")] = Panel.GENERAL.setting(
        LossName.CSQ,
        f"Loss to minimise. {families()} One of your own: package.module:Class.",
        metavar="NAME",
    )
    loss_args: str = Panel.OPTIMIZATION.setting(
        NO_ARGUMENTS,
        "Arguments of the loss, for example margin=0.4,scale=10 for ortho.",
        "the values of the papers",
        metavar="NAME=VALUE,...",
    )
    bits: Annotated[int, Field(ge=1, le=1024)] = Panel.GENERAL.setting(
        48,
        "Bits of a code, without those of --instance-bits. Longer codes find more and take more "
        "memory.",
        "128 for itq, itq-nn and lsh",
    )
    instance_bits: Annotated[int, Field(ge=0, le=1023)] = Panel.MODEL.setting(
        128,
        "Add this many bits that tell the images of one class apart, as the second part of each "
        "code. A search then puts the most similar images of a class first. The bits are fitted to "
        "training images when training has ended. 0 leaves them out, for shorter codes.",
        "0 for itq, itq-nn and lsh",
    )
    image_size: OrAuto | _Size | Annotated[list[_Size], Field(min_length=2)] = Panel.GENERAL.auto(
        "Side in pixels of the images that the network sees. Several sizes, for example 64,128, "
        "share the epochs equally: small images at the beginning make training faster.",
        "by the size of the images: at least 160, at most the size that the backbone was trained "
        "with; about half of it in the first half of the epochs",
        metavar="N,...",
    )
    crop: OrAuto | Annotated[float, Field(gt=0, le=1)] = Panel.MODEL.auto(
        "Share of an image's shorter side that the network sees; the margins are left out.",
        "1, the whole square, for images or an --image-size below 160 pixels; else what the "
        "backbone was trained with, 0.875 for most",
    )
    epochs: OrAuto | _Number = Panel.GENERAL.auto(
        "Passes over the training images. A larger number continues a finished run.",
        "10 for 50,000 images, 32 for 5,000; 30 with --freeze",
    )
    max_steps: _Count = Panel.TRAINING.setting(
        0, "Stop after this many steps, for example for a trial. 0 sets no limit."
    )
    batch_size: Annotated[int, Field(ge=2)] = Panel.TRAINING.setting(
        32, "Images per training step. Reduce it if memory runs out."
    )
    optimizer: OrAuto | Optimizer = Panel.OPTIMIZATION.auto(
        "How gradients change the weights.", "adamw for networks with layer norms, else sgd"
    )
    learning_rate: OrAuto | _Positive = Panel.OPTIMIZATION.auto(
        "Peak learning rate of the backbone and the hidden layer.",
        "for batches of 64: 0.05; without batch norms 0.01; with layer norms 0.0001",
    )
    head_learning_rate: OrAuto | _Positive = Panel.OPTIMIZATION.auto(
        "Peak learning rate of the hash layer and the classifier.",
        "for batches of 64: 0.02 to 0.5, depending on the loss; without batch norms a fifth of it; "
        "with layer norms 0.001",
    )
    weight_decay: OrAuto | Annotated[float, Field(ge=0)] = Panel.OPTIMIZATION.auto(
        "Penalty on the weights.", "0.0005, with layer norms 0.05"
    )
    warm_up: _Share = Panel.OPTIMIZATION.setting(
        0.1, "Share of the steps in which the learning rates rise to their peaks."
    )
    schedule: Schedule = Panel.OPTIMIZATION.setting(
        Schedule.COSINE,
        "Learning rates after the warm-up: fall to zero along a cosine, or stay constant.",
    )
    momentum: _Share = Panel.OPTIMIZATION.setting(0.9, "Nesterov momentum of sgd. 0 turns it off.")
    dropout: _Share = Panel.OPTIMIZATION.setting(
        0.0,
        "Leave out this share of the features before the hash layer, and in the backbone's own "
        "dropout layers. 0 keeps the backbone as it is.",
    )
    label_smoothing: _Share = Panel.OPTIMIZATION.setting(
        0.0, "Spread this much probability over all classes. Used by ce, greedy and ortho."
    )
    dither: _Share = Panel.OPTIMIZATION.setting(
        0.9,
        "Spread the thresholds of the bits over this share of the output range, so that codes "
        "show how sure the network is. Used by csq and dpn. 0 sets all thresholds to zero, as in "
        "the papers.",
    )
    ema: _Share = Panel.OPTIMIZATION.setting(
        0.0,
        "Validate and save a moving average of the weights with this decay per step, for example "
        "0.99. 0 turns it off.",
    )
    freeze_norms: bool = Panel.FREEZING.setting(
        False, "Keep the pretrained statistics of batch norms."
    )
    augment: bool = Panel.AUGMENTATION.setting(
        True, "Augment training images (see --flip, --shift, --zoom, --rand-augment)."
    )
    flip: bool = Panel.AUGMENTATION.setting(
        True, "Mirror half of the images. Turn it off for text or maps."
    )
    shift: Annotated[float, Field(ge=0, le=0.5)] = Panel.AUGMENTATION.setting(
        0.125, "Shift images by up to this share of their side."
    )
    zoom: OrAuto | _Share = Panel.AUGMENTATION.auto(
        "Enlarge images; up to this share of their side is then cut off.",
        "0.2 for fewer than 20,000 images, else 0.0",
    )
    rand_augment: OrAuto | Annotated[float, Field(ge=0, le=10)] = Panel.AUGMENTATION.auto(
        "Apply two random changes of this strength to each image (RandAugment), at most 10. "
        "0 turns it off.",
        "4 for fewer than 20,000 images, else 0.0",
    )
    freeze: bool = Panel.GENERAL.setting(
        False,
        "Freeze the whole backbone and train only the layers after it. Its features are computed "
        "once and kept in runs/.features; an epoch then takes seconds.",
    )
    freeze_stages: OrAuto | _Count = Panel.FREEZING.auto(
        "Freeze the stem and the first N stages (layer groups) of the backbone. Steps are faster.",
        "three sevenths of the stages, rounded down: 3 of 7 for EfficientNet-Lite0, 1 of 4 for a "
        "ResNet; 0 for a backbone without stages",
    )
    retrain: str = Panel.FREEZING.setting(
        "none",
        "Train these layers of the backbone from random weights and freeze the others, for example "
        "fc6,fc7.",
        "all layers train from their pretrained weights",
        metavar="LAYERS",
    )
    val: _Share = Panel.TRAINING.setting(
        0.05,
        "Share of the training list to hold out for validation, at most 2,000 images. The model "
        "is that of the last epoch, unless an earlier epoch is clearly better on these images. 0 "
        "trains on everything.",
    )
    seed: _Count = Panel.TRAINING.setting(0, "Random seed: the same seed repeats a run.")
    summary_steps: _Number = Panel.TRAINING.setting(
        20, "Steps between two points of the curves in TensorBoard."
    )
    histograms: bool = Panel.TRAINING.setting(
        False,
        "Also show histograms of weights, gradients and hash outputs in TensorBoard, one per "
        "epoch. They take room on the disk.",
    )
    device: str = Panel.MACHINE.auto(
        "Where to train: cpu, cuda, cuda:N or mps.",
        "the fastest device of this machine",
        metavar="NAME",
    )
    amp: OrAuto | Precision = Panel.MACHINE.auto(
        "Precision of the training: bfloat16 (mixed with float32), or off (float32).",
        "bfloat16 if a short trial at the start finds it faster, else off",
    )
    compile: bool = Panel.MACHINE.setting(
        False,
        "Compile the training step. This takes minutes at the start and makes steps on a CUDA "
        "card faster.",
    )

    @field_validator("image_size", mode="before")
    @classmethod
    def _split_sizes(cls, value: object) -> object:
        """Sizes as the command line has them, "64,128"."""
        return value.split(",") if isinstance(value, str) and "," in value else value

    @field_validator("image_size")
    @classmethod
    def _check_sizes_grow(cls, value: str | int | list[int]) -> str | int | list[int]:
        if isinstance(value, list) and value != sorted(value):
            raise ValueError("expected sizes in ascending order, such as 64,128")
        return value

    @field_validator("retrain")
    @classmethod
    def _check_layers(cls, value: str) -> str:
        if not _LAYERS.fullmatch(value):
            raise ValueError("expected none or names of layers with commas, such as fc6,fc7")
        return value

    @field_validator("loss_args")
    @classmethod
    def _check_arguments(cls, value: str) -> str:
        if value != NO_ARGUMENTS and not _ARGUMENTS.fullmatch(value):
            raise ValueError("expected none or name=value with commas, such as margin=0.4,scale=10")
        return value

    @field_validator("device")
    @classmethod
    def _check_device(cls, value: str) -> str:
        if not DEVICE.fullmatch(value):
            raise ValueError("expected auto, cpu, cuda, cuda:N or mps")
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        sizes, epochs = self.image_size, self.epochs
        if isinstance(sizes, list) and isinstance(epochs, int) and len(sizes) > epochs:
            raise ValueError(
                f"'image_size': expected at most one size per epoch; found {len(sizes)} sizes "
                f"for {counted(epochs, 'epoch')}"
            )
        if isinstance(sizes, list) and self.freeze:
            raise ValueError("'image_size': expected one size with 'freeze'; found several")
        if self.loss_args != NO_ARGUMENTS and self.label_free:
            raise ValueError(
                f"'loss_args': expected none with the loss {self.loss}; found {self.loss_args}"
            )
        extra = self.instance_bits if "instance_bits" in self.model_fields_set else 0
        if extra and self.label_free:
            raise ValueError(
                f"'instance_bits': expected 0 with the loss {self.loss}; found {extra}"
            )
        if self.bits + extra > 1024:
            total = f"{self.bits + extra:,}"
            raise ValueError(f"'instance_bits': expected 1,024 with 'bits' at most; found {total}")
        meanings = {
            "freeze": "'freeze' (train no layer of the backbone)",
            "freeze_stages": f"'freeze_stages' (train all but the first {self.freeze_stages})",
            "retrain": f"'retrain' (train only {self.retrain})",
        }
        unset = (0, "none", "auto")
        conflicts = [text for name, text in meanings.items() if getattr(self, name) not in unset]
        if len(conflicts) > 1:
            raise ValueError(f"{' and '.join(conflicts)} contradict each other; choose one")
        return self

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_booleans(cls, value: object, info: ValidationInfo) -> object:
        if not isinstance(value, bool) or cls.model_fields[str(info.field_name)].annotation is bool:
            return value
        if info.field_name == "amp" and not value:
            return "off"  # what YAML makes false of, unless it is quoted
        raise ValueError(f"expected {expectation(cls.model_fields[str(info.field_name)])}")

    @field_validator("data", "weights")
    @classmethod
    def _make_absolute(cls, value: Path | str) -> Path | str:
        # resolve() would follow links
        return value if isinstance(value, str) else Path(os.path.abspath(value))  # noqa: PTH100

    @classmethod
    def build(cls, values: dict[str, Any], where: str = "settings") -> Self:
        """Validate `values`; raises ConfigError naming every wrong or unknown key."""
        try:
            return cls(**values)
        except ValidationError as error:
            raise ConfigError(*explain(error, where, cls.model_fields)) from None

    @property
    def label_free(self) -> bool:
        """Whether the loss fits codes without labels and without training."""
        return isinstance(self.loss, LossName) and self.loss.label_free

    def size_in(self: "ResolvedSettings", epoch: int) -> int:
        """The image size in an epoch, from 0; -1 is the last one: the size of the model."""
        sizes = self.image_size if isinstance(self.image_size, list) else [self.image_size]
        share = self.epochs // len(sizes)  # the remainder goes to the last size
        return sizes[min(epoch // share, len(sizes) - 1)]

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, field in type(self).model_fields.items():
            if (value := getattr(self, name)) != field.default:
                yield name, value

    def differences(self, other: "Settings") -> dict[str, tuple[Any, Any]]:
        """The settings that differ, as name -> (own value, other's value)."""
        mine, theirs = self.to_dict(), other.to_dict()
        return {key: (mine[key], theirs[key]) for key in mine if mine[key] != theirs[key]}

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain values, ready for YAML or JSON."""
        return self.model_dump(mode="json")

    def save(self, path: Path) -> None:
        """Write the settings as YAML, whole or not at all."""
        with atomic_write(path, "w") as file:
            yaml.safe_dump(self.to_dict(), file, sort_keys=False, allow_unicode=True)


ResolvedSettings = Settings[Never]  # the same settings without "auto"


def backbone_name(settings: Settings) -> str:
    """The backbone of these settings: "auto" depends on whether the loss trains it."""
    if settings.backbone != "auto":
        return settings.backbone
    variant = "trunk" if settings.label_free else "stages"
    return f"tf_efficientnet_lite0_{variant}"
