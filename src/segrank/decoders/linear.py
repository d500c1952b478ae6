"""The base setting's decoder: one linear layer on the features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from segrank.decoders.upsampled_cross_entropy import upsampled_cross_entropy


class LinearDecoder(nn.Module):
    """Features (b dim h w) -> class scores on the feature grid (b classes h w)."""

    scores_are_logits = True

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.classify = nn.Linear(dim, classes)

    def forward(self, features: Tensor) -> Tensor:
        # a 1x1 convolution, and its result in the order of its shape, in which it is upsampled
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
        return upsampled_cross_entropy(output, labels)

    def scores(self, output: Tensor, image: int) -> Tensor:
        """The grid (classes h w) of which one image's scores are the bilinear upsampling."""
        return output[image]
