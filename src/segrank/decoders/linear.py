"""The base setting's decoder: one linear layer on the features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from segrank.data.dataset import IGNORE


class LinearDecoder(nn.Module):
    """Features (b dim h w) -> class scores on the feature grid (b classes h w)."""

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.classify = nn.Linear(dim, classes)

    def forward(self, features: Tensor) -> Tensor:
        # a 1x1 convolution in memory order; upsampling a channels-last-strided tensor is several times slower
        weight, bias = self.classify.weight, self.classify.bias
        return F.conv2d(features, weight[:, :, None, None], bias).contiguous()

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy per image, averaged over its labelled pixels; 0 where there are none.

        Args:
            output: (b classes h w), as `forward` gives it.
            labels: (b H W), uint8; 255 is ignored.

        Returns:
            (b), float32.
        """
        size = (labels.shape[-2], labels.shape[-1])
        pixel_losses = F.cross_entropy(
            self.logits(output, size), labels.long(), ignore_index=IGNORE, reduction="none"
        )  # b H W
        labelled = (labels != IGNORE).sum(dim=(1, 2))
        return pixel_losses.sum(dim=(1, 2)) / labelled.clamp(min=1)

    def logits(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """(b classes h w) -> (b classes H W), float32: bilinear, corners not aligned, no antialias."""
        return F.interpolate(output.float(), size=size, mode="bilinear", align_corners=False)
