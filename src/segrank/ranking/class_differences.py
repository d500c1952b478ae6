"""The difference of two encoders class by class, with intervals over images, and over seeds where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.cell import ImageCounts
from segrank.ranking.influence import class_influence
from segrank.ranking.moderated import moderated
from segrank.ranking.ranks import holm
from segrank.ranking.resample import RESAMPLES, image_weights
from segrank.ranking.standard_errors import LEVEL, Part, combined

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ClassDifference:
    """IoU of one class, mean over seeds; `value` = `a` - `b`."""

    name: str
    a: float
    b: float
    value: float
    interval: tuple[float, float] | None
    """Of this class by itself. None for a class in a single image, of which nothing says how it varies."""
    p_value: float | None
    p_holm: float | None
    """Corrected for looking at all classes: those up to 1 - level differ, with any mistake among them in 1 - level of
    such comparisons."""
    images: int
    """That hold the class."""


def class_differences(
    images: ImageCounts,
    *,
    paired: bool,
    with_seeds: bool,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[ClassDifference, ...]:
    """Of the two encoders of some counts.

    The variance over images is that of the resamples that hold the class, completed as that of mIoU is (see
    `influence`). Its degrees of freedom are at most the number of images that hold the class, less one. The variance
    between seeds is steadied by the other classes (see `moderated`).

    Args:
        images: of two encoders.
        paired: both have the same seeds, in the same order.
        with_seeds: intervals cover seeds too; if not, they are of these weights.
        level: of the intervals.
        resamples: of the images.
        seed: of the resampling.
    """
    assert len(images.hits) == 2, "two encoders"
    a, b = (_iou(images, encoder) for encoder in range(2))
    # what varies from seed to seed: the difference itself if seeds are paired, else each encoder
    terms = [a - b] if paired else [a, -b]
    holders = (images.truth > 0).sum(axis=0)
    variance, own = _over_images(images, terms, paired=paired, resamples=resamples, seed=seed)
    of_a, of_b = (class_influence(images, encoder) for encoder in range(2))
    moved, hidden = of_a.moved - of_b.moved, of_a.hidden - of_b.hidden
    second, fourth = (moved**2).sum(axis=0), (moved**4).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2 * second**2 / (fourth - second**2 / len(moved))
    df = np.fmin(np.where(second > 0, df, np.inf), np.maximum(holders - 1, 1))
    of_images = Part(variance + (hidden**2).sum(axis=0), df, np.zeros_like(variance))
    error, df = combined(_over_seeds(terms, own) if with_seeds else None, of_images)
    value = a.mean(axis=0) - b.mean(axis=0)
    half = error * stats.t.ppf((1 + level) / 2, df)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * stats.t.sf(np.where(value == 0, 0.0, np.abs(value) / error), df)
    known = holders > 1
    adjusted = np.full(len(p), np.nan)
    adjusted[known] = holm(p[known])
    return tuple(
        ClassDifference(
            name=name,
            a=float(a[:, at].mean()),
            b=float(b[:, at].mean()),
            value=float(value[at]),
            interval=(float(value[at] - half[at]), float(value[at] + half[at])) if known[at] else None,
            p_value=float(p[at]) if known[at] else None,
            p_holm=float(adjusted[at]) if known[at] else None,
            images=int(holders[at]),
        )
        for at, name in enumerate(images.classes)
    )


def _iou(images: ImageCounts, encoder: int) -> FloatArray:
    """(seeds, classes): from counts summed in int64."""
    hits = images.hits[encoder].sum(axis=1, dtype=np.int64)
    predicted = images.predicted[encoder].sum(axis=1, dtype=np.int64)
    found: FloatArray = hits / (images.truth.sum(axis=0, dtype=np.int64) + predicted - hits)
    return found


def _over_images(
    images: ImageCounts, terms: Sequence[FloatArray], *, paired: bool, resamples: int, seed: int
) -> tuple[FloatArray, list[FloatArray]]:
    """Variances (classes,) over the resamples that hold the class: of the difference, and of what is one seed's own."""
    drawn = np.zeros(len(images.classes))
    squares = np.zeros(len(images.classes))
    own = [np.zeros_like(drawn) for _ in terms]
    truth = images.truth.astype(np.float32)
    for weights in image_weights(len(images.names), resamples, seed):
        labelled = weights @ truth
        held = labelled > 0
        first, second = (_resampled(images, encoder, weights, held) for encoder in range(2))
        # beside the exact values, of which they differ little; 0 where the class is not there
        apart = [(of - term[:, None]) * held for of, term in zip(_terms(first, second, paired), terms, strict=True)]
        means = [of.mean(axis=0) for of in apart]
        drawn += held.sum(axis=0)
        squares += (np.sum(means, axis=0) ** 2).sum(axis=0)
        for into, of, mean in zip(own, apart, means, strict=True):
            into += ((of - mean) ** 2).sum(axis=(0, 1)) / max(1, len(of) - 1)
    drawn = np.maximum(drawn, 1)
    return squares / drawn, [each / drawn for each in own]


def _terms(a: FloatArray, b: FloatArray, paired: bool) -> list[FloatArray]:
    return [a - b] if paired else [a, -b]


def _resampled(images: ImageCounts, encoder: int, weights: NDArray[np.float32], held: NDArray[np.bool_]) -> FloatArray:
    """(seeds, resamples, classes): IoU, 0 where the class is not there."""
    found = []
    for hits, predicted in zip(images.hits[encoder], images.predicted[encoder], strict=True):
        right = weights @ hits.astype(np.float32)
        union = weights @ (images.truth + (predicted - hits)).astype(np.float32)
        found.append(np.divide(right, union, out=np.zeros(right.shape), where=held))
    return np.stack(found)


def _over_seeds(terms: Sequence[FloatArray], own: Sequence[FloatArray]) -> Part:
    counts = [len(of) for of in terms]
    raw = [of.var(axis=0, ddof=1) if len(of) > 1 else np.zeros(of.shape[1]) for of in terms]
    df = np.repeat([count - 1.0 for count in counts], [len(of) for of in raw])
    steadied, known = (each.reshape(len(terms), -1) for each in moderated(np.concatenate(raw), df))
    each = steadied / np.array(counts)[:, None]
    variance = each.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        together = variance**2 / (each**2 / known).sum(axis=0)
    shared = np.sum([of / count for of, count in zip(own, counts, strict=True)], axis=0)
    return Part(variance, np.where(variance > 0, together, df.sum()), shared)
