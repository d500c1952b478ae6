"""What mask decoders give: the one form that their losses and scores take."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class MaskOutput(NamedTuple):
    """Predictions of every output layer in training, of the last one only in evaluation."""

    classes: Tensor
    """(layers b queries classes + 1): logits, "no object" last."""
    masks: Tensor
    """(layers b queries h w): logits on the decoder's own grid, of which a mask is the bilinear upsampling."""
