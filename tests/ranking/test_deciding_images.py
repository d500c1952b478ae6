"""Images that decide a difference: against leaving them out by hand."""

from dataclasses import replace

import numpy as np
import pytest
from generated_cells import random_counts

from segrank.ranking.cell import ImageCounts
from segrank.ranking.deciding_images import deciding_images
from segrank.ranking.resample import exact_miou


def without(images: ImageCounts, names: tuple[str, ...]) -> float:
    """Difference of the two mIoUs without these images, over the classes that are left."""
    keep = np.array([name not in names for name in images.names])
    held = images.truth[keep].any(axis=0)
    left = ImageCounts(
        names=tuple(np.array(images.names)[keep].tolist()),
        classes=tuple(np.array(images.classes)[held].tolist()),
        truth=images.truth[keep][:, held],
        hits=tuple(hits[:, keep][..., held] for hits in images.hits),
        predicted=tuple(predicted[:, keep][..., held] for predicted in images.predicted),
    )
    a, b = exact_miou(left)
    return float(a.mean() - b.mean())


@pytest.mark.parametrize("seed", range(4))
def test_what_an_image_says_is_what_its_absence_changes(seed: int) -> None:
    images = random_counts(encoders=2, seeds=2, images=9, classes=4, seed=seed)
    found = deciding_images(images)
    whole = without(images, ())
    assert {one.name: one.moves for one in found.images} == pytest.approx(
        {name: whole - without(images, (name,)) for name in images.names}
    )
    assert [one.moves for one in found.images] == sorted((one.moves for one in found.images), reverse=True)
    assert found.to_turn is not None
    assert np.sign(without(images, found.to_turn)) == -np.sign(whole)
    assert np.sign(without(images, found.to_turn[:-1])) == np.sign(whole)


def test_one_image_may_decide_and_the_better_everywhere_is_not_turned() -> None:
    truth = np.full((4, 1), 100, np.int32)
    near = np.array([[[50], [50], [50], [50]]], np.int32)
    far = np.array([[[99], [49], [49], [49]]], np.int32)
    images = ImageCounts(tuple("wxyz"), ("thing",), truth, (near, far), (near, far))
    found = deciding_images(images)
    assert found.to_turn == ("w",)
    assert found.images[-1].name == "w"
    assert deciding_images(replace(images, hits=(near, near), predicted=(near, near))).to_turn is None
    less = near - 1
    assert deciding_images(replace(images, hits=(near, less), predicted=(near, less))).to_turn is None
