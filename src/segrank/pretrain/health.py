"""Whether features still tell one patch from another, measured."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from segrank.data.dataset import Split
from segrank.pretrain.network import Network
from segrank.pretrain.record import Health

CHECKS = 16
"""Times that features are looked at, evenly over the steps; the first is before step 1."""
IMAGES = 32
"""That are looked at."""


def probe_images(split: Split, side: int) -> Tensor:
    """The same few images at every look (n 3 side side), uint8: their middles, by nearest, since what is compared are
    the features of one step with another's."""
    count = min(IMAGES, len(split))
    return torch.from_numpy(
        np.stack([_middle(split[index * len(split) // count].image, side) for index in range(count)])
    )


def _middle(image: np.ndarray, side: int) -> np.ndarray:
    shorter = min(image.shape[:2])
    top, left = (image.shape[0] - shorter) // 2, (image.shape[1] - shorter) // 2
    places = np.arange(side) * shorter // side
    return np.ascontiguousarray(image[top + places][:, left + places].transpose(2, 0, 1))


@torch.no_grad()
def health(network: Network, images: Tensor, step: int, loss: float | None = None) -> Health:
    """Of the features of some images (b 3 H W); the network is left in the mode that it was in.

    Args:
        network, images: whose features.
        step: optimiser steps done.
        loss: the mean since the last look.
    """
    training = network.training
    network.eval()
    patches = network(images)[:, network.prefix :].flatten(0, 1).double()  # n dim
    network.train(training)
    centred = patches - patches.mean(dim=0)
    values = torch.linalg.svdvals(centred)
    share = values / values.sum().clamp(min=1e-300)
    entropy = -(share * share.clamp(min=1e-300).log()).sum()
    size = patches.square().mean().sqrt().clamp(min=1e-300)
    return Health(step=step, rank=float(entropy.exp()), spread=float(centred.std(dim=0).mean() / size), loss=loss)
