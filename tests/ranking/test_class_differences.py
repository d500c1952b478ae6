"""Differences class by class."""

from dataclasses import replace

import numpy as np
import pytest
from generated_cells import cell_of, random_counts
from scipy import stats

from segrank.ranking.cell import ImageCounts
from segrank.ranking.class_differences import class_differences
from segrank.ranking.difference import difference
from segrank.ranking.intervals import estimates
from segrank.ranking.resample import exact_miou


def of_class(images: ImageCounts, at: int) -> ImageCounts:
    """The counts of one class alone, so that mIoU is its IoU."""
    one = slice(at, at + 1)
    return ImageCounts(
        names=images.names,
        classes=images.classes[one],
        truth=images.truth[:, one],
        hits=tuple(hits[..., one] for hits in images.hits),
        predicted=tuple(predicted[..., one] for predicted in images.predicted),
    )


def test_with_one_seed_a_class_by_itself_has_the_interval_of_its_miou() -> None:
    images = random_counts(encoders=2, seeds=1, images=200, classes=3)
    found = class_differences(images, paired=True, with_seeds=False, resamples=4000)
    assert np.mean([one.value for one in found]) == pytest.approx(np.diff(exact_miou(images)[::-1], axis=0).item())
    for at, one in enumerate(found):
        alone = of_class(images, at)
        wanted = difference(estimates(cell_of([miou.tolist() for miou in exact_miou(alone)], images=alone)), 0, 1)
        assert wanted.interval is not None
        assert one.interval is not None
        assert one.value == pytest.approx(wanted.value)
        assert one.interval == pytest.approx((wanted.interval.low, wanted.interval.high), abs=2e-3)
        assert one.images == int((images.truth[:, at] > 0).sum())


def test_seeds_widen_the_intervals_where_they_vary() -> None:
    images = random_counts(encoders=2, seeds=3, images=100, classes=4)
    worse = images.hits[0].copy()
    worse[0] = worse[0] // 2  # one seed of one encoder fails
    images = replace(images, hits=(worse, images.hits[1]))
    for paired in (True, False):
        narrow = class_differences(images, paired=paired, with_seeds=False, resamples=500)
        wide = class_differences(images, paired=paired, with_seeds=True, resamples=500)
        for one, other in zip(narrow, wide, strict=True):
            assert one.interval is not None
            assert other.interval is not None
            assert np.ptp(other.interval) > 3 * np.ptp(one.interval)


def test_a_class_in_a_single_image_has_no_interval() -> None:
    images = random_counts(encoders=2, seeds=1, images=30, classes=3)
    truth = images.truth.copy()
    holders = np.flatnonzero(truth[:, 1])
    truth[holders[1:], 1] = 0
    hits = tuple(np.minimum(of, truth) for of in images.hits)
    found = class_differences(replace(images, truth=truth, hits=hits), paired=True, with_seeds=False, resamples=200)
    assert [one.images for one in found][1] == 1
    assert (found[1].interval, found[1].p_value, found[1].p_holm) == (None, None, None)
    assert found[0].interval is not None


def test_holm_over_classes_and_no_difference_of_the_same_run() -> None:
    images = random_counts(encoders=1, seeds=2, images=40, classes=5)
    twice = replace(images, hits=images.hits * 2, predicted=images.predicted * 2)
    for one in class_differences(twice, paired=True, with_seeds=True, resamples=200):
        assert (one.value, one.interval, one.p_holm) == (0, (0, 0), 1)
    images = random_counts(encoders=2, seeds=1, images=40, classes=5)
    found = class_differences(images, paired=True, with_seeds=False, resamples=200)
    p = sorted(one.p_value for one in found if one.p_value is not None)
    adjusted = sorted(one.p_holm for one in found if one.p_holm is not None)
    assert adjusted == pytest.approx(np.minimum(np.maximum.accumulate(np.array(p) * [5, 4, 3, 2, 1]), 1).tolist())
    assert stats.rankdata(p).tolist() == [1, 2, 3, 4, 5]
