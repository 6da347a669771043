"""Features typical of each class of ImageNet, from the network's weights alone: no images."""

from typing import Any

import numpy as np
import torch
from features import Net, network
from numpy.typing import NDArray

STEPS = 120
RATE = 0.2
PRIOR = 0.005
"""How much an unusual value costs, against the logarithm of the probability of the class."""


def prototypes(net: Net, seed: int = 0) -> NDArray[np.float32]:
    """(1000, D): for each class, features that the rest of the network is almost sure of.

    As in DeepInversion (Yin et al., CVPR 2020, https://arxiv.org/abs/1912.08795), the input that
    the network takes for the class is found by gradient descent, and the statistics of a batch norm
    keep it natural. Here the input is not an image but the features, and the network the last
    convolution and the classifier. The batch norm is the one after the last stage: its bias and
    weight are the means and standard deviations of the features. Each prototype starts at random
    values with these statistics.
    """
    whole: Any = network(net).requires_grad_(False)
    norm = whole.blocks[-1][-1].bn3
    mean, deviation = norm.bias, norm.weight.abs()  # (D,)
    random = torch.Generator().manual_seed(seed)
    count = whole.classifier.out_features
    unusual = torch.randn(count, len(mean), generator=random).requires_grad_()  # (classes, D)
    optimizer = torch.optim.Adam([unusual], lr=RATE)
    classes = torch.arange(count)
    for _ in range(STEPS):
        x = (mean + deviation * unusual)[:, :, None, None]  # one pixel of the last map
        scores = whole.classifier(whole.bn2(whole.conv_head(x)).mean(dim=(2, 3)))
        loss = torch.nn.functional.cross_entropy(scores, classes, reduction="sum")
        loss = loss + PRIOR * unusual.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    found: NDArray[np.float32] = (mean + deviation * unusual.detach()).numpy()
    return found
