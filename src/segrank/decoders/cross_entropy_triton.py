"""Upsampled cross-entropy on a GPU, in two kernels.

The first goes over pixels: the logarithm of the sum of the exponentials of a pixel's logits, and the loss. The second
goes over the grid: each sample of it gathers its gradient from the pixels around it, so that the result is the same
each time, as it would not be if pixels added to samples in whatever order they came.
"""

# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls, allow-untyped-decorators
# (what Triton compiles is written like Python, but has no types that Python knows)

from __future__ import annotations

import warnings

import torch
import triton
import triton.language as tl
from torch import Tensor

from segrank.decoders.pixels import Pixels

_CLASSES_AT_ONCE = 16
_PIXELS_AT_ONCE = 64
_GATHERED_AT_ONCE = 32


def starts() -> bool:
    """Whether a kernel can be started here: Triton has the machine's C compiler build what starts them."""
    try:
        triton.runtime.driver.active.get_current_target()
    except Exception as error:  # no compiler, no headers of Python's, a GPU that it does not know
        warnings.warn(
            f"Triton cannot start kernels here, so the loss takes a slower way, in torch alone: {error}", stacklevel=2
        )
        return False
    return True


def sum_losses(grid: Tensor, pixels: Pixels, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The sum of the losses of each image's labelled pixels, and its gradient.

    Args:
        grid: (b h+2 classes w+2), as `bordered` gives it.
        pixels: of the same images.
        differentiate: whether a gradient is wanted.

    Returns:
        (b), and (b h+2 classes w+2) or None.
    """
    labels, rows, columns, ignore = pixels
    images, samples_down, classes, samples_across = grid.shape
    height, width = labels.shape[1:]
    blocks = triton.cdiv(width, _PIXELS_AT_ONCE)
    losses = grid.new_empty(images, height, blocks)
    log_sums = grid.new_empty(images, height, width)
    sizes = (samples_down, classes, samples_across, height, width)
    with torch.cuda.device_of(grid):
        _compare[blocks, height, images](
            grid, labels, rows.before, rows.weight, columns.before, columns.weight, losses, log_sums, *sizes, ignore,
            classes_at_once=_CLASSES_AT_ONCE, pixels_at_once=_PIXELS_AT_ONCE,
        )  # fmt: skip
        summed = losses.sum(dim=(1, 2))
        if not differentiate:
            return summed, None
        gradient = torch.empty_like(grid)
        class_blocks = triton.cdiv(classes, _CLASSES_AT_ONCE)
        _gather[samples_across, samples_down, images * class_blocks](
            grid, labels, rows.first, rows.weight, columns.first, columns.before, columns.weight, log_sums, gradient,
            *sizes, class_blocks, classes_at_once=_CLASSES_AT_ONCE, pixels_at_once=_GATHERED_AT_ONCE,
        )  # fmt: skip
    return summed, gradient


@triton.jit
def _blend(row, offsets, weight, mask):
    """Between each sample of a row of the grid and the one after it."""
    before = tl.load(row + offsets, mask=mask, other=0.0)
    after = tl.load(row + offsets + 1, mask=mask, other=0.0)
    return before + weight * (after - before)


@triton.jit
def _compare(
    grid, labels, row_before, row_weight, column_before, column_weight, losses, log_sums,
    samples_down, classes, samples_across, height, width, ignore,
    classes_at_once: tl.constexpr, pixels_at_once: tl.constexpr,
):  # fmt: skip
    """One block of pixels of one row: the logarithms of their sums, infinite where ignored; the sum of their losses."""
    block, y, image = tl.program_id(0), tl.program_id(1), tl.program_id(2).to(tl.int64)  # offsets may exceed 32 bits
    x = block * pixels_at_once + tl.arange(0, pixels_at_once)
    inside = x < width
    k = tl.load(column_before + x, mask=inside, other=0)
    across = tl.load(column_weight + x, mask=inside, other=0.0)
    down = tl.load(row_weight + y)
    row_size = classes * samples_across
    above = grid + (image * samples_down + tl.load(row_before + y)) * row_size
    below = above + row_size

    peak = tl.full((pixels_at_once,), float("-inf"), dtype=across.dtype)
    total = tl.zeros((pixels_at_once,), dtype=across.dtype)
    for first_class in range(0, classes, classes_at_once):
        c = first_class + tl.arange(0, classes_at_once)
        mask = (c < classes)[:, None] & inside[None, :]
        offsets = c[:, None] * samples_across + k[None, :]
        top = _blend(above, offsets, across[None, :], mask)
        z = top + down * (_blend(below, offsets, across[None, :], mask) - top)
        z = tl.where((c < classes)[:, None], z, float("-inf"))
        higher = tl.maximum(peak, tl.max(z, axis=0))
        total = total * tl.exp(peak - higher) + tl.sum(tl.exp(z - higher[None, :]), axis=0)
        peak = higher
    log_sum = peak + tl.log(total)

    pixel = (image * height + y) * width + x
    label = tl.load(labels + pixel, mask=inside, other=0).to(tl.int32)
    labelled = inside & (label != ignore) & (label < classes)  # no label leads out of the grid
    offsets = label * samples_across + k
    top = _blend(above, offsets, across, labelled)
    of_label = top + down * (_blend(below, offsets, across, labelled) - top)
    tl.store(log_sums + pixel, tl.where(labelled, log_sum, float("inf")), mask=inside)
    loss = tl.sum(tl.where(labelled, log_sum - of_label, 0.0), axis=0)
    tl.store(losses + (image * height + y) * tl.num_programs(0) + block, loss)


@triton.jit
def _gather(
    grid, labels, first_row, row_weight, first_column, column_before, column_weight, log_sums, gradient,
    samples_down, classes, samples_across, height, width, class_blocks,
    classes_at_once: tl.constexpr, pixels_at_once: tl.constexpr,
):  # fmt: skip
    """One sample of the grid, some classes: the gradient that the pixels around it give."""
    k, j = tl.program_id(0), tl.program_id(1)
    image = (tl.program_id(2) // class_blocks).to(tl.int64)
    c = tl.program_id(2) % class_blocks * classes_at_once + tl.arange(0, classes_at_once)
    row_size = classes * samples_across
    start = tl.load(first_column + tl.maximum(k - 1, 0))
    stop = tl.load(first_column + tl.minimum(k + 1, samples_across - 1))
    total = tl.zeros((classes_at_once,), dtype=grid.dtype.element_ty)
    for left in range(start, stop, pixels_at_once):
        x = left + tl.arange(0, pixels_at_once)
        inside = x < stop
        before = tl.load(column_before + x, mask=inside, other=0)
        across = tl.load(column_weight + x, mask=inside, other=0.0)
        mask = (c < classes)[:, None] & inside[None, :]
        offsets = c[:, None] * samples_across + before[None, :]
        column_sums = tl.zeros((classes_at_once, pixels_at_once), dtype=grid.dtype.element_ty)
        for half in tl.static_range(2):  # pixels above the sample, then those below; none beyond the border
            upper, lower = tl.maximum(j - 1 + half, 0), tl.minimum(j + half, samples_down - 1)
            above, below = (
                grid + (image * samples_down + upper) * row_size,
                grid + (image * samples_down + lower) * row_size,
            )
            top = _blend(above, offsets, across[None, :], mask)
            slope = _blend(below, offsets, across[None, :], mask) - top
            first, last = tl.load(first_row + upper), tl.load(first_row + lower)
            for y in range(first, last):
                down = tl.load(row_weight + y)
                pixel = (image * height + y) * width + x
                log_sum = tl.load(log_sums + pixel, mask=inside, other=float("inf"))
                label = tl.load(labels + pixel, mask=inside, other=0).to(tl.int32)
                hit = (c[:, None] == label[None, :]) & (log_sum < float("inf"))[None, :]
                softmax = tl.exp(top + down * slope - log_sum[None, :])
                share = down if half == 0 else 1 - down
                column_sums += share * (softmax - tl.where(hit, 1.0, 0.0))
        share_across = tl.where(before == k, 1 - across, across)
        total += tl.sum(column_sums * tl.where(inside, share_across, 0.0)[None, :], axis=1)
    place = (image * samples_down + j) * row_size + c * samples_across + k
    tl.store(gradient + place, total, mask=c < classes)
