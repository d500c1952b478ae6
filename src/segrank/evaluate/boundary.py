"""Pixels near contours, for Boundary IoU: Cheng et al., CVPR 2021 (arXiv 2103.16562).

A pixel of a class lies near its contour if some pixel of another class, or the world outside the image, is at most d
rows and d columns away. So the authors' own code has it, which erodes each class's mask d times by a square of 3x3
pixels after a frame of zeros was put around it. All classes' pixels are found at once here: those whose window of
2 d + 1 by 2 d + 1 pixels holds more than one class, or goes over the edge.

Ignored pixels have no class, in the prediction neither, whatever it says there: they are not counted, and are nobody's
contour. So a prediction that is right wherever there is a label has a Boundary IoU of 1. Classes on either side of a
narrow ignored band, such as VOC's, still have a contour to each other.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from segrank.data.dataset import IGNORE

OF_DIAGONAL = 0.02
"""d as a part of the image's diagonal: the authors' choice for images of everyday sizes."""

Bytes = NDArray[np.uint8]


def boundary_counts(labels: Bytes, prediction: Bytes, classes: int) -> NDArray[np.int64]:
    """Count the pixels near contours, of one image.

    Args:
        labels: (h, w) truth; 255 is ignored.
        prediction: (h, w) class indices.
        classes: how many there are.

    Returns:
        (classes, 3): pixels near the class's contour in both maps, in the truth only, in the prediction only. A pixel
        near contours of two different classes is in the second column of one and in the third of the other.
    """
    reach = max(1, round(OF_DIAGONAL * math.hypot(*labels.shape)))
    labelled = labels != IGNORE
    predicted = np.where(labelled, prediction, np.uint8(IGNORE))
    of_truth, of_prediction = (_near_contours(classes_of, reach) & labelled for classes_of in (labels, predicted))
    both = of_truth & of_prediction & (labels == predicted)
    parts = (labels[both], labels[of_truth & ~both], predicted[of_prediction & ~both])
    return np.stack([np.bincount(part, minlength=classes) for part in parts], axis=1).astype(np.int64)


def _near_contours(labels: Bytes, reach: int) -> NDArray[np.bool_]:
    """(h, w): whether the window around a labelled pixel holds several classes or goes over the edge."""
    near = np.ones(labels.shape, np.bool_)
    inner = near[reach:-reach, reach:-reach]
    if inner.size:
        least = _over_windows(labels, reach, np.minimum)  # 255 is never the least beside a class
        largest = _over_windows(np.where(labels == IGNORE, np.uint8(0), labels), reach, np.maximum)
        np.not_equal(least, largest, out=inner)
    return near


def _over_windows(values: Bytes, reach: int, pick: np.ufunc) -> Bytes:
    """The least or largest value of every whole window: (h - 2 reach, w - 2 reach)."""
    return _along_columns(_along_columns(values, reach, pick).T, reach, pick).T


def _along_columns(values: Bytes, reach: int, pick: np.ufunc) -> Bytes:
    """Of windows of one column. They grow to twice their height in each step: two that overlap make one."""
    height, wanted = 1, 2 * reach + 1
    while height < wanted:
        step = min(height, wanted - height)
        values = pick(values[:-step], values[step:])
        height += step
    return values
