"""Cross-entropy of logits upsampled to the labels' size, without all of those logits ever being there.

The plain way writes b x classes x H x W numbers several times over. Here a tile of pixels is upsampled, compared with
its labels and forgotten; what it adds to the gradient, which is as small as the grid of logits, is computed on the way.
There are three ways to do it, equal but for rounding: `cross_entropy_numba` on a CPU, `cross_entropy_triton` on a GPU,
and `cross_entropy_tiles`, in torch alone, wherever neither runs.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from segrank.data.dataset import IGNORE
from segrank.decoders import cross_entropy_numba, cross_entropy_tiles
from segrank.decoders.pixels import Pixels, axis, bordered
from segrank.errors import DataError

Way = Callable[[Tensor, Pixels, bool], tuple[Tensor, Tensor | None]]
"""(bordered grid, pixels, whether a gradient is wanted) -> (sum of each image's losses (b), its gradient or None)."""


def upsampled_cross_entropy(logits: Tensor, labels: Tensor, ignore: int = IGNORE) -> Tensor:
    """Cross-entropy per image, averaged over its labelled pixels; 0 where there are none.

    Per image it equals `F.cross_entropy(F.interpolate(logits, (H, W), mode="bilinear"), labels)`. The gradient cannot
    itself be differentiated.

    Args:
        logits: (b classes h w), smaller or larger than the labels; half precision is computed in float32.
        labels: (b H W), uint8.
        ignore: the label of pixels that take no part.

    Returns:
        (b), float32; float64 for float64 logits.

    Raises:
        DataError: a label is neither a class nor `ignore`. A GPU reports it later and in its own words, as it does
            for `F.cross_entropy`.
    """
    assert labels.dtype == torch.uint8, f"labels of {labels.dtype}"  # compiled loops take them as they are
    assert len(labels) == len(logits), f"labels of {len(labels)} images, logits of {len(logits)}"
    labelled = labels != ignore
    _refuse_unknown(labels, labelled, classes=logits.shape[1])
    grid = bordered(logits if logits.dtype == torch.float64 else logits.float())
    rows, columns = (axis(logits.shape[d], labels.shape[d - 1], grid.dtype, grid.device) for d in (2, 3))
    pixels = Pixels(labels.contiguous(), rows, columns, ignore)
    losses: Tensor = _Summed.apply(grid, pixels, torch.is_grad_enabled() and grid.requires_grad)  # type: ignore[no-untyped-call]
    return losses / labelled.sum(dim=(1, 2)).clamp(min=1)


class _Summed(torch.autograd.Function):
    """Of each image, the sum over its labelled pixels."""

    @staticmethod
    def forward(ctx: Any, grid: Tensor, pixels: Pixels, differentiate: bool) -> Tensor:
        losses, gradient = _way(grid.device.type)(grid.detach(), pixels, differentiate)
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * of_losses[:, None, None, None], None, None


@functools.cache
def _way(device: str) -> Way:
    if device == "cpu":
        return cross_entropy_numba.sum_losses
    if device == "cuda" and importlib.util.find_spec("triton"):
        from segrank.decoders import cross_entropy_triton

        if cross_entropy_triton.starts():
            return cross_entropy_triton.sum_losses
    return cross_entropy_tiles.sum_losses


def _refuse_unknown(labels: Tensor, labelled: Tensor, classes: int) -> None:
    if classes > 255:  # each byte is one; torch would wrap the number to a byte
        return
    unknown = labelled & (labels >= classes)
    if labels.device.type == "cuda":
        torch._assert_async(~unknown.any(), "a label is neither a class nor ignored")
    elif labels.device.type != "meta" and unknown.any():
        raise DataError(
            f"a label map with the value {labels[unknown][0]} under {classes} classes",
            wanted=f"0 to {classes - 1}, or the value that is ignored",
            fix="compare the dataset's classes with the values in its masks",
        )
