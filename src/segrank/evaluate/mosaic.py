"""The windows' scores, side by side: where they lie in a tile, and how they become scores of the image's own rows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from segrank.bilinear import Taps, taps
from segrank.evaluate.windows import Limits, Tile, starts, tiles


class Mosaic(NamedTuple):
    """How windows are averaged to the resized image (h w), and this is resized to the image's own size."""

    crop: tuple[int, int]
    resized: tuple[int, int]
    own: tuple[int, int]
    row_shares: Tensor
    """(h,), float32: one over the number of windows that cover a row."""
    column_shares: Tensor
    """(w,): likewise. Both are powers of two, so that to multiply by them is to divide."""
    rows: Taps
    """Of the image's own rows in the resized image."""
    columns: Taps

    def row_values(self, classes: int) -> int:
        """Scores of all windows over a row of the resized image."""
        abreast, over = len(starts(self.resized[1], self.crop[1])), len(starts(self.resized[0], self.crop[0]))
        return classes * self.crop[1] * abreast * min(over, 2)  # no row lies in three windows


class Piece(NamedTuple):
    """What a tile has of one window."""

    rows: slice
    """Of the resized image."""
    left: int
    """The window's first column in the resized image."""
    scores: Tensor
    """(classes, rows, the window's width), float32, contiguous; or the whole window's grid (classes h w)."""


class Filled(NamedTuple):
    """A tile with its scores."""

    tile: Tile
    pieces: list[Piece]
    scores: Tensor
    """Of all pieces, one after the other."""
    upsampled: bool
    """Whether the pieces' scores are grids, still to be upsampled to the crop."""


class Confidence(NamedTuple):
    """The best class's share of a pixel's scores."""

    share: Tensor
    """(height, width), float32, of the whole image: to be written."""
    logits: bool
    """Whether scores are logits, of which a softmax makes shares; else they are shares of their sum."""


def mosaic(crop: tuple[int, int], resized: tuple[int, int], own: tuple[int, int], device: torch.device) -> Mosaic:
    """Of an image of (height, width) `own` under windows of the size `crop` over (height, width) `resized`."""
    row_shares, column_shares = (_shares(long, side, device) for long, side in zip(resized, crop, strict=True))
    rows, columns = (taps(samples, pixels, device) for samples, pixels in zip(resized, own, strict=True))
    return Mosaic(crop, resized, own, row_shares, column_shares, rows, columns)


def cut(mosaic: Mosaic, limits: Limits) -> Iterator[Tile]:
    """Tiles from top to bottom. No GPU is waited for."""
    rows = taps(mosaic.resized[0], mosaic.own[0], torch.device("cpu"))
    return tiles(rows.before.tolist(), rows.after.tolist(), mosaic.resized[0], limits)


def _shares(long: int, crop: int, device: torch.device) -> Tensor:
    covered = torch.zeros(long, device=device)
    for start in starts(long, crop):
        covered[start : start + crop] += 1
    return covered.reciprocal()
