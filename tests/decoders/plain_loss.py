"""The loss as torch has it: all logits upsampled, then compared."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Losses = Callable[[Tensor, Tensor], Tensor]


def plain_losses(logits: Tensor, labels: Tensor) -> Tensor:
    """(b classes h w) and (b H W) -> (b): the mean over each image's labelled pixels, 0 where there are none."""
    upsampled = F.interpolate(logits, labels.shape[1:], mode="bilinear", align_corners=False)
    pixels = F.cross_entropy(upsampled, labels.long(), ignore_index=255, reduction="none")
    return pixels.sum(dim=(1, 2)) / (labels != 255).sum(dim=(1, 2)).clamp(min=1)


def with_gradient(losses: Losses, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The losses (b), and the gradient of a sum in which each image has another weight (b classes h w)."""
    leaf = logits.detach().requires_grad_()
    found = losses(leaf, labels)
    weights = torch.arange(1, len(found) + 1, dtype=found.dtype, device=found.device)
    (gradient,) = torch.autograd.grad(found @ weights, leaf)
    return found.detach(), gradient


def batch(
    classes: int, grid: tuple[int, int], size: tuple[int, int], *, spread: float = 3.0, images: int = 2
) -> tuple[Tensor, Tensor]:
    """Logits (images classes *grid), float64, with this standard deviation, and labels (images *size), some ignored."""
    generator = torch.Generator().manual_seed(7)
    logits = spread * torch.randn(images, classes, *grid, dtype=torch.float64, generator=generator)
    labels = torch.randint(0, classes, (images, *size), dtype=torch.uint8, generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    labels[:, : size[0] // 2, size[1] // 3 :] = labels[:, :1, :1]  # neighbours that are alike, as in a real label map
    return logits, labels
