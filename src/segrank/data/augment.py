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
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from segrank import _torchvision  # noqa: F401
from segrank.data.dataset import IGNORE

# isort: split
# Torchvision comes after the line above, which lets every build of it be imported.
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tvf

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


def apply(image: Tensor, labels: Tensor, drawn: Draw, crop: tuple[int, int]) -> tuple[Tensor, Tensor] | None:
    """Apply a draw.

    Args:
        image: (3, h, w) uint8, RGB.
        labels: (h, w) uint8.
        drawn: made by `draw` for this size and crop.
        crop: (height, width).

    Returns:
        (3, height, width) and (height, width), uint8, with memory of their own; or none where no crop that
        was looked at holds a labelled pixel. The caller then takes another sample.
    """
    # The label map comes first: it is cheap, and decides whether the image is needed at all.
    if drawn.flip:
        labels = labels.flip(-1)
    # "nearest" rounds source positions down, as the reference does; "nearest-exact" would not.
    labels = F.interpolate(labels[None, None], size=drawn.size, mode="nearest")[0, 0]
    right, bottom = max(0, crop[1] - drawn.size[1]), max(0, crop[0] - drawn.size[0])
    labels = F.pad(labels, (0, right, 0, bottom), value=IGNORE)
    offset = _labelled_crop(labels, drawn.offsets, crop)
    if offset is None:
        return None
    top, left = offset

    image = _colour(image, drawn)
    if drawn.flip:
        image = image.flip(-1)
    image = tvf.resize(image, list(drawn.size), interpolation=InterpolationMode.BILINEAR, antialias=True)
    image = F.pad(image, (0, right, 0, bottom), value=0)  # black
    rows, columns = slice(top, top + crop[0]), slice(left, left + crop[1])
    # A view would send the whole scaled image along whenever the crop goes to another process.
    own = torch.contiguous_format
    return image[:, rows, columns].clone(memory_format=own), labels[rows, columns].clone(memory_format=own)


def augment(
    image: Tensor, labels: Tensor, crop: tuple[int, int], rng: np.random.Generator
) -> tuple[Tensor, Tensor] | None:
    """Augment one sample: `draw`, then `apply`.

    Args:
        image: (3, h, w) uint8, RGB.
        labels: (h, w) uint8.
        crop: (height, width) of the result, in pixels.
        rng: the only source of randomness.

    Returns:
        (3, height, width) and (height, width), uint8; or none where no labelled pixel was found.
    """
    return apply(image, labels, draw(rng, (labels.shape[0], labels.shape[1]), crop), crop)


def _colour(image: Tensor, drawn: Draw) -> Tensor:
    if drawn.brightness is not None:
        image = tvf.adjust_brightness(image, drawn.brightness)
    if drawn.contrast is not None and drawn.contrast_first:
        image = tvf.adjust_contrast(image, drawn.contrast)
    if drawn.saturation is not None:
        image = tvf.adjust_saturation(image, drawn.saturation)
    if drawn.hue is not None:
        image = tvf.adjust_hue(image, drawn.hue)
    if drawn.contrast is not None and not drawn.contrast_first:
        image = tvf.adjust_contrast(image, drawn.contrast)
    return image


def _labelled_crop(labels: Tensor, offsets: NDArray[np.int64], crop: tuple[int, int]) -> tuple[int, int] | None:
    labelled = labels.numpy() != IGNORE
    if not labelled.any():
        return None
    for top, left in offsets.tolist():
        if labelled[top : top + crop[0], left : left + crop[1]].any():
            return top, left
    return None
