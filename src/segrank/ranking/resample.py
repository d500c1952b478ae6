"""Paired bootstrap over images: mIoU recomputed from resampled counts, for every run of a cell on the same images.

One resample draws as many images as there are, with replacement, and is written as weights: how often each image was
drawn. Weights times counts are the summed counts of many resamples, one matrix product per run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import ImageCounts

RESAMPLES = 10_000
_WEIGHTS = 2**22
"""Held at once, in float32: 17 MB, and again as many while they are drawn."""


@dataclass(frozen=True, eq=False)
class ImageDraws:
    """mIoU of each run in each resample. Row r of two draws is the same resample if names, seed and number agree."""

    names: tuple[str, ...]
    """Of the images that were drawn from."""
    seed: int
    miou: tuple[NDArray[np.float32], ...]
    """Per encoder (resamples, seeds)."""


def exact_miou(images: ImageCounts) -> tuple[NDArray[np.float64], ...]:
    """Per encoder (seeds,): mIoU of the images as they are, from counts summed in int64."""
    truth = images.truth.sum(axis=0, dtype=np.int64)
    found = []
    for hits, predicted in zip(images.hits, images.predicted, strict=True):
        right = hits.sum(axis=1, dtype=np.int64)
        union = truth + predicted.sum(axis=1, dtype=np.int64) - right
        found.append((right / union).mean(axis=1))
    return tuple(found)


def image_draws(images: ImageCounts, *, resamples: int = RESAMPLES, seed: int = 0) -> ImageDraws:
    """Resample the images, the same for all runs, and score every run on each resample.

    mIoU is the mean of intersection / union over the classes with labelled pixels in that resample; the others are left
    out of it, for all runs alike.
    """
    miou = tuple(np.empty((resamples, len(hits)), np.float32) for hits in images.hits)
    truth = images.truth.astype(np.float32)
    start = 0
    for weights in image_weights(len(images.names), resamples, seed):
        rows = slice(start, start + len(weights))
        labelled = weights @ truth
        scored = labelled > 0
        classes = scored.sum(axis=1)
        for into, hits, predicted in zip(miou, images.hits, images.predicted, strict=True):
            for number in range(len(hits)):
                right = weights @ hits[number].astype(np.float32)
                union = weights @ (images.truth + (predicted[number] - hits[number])).astype(np.float32)
                np.divide(right, union, out=right, where=scored)
                # a class without labelled pixels has no hits: its quotient stays 0
                into[rows, number] = right.sum(axis=1) / classes
        start += len(weights)
    return ImageDraws(images.names, seed, miou)


def image_weights(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each image is drawn: (some resamples, images) at a time, each row summing to `images`."""
    random = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS // images)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = random.integers(0, images, (rows, images), dtype=np.int32)
        drawn += images * np.arange(rows, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float32)
