"""How much each image moves IoU, to first order: with that, the errors of resampled scores are completed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import ImageCounts

FloatArray = NDArray[np.float64]


class Influence(NamedTuple):
    """Of one encoder's mean over seeds; both (images,) on mIoU, or (images, classes) on each class's IoU."""

    moved: FloatArray
    """Without image i the score is about the score - moved[i]. They sum to 0, and their sum of squares is the variance
    of the score over samples of images by the infinitesimal jackknife (Efron and Tibshirani, An Introduction to the
    Bootstrap, 1993, chapter 21)."""
    hidden: FloatArray
    """What an image that holds much of a class hides of its influence, as the class's IoU follows it: the sum of
    squares is about what HC3 (MacKinnon and White, Journal of Econometrics 29, 1985, 305-325) adds to that variance.
    A class in a single image hides all of it and adds nothing."""


def influence(images: ImageCounts, encoder: int) -> Influence:
    """Of every image on an encoder's mIoU."""
    moved, hidden = class_influence(images, encoder)
    return Influence(moved.mean(axis=1), hidden.mean(axis=1))


def class_influence(images: ImageCounts, encoder: int) -> Influence:
    """Of every image on an encoder's IoU of each class."""
    truth = images.truth.sum(axis=0, dtype=np.int64)
    runs = list(zip(images.hits[encoder], images.predicted[encoder], strict=True))
    moved, hidden = np.zeros(images.truth.shape), np.zeros(images.truth.shape)
    for hits, predicted in runs:
        union = truth + predicted.sum(axis=0, dtype=np.int64) - hits.sum(axis=0, dtype=np.int64)
        share = (images.truth + (predicted - hits)) / union
        residual = hits / union - share * (hits.sum(axis=0, dtype=np.int64) / union)
        moved += residual
        rest = np.where(share < 1, 1 - share, np.inf)
        hidden += residual * np.sqrt(share * (2 - share)) / rest
    return Influence(moved / len(runs), hidden / len(runs))
