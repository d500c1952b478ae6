"""Brightness, contrast, saturation and hue of an 8-bit image, row by row.

Each operation is `torchvision.transforms.v2.functional`'s on uint8 tensors, in its steps and in float32, and cuts
to whole levels as it does. So the pixels are the same, in whatever order and combination.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segrank.compiled import compiled, fma

Row = NDArray[np.float32]
"""One channel of a row of pixels: whole numbers from 0 to 255."""

# A plain 0.5 in a kernel is a float64 and widens all that it meets.
_0, _1, _2, _3, _4, _6, _255 = (np.float32(number) for number in (0, 1, 2, 3, 4, 6, 255))
_RED, _GREEN, _BLUE = np.float32(0.2989), np.float32(0.587), np.float32(0.114)  # of grey, as torchvision has them
_SIXTH, _TO_UNIT, _TO_LEVELS = np.float32(1 / 6), np.float32(1 / 255), np.float32(256 - 1e-3)


@compiled
def jitter(
    image: NDArray[np.uint8],
    brightness: float,
    contrast: float,
    mean: float,
    saturation: float,
    hue: float,
    top: int,
    left: int,
    region: NDArray[np.uint8],
    whole: bool,
) -> int:
    """Apply brightness, contrast, saturation and hue, in this order, to a region of an image.

    Args:
        image: (h, w, 3), RGB, contiguous.
        brightness: factor; 1 leaves everything as it is, here and in the next three.
        contrast: factor.
        mean: the grey level that contrast keeps.
        saturation: factor.
        hue: shift in turns; 0 leaves everything as it is.
        top: the region's first row in the image.
        left: the region's first column.
        region: (3, rows, columns), written to.
        whole: whether to go over the rest of the image as well, and sum up.

    Returns:
        The grey levels of the whole image after it all, summed up; or 0.
    """
    height, width = region.shape[1:]
    start, columns = (0, image.shape[1]) if whole else (left, width)
    red, green, blue = np.empty(columns, np.float32), np.empty(columns, np.float32), np.empty(columns, np.float32)
    flat = image.reshape(image.shape[0], 3 * image.shape[1])  # in three dimensions the loop over it is 6x slower
    total = 0
    for y in range(image.shape[0]) if whole else range(top, top + height):
        _split(flat[y, 3 * start : 3 * (start + columns)], red, green, blue)
        for channel in (red, green, blue):
            if brightness != 1:
                _blend(channel, brightness, 0.0)
            if contrast != 1:
                _blend(channel, contrast, mean)
        if saturation != 1:
            _saturate(red, green, blue, saturation)
        if hue != 0:
            _turn(red, green, blue, hue)
        if whole:
            total += _grey_sum(red, green, blue)
        if top <= y < top + height:
            inside = slice(left - start, left - start + width)
            _keep(red[inside], region[0, y - top])
            _keep(green[inside], region[1, y - top])
            _keep(blue[inside], region[2, y - top])
    return total


@compiled
def change_contrast(region: NDArray[np.uint8], contrast: float, mean: float) -> None:
    """Contrast alone, in place.

    Args:
        region: (3, rows, columns).
        contrast: factor.
        mean: the grey level that contrast keeps, of the whole image.
    """
    row = np.empty(region.shape[2], np.float32)
    for channel in range(3):
        for y in range(region.shape[1]):
            levels = region[channel, y]
            for x in range(len(row)):
                row[x] = levels[x]
            _blend(row, contrast, mean)
            _keep(row, levels)


@compiled
def _split(row: NDArray[np.uint8], red: Row, green: Row, blue: Row) -> None:
    for x in range(len(red)):
        red[x], green[x], blue[x] = row[3 * x], row[3 * x + 1], row[3 * x + 2]


@compiled
def _keep(channel: Row, levels: NDArray[np.uint8]) -> None:
    for x in range(len(levels)):
        levels[x] = np.uint8(channel[x])


@compiled
def _blend(channel: Row, factor: float, level: float) -> None:
    """Away from a level (or towards it), by a factor."""
    own, others, other = np.float32(factor), np.float32(1 - factor), np.float32(level)
    for x in range(len(channel)):
        channel[x] = np.floor(min(max(fma(other, others, channel[x] * own), _0), _255))


@compiled
def _saturate(red: Row, green: Row, blue: Row, factor: float) -> None:
    own, others = np.float32(factor), np.float32(1 - factor)
    for x in range(len(red)):
        grey = _grey(red[x], green[x], blue[x])
        red[x] = np.floor(min(max(fma(grey, others, red[x] * own), _0), _255))
        green[x] = np.floor(min(max(fma(grey, others, green[x] * own), _0), _255))
        blue[x] = np.floor(min(max(fma(grey, others, blue[x] * own), _0), _255))


@compiled
def _grey(red: np.float32, green: np.float32, blue: np.float32) -> np.float32:
    grey: np.float32 = np.floor(fma(blue, _BLUE, fma(green, _GREEN, red * _RED)))
    return grey


@compiled
def _grey_sum(red: Row, green: Row, blue: Row) -> int:
    total = 0
    for x in range(len(red)):
        total += int(_grey(red[x], green[x], blue[x]))
    return total


@compiled
def _turn(red: Row, green: Row, blue: Row, hue: float) -> None:
    """Shift the hue: to HSV and back."""
    shift = np.float32(hue)
    for x in range(len(red)):
        r, g, b = red[x] * _TO_UNIT, green[x] * _TO_UNIT, blue[x] * _TO_UNIT
        most, least = max(max(r, g), b), min(min(r, g), b)
        chroma = most - least
        grey = chroma == _0
        divisor = _1 if grey else chroma
        saturation = chroma / (_1 if grey else most)
        from_r, from_g, from_b = (most - r) / divisor, (most - g) / divisor, (most - b) / divisor
        if most == r:
            h = from_b - from_g
        elif most == g:
            h = (from_r + _2) - from_b
        else:
            h = (from_g + _4) - from_r
        h = h * _SIXTH + _1
        h = (h - _1 if h >= _1 else h) + shift
        h = h + _1 if h < _0 else (h - _1 if h >= _1 else h)
        h6 = h * _6
        sextant = np.floor(h6)
        along = saturation * (h6 - sextant)
        sextant = _0 if sextant >= _6 else sextant
        pale = _1 - saturation
        falling = np.int32(sextant) & 1
        high = np.floor(most * _TO_LEVELS)
        low = np.floor(pale * most * _TO_LEVELS)
        middle = np.floor((_1 - along if falling else along + pale) * most * _TO_LEVELS)
        red[x] = low if _2 <= sextant <= _3 else (middle if _1 <= sextant <= _4 else high)
        green[x] = high if _1 <= sextant <= _2 else (low if sextant >= _4 else middle)
        blue[x] = high if _3 <= sextant <= _4 else (low if sextant <= _1 else middle)
