"""Where masks are compared: uniform random points of an image, not its pixels.

A loss takes its points from one endless row of them, by their numbers, so that it does not matter who asks for which
of them when: threads and batches of pairs get the same ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.compiled import compiled

Points = Callable[[int, Tensor], None]
"""(first, out (rows 2 n) float32): writes points `first`, `first + 1`, ... of the row into `out`, n to each row of it:
x and y from 0 to 1, shares of the image's width and height."""

MATCHED = 12_544
"""For the matching, 112 x 112: one set an image, shared by all its pairs and output layers."""
CANDIDATES = 37_632
"""Of each pair and layer, three times as many as are compared."""
UNCERTAIN = 9_408
"""Three quarters of those that are compared: the candidates with the smallest |logit|."""
FRESH = 3_136
"""The other quarter, drawn anew. All four numbers: Mask2Former (arXiv 2112.01527) and its reference configuration."""


def drawn(device: torch.device) -> Points:
    """New points, which depend on torch's default generator of the device alone."""
    if device.type == "cpu":
        return counted(int(torch.empty((), dtype=torch.int64).random_()))

    def write(first: int, out: Tensor) -> None:
        out.uniform_()

    return write


def counted(seed: int) -> Points:
    """Points that are functions of their number: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

    Each number in a sequence of it can be computed without those before it, by any thread and several at once; one
    gives both coordinates of a point, in steps of 2^-24 as `torch.rand` has them.
    """

    def write(first: int, out: Tensor) -> None:
        _write_uniform(np.uint64(seed), first, out.numpy())

    return write


@compiled
def _write_uniform(seed: Any, first: int, out: NDArray[np.float32]) -> None:
    golden = np.uint64(0x9E3779B97F4A7C15)
    step = np.float32(2**-24)
    for row in range(len(out)):
        x, y = out[row, 0], out[row, 1]
        start = np.uint64(first) + np.uint64(row) * np.uint64(len(x)) + np.uint64(1)
        for i in range(len(x)):
            z = seed + (start + np.uint64(i)) * golden
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z = z ^ (z >> np.uint64(31))
            x[i] = np.float32(np.int32(z >> np.uint64(40))) * step
            y[i] = np.float32(np.int32((z >> np.uint64(16)) & np.uint64(0xFFFFFF))) * step
