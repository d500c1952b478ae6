"""The oracle of a patch grid: how well label maps can be drawn with one label for each patch. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.counts import IGNORE, scores
from segrank.errors import DataError


@dataclass(frozen=True)
class PatchCeiling:
    miou: float
    """Of label maps in which each patch has the label that most of its pixels have, drawn by nearest."""
    images: int


def patch_ceiling(
    labels: Iterable[NDArray[np.uint8]], classes: Sequence[str], crop: tuple[int, int], patch: int
) -> PatchCeiling:
    """What a decoder that gives one label to each patch reaches at best, or nearly so.

    The most frequent label of a patch makes the most pixels right, and is taken for the best; for mIoU another one may
    be better where a class is rare. A decoder that interpolates scores between patches may draw finer borders than
    that. Patches lie as in the image resized to cover the crop; that evaluation slides a window over it, which shifts
    patches of later windows, is left out.

    Args:
        labels: (h, w) label maps at their own size, 255 ignored; those without a label count for nothing.
        classes: names.
        crop: height and width that the encoder sees, pixels.
        patch: side of a patch there, pixels.

    Raises:
        DataError: a label is neither a class nor 255, or no map has a labelled pixel.
    """
    total = np.zeros((len(classes), len(classes)), np.int64)
    images = 0
    for one in labels:
        total += _confusion(one, len(classes), crop, patch)
        images += 1
    return PatchCeiling(scores(total, classes).miou, images)


def _confusion(labels: NDArray[np.uint8], classes: int, crop: tuple[int, int], patch: int) -> NDArray[np.int64]:
    height, width = labels.shape
    scale = max(crop[0] / height, crop[1] / width)
    rows, columns = (((np.arange(side) + 0.5) * scale / patch).astype(np.int64) for side in (height, width))
    across = int(columns[-1]) + 1
    cell = rows[:, None] * across + columns
    known = labels != IGNORE
    if (labels[known] >= classes).any():
        raise DataError(
            f"label {labels[known].max()} in a label map of {classes} classes",
            wanted=f"0 to {classes - 1}, or {IGNORE} for pixels that take no part",
            fix="give the dataset that the runs were scored on",
        )
    cells = (int(rows[-1]) + 1) * across
    pixels = np.bincount(cell[known] * classes + labels[known], minlength=cells * classes).reshape(cells, classes)
    best = pixels.argmax(axis=1)
    found = np.zeros((classes, classes), np.int64)
    for label in np.unique(best):
        found[:, label] = pixels[best == label].sum(axis=0)
    return found
