"""Collapse: features that no longer tell one patch from another."""

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
LEAST_RANK = 4.0
"""Effective rank below which features have collapsed: whatever is left, a linear head has hardly anything to use."""
LEAST_SPREAD = 0.01
REMEDIES = {
    "self-distillation": "lower lr, raise teacher_momentum or batch_size",
    "abstract-mim": "lower lr, raise teacher_momentum, or mask less",
    "contrastive": "raise batch_size or temperature, or lower lr",
}
"""Objective -> what usually helps; of the others lr alone is to blame."""


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
def health(network: Network, images: Tensor, step: int) -> Health:
    """Of the features of some images (b 3 H W); the network is left in the mode that it was in."""
    training = network.training
    network.eval()
    patches = network(images)[:, network.prefix :].flatten(0, 1).double()  # n dim
    network.train(training)
    centred = patches - patches.mean(dim=0)
    values = torch.linalg.svdvals(centred)
    share = values / values.sum().clamp(min=1e-300)
    entropy = -(share * share.clamp(min=1e-300).log()).sum()
    size = patches.square().mean().sqrt().clamp(min=1e-300)
    return Health(step=step, rank=float(entropy.exp()), spread=float(centred.std(dim=0).mean() / size))


def warning(found: Health, objective: str) -> str:
    """What is wrong and what to do, or nothing."""
    if found.rank >= LEAST_RANK and found.spread >= LEAST_SPREAD:
        return ""
    return (
        f"features have collapsed at step {found.step}: effective rank {found.rank:.1f}, spread {found.spread:.3f}; "
        f"{REMEDIES.get(objective, 'lower lr, or raise warmup')}"
    )
