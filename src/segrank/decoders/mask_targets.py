"""What masks are compared with: label maps. One mask per class of an image, none of which is ever written down."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from segrank.data.dataset import IGNORE
from segrank.errors import DataError

Ignored = Literal["excluded", "negative"]
"""What ignored pixels are to masks: nothing at all, or background of every mask (the reference's way)."""

BACKGROUND = 254
"""In `Targets.labels`: of no mask, yet compared with. Hence at most 254 classes."""


class Targets(NamedTuple):
    """The masks of some images, as their labels.

    At a point, a mask is the bilinear weight of its class among the four pixels around (corners not aligned, zero
    outside of the image): soft at borders. The point itself counts with the weight of the pixels that are not ignored.
    """

    labels: Tensor
    """(b H+2 W+2), uint8, contiguous: a class, `BACKGROUND`, or `IGNORE`. The border of one pixel is background, but
    beside ignored pixels it is ignored: else half a pixel of an ignored margin would count."""
    present: Tensor
    """(b classes), bool: which masks there are."""


def targets_of(labels: Tensor, classes: int, ignored: Ignored) -> Targets:
    """Targets of label maps (b H W), uint8.

    Raises:
        DataError: a label is neither a class nor ignored. A GPU reports it later and in its own words.
    """
    assert labels.dtype == torch.uint8, f"labels of {labels.dtype}"  # compiled loops take them as they are
    assert classes <= BACKGROUND, f"{classes} classes"
    values = torch.zeros(len(labels), 256, dtype=torch.bool, device=labels.device)
    values.scatter_(1, labels.flatten(1).long(), True)
    _refuse_unknown(values[:, classes:IGNORE], classes)
    padded = F.pad(labels, (1, 1, 1, 1), value=BACKGROUND)
    if ignored == "negative":
        padded.masked_fill_(padded == IGNORE, BACKGROUND)
    else:
        tall = torch.cat([labels[:, :1], labels, labels[:, -1:]], dim=1)
        nearest = torch.cat([tall[..., :1], tall, tall[..., -1:]], dim=2)
        padded = torch.where(nearest == IGNORE, nearest, padded)
    return Targets(padded, values[:, :classes])


def _refuse_unknown(unknown: Tensor, classes: int) -> None:
    if unknown.device.type == "cuda":
        torch._assert_async(~unknown.any(), "a label is neither a class nor ignored")
    elif unknown.device.type != "meta" and unknown.any():
        raise DataError(
            f"a label map with the value {classes + int(unknown.any(dim=0).nonzero()[0])} under {classes} classes",
            wanted=f"0 to {classes - 1}, or the value that is ignored",
            fix="compare the dataset's classes with the values in its masks",
        )
