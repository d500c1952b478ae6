"""Further figures of an evaluation, from its counts: formulas and sources are in docs/metrics.md. No torch here.

As for mIoU, pixels without a label take no part, and classes without labelled pixels in the split are not scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segrank.counts import (
    BINS,
    BOUNDARY,
    CALIBRATION,
    CONFIDENCE,
    CONFIDENCE_ONE,
    CONFUSION,
    confusion_from_table,
    summed,
)

Counts = NDArray[np.int64]


def frequency_weighted_iou(total: Counts) -> float:
    """Mean of the classes' IoU, weighted by their share of the labelled pixels.

    "Frequency weighted IU" of Long et al., CVPR 2015 (arXiv 1411.4038); fwIoU of detectron2.

    Args:
        total: (classes, classes), the confusion of a split: rows are the truth, columns the prediction.
    """
    truth, hits = total.sum(axis=1), total.diagonal()
    scored = truth > 0
    union = truth + total.sum(axis=0) - hits
    return float((truth[scored] / truth.sum() * hits[scored] / union[scored]).sum())


def mean_accuracy(total: Counts) -> float:
    """Mean over the scored classes of hits / labelled pixels: recall.

    "Mean accuracy" of Long et al. (above); mAcc of mmsegmentation; torchmetrics' MulticlassAccuracy, macro.
    """
    truth = total.sum(axis=1)
    scored = truth > 0
    return float((total.diagonal()[scored] / truth[scored]).mean())


def image_miou(table: pl.DataFrame, classes: int) -> float:
    """Mean over images of an image's mean IoU over the classes that have labelled pixels in it.

    mIoU^I of Wang et al., NeurIPS 2023 (arXiv 2310.19252). An image without labelled pixels has none.
    """
    rows = table.filter(kind=CONFUSION)
    names, image = np.unique(rows["image"].to_numpy(), return_inverse=True)
    a, b, pixels = (rows[column].cast(pl.Int64).to_numpy() for column in ("a", "b", "pixels"))
    truth, predicted, hits = np.zeros((3, len(names), classes), np.int64)
    np.add.at(truth, (image, a), pixels)
    np.add.at(predicted, (image, b), pixels)
    np.add.at(hits, (image[a == b], a[a == b]), pixels[a == b])
    there = truth > 0
    iou = np.divide(hits, truth + predicted - hits, out=np.zeros(truth.shape), where=there)
    return float((iou.sum(axis=1) / there.sum(axis=1)).mean())


def boundary_iou(table: pl.DataFrame, classes: int) -> tuple[float | None, ...]:
    """Of each class, the IoU of the pixels near its contours, intersections and unions summed over the split.

    Cheng et al., CVPR 2021 (arXiv 2103.16562); see `segrank.evaluate.boundary`. None of a class that has no pixel near
    a contour in the truth.
    """
    counts = summed(table, BOUNDARY, (classes, 3))
    return tuple(both / (both + of_truth + of_prediction) if both + of_truth else None
                 for both, of_truth, of_prediction in counts.tolist())  # fmt: skip


class Reliability(NamedTuple):
    """Of each bin of confidence, from the lowest: what a reliability diagram shows."""

    pixels: Counts
    accuracy: NDArray[np.float64]
    """Share of right predictions; NaN without pixels."""
    confidence: NDArray[np.float64]
    """Mean confidence; NaN without pixels."""


def reliability(table: pl.DataFrame) -> Reliability:
    """Raises nothing on a table without such counts: its bins have no pixels."""
    wrong, right = summed(table, CALIBRATION, (BINS, 2)).T
    sums, pixels = summed(table, CONFIDENCE, (BINS, 1))[:, 0], wrong + right
    with np.errstate(invalid="ignore"):
        return Reliability(pixels, right / pixels, sums / CONFIDENCE_ONE / pixels)


def calibration_error(table: pl.DataFrame) -> float | None:
    """Expected calibration error: mean over bins of |accuracy - confidence|, weighted by their pixels.

    Guo et al., ICML 2017 (arXiv 1706.04599). None if confidences were not counted.
    """
    pixels, accuracy, confidence = reliability(table)
    filled = pixels > 0
    if not filled.any():
        return None
    return float(np.average(np.abs(accuracy - confidence)[filled], weights=pixels[filled]))


class Further(NamedTuple):
    """What the counts of an evaluation say besides its scores."""

    frequency_weighted_iou: float
    mean_accuracy: float
    image_miou: float
    boundary_iou: float | None
    """Mean over classes; none if it was not counted."""
    calibration_error: float | None


def further(table: pl.DataFrame, class_names: Sequence[str]) -> Further:
    """All of the above that a table of counts holds."""
    classes = len(class_names)
    total = confusion_from_table(table, classes)
    boundary = [iou for iou in boundary_iou(table, classes) if iou is not None]
    return Further(
        frequency_weighted_iou(total),
        mean_accuracy(total),
        image_miou(table, classes),
        float(np.mean(boundary)) if boundary else None,
        calibration_error(table),
    )
