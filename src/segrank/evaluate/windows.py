"""Sliding windows: where they lie, how a tensor is cut into them, and how often they cover a pixel.

Geometry of arXiv 2404.12172. Its reference code computes offsets in floating point and leaves a column
uncovered at some sizes; here they are integers, and the last window ends at the edge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

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
    return [(top, left) for top in starts(size[0], crop[0]) for left in starts(size[1], crop[1])]


def split(x: Tensor, crop: tuple[int, int]) -> list[Tensor]:
    """Views (..., crop_h, crop_w) of `x` (..., h, w), in the order of `windows`."""
    h, w = x.shape[-2:]
    return [x[..., top : top + crop[0], left : left + crop[1]] for top, left in windows((h, w), crop)]


class Tile(NamedTuple):
    """Rows of an image that are worked on together, and the rows of the resized image that they are made of."""

    own: slice
    resized: slice


class Limits(NamedTuple):
    """How tall a tile may be, in rows; one row of the image is always taken, with what it needs."""

    own: int
    resized: int
    margin: int = 0
    """Rows of the resized image that are taken above and below what is needed."""


def tiles(above: Sequence[int], below: Sequence[int], resized: int, limits: Limits) -> Iterator[Tile]:
    """Tiles from top to bottom, each as tall as may be.

    Args:
        above: of each row of the image, the first row of the resized image that it is made of.
        below: the last.
        resized: rows of the resized image.
        limits: of every tile.
    """
    start = 0
    while start < len(above):
        stop = start + 1
        while stop < len(above) and stop - start < limits.own and below[stop] - above[start] < limits.resized:
            stop += 1
        first, last = above[start] - limits.margin, below[stop - 1] + limits.margin
        yield Tile(slice(start, stop), slice(max(0, first), min(resized, last + 1)))
        start = stop


def starts(long: int, crop: int) -> list[int]:
    """Of the windows along one side. No more than two of them cover a place: there are as few as can be."""
    if long < crop:
        raise ValueError(f"a side of {long} pixels is shorter than the crop's {crop}")
    n = -(-long // crop)  # ceil
    # int(j * (crop - (n * crop - long) / (n - 1))), without the rounding errors
    return [0] if n == 1 else [j * (long - crop) // (n - 1) for j in range(n)]
