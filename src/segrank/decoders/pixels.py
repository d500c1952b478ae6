"""Labelled pixels, and where they lie on a grid of logits that is upsampled to them.

Bilinear, corners not aligned, no antialias. The grid is given a border that repeats its outermost samples: then every
pixel lies between two samples in each direction, with no case for the edges, and those between the same two are evenly
spaced.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from torch import Tensor


class Axis(NamedTuple):
    """The pixels along one direction of a grid with `samples` samples: samples + 2 with its border."""

    before: Tensor
    """(pixels,), int64: the bordered sample before each pixel; the one after it is the next."""
    weight: Tensor
    """(pixels,): what the sample after it contributes, from 0 to 1; the one before contributes the rest."""
    first: Tensor
    """(samples + 2,), int64: pixels first[k] to first[k + 1] - 1 lie between bordered samples k and k + 1."""
    step: float
    """From a pixel to the next, in samples."""


class Pixels(NamedTuple):
    """What the logits are compared with, and where."""

    labels: Tensor
    """(b H W), uint8, contiguous: a class, or `ignore`."""
    rows: Axis
    columns: Axis
    ignore: int


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)  # a tensor made in inference mode could not be used for a gradient later
def axis(samples: int, pixels: int, dtype: torch.dtype, device: torch.device) -> Axis:
    """Computed in float64 and kept: to move it to a GPU is to wait for all that the GPU has still to do.

    Pixel i lies at (i + 0.5) * samples / pixels - 0.5, as in `torch.nn.functional.interpolate`.
    """
    step = samples / pixels
    position = (torch.arange(pixels, dtype=torch.float64, device="cpu") + 0.5) * step + 0.5  # the border adds one
    before = position.floor()
    first = torch.searchsorted(before, torch.arange(samples + 2, dtype=torch.float64, device="cpu"))
    return Axis(before.long().to(device), (position - before).to(device, dtype), first.to(device), step)


def bordered(logits: Tensor) -> Tensor:
    """(b classes h w) -> (b h+2 classes w+2), contiguous: all classes of a row lie together.

    Concatenation, since the gradient of torch's own replicating pad adds in no fixed order on a GPU.
    """
    rows = logits.transpose(1, 2)
    tall = torch.cat([rows[:, :1], rows, rows[:, -1:]], dim=1)
    return torch.cat([tall[..., :1], tall, tall[..., -1:]], dim=3).contiguous()  # cat may keep a size of 1 elsewhere
