"""Which layers of the backbone learn, and which stay as they are."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bitcodes.config import Settings
from bitcodes.errors import ConfigError
from bitcodes.models.hashing import HashModel


def retrained_layers(settings: Settings) -> tuple[str, ...]:
    """The layers that `settings.retrain` names."""
    return () if settings.retrain == "none" else tuple(settings.retrain.split(","))


def freeze(model: HashModel, settings: Settings) -> None:
    """Make those parameters of the backbone ask for gradients that the settings let learn.

    Raises ConfigError if `retrain` names a layer that the backbone has not.
    """
    layers = retrained_layers(settings)
    model.backbone.requires_grad_(not settings.freeze and not layers)
    if layers and settings.freeze:
        raise ConfigError(
            f"settings: 'freeze' trains no layer of the backbone, 'retrain' trains "
            f"{settings.retrain}: choose one"
        )
    for name in layers:
        try:
            model.backbone.get_submodule(name).requires_grad_(True)
        except AttributeError:
            known = ", ".join(child for child, _ in model.backbone.named_children())
            raise ConfigError(
                f"settings: 'retrain' names {name!r}, a layer that {model.backbone_name} has not: "
                f"expected none, or some of {known}"
            ) from None


def keep_frozen_norms(backbone: nn.Module) -> None:
    """Keep the statistics of batch norms that do not learn, in a backbone that is in training."""
    for layer in backbone.modules():
        own = list(layer.parameters(recurse=False))
        if isinstance(layer, _BatchNorm) and own and not any(p.requires_grad for p in own):
            layer.eval()
