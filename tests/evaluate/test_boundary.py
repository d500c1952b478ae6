"""Pixels near contours, all classes at once, against the definition: each class's mask less itself eroded."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from segrank.counts import BOUNDARY, CONFUSION, confusion, counts_table
from segrank.evaluate.boundary import boundary_counts
from segrank.metrics import boundary_iou

CLASSES = 4


def blobs(h: int, w: int, seed: int, side: float) -> NDArray[np.uint8]:
    """A map of smooth regions."""
    noise = np.random.default_rng(seed).normal(size=(CLASSES, h, w))
    return np.asarray(ndimage.gaussian_filter(noise, (0, side, side)).argmax(0), np.uint8)


def band(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """As the authors define it: outside the image there is no mask."""
    eroded = ndimage.binary_erosion(mask, np.ones((3, 3)), iterations=reach, border_value=0)
    return mask & ~np.asarray(eroded, np.bool_)


def plainly(labels: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> list[list[int]]:
    reach = max(1, round(0.02 * math.hypot(*labels.shape)))
    counts = []
    for c in range(CLASSES):
        truth, predicted = band(labels == c, reach), band(prediction == c, reach)
        counts.append([(truth & predicted).sum(), (truth & ~predicted).sum(), (predicted & ~truth).sum()])
    return counts


@pytest.mark.parametrize("size", [(120, 160), (301, 97), (40, 40), (5, 700), (3, 3), (1, 1), (2, 90)], ids=str)
@pytest.mark.parametrize("side", [0.7, 6.0])
def test_counts_are_those_of_eroded_masks(size: tuple[int, int], side: float) -> None:
    labels, prediction = blobs(*size, 0, side), blobs(*size, 1, side)
    prediction = np.where(np.random.default_rng(2).random(size) < 0.3, prediction, labels)
    assert boundary_counts(labels, prediction, CLASSES).tolist() == plainly(labels, prediction)


def test_a_count_by_hand() -> None:
    labels = np.zeros((9, 9), np.uint8)
    labels[3:, :] = 1
    prediction = np.zeros((9, 9), np.uint8)
    prediction[4:, :] = 1
    # d is 1: frames of 9 x 3 against 9 x 4 pixels, and of 9 x 6 against 9 x 5
    found = boundary_counts(labels, prediction, 2)
    row_of_frame = {"top": [9, 2, 9], "top, longer": [9, 2, 2, 9]}
    both = 9 + 2 + 2  # the first row; the ends of the second and the third, which is an inner row only in the truth
    assert found[0].tolist() == [both, sum(row_of_frame["top"]) - both, sum(row_of_frame["top, longer"]) - both]
    assert found.sum(axis=1).tolist() == [
        np.logical_or(band(labels == c, 1), band(prediction == c, 1)).sum() for c in (0, 1)
    ]


def with_ignored(labels: NDArray[np.uint8], reach: int) -> NDArray[np.bool_]:
    """Near contours, looked up pixel by pixel."""
    h, w = labels.shape
    near = np.zeros((h, w), np.bool_)
    for y, x in np.argwhere(labels != 255):
        window = labels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
        outside = y < reach or x < reach or y + reach >= h or x + reach >= w
        near[y, x] = outside or bool(((window != 255) & (window != labels[y, x])).any())
    return near


def test_ignored_pixels_are_no_contour_and_hide_none() -> None:
    labels, prediction = blobs(90, 120, 3, 8), blobs(90, 120, 4, 8)
    labels[blobs(90, 120, 5, 5) == 0] = 255
    reach = 3  # 2 % of a diagonal of 150
    seen = np.where(labels == 255, np.uint8(255), prediction)
    truth, predicted = with_ignored(labels, reach), with_ignored(seen, reach)
    wanted = [
        [(truth & predicted & (labels == c) & (seen == c)).sum() for c in range(CLASSES)],
        [(truth & (labels == c) & ~(predicted & (seen == c))).sum() for c in range(CLASSES)],
        [(predicted & (seen == c) & ~(truth & (labels == c))).sum() for c in range(CLASSES)],
    ]
    assert boundary_counts(labels, prediction, CLASSES).T.tolist() == wanted


def test_what_is_predicted_where_nothing_is_labelled_does_not_matter() -> None:
    labels = blobs(100, 100, 6, 8)
    truth = labels.copy()
    labels[blobs(100, 100, 7, 5) == 1] = 255
    for prediction in (truth, np.where(labels == 255, np.uint8(2), truth)):
        counts = boundary_counts(labels, prediction, CLASSES)
        assert counts[:, 0].all()
        assert not counts[:, 1:].any()


def test_iou_sums_over_images_before_it_divides() -> None:
    pairs = [(blobs(80, 60, s, 5), blobs(80, 60, s + 10, 5)) for s in range(3)]
    for labels, prediction in pairs:
        labels[labels == 3] = 255  # a class that is only predicted has no contour in the truth
        prediction[:20, :20] = 3
    kinds = [{BOUNDARY: boundary_counts(*pair, CLASSES), CONFUSION: confusion(*pair, CLASSES)} for pair in pairs]
    total = sum(boundary_counts(*pair, CLASSES) for pair in pairs)
    found = boundary_iou(counts_table("abc", kinds), CLASSES)
    assert found[3] is None
    assert found[:3] == pytest.approx([total[c, 0] / total[c].sum() for c in range(3)])  # type: ignore[index]
