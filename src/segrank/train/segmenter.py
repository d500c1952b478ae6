"""An encoder and a decoder, composed."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from segrank.encoders.encoder import Encoder


class Decoder(Protocol):
    """What a decoder is to the rest of segrank. It never hears of patch sizes."""

    def __call__(self, features: Tensor) -> Tensor: ...

    def loss(self, output: Tensor, labels: Tensor) -> Tensor:
        """Labels (b H W) uint8 -> (b): one loss an image."""
        ...

    def logits(self, output: Tensor, size: tuple[int, int]) -> Tensor:
        """-> (b classes H W), float32: scores to average over windows."""
        ...


class Segmenter(nn.Module):
    """Images (b 3 H W, uint8) -> losses in training, class scores in evaluation.

    A frozen encoder stays in evaluation mode and runs without a graph, so that nothing of it is stored.
    """

    def __init__(self, encoder: Encoder, decoder: nn.Module, *, freeze: bool) -> None:
        super().__init__()
        self.encoder, self.decoder, self.freeze = encoder, decoder, freeze
        encoder.requires_grad_(not freeze)

    def train(self, mode: bool = True) -> Segmenter:
        super().train(mode)
        if self.freeze:
            self.encoder.eval()
        return self

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """(b 3 H W) and (b H W), both uint8 -> loss of each image (b)."""
        decoder = cast(Decoder, self.decoder)
        return decoder.loss(decoder(self._features(images)), labels)

    def logits(self, images: Tensor) -> Tensor:
        """(b 3 H W), uint8 -> (b classes H W), float32."""
        decoder = cast(Decoder, self.decoder)
        return decoder.logits(decoder(self._features(images)), (images.shape[-2], images.shape[-1]))

    def _features(self, images: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            return self.encoder(images)  # type: ignore[no-any-return]
