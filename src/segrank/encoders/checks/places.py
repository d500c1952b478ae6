"""Does a feature map answer where the pattern is?

A small bright pattern is put at known places of a picture, between the cells' centres too, and the change that it
makes to the features is located. Places seen are fitted to places shown by `seen = offset + matrix @ shown`, both in
cells from the middle of the grid. A rightly wired encoder has offset 0 and the unit matrix, whatever its weights: the
pattern's surroundings change most, even where attention carries a little of it everywhere.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.encoders.checks.subject import pictures
from segrank.encoders.encoder import Encoder

Array = NDArray[np.float64]

REACH = 2
"""Cells to each side of the largest change in which its centroid is taken."""
WIDTH = 0.4
"""Standard deviation of the pattern, in cells."""


class Fit(NamedTuple):
    """Of places seen against places shown, in cells from the middle of the grid, (row, column)."""

    offset: Array
    """(2)"""
    error: Array
    """Standard error of the offset (2)."""
    matrix: Array
    """(2 2)"""
    shown: Array
    """(n 2), in cells of the grid, centres of cells being integers; likewise `seen`."""
    seen: Array
    near: float
    """Share of patterns seen within a cell of where they were shown."""
    sharp: float
    """Median share of the squared change that lies within `REACH` of its largest value."""


def locate(encoder: Encoder, places: int) -> Fit:
    """Show the pattern at so many places and fit where it is seen. Costs `places` + 4 forward passes.

    Four pictures take turns, every other one turned upside down: pretrained features answer more readily on some
    grounds, such as the sky, which would look like an offset.
    """
    scenes = pictures(4, encoder.crop, encoder.mean.device)
    scenes[1::2] = scenes[1::2].flip(2, 3)
    shown = spread_places(encoder.grid, places)
    changes: list[Tensor] = []
    with torch.no_grad():
        blank = encoder(scenes)
        for start in range(0, places, len(scenes)):
            some = shown[start : start + len(scenes)]
            marked = torch.stack(
                [_mark(scene, place, encoder.patch_size) for scene, place in zip(scenes, some, strict=False)]
            )
            changes.append((encoder(marked) - blank[: len(some)]).double().square().sum(1))
    found = [centroid(change) for change in torch.cat(changes).cpu().numpy()]
    seen = np.array([place for place, _ in found])
    return fit(shown, seen, encoder.grid, float(np.median([share for _, share in found])))


def spread_places(grid: tuple[int, int], count: int) -> Array:
    """Places (count 2) spread evenly over the grid and over the phases within a cell; the rim is left out.

    The additive recurrence of M. Roberts ("The unreasonable effectiveness of quasirandom sequences", 2018).
    """
    plastic = 1.32471795724474602596
    steps = (0.5 + np.arange(1, count + 1)[:, None] * np.array([1 / plastic, 1 / plastic**2])) % 1
    sides = np.array(grid, dtype=np.float64)
    rim = np.minimum(REACH, np.maximum((sides - 2) / 4, 0))  # cells left out on each side
    places: Array = rim + steps * (sides - 2 * rim) - 0.5
    return places


def centroid(change: Array) -> tuple[Array, float]:
    """Where the squared change (h w) is, in cells, and the share of it that lies there."""
    change = np.clip(change - np.median(change), 0, None)
    row, column = np.unravel_index(int(change.argmax()), change.shape)
    top, left = max(0, int(row) - REACH), max(0, int(column) - REACH)
    near = change[top : int(row) + REACH + 1, left : int(column) + REACH + 1]
    total = near.sum()
    if not total:
        return np.array([np.nan, np.nan]), 0.0
    rows, columns = np.indices(near.shape)
    place = np.array([top + (rows * near).sum() / total, left + (columns * near).sum() / total])
    return place, float(total / change.sum())


def fit(shown: Array, seen: Array, grid: tuple[int, int], sharp: float) -> Fit:
    """Least squares, places that lie far off the others' line left out (three times, beyond 3 median residuals)."""
    middle = (np.array(grid) - 1) / 2
    design = np.column_stack([np.ones(len(shown)), shown - middle])
    target = seen - middle
    kept = np.isfinite(target).all(1)
    solution: Array = np.zeros((3, 2))
    for _ in range(4):
        solution = np.asarray(np.linalg.lstsq(design[kept], target[kept], rcond=None)[0])
        misses = np.linalg.norm(target - design @ solution, axis=1)
        limit = max(3 * float(np.median(misses[kept])), 0.1)
        kept = np.isfinite(misses) & (misses <= limit)
    residuals = (target - design @ solution)[kept]
    freedom = max(1, len(residuals) - 3)
    error: Array = np.sqrt((residuals**2).sum(0) / freedom / max(1, len(residuals)))
    near = float((np.linalg.norm(seen - shown, axis=1) <= 1).mean())
    return Fit(solution[0], error, solution[1:].T, shown, seen, near, sharp)


def _mark(picture: Tensor, place: Array, patch_size: int) -> Tensor:
    """The picture (3 H W) with the pattern at a place in cells: a chequered disc in strong colours, softly cut out."""
    height, width = picture.shape[1:]
    centre = (place + 0.5) * patch_size - 0.5  # pixels
    rows = torch.arange(height, device=picture.device)[:, None] - centre[0]
    columns = torch.arange(width, device=picture.device)[None, :] - centre[1]
    window = torch.exp(-(rows**2 + columns**2) / (2 * (WIDTH * patch_size) ** 2))
    turn = 2 * math.pi / max(2.0, patch_size / 4)
    wave = torch.cos(turn * rows) * torch.cos(turn * columns)  # symmetric about the place
    colours = torch.tensor([1.0, -1.0, 1.0], device=picture.device)[:, None, None]
    pattern = 127.5 + 127.5 * torch.where(wave > 0, 1.0, -1.0) * colours
    mixed = picture.float() * (1 - window) + pattern * window
    return mixed.round().clamp(0, 255).to(torch.uint8)
