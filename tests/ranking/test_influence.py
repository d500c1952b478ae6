import numpy as np
import pytest
from generated_cells import random_counts

from segrank.ranking.cell import ImageCounts
from segrank.ranking.influence import influence
from segrank.ranking.resample import exact_miou, image_draws


def without(images: ImageCounts, left_out: int) -> ImageCounts:
    keep = np.arange(len(images.names)) != left_out
    return ImageCounts(
        names=tuple(np.array(images.names)[keep].tolist()),
        classes=images.classes,
        truth=images.truth[keep],
        hits=tuple(hits[:, keep] for hits in images.hits),
        predicted=tuple(predicted[:, keep] for predicted in images.predicted),
    )


def test_an_image_moves_miou_by_what_its_absence_changes() -> None:
    images = random_counts(encoders=1, seeds=2, images=400, classes=5)
    found = influence(images, 0)
    whole = exact_miou(images)[0].mean()
    wanted = [whole - exact_miou(without(images, image))[0].mean() for image in range(20)]
    np.testing.assert_allclose(found.moved[:20], wanted, atol=2e-5)
    assert abs(found.moved.sum()) < 1e-12
    assert np.abs(wanted).max() > 5e-4


def test_of_one_class_nothing_stays_hidden() -> None:
    images = random_counts(encoders=1, seeds=1, images=3, classes=1, seed=4)
    images = ImageCounts(images.names, images.classes, images.truth + 1000, images.hits, images.predicted)
    found = influence(images, 0)
    wanted = [exact_miou(images)[0][0] - exact_miou(without(images, image))[0][0] for image in range(3)]
    # without one image the IoU moves by residual / (1 - share): both parts together
    np.testing.assert_allclose(np.hypot(found.moved, found.hidden), np.abs(wanted), rtol=1e-12)


def test_a_class_in_a_single_image_adds_nothing_and_breaks_nothing() -> None:
    truth = np.array([[50, 0], [60, 0], [40, 9]], np.int32)
    hits = np.array([[[30, 0], [50, 0], [10, 5]]], np.int32)
    images = ImageCounts(("a", "b", "c"), ("often", "once"), truth, (hits,), (hits,))
    alone = ImageCounts(("a", "b", "c"), ("often",), truth[:, :1], (hits[..., :1],), (hits[..., :1],))
    for both, one in zip(influence(images, 0), influence(alone, 0), strict=True):
        np.testing.assert_allclose(both, one / 2)


def test_its_variance_is_that_of_resamples_where_images_are_many() -> None:
    images = random_counts(encoders=2, seeds=2, images=600, classes=6)
    mean = np.stack([miou.mean(axis=1) for miou in image_draws(images, resamples=4000).miou])
    moved = np.stack([influence(images, encoder).moved for encoder in range(2)])
    np.testing.assert_allclose(np.cov(mean), moved @ moved.T, rtol=0.12)
    assert influence(images, 0).hidden.std() == pytest.approx(0, abs=0.2 * moved.std())
