"""A template for an encoder of your own: copy it, and put your model in the place of `PatchEncoder`.

To try it, 20 steps on small scenes:

    segrank run --encoder "file:examples/my_encoder.py:build?width=64" --weights random --dataset scenes
        --set crop=64 --set steps=20
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PatchEncoder(nn.Module):
    """Each patch by itself, with one token in front that stands for a class token."""

    # Images come as (pixels / 255 - mean) / std. Left out, ImageNet's numbers are taken.
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)

    # How many tokens stand in front of those of the patches. Left out, it is 0.
    num_prefix_tokens = 1

    def __init__(self, patch_size: int, grid: tuple[int, int], width: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, kernel_size=patch_size, stride=patch_size)
        self.positions = nn.Parameter(torch.zeros(1, grid[0] * grid[1], width))
        self.class_token = nn.Parameter(torch.zeros(1, 1, width))
        self.mix = nn.MultiheadAttention(width, num_heads=4, batch_first=True)
        self.norm = nn.LayerNorm(width)  # the pretrained model's own final norm belongs to the features

    def forward(self, images: Tensor) -> Tensor:
        """Images (b 3 H W), float and normalised -> tokens (b n width), row by row, or a map (b width h w)."""
        tokens = self.patches(images).flatten(2).transpose(1, 2) + self.positions
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1)
        mixed, _ = self.mix(tokens, tokens, tokens, need_weights=False)
        features: Tensor = self.norm(tokens + mixed)
        return features


def build(crop: tuple[int, int], patch_size: int, width: int = 128) -> nn.Module:
    """The encoder for a crop (height and width, pixels) and a patch size; further options come from the reference."""
    return PatchEncoder(patch_size, (crop[0] // patch_size, crop[1] // patch_size), width)
