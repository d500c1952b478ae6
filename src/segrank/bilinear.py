"""A few rows of what `F.interpolate(x, size, mode="bilinear")` gives, equal to the last bit, without all the others.

Corners are not aligned, there is no antialias. torch blends along the width, then along the height; each time it
rounds the product with the later sample, then the sum, into which the other product goes unrounded (a fused
multiply-add). So its builds for AVX2 and AVX-512 do (aten/src/ATen/native/cpu/UpSampleKernel.cpp, as compiled), for
outputs whose height + width exceeds 128. For smaller ones, for three channels on one thread, and for samples in a
single column, torch has other loops, which differ from this in the last bits.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segrank.compiled import compiled, fma
from segrank.threads import spread

Rows = Callable[[tuple[int, int], slice, Tensor], None]
"""(H, W) of an image, some of its rows, `out` (channels rows W), float32: writes these rows of something of that size.
They are the same whichever others they are asked for with. `write_rows` of a map is one."""


class Taps(NamedTuple):
    """Along one direction, the two samples that each pixel lies between, and what each contributes."""

    before: Tensor
    """(pixels,), int64."""
    after: Tensor
    """(pixels,), int64: the next one, at the end the same one again."""
    of_before: Tensor
    """(pixels,), float32."""
    of_after: Tensor

    def part(self, pixels: slice) -> Taps:
        return Taps(*(values[pixels] for values in self))

    def arrays(self) -> tuple[NDArray[Any], ...]:
        """On a CPU."""
        return tuple(values.numpy() for values in self)


@functools.lru_cache(maxsize=64)
@torch.inference_mode(False)
def taps(samples: int, pixels: int, device: torch.device) -> Taps:
    """The taps of `pixels` pixels on `samples` samples, to the last bit.

    They are read off torch itself, since how it rounds a position depends on its build and on the device: samples are
    marked by their remainder by three, and any three neighbours have different ones. Twice the samples on twice the
    pixels lie alike, and the last pixels, too, have two samples to lie between.
    """
    marks = torch.eye(3, device=device).repeat(samples, 1)[: 2 * samples].T  # remainder sample
    weights = F.interpolate(marks[None, :, None], (1, 2 * pixels), mode="bilinear", align_corners=False)[0, :, 0].T
    position = ((torch.arange(pixels, device=device) + 0.5).double() * samples / pixels - 0.5).clamp(min=0)
    # Rounding moves a position by much less than half a sample: it still lies beside the sample that is nearest to it.
    near = position.round().long()[:, None]
    of_previous, of_near, of_next = (weights[:pixels].gather(1, (near + d) % 3)[:, 0] for d in (-1, 0, 1))
    ahead = (of_previous != 0) & (near[:, 0] > 0)
    before = near[:, 0] - ahead.long()
    of_before, of_after = torch.where(ahead, of_previous, of_near), torch.where(ahead, of_near, of_next)
    return Taps(before, (before + 1).clamp(max=samples - 1), of_before, of_after)


def write_rows(x: Tensor, size: tuple[int, int], rows: slice, out: Tensor) -> None:
    """The `rows` of x (channels h w), upsampled to (H, W) `size`, into `out` (channels rows W), float32."""
    height = taps(x.shape[1], size[0], x.device).part(rows)
    width = taps(x.shape[2], size[1], x.device)
    if x.device.type == "cpu":
        samples, into = x.float().contiguous().numpy(), out.numpy()
        spread(lambda start, stop: _blend(samples, height.arrays(), width.arrays(), start, stop, into), len(samples))
    else:
        out.copy_(blended(blended(x.float(), width, 2), height, 1))


def blended(x: Tensor, along: Taps, dim: int) -> Tensor:
    """x with the taps' pixels in place of the samples of one of its dimensions."""
    shape = [-1 if d == dim else 1 for d in range(x.ndim)]
    later = x.index_select(dim, along.after) * along.of_after.view(shape)
    return later.addcmul_(x.index_select(dim, along.before), along.of_before.view(shape))


@compiled
def _blend(
    x: NDArray[np.float32],
    height: tuple[NDArray[Any], ...],
    width: tuple[NDArray[Any], ...],
    start: int,
    stop: int,
    out: NDArray[np.float32],
) -> None:
    """Channels `start` to `stop` of what `write_rows` writes."""
    above, below, of_above, of_below = height
    before, after, of_before, of_after = width
    pixels = len(before)
    first = above[0]
    wide = np.empty((below[-1] - first + 1, pixels), np.float32)
    for channel in range(start, stop):
        for row in range(len(wide)):
            samples, blend = x[channel, first + row], wide[row]
            for i in range(pixels):
                blend[i] = fma(of_before[i], samples[before[i]], of_after[i] * samples[after[i]])
        for row in range(len(above)):
            upper, lower, of_upper, of_lower = (
                wide[above[row] - first], wide[below[row] - first], of_above[row], of_below[row],
            )  # fmt: skip
            blend = out[channel, row]
            for i in range(pixels):
                blend[i] = fma(of_upper, upper[i], of_lower * lower[i])
