"""Whether predictions are as often right as they are confident: what the expected calibration error is computed from.

Guo et al., ICML 2017 (arXiv 1706.04599): pixels go into bins of equal width by the confidence of the predicted class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segrank.counts import BINS, CALIBRATION, CONFIDENCE, CONFIDENCE_ONE
from segrank.data.dataset import IGNORE

_PIXELS = 2**18
"""Counted at once: what they need fits a processor's cache."""


def calibration_counts(
    labels: NDArray[np.uint8], prediction: NDArray[np.uint8], confidence: NDArray[np.float32]
) -> dict[str, NDArray[np.int64]]:
    """Count the labelled pixels of one image by confidence.

    Args:
        labels: (h, w) truth; 255 is ignored.
        prediction: (h, w) class indices.
        confidence: (h, w), 0 to 1: how probable the network holds its prediction.

    Returns:
        By kind of `segrank.counts`: pixels (bins, 2), wrong and right; sums of confidences (bins, 1) in their unit. A
        confidence on the edge of two bins belongs to the lower one.
    """
    assert labels.shape == prediction.shape == confidence.shape
    flat = labels.ravel(), prediction.ravel(), confidence.ravel()
    pixels, sums = np.zeros(2 * BINS, np.int64), np.zeros(BINS, np.int64)
    for start in range(0, labels.size, _PIXELS):
        truth, predicted, confident = (values[start : start + _PIXELS] for values in flat)
        labelled = truth != IGNORE
        units = np.rint(confident[labelled] * np.float32(CONFIDENCE_ONE)).astype(np.int64)
        bins = np.maximum((units * BINS - 1) // CONFIDENCE_ONE, 0)
        pixels += np.bincount(2 * bins + (truth == predicted)[labelled], minlength=2 * BINS)
        # as float64 the sum of so few is exact
        sums += np.bincount(bins, weights=units, minlength=BINS).astype(np.int64)
    return {CALIBRATION: pixels.reshape(BINS, 2), CONFIDENCE: sums[:, None]}
