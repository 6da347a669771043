"""The stages of a network: its layers in groups, in the order that images pass them."""

from torch import nn


def stages_by_timm(network: nn.Module) -> list[list[str]]:
    """The names of the parameters of a network of timm: of its stem, its first stage, and so on.

    As timm itself groups them for learning rates that differ by depth: the maps of one size of a
    convolutional network, or its groups of alike blocks; the blocks of a transformer. What follows
    the last stage belongs to it. Empty where timm knows no groups.
    """
    from timm.models import group_parameters

    try:
        matcher = network.group_matcher(coarse=True)  # type: ignore[operator]
    except (AttributeError, AssertionError):
        return []
    return list(group_parameters(network, matcher).values())


def stages_by_structure(network: nn.Module) -> list[list[str]]:
    """The names of the parameters of any network: of its stem, its first stage, and so on.

    Stages are the sequences of blocks that stand beside each other, such as `layer1` to `layer4`
    of a ResNet; where there is one such sequence, its blocks. What stands between two stages
    belongs to the later one, what follows the last to that one. Empty where there are no blocks,
    only layers, as in AlexNet.
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
    if len(sequences) > 1 or _is_sequence(module):
        return sequences or list(blocks)
    if len(sequences) == 1 or len(blocks) == 1:
        (name,) = sequences or blocks
        return _stage_names(blocks[name], f"{name}.")
    return []


def _is_sequence(module: nn.Module) -> bool:
    return isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict)


def _is_block(module: nn.Module) -> bool:
    """Whether it is more than layers one after the other, such as a convolution and its norm."""
    if _is_sequence(module):
        return any(map(_is_block, module.children()))
    return any(True for child in module.children() for _ in child.parameters())
