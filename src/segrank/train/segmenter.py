"""An encoder and a decoder, composed."""

from __future__ import annotations

from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from segrank.bilinear import Rows
from segrank.encoders.encoder import Encoder


class Decoder(Protocol):
    """What a decoder is to the rest of segrank. It never hears of patch sizes."""

    @property
    def classes(self) -> int: ...

    @property
    def scores_are_logits(self) -> bool:
        """Whether a softmax over the classes makes probabilities of scores. Else they are proportional to them."""
        ...

    def __call__(self, features: Any) -> Any:
        """What its encoder gives, mostly features (b dim h w), -> what the other two take: small, on their own grid."""
        ...

    def loss(self, output: Any, labels: Tensor) -> Tensor:
        """Labels (b H W) uint8 -> (b): one loss an image."""
        ...

    def scores(self, output: Any, image: int) -> Tensor | Rows:
        """What is averaged over windows, of one image of an output's batch.

        Either a grid (classes h w), of which it is the bilinear upsampling (corners not aligned, no antialias), or
        what computes some rows of it.
        """
        ...


@runtime_checkable
class Annealed(Protocol):
    """A decoder that trains differently as the training goes on."""

    def anneal(self, done: float) -> None:
        """Told before each step what share of the steps is done."""
        ...


class Segmenter(nn.Module):
    """Images (b 3 H W, uint8) -> losses in training, class scores in evaluation, a few rows at a time.

    A frozen encoder stays in evaluation mode and runs without a graph, so that nothing of it is stored. (Blocks of it
    that a decoder runs have one, for the decoder's own tokens.)

    Args:
        freeze: train the decoder alone.
        partly: those of the encoder's parameters that need no gradient are as they were built, and stay so.
    """

    def __init__(self, encoder: Encoder, decoder: nn.Module, *, freeze: bool, partly: bool = False) -> None:
        super().__init__()
        self.encoder, self.decoder, self.freeze, self.partly = encoder, decoder, freeze, partly
        if freeze:  # otherwise as it comes: parts of an own encoder may be frozen by its author
            encoder.requires_grad_(False)

    def train(self, mode: bool = True) -> Segmenter:
        super().train(mode)
        if self.freeze:
            self.encoder.eval()
        return self

    def trained_state(self) -> dict[str, Tensor]:
        """What training may have changed. Building the segmenter again gives back the rest."""
        if self.freeze:
            return self.decoder.state_dict()
        as_built = self._as_built()
        return {name: value for name, value in self.state_dict().items() if name not in as_built}

    def load_trained_state(self, state: dict[str, Tensor]) -> None:
        """Take back what `trained_state` gave.

        Raises:
            RuntimeError: it is another segmenter's.
        """
        if self.partly:
            as_built, own = self._as_built(), self.state_dict()
            state = {name: own[name] for name in own if name in as_built} | state
        (self.decoder if self.freeze else self).load_state_dict(state)

    def _as_built(self) -> set[str]:
        return {name for name, value in self.named_parameters() if self.partly and not value.requires_grad}

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """(b 3 H W) and (b H W), both uint8 -> loss of each image (b)."""
        return cast(Decoder, self.decoder).loss(self.output(images), labels)

    def anneal(self, done: float) -> None:
        """To be called before each step of training, with the share of the steps that is done."""
        if isinstance(self.decoder, Annealed):
            self.decoder.anneal(done)

    @property
    def classes(self) -> int:
        return cast(Decoder, self.decoder).classes

    @property
    def scores_are_logits(self) -> bool:
        return cast(Decoder, self.decoder).scores_are_logits

    def output(self, images: Tensor) -> Any:
        """(b 3 H W), uint8 -> the decoder's output."""
        return cast(Decoder, self.decoder)(self._features(images))

    def scores(self, output: Any, image: int) -> Tensor | Rows:
        """As `Decoder.scores`."""
        return cast(Decoder, self.decoder).scores(output, image)

    def _features(self, images: Tensor) -> Any:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.freeze):
            return self.encoder(images)
