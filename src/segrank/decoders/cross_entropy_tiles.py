"""Upsampled cross-entropy in torch alone: a few rows of pixels at a time, differentiated by torch."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segrank.decoders.pixels import Pixels

_VALUES = 2**22
"""Upsampled logits in a tile: 16 MiB in float32."""


def sum_losses(grid: Tensor, pixels: Pixels, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The sum of the losses of each image's labelled pixels, and its gradient.

    Args:
        grid: (b h+2 classes w+2), as `bordered` gives it.
        pixels: of the same images.
        differentiate: whether a gradient is wanted.

    Returns:
        (b), and (b h+2 classes w+2) or None.
    """
    labels, rows, columns, ignore = pixels
    images, _, classes, _ = grid.shape
    height, width = labels.shape[1:]
    losses = grid.new_zeros(images)
    gradient = torch.zeros_like(grid) if differentiate else None
    tile = max(1, _VALUES // max(1, images * classes * width))
    for top in range(0, height, tile):
        part = slice(top, top + tile)
        with torch.set_grad_enabled(differentiate):
            leaf = grid.detach().requires_grad_(differentiate)
            above, down = rows.before[part], rows.weight[part, None, None]
            tall = torch.lerp(leaf[:, above], leaf[:, above + 1], down)  # b rows classes w+2
            wide = torch.lerp(tall[..., columns.before], tall[..., columns.before + 1], columns.weight)
            of_pixels = F.cross_entropy(
                wide.transpose(1, 2), labels[:, part].long(), ignore_index=ignore, reduction="none"
            )
            total = of_pixels.sum()
        losses += of_pixels.detach().sum(dim=(1, 2))
        if gradient is not None:
            gradient += torch.autograd.grad(total, leaf)[0]
    return losses, gradient
