"""Spoilt images: what each kind does to them, and that it does so for every network alike."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from segrank.data import open_dataset
from segrank.errors import SpecError
from segrank.evaluate.corruptions import AMOUNTS, KINDS, CorruptedSplit, Corruption, corrupt, corruptions


def photograph(h: int = 150, w: int = 210) -> np.ndarray:
    """Smooth, and neither dark nor bright."""
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(h, w, 3)), (4, 4, 0))
    return np.asarray((128 + 40 * noise / noise.std()).clip(20, 235), np.uint8)


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_worse_with_severity_and_always_the_same(kind: str) -> None:
    image = photograph()
    before = image.copy()
    errors = []
    for severity in range(1, 6):
        spoilt = corrupt(image, Corruption(kind, severity), "a.jpg")
        assert spoilt.shape == image.shape
        assert spoilt.dtype == np.uint8
        assert (spoilt == corrupt(image, Corruption(kind, severity), "a.jpg")).all()
        errors.append(np.abs(spoilt.astype(float) - image).mean())
    assert errors == sorted(errors)
    assert errors[0] > 0.3
    assert (image == before).all()


@pytest.mark.parametrize("kind", ["gaussian_noise", "shot_noise", "motion_blur"])
def test_images_of_other_names_get_other_noise(kind: str) -> None:
    one, other = (corrupt(photograph(), Corruption(kind, 3), name) for name in ("a.jpg", "b.jpg"))
    assert (one != other).any()


def test_noise_has_the_variance_that_its_amount_says() -> None:
    grey = np.full((300, 300, 3), 128, np.uint8)
    gaussian = corrupt(grey, Corruption("gaussian_noise", 1), "a") / 255
    assert gaussian.std() == pytest.approx(0.08, rel=0.02)
    shot = corrupt(grey, Corruption("shot_noise", 1), "a") / 255
    assert shot.mean() == pytest.approx(128 / 255, abs=0.003)
    assert shot.std() == pytest.approx((128 / 255 / 60) ** 0.5, rel=0.02)
    noise = [corrupt(grey, Corruption("gaussian_noise", s), "a") / 255 - 128 / 255 for s in (1, 2)]
    assert np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1] > 0.99


@pytest.mark.parametrize(("kind", "h"), [("gaussian_blur", 400), ("gaussian_blur", 1024), ("motion_blur", 400)])
def test_blur_spreads_a_point_evenly_and_grows_with_large_images(kind: str, h: int) -> None:
    image = np.zeros((h, h + 100, 3), np.uint8)
    image[h // 2, h // 2] = 255
    image[h // 2 - 2 : h // 2 + 3, h // 2 - 2 : h // 2 + 3] = 255
    spread = corrupt(image, Corruption(kind, 5), "a")[..., 0].astype(float)
    y, x = np.indices(spread.shape)
    centre = (spread * y).sum() / spread.sum(), (spread * x).sum() / spread.sum()
    assert centre == pytest.approx((h // 2, h // 2), abs=0.1)
    variance = (spread * ((y - centre[0]) ** 2 + (x - centre[1]) ** 2)).sum() / spread.sum() - 2 * 2.0
    amount = AMOUNTS[kind][4] * max(1, h / 512)
    wanted = 2 * amount**2 if kind == "gaussian_blur" else amount**2 / 12
    assert variance == pytest.approx(wanted, rel=0.15)


def test_light_and_blocks_are_what_their_amounts_say() -> None:
    image = photograph()
    mean = image.mean(axis=(0, 1))
    flat = corrupt(image, Corruption("contrast", 3), "a")
    assert np.abs(flat - (mean + 0.2 * (image - mean))).max() <= 0.51

    pixels = [(100, 50, 0), (250, 20, 20), (0, 0, 0)]
    bright = corrupt(np.array([pixels], np.uint8), Corruption("brightness", 2), "a")[0].tolist()
    # value 100 + 51, all channels by 1.51; at most white; black has no hue
    assert bright == [[151, 76, 0], [255, 20, 20], [51, 51, 51]]

    blocks = corrupt(image[:148, :208], Corruption("pixelate", 5), "a").reshape(37, 4, 52, 4, 3)
    assert (blocks == blocks[:, :1, :, :1]).all()
    means = image[:148, :208].reshape(37, 4, 52, 4, 3).mean(axis=(1, 3))
    assert np.abs(blocks[:, 0, :, 0] - means).max() <= 1  # Pillow rounds twice

    content = io.BytesIO()
    Image.fromarray(image).save(content, "JPEG", quality=7)
    assert (corrupt(image, Corruption("jpeg", 5), "a") == np.asarray(Image.open(content))).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (65, 2)], ids=str)
def test_any_size_will_do(kind: str, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    assert corrupt(image, Corruption(kind, 5), "a").shape == image.shape


def test_a_split_keeps_its_labels_and_names() -> None:
    split = open_dataset("scenes?size=32&train=4&val=3").split("val")
    spoilt = CorruptedSplit(split, Corruption("contrast", 5))
    assert (spoilt.names, len(spoilt), spoilt.digest()) == (split.names, 3, split.digest())
    assert (spoilt[1].labels == split[1].labels).all()
    assert (spoilt[1].image == corrupt(split[1].image, Corruption("contrast", 5), split.names[1])).all()
    assert (spoilt[1].image.std(axis=(0, 1)) < split[1].image.std(axis=(0, 1)) / 10).all()


def test_a_grid_is_every_kind_at_every_severity() -> None:
    assert len(corruptions()) == 8 * 3
    assert corruptions(["jpeg", "jpeg"], [5, 1]) == [Corruption("jpeg", 1), Corruption("jpeg", 5)]
    with pytest.raises(SpecError, match="no corruption"):
        corruptions(["fog"])
    with pytest.raises(SpecError, match="severity 6"):
        corruptions(severities=[6])
