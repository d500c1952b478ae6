"""Paired bootstrap over images: mIoU recomputed from resampled counts, for every run of a cell on the same images.

One resample draws as many images as there are, with replacement, and is written as weights: how often each image was
drawn. Weights times counts are the summed counts of many resamples: one matrix product for each class, with the images
that hold it and a column for each run. Most classes are in few images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import ImageCounts

RESAMPLES = 10_000
_WEIGHTS = 2**22
"""Held at once, in float32: 17 MB, and again as many while they are drawn."""
_AT_ONCE = 512
"""Resamples whose scores are computed together: those of a few hundred runs then fit a processor's cache."""


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
    seeds = [len(hits) for hits in images.hits]
    miou = np.empty((resamples, sum(seeds)), np.float32)
    classes = [_class_counts(images, number) for number in range(len(images.classes))]
    start = 0
    for weights in image_weights(len(images.names), resamples, seed):
        for at in range(0, len(weights), _AT_ONCE):
            some = weights[at : at + _AT_ONCE]
            miou[start : start + len(some)] = _mean_iou(classes, np.ascontiguousarray(some.T))
            start += len(some)
    return ImageDraws(images.names, seed, tuple(np.split(miou, np.cumsum(seeds)[:-1], axis=1)))


def _mean_iou(classes: Sequence[_ClassCounts], weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """(resamples, runs), from weights (images, resamples)."""
    resamples, runs = weights.shape[1], classes[0].hits.shape[1]
    total, scored = np.zeros((resamples, runs), np.float32), np.zeros(resamples, np.float32)
    for one in classes:
        of_labelled = weights[one.labelled]
        without = of_labelled.T @ one.truth == 0
        right = of_labelled.T @ one.hits
        union = weights[one.touched].T @ one.union
        union[without] = 1  # a class without labelled pixels has no hits: its quotient is 0
        right /= union
        total += right
        scored += ~without
    found: NDArray[np.float32] = total / scored[:, None]
    return found


class _ClassCounts(NamedTuple):
    """Of one class; only images in which there is something to count."""

    labelled: NDArray[np.intp]
    """Images that hold the class."""
    truth: NDArray[np.float32]
    """(labelled,)."""
    hits: NDArray[np.float32]
    """(labelled, runs)."""
    touched: NDArray[np.intp]
    """Images that hold it, or for which some run says so."""
    union: NDArray[np.float32]
    """(touched, runs)."""


def _class_counts(images: ImageCounts, number: int) -> _ClassCounts:
    truth = images.truth[:, number]
    hits, predicted = (np.concatenate([of[:, :, number] for of in each]).T for each in (images.hits, images.predicted))
    labelled, touched = np.flatnonzero(truth), np.flatnonzero((truth > 0) | predicted.any(axis=1))
    union = truth[touched, None] + (predicted[touched] - hits[touched])
    return _ClassCounts(
        labelled,
        truth[labelled].astype(np.float32),
        np.ascontiguousarray(hits[labelled], np.float32),
        touched,
        np.ascontiguousarray(union, np.float32),
    )


def image_weights(images: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each image is drawn: (some resamples, images) at a time, each row summing to `images`."""
    random = np.random.default_rng(seed)
    at_once = max(1, _WEIGHTS // images)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = random.integers(0, images, (rows, images), dtype=np.int32)
        drawn += images * np.arange(rows, dtype=np.int32)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images).astype(np.float32)
