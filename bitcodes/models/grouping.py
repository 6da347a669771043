"""The stages of a network: groups of its layers, in the order of the forward pass."""

from torch import nn


def stages_by_timm(network: nn.Module) -> list[list[str]]:
    """The parameter names of a network of timm: of its stem, of its first stage, and so on.

    The groups are timm's own: in a convolutional network the layers with maps of one size, or
    similar blocks; in a transformer the blocks. What follows the last stage belongs to it. Empty if
    timm has no groups for the network.
    """
    from timm.models import group_parameters

    try:
        matcher = network.group_matcher(coarse=True)  # type: ignore[operator]
    except (AttributeError, AssertionError):
        return []
    return list(group_parameters(network, matcher).values())


def stages_by_structure(network: nn.Module) -> list[list[str]]:
    """The parameter names of any network: of its stem, of its first stage, and so on.

    The stages are the sequences of blocks beside each other, such as `layer1` to `layer4` of a
    ResNet; if there is only one, its blocks. Layers between two stages belong to the later one,
    layers after the last stage to that one. Empty for a network without blocks, such as AlexNet.
    """
    stages = [f"{name}." for name in _stage_names(network)]
    if not stages:
        return []
    groups: list[list[str]] = [[] for _ in ("stem", *stages)]
    between: list[str] = []
    for name, _ in network.named_parameters():
        stage = next((i for i, prefix in enumerate(stages, 1) if name.startswith(prefix)), None)
        if stage is None:
            between.append(name)
            continue
        groups[0 if stage == 1 else stage] += between
        groups[stage].append(name)
        between = []
    groups[-1] += between
    return groups


def _stage_names(module: nn.Module, path: str = "") -> list[str]:
    blocks = {f"{path}{name}": child for name, child in module.named_children() if _is_block(child)}
    sequences = [name for name, block in blocks.items() if _is_sequence(block)]
    names = sequences or list(blocks)
    if len(sequences) > 1 or _is_sequence(module):
        return names
    return _stage_names(blocks[names[0]], f"{names[0]}.") if len(names) == 1 else []


def _is_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)


def _is_block(module: nn.Module) -> bool:
    """Whether it is more than one layer, such as a convolution and its norm."""
    if _is_sequence(module):
        return any(map(_is_block, module.children()))
    return any(True for child in module.children() for _ in child.parameters())
