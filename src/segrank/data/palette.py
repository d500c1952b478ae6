"""Colours for classes, the same wherever a label map is shown."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from segrank.data.dataset import IGNORE

# Okabe & Ito's set for colour-blind readers (without black), then Paul Tol's "muted" and a few dark and light
# tones far from both. Beyond that no set stays distinct for everybody; a legend has to help.
_FIRST = (
    "0072B2 E69F00 009E73 D55E00 56B4E9 F0E442 CC79A7 332288 999933 882255 44AA99 DDCC77 AA4499 117733 "
    "88CCEE CC6677 661100 BBBBBB 555555 FFAABB"
)


def class_colours(n: int) -> NDArray[np.uint8]:
    """(n, 3) RGB. The colour of a class does not depend on n. No two are equal; n is at most 255."""
    assert 0 <= n <= 255, "labels 0..254 are classes"
    colours = [(int(c[:2], 16), int(c[2:4], 16), int(c[4:], 16)) for c in _FIRST.split()]
    turn = 0
    while len(colours) < n:
        # Golden-ratio steps in hue; lightness in three levels, because lightness is what everybody sees.
        red, green, blue = colorsys.hls_to_rgb(turn * 0.618034 % 1, (0.35, 0.55, 0.75)[turn % 3], 0.65)
        colour = (round(red * 255), round(green * 255), round(blue * 255))
        if colour not in colours:
            colours.append(colour)
        turn += 1
    return np.array(colours[:n], dtype=np.uint8).reshape(n, 3)


def overlay(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], classes: int, *, opacity: float = 0.6
) -> NDArray[np.uint8]:
    """The image (h, w, 3) under its classes (h, w) in colour. Ignored pixels are only darkened."""
    table = np.zeros((256, 3), dtype=np.float32)
    table[:classes] = class_colours(classes)
    known = (labels < classes) | (labels == IGNORE)
    assert known.all(), f"labels are 0..{classes - 1} or {IGNORE}"
    blended: NDArray[np.uint8] = np.rint(image * np.float32(1 - opacity) + table[labels] * np.float32(opacity))
    return blended.astype(np.uint8)
