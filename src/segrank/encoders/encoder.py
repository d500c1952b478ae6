"""Encoder: images in, a map of features out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segrank.errors import EncoderError
from segrank.record import WeightsReport


class Parts(NamedTuple):
    """What an `Encoder` is made of."""

    backbone: nn.Module
    dim: int
    statistics: Callable[[], tuple[Sequence[float], Sequence[float]]]
    """Its own mean and standard deviation, of images in 0..1; raises EncoderError if they are not known."""
    report: WeightsReport


class FixedStatistics(nn.Module):
    """A module in which BatchNorm keeps the statistics that it was loaded with, in training too.

    So the features of an image do not depend on the others of its micro-batch.
    """

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
        return self


class Encoder(nn.Module):
    """images (b 3 H W, uint8) -> features (b dim h w), h = H / patch_size and w = W / patch_size.

    Args:
        backbone: takes float images (b 3 H W), normalised. Its `forward_features` is called if it has
            one, else its `forward`. It returns tokens (b n dim), row by row after `num_prefix_tokens`
            others (0 if it has no such attribute), or a map (b dim h w).
        dim: channels of the features.
        crop: height and width that the backbone is built for, pixels.
        patch_size: side of a patch, pixels.
        mean: per channel, of images in 0..1.
        std: likewise.
        name: how errors call it.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        *,
        dim: int,
        crop: tuple[int, int],
        patch_size: int,
        mean: Sequence[float],
        std: Sequence[float],
        name: str,
    ) -> None:
        super().__init__()
        check_crop(crop, patch_size)
        self.backbone = backbone
        self.dim, self.crop, self.patch_size, self.name = dim, crop, patch_size, name
        # a spec decides on them, so they are no part of the weights
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """images (b 3 H W, uint8) -> (b dim h w).

        Raises:
            EncoderError: images of another size, type or number of channels.
        """
        return to_map(features_of(self.backbone, self.normalised(images)), self.backbone, self.grid, self.name)

    def normalised(self, images: Tensor) -> Tensor:
        """images (b 3 H W, uint8) -> what the backbone takes (b 3 H W).

        Raises:
            EncoderError: as `forward`.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise EncoderError(
                f"{self.name} got {images.dtype} {tuple(images.shape)}",
                wanted="uint8 images of shape (b, 3, H, W); the encoder normalises them itself",
            )
        height, width = images.shape[2:]
        check_crop((height, width), self.patch_size)
        if (height, width) != self.crop:
            raise EncoderError(
                f"{self.name} got images of {height}x{width}",
                wanted=f"{self.crop[0]}x{self.crop[1]}, which it was built for",
                fix=f"build it with crop=({height}, {width})",
            )
        return (images.float() / 255 - self.mean) / self.std

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the features."""
        return self.crop[0] // self.patch_size, self.crop[1] // self.patch_size


def features_of(backbone: nn.Module, images: Tensor) -> Tensor:
    """Normalised images (b 3 H W) -> tokens or a map, with whatever final norm the backbone has."""
    forward = getattr(backbone, "forward_features", backbone)
    features: Tensor = forward(images)
    return features


def to_map(features: Tensor, backbone: nn.Module, grid: tuple[int, int], name: str) -> Tensor:
    """Tokens (b n dim), or a map (b dim h w) as it stands, to a map (b dim h w).

    Raises:
        EncoderError: they do not fit the grid.
    """
    rows, columns = grid
    prefix = int(getattr(backbone, "num_prefix_tokens", 0))
    shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
    if isinstance(features, Tensor) and features.ndim == 4 and shape[2:] == grid:
        return features
    if not isinstance(features, Tensor) or features.ndim != 3 or features.shape[1] != prefix + rows * columns:
        raise EncoderError(
            f"{name} gives features of shape {shape}",
            wanted=f"one per patch: tokens (b, {prefix} + {rows}x{columns}, dim) or a map (b, dim, {rows}, {columns})",
            fix="choose a plain vision transformer, which keeps one token per patch from end to end",
        )
    tokens = features[:, prefix:]  # b (h w) dim, rows first
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, rows, columns)


def check_crop(size: tuple[int, int], patch_size: int) -> None:
    """Sides of an image, pixels, must be multiples of the patch.

    Raises:
        EncoderError: with the sizes next to the wrong one.
    """
    for side in size:
        if side % patch_size or side <= 0:
            below = side // patch_size * patch_size
            choices = [str(choice) for choice in (below, below + patch_size) if choice > 0]
            raise EncoderError(
                f"side {side} of {size[0]}x{size[1]} is not a multiple of patch {patch_size}",
                fix=f"use {' or '.join(choices)}",
            )
