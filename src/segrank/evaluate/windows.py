"""Sliding windows: where they lie, how a tensor is cut into them and put together again.

Geometry of arXiv 2404.12172. Its reference code computes offsets in floating point and leaves a column
uncovered at some sizes; here they are integers, and the last window ends at the edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def resized_size(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int]:
    """(height, width) of an image of (height, width) `size`, resized so that it just covers `crop`."""
    (h, w), (crop_h, crop_w) = size, crop
    if crop_h * w >= crop_w * h:  # crop_h / h >= crop_w / w
        return crop_h, max(crop_w, round(w * crop_h / h))
    return max(crop_h, round(h * crop_w / w)), crop_w


def windows(size: tuple[int, int], crop: tuple[int, int]) -> list[tuple[int, int]]:
    """(top, left) of the windows over (height, width) `size`, row by row: as few as cover it, evenly spread.

    Raises:
        ValueError: the size does not cover the crop.
    """
    return [(top, left) for top in _starts(size[0], crop[0]) for left in _starts(size[1], crop[1])]


def split(x: Tensor, crop: tuple[int, int]) -> list[Tensor]:
    """Views (..., crop_h, crop_w) of `x` (..., h, w), in the order of `windows`."""
    h, w = x.shape[-2:]
    return [x[..., top : top + crop[0], left : left + crop[1]] for top, left in windows((h, w), crop)]


def merge(parts: Iterable[Tensor], size: tuple[int, int], crop: tuple[int, int]) -> Tensor:
    """(..., h, w) of (height, width) `size` from its windows, averaged where they overlap.

    Args:
        parts: (..., crop_h, crop_w) each, floating, in the order of `windows`. They may be made on the way.
    """
    total: Tensor | None = None
    for part, (top, left) in zip(parts, windows(size, crop), strict=True):
        assert part.shape[-2:] == crop, f"a window of {tuple(part.shape[-2:])}, not {crop}"
        if size == crop:
            return part
        if total is None:
            total = part.new_zeros(*part.shape[:-2], *size)
        total[..., top : top + crop[0], left : left + crop[1]] += part
    assert total is not None
    # How often a pixel is covered is a product of its row's and its column's count.
    for start, end in _overlaps(size[0], crop[0]):
        total[..., start:end, :] /= 2
    for start, end in _overlaps(size[1], crop[1]):
        total[..., start:end] /= 2
    return total


def _starts(long: int, crop: int) -> list[int]:
    if long < crop:
        raise ValueError(f"a side of {long} pixels is shorter than the crop's {crop}")
    n = -(-long // crop)  # ceil
    # int(j * (crop - (n * crop - long) / (n - 1))), without the rounding errors
    return [0] if n == 1 else [j * (long - crop) // (n - 1) for j in range(n)]


def _overlaps(long: int, crop: int) -> list[tuple[int, int]]:
    """(start, end) of the stretches that two windows cover. With as few windows as can be, three never do."""
    pairs = pairwise(_starts(long, crop))
    return [(second, first + crop) for first, second in pairs if second < first + crop]
