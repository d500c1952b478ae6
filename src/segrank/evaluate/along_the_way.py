"""When a run is evaluated before its end, and on which images. No torch: planning counts them."""

from __future__ import annotations

ALONG_THE_WAY = (1 / 8, 1 / 4, 1 / 2, 3 / 4)
"""Fractions of the steps at which every run is evaluated on part of the split; the end has the whole."""


def steps_along_the_way(steps: int) -> frozenset[int]:
    return frozenset(round(steps * fraction) for fraction in ALONG_THE_WAY) - {0, steps}


def images_along_the_way(images: int) -> list[int]:
    """A quarter of the split, at least 50 where there are so many, evenly spread: the same for every run."""
    count = min(images, max(50, images // 4))
    return [i * images // count for i in range(count)]
