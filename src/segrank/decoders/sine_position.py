"""Where a token lies, as sines and cosines of it: the position encoding of DETR, which Mask2Former adds to its keys."""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

_TEMPERATURE = 10_000
"""The slowest wave is nearly this many times longer than the fastest (arXiv 1706.03762)."""


@functools.lru_cache(maxsize=16)
@torch.inference_mode(False)  # a tensor made in inference mode could not be used for a gradient later
def sine_position(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Positions on a grid, as in Mask2Former (arXiv 2112.01527) and DETR (arXiv 2005.12872).

    Rows and columns are counted from 1 and scaled so that the last one is at 2 pi. Half of the channels say the row,
    the others the column; in each half sine and cosine take turns, and waves get longer. Kept, like `pixels.axis`: a
    GPU takes many kernels to compute it and a wait to be given it.

    Returns:
        (height * width, channels), float32: tokens row by row.
    """
    waves = torch.arange(channels // 4, dtype=torch.float64, device="cpu") * 4 / channels
    halves = []
    for samples in (height, width):
        angle = torch.arange(1, samples + 1, dtype=torch.float64, device="cpu") * (2 * math.pi / samples)
        phase = angle[:, None] / _TEMPERATURE**waves
        halves.append(torch.stack([phase.sin(), phase.cos()], dim=2).flatten(1))
    rows, columns = halves
    position = torch.cat([rows[:, None].expand(-1, width, -1), columns.expand(height, -1, -1)], dim=2)
    return position.flatten(0, 1).to(device, torch.float32)
