"""What mask decoders give: the one form that their losses and scores take."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class MaskOutput(NamedTuple):
    """Predictions of every output layer in training, of the last one only in evaluation."""

    classes: Tensor
    """(layers b queries classes + 1): logits, "no object" last."""
    masks: Tensor
    """(layers b queries h w): logits on the decoder's own grid, of which a mask is the bilinear upsampling."""


def mask_logits(queries: Tensor, places: Tensor) -> Tensor:
    """(b q width) and (b width n) -> (b q n): their products, unscaled.

    In fp16, where they end at 65,504, those beyond stay there, without a gradient: an infinite one would make the
    loss infinite, and end the run.
    """
    logits = queries @ places
    if logits.dtype != torch.float16:
        return logits
    most = torch.finfo(torch.float16).max
    return logits.clamp(-most, most)
