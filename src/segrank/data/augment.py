"""The training augmentation: colour, flip, scale, pad and crop of one image together with its label map.

It has two parts. `draw` takes every random number a sample needs, and `apply` is a plain function of the
sample and these numbers. So the draws can be checked by themselves, and how they are applied can change
without changing them.

Order, ranges and rounding follow the reference set-up of "How to Benchmark Vision Foundation Models for
Semantic Segmentation?" (arXiv 2404.12172), except that the search for a crop with a labelled pixel ends.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.data.colour import change_contrast, jitter
from segrank.data.dataset import IGNORE
from segrank.data.resample import nearest, pick, resize, triangle_taps

BRIGHTNESS = 32 / 255
"""Factors lie within 1 ± this."""
CONTRAST = SATURATION = 0.5
"""Factors lie within 1 ± this."""
HUE = 18 / 360
"""Shifts lie within ± this, in turns of the colour circle."""
SCALE = (0.5, 2.0)
"""Of the long side, relative to the crop."""
CROP_TRIES = 100
"""Crops looked at for a labelled pixel. The reference has no limit and can search for ever."""

_COLOURS, _OTHERS = 4, 3  # colour operations (a coin and a value each); then order, flip, scale


class Draw(NamedTuple):
    """Every random choice for one sample."""

    brightness: float | None
    """Factor; none where the coin said no, as with the next three."""
    contrast: float | None
    """Factor."""
    saturation: float | None
    """Factor."""
    hue: float | None
    """Shift, in turns."""
    contrast_first: bool
    """Whether contrast comes before saturation and hue, or after them."""
    flip: bool
    """Whether left and right are swapped."""
    size: tuple[int, int]
    """(height, width) after scaling, in pixels."""
    offsets: NDArray[np.int64]
    """(tries, 2): (top, left) of the crops to look at, in order, in pixels of the scaled and padded image."""


def draw(rng: np.random.Generator, size: tuple[int, int], crop: tuple[int, int]) -> Draw:
    """Draw for an image of (height, width) `size` and a crop of (height, width) `crop`.

    It takes the same number of random numbers from `rng` for every image.
    """
    # All crops are drawn here, needed or not, so that the generator goes on alike whatever the labels are.
    u = rng.random(2 * _COLOURS + _OTHERS + 2 * CROP_TRIES)
    applied = u[:_COLOURS] < 0.5
    value = 2 * u[_COLOURS : 2 * _COLOURS] - 1  # U(-1, 1)
    brightness, contrast, saturation, hue = (
        float(centre + spread * v) if on else None
        for on, v, centre, spread in zip(
            applied, value, (1, 1, 1, 0), (BRIGHTNESS, CONTRAST, SATURATION, HUE), strict=True
        )
    )
    order, flip, scale = u[2 * _COLOURS : 2 * _COLOURS + _OTHERS]

    (h, w), (crop_h, crop_w) = size, crop
    ratio = min(crop_h / h, crop_w / w) * (SCALE[0] + (SCALE[1] - SCALE[0]) * float(scale))
    # The short side of a very long image would round down to nothing.
    scaled = max(1, int(h * ratio)), max(1, int(w * ratio))
    positions = np.maximum(scaled, crop) - crop + 1  # after padding
    return Draw(
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        contrast_first=bool(order < 0.5),
        flip=bool(flip < 0.5),
        size=scaled,
        offsets=(u[-2 * CROP_TRIES :].reshape(CROP_TRIES, 2) * positions).astype(np.int64),
    )


def apply(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], drawn: Draw, crop: tuple[int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Apply a draw. Pixels that the crop does not show are not touched, unless contrast needs their mean.

    Args:
        image: (h, w, 3) uint8, RGB.
        labels: (h, w) uint8.
        drawn: made by `draw` for this size and crop.
        crop: (height, width).

    Returns:
        (3, height, width) and (height, width), uint8, with memory of their own; or none where no crop that
        was looked at holds a labelled pixel. The caller then takes another sample.
    """
    # The label map comes first: it is cheap, and decides whether the image is needed at all.
    found = labelled_crop(labels, drawn, crop)
    if found is None:
        return None
    rows, columns, truth = found
    height, width = labels.shape
    down = triangle_taps(height, drawn.size[0], rows)
    across = triangle_taps(width, drawn.size[1], columns, mirrored=drawn.flip)
    region = coloured_region(np.ascontiguousarray(image), drawn, down.source, across.source)
    pixels = np.zeros((3, *crop), np.uint8)  # black, where it is padded
    resize(region, down, across, pixels)
    return pixels, truth


def augment(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], crop: tuple[int, int], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """Augment one sample: `draw`, then `apply`.

    Args:
        image: (h, w, 3) uint8, RGB.
        labels: (h, w) uint8.
        crop: (height, width) of the result, in pixels.
        rng: the only source of randomness.

    Returns:
        (3, height, width) and (height, width), uint8; or none where no labelled pixel was found.
    """
    return apply(image, labels, draw(rng, (labels.shape[0], labels.shape[1]), crop), crop)


def labelled_crop(
    labels: NDArray[np.uint8], drawn: Draw, crop: tuple[int, int]
) -> tuple[slice, slice, NDArray[np.uint8]] | None:
    """Rows and columns of the scaled image that the first crop with a labelled pixel shows, and its labels."""
    if (labels == IGNORE).all():
        return None
    height, width = labels.shape
    for top, left in drawn.offsets.tolist():
        rows = slice(top, min(top + crop[0], drawn.size[0]))
        columns = slice(left, min(left + crop[1], drawn.size[1]))
        source_columns = nearest(width, drawn.size[1], columns)
        if drawn.flip:
            source_columns = width - 1 - source_columns
        truth = np.full(crop, IGNORE, np.uint8)
        pick(labels, nearest(height, drawn.size[0], rows), source_columns, truth)
        if (truth != IGNORE).any():
            return rows, columns, truth
    return None


def coloured_region(image: NDArray[np.uint8], drawn: Draw, rows: slice, columns: slice) -> NDArray[np.uint8]:
    """A region of the image after the colour operations, as (3, rows, columns)."""
    region = np.empty((3, rows.stop - rows.start, columns.stop - columns.start), np.uint8)
    brightness, saturation, contrast = (
        1.0 if factor is None else factor for factor in (drawn.brightness, drawn.saturation, drawn.contrast)
    )
    hue = 0.0 if drawn.hue is None else drawn.hue
    pixels = image.shape[0] * image.shape[1]
    if drawn.contrast is None:
        jitter(image, brightness, 1.0, 0.0, saturation, hue, rows.start, columns.start, region, False)
    elif drawn.contrast_first:
        total = jitter(image, brightness, 1.0, 0.0, 1.0, 0.0, 0, 0, region[:, :0], True)
        jitter(image, brightness, contrast, total / pixels, saturation, hue, rows.start, columns.start, region, False)
    else:
        total = jitter(image, brightness, 1.0, 0.0, saturation, hue, rows.start, columns.start, region, True)
        change_contrast(region, contrast, total / pixels)
    return region
