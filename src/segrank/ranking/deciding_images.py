"""Which images decide the difference of two encoders in mIoU. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import ImageCounts

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ImageSay:
    """What one image has to say in mIoU of a - mIoU of b."""

    name: str
    moves: float
    """The difference with it - the difference without it: above 0 it speaks for a."""


@dataclass(frozen=True)
class DecidingImages:
    images: tuple[ImageSay, ...]
    """All, from those most for a to those most for b."""
    to_turn: tuple[str, ...] | None
    """Images without which the other encoder would be ahead: so many of those most for the one ahead as it takes, in
    their order. None if leaving out no number of them turns it, or the scores are equal."""


def deciding_images(images: ImageCounts) -> DecidingImages:
    """Leave out each image, and then those most for the encoder that is ahead, one after the other.

    How few images can turn a result is asked by Broderick, Giordano and Meager (arXiv 2011.14999); here their order is
    by leaving out one at a time, and each difference is computed anew, not to first order.
    """
    assert len(images.hits) == 2, "two encoders"
    whole = _differences(images, *_none_left_out(images))[0]
    moves = whole - _differences(images, images.truth, images.hits, images.predicted)
    order = np.argsort(-moves, kind="stable")
    say = tuple(ImageSay(images.names[at], float(moves[at])) for at in order.tolist())
    return DecidingImages(say, _to_turn(images, float(whole), order if whole > 0 else order[::-1]))


def _to_turn(images: ImageCounts, whole: float, order: NDArray[np.intp]) -> tuple[str, ...] | None:
    some = order[: len(order) - 1]
    if whole == 0 or not len(some):
        return None

    def summed(counts: NDArray[np.int32]) -> NDArray[np.int64]:
        found: NDArray[np.int64] = counts[..., some, :].cumsum(axis=-2, dtype=np.int64)
        return found

    left = _differences(
        images, summed(images.truth), [summed(of) for of in images.hits], [summed(of) for of in images.predicted]
    )
    turned = np.flatnonzero(left * np.sign(whole) < 0)
    return tuple(images.names[at] for at in some[: turned[0] + 1].tolist()) if turned.size else None


def _none_left_out(images: ImageCounts) -> tuple[NDArray[np.int32], list[NDArray[np.int32]], list[NDArray[np.int32]]]:
    none = [np.zeros((len(of), 1, of.shape[-1]), np.int32) for of in images.hits]
    return np.zeros((1, images.truth.shape[1]), np.int32), none, none


def _differences(
    images: ImageCounts,
    truth: NDArray[np.integer],
    hits: Sequence[NDArray[np.integer]],
    predicted: Sequence[NDArray[np.integer]],
) -> FloatArray:
    """(cases,): mIoU of the first encoder - of the second, without some counts.

    Args:
        images: all counts.
        truth: (cases, classes) to leave out of them.
        hits, predicted: per encoder (seeds, cases, classes).
    """
    labelled = images.truth.sum(axis=0, dtype=np.int64) - truth
    held = labelled > 0
    classes = held.sum(axis=1)
    scores = []
    for every_hit, every, some_hits, some in zip(images.hits, images.predicted, hits, predicted, strict=True):
        right = every_hit.sum(axis=1, dtype=np.int64)[:, None] - some_hits
        union = labelled + every.sum(axis=1, dtype=np.int64)[:, None] - some - right
        iou = np.divide(right, union, out=np.zeros(right.shape), where=held)
        scores.append((iou.sum(axis=2) / np.maximum(classes, 1)).mean(axis=0))
    found: FloatArray = scores[0] - scores[1]
    return found
