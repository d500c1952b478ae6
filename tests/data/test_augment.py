import io
import zipfile
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, stats

from segrank import _torchvision  # noqa: F401
from segrank.data.augment import Draw, apply, augment, draw

# isort: split
# Torchvision comes after the line that lets every build of it be imported.
from torchvision.transforms.v2 import functional as tvf

Pixels = NDArray[np.uint8]

FINE = (10**6, 10**6)  # a crop so large that a scaled side tells the scale to six digits
LEVELS = 3
"""How far pixels may be from torchvision's. On machines whose vector unit multiplies and adds in one step, as torch's
code for them does, they are equal."""


def plain(size: tuple[int, int], offset: tuple[int, int] = (0, 0), flip: bool = False) -> Draw:
    return Draw(
        brightness=None,
        contrast=None,
        saturation=None,
        hue=None,
        contrast_first=False,
        flip=flip,
        size=size,
        offsets=np.array([offset]),
    )


def sample(h: int, w: int, seed: int = 0) -> tuple[Pixels, Pixels]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (h, w, 3), dtype=np.uint8), rng.integers(0, 9, (h, w), dtype=np.uint8)


def channels_first(image: Pixels) -> Pixels:
    return np.ascontiguousarray(image.transpose(2, 0, 1))


def reference(image: Pixels, labels: Pixels, drawn: Draw, crop: tuple[int, int]) -> tuple[Pixels, Pixels] | None:
    """The plain way: torchvision on the whole image, step after step, and then the crop."""
    pixels, truth = torch.from_numpy(channels_first(image)), torch.from_numpy(labels)
    if drawn.brightness is not None:
        pixels = tvf.adjust_brightness(pixels, drawn.brightness)
    if drawn.contrast is not None and drawn.contrast_first:
        pixels = tvf.adjust_contrast(pixels, drawn.contrast)
    if drawn.saturation is not None:
        pixels = tvf.adjust_saturation(pixels, drawn.saturation)
    if drawn.hue is not None:
        pixels = tvf.adjust_hue(pixels, drawn.hue)
    if drawn.contrast is not None and not drawn.contrast_first:
        pixels = tvf.adjust_contrast(pixels, drawn.contrast)
    if drawn.flip:
        pixels, truth = tvf.hflip(pixels), tvf.hflip(truth)
    pixels = tvf.resize(pixels, list(drawn.size), antialias=True)
    truth = F.interpolate(truth[None, None], size=drawn.size, mode="nearest")[0, 0]
    padding = [0, 0, max(0, crop[1] - drawn.size[1]), max(0, crop[0] - drawn.size[0])]
    pixels, truth = tvf.pad(pixels, padding, fill=0), tvf.pad(truth[None], padding, fill=255)[0]
    for top, left in drawn.offsets.tolist():
        window = truth[top : top + crop[0], left : left + crop[1]]
        if (window != 255).any():
            return pixels[:, top : top + crop[0], left : left + crop[1]].numpy(), window.numpy()
    return None


def same_as_reference(image: Pixels, labels: Pixels, drawn: Draw, crop: tuple[int, int]) -> bool:
    """Whether there is a crop; labels equal, pixels near the reference's."""
    ours, plainly = apply(image, labels, drawn, crop), reference(image, labels, drawn, crop)
    assert (ours is None) == (plainly is None)
    if ours is None or plainly is None:
        return False
    assert (ours[1] == plainly[1]).all(), drawn
    assert np.abs(ours[0].astype(int) - plainly[0]).max() <= LEVELS, drawn
    return True


def blocks(h: int, w: int, side: int) -> tuple[Pixels, Pixels]:
    """An image whose colour says the label."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 8, (-(-h // side), -(-w // side)), dtype=np.uint8)
    labels = coarse.repeat(side, 0).repeat(side, 1)[:h, :w]
    image = np.stack([(labels & 1) * 200, (labels >> 1 & 1) * 200, (labels >> 2) * 200], axis=-1).astype(np.uint8)
    return image, labels.copy()


def in_the_middle(labels: Pixels, reach: int) -> NDArray[np.bool_]:
    """Pixels whose neighbours, as far as `reach`, all have the same label."""
    side = 2 * reach + 1
    same: NDArray[np.bool_] = ndimage.minimum_filter(labels, side) == ndimage.maximum_filter(labels, side)
    return same


def test_ten_thousand_draws_have_the_stated_distributions() -> None:
    rng = np.random.default_rng(0)
    draws = [draw(rng, (500, 1000), FINE) for _ in range(10_000)]

    def fair(coins: list[bool]) -> bool:
        return bool(stats.binomtest(sum(coins), len(coins), 0.5).pvalue > 1e-3)

    def uniform(values: list[float], low: float, high: float) -> bool:
        assert low <= min(values)
        assert max(values) <= high
        return bool(stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3)

    ranges = {
        "brightness": (1 - 32 / 255, 1 + 32 / 255),
        "contrast": (0.5, 1.5),
        "saturation": (0.5, 1.5),
        "hue": (-18 / 360, 18 / 360),
    }
    for name, (low, high) in ranges.items():
        values = [getattr(d, name) for d in draws]
        assert fair([v is not None for v in values]), name
        assert uniform([v for v in values if v is not None], low, high), name
    assert fair([d.contrast_first for d in draws])
    assert fair([d.flip for d in draws])
    assert uniform([d.size[1] / FINE[1] for d in draws], 0.5, 2.0)
    assert all(abs(d.size[0] - d.size[1] / 2) <= 1 for d in draws)  # the aspect stays

    facts = np.array([[d.brightness is None, d.contrast is None, d.saturation is None, d.hue is None] for d in draws])
    facts = np.column_stack([facts, [[d.contrast_first, d.flip, d.size[1]] for d in draws]]).astype(float)
    correlations = np.corrcoef(facts.T)[~np.eye(facts.shape[1], dtype=bool)]
    assert np.abs(correlations).max() < 0.04  # four standard errors of 10,000 draws


def test_crops_are_uniform_over_the_padded_image() -> None:
    rng = np.random.default_rng(1)
    seen = []
    for _ in range(300):
        d = draw(rng, (16, 8), (8, 8))  # tall: as wide as the crop or narrower
        assert d.offsets.min() >= 0
        assert (d.offsets[:, 1] == 0).all()
        assert d.offsets[:, 0].max() <= max(0, d.size[0] - 8)
        if d.size[0] == 12:
            seen.extend(d.offsets[:, 0].tolist())
    assert stats.chisquare(np.bincount(seen, minlength=5)).pvalue > 1e-3


def test_the_generator_goes_on_alike_whatever_the_sample_is() -> None:
    states = []
    for h, w, value in [(40, 60, 3), (1, 1, 3), (40, 60, 255)]:
        rng = np.random.default_rng(7)
        labels = np.full((h, w), value, np.uint8)
        augment(np.zeros((h, w, 3), np.uint8), labels, (32, 32), rng)
        states.append(rng.random())
    assert len(set(states)) == 1


def test_one_seed_gives_one_result_and_touches_nothing_else() -> None:
    image, labels = sample(50, 70)
    before = image.copy(), labels.copy()
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())
    first, second = (augment(image, labels, (32, 48), np.random.default_rng(3)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert (first[0] == second[0]).all()
    assert (first[1] == second[1]).all()
    assert (image == before[0]).all()
    assert (labels == before[1]).all()
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(48, 72), (96, 144), (150, 225), (192, 288)])
def test_image_and_labels_stay_registered(size: tuple[int, int], flip: bool) -> None:
    image, labels = blocks(96, 144, 24)
    result = apply(image, labels, plain(size, flip=flip), size)
    assert result is not None
    pixels, truth = result
    bits = pixels > 100
    seen = bits[0] + 2 * bits[1] + 4 * bits[2]
    # Labels are rounded down, pixels are not: they differ by a source pixel at most, two at scale 2.
    middle = in_the_middle(truth, 2)
    assert middle.mean() > 0.3
    assert (seen == truth)[middle].all()
    assert truth[0, 0] == (labels[0, -1] if flip else labels[0, 0])


def test_labels_are_the_nearest_rounded_down() -> None:
    _, labels = sample(37, 53)
    size = (64, 31)
    result = apply(np.zeros((37, 53, 3), np.uint8), labels, plain(size), size)
    assert result is not None
    rows, columns = np.arange(64) * 37 // 64, np.arange(31) * 53 // 31
    assert (result[1] == labels[np.ix_(rows, columns)]).all()


def test_padding_is_black_and_ignored_to_the_right_and_below() -> None:
    image, labels = sample(20, 30)
    result = apply(image, labels, plain((20, 30)), (32, 48))
    assert result is not None
    pixels, truth = result
    assert (pixels[:, :20, :30] == channels_first(image)).all()
    assert (truth[:20, :30] == labels).all()
    assert pixels[:, 20:].max() == pixels[:, :, 30:].max() == 0
    assert truth[20:].min() == truth[:, 30:].min() == 255


def test_a_crop_is_cut_where_it_was_drawn() -> None:
    image, labels = sample(40, 60)
    result = apply(image, labels, plain((40, 60), offset=(5, 11)), (16, 32))
    assert result is not None
    assert (result[0] == channels_first(image)[:, 5:21, 11:43]).all()
    assert (result[1] == labels[5:21, 11:43]).all()
    for array in result:
        assert array.flags.c_contiguous
        assert array.base is None  # a view would drag all it was cut from to another process


@pytest.mark.parametrize("contrast_first", [False, True])
def test_every_combination_of_operations_is_as_torchvision_has_it(contrast_first: bool) -> None:
    image, labels = sample(61, 83)
    image[:20] = image[:20, :, :1]  # grey: without a hue
    image[20:40] = np.clip(image[20:40, :, :1] + np.arange(-1, 2), 0, 255)  # and nearly
    image[40:45] = np.random.default_rng(1).choice([0, 255], (5, 83, 3))  # and where sextants meet
    for brightness, contrast, saturation, hue in product(
        (None, 0.88, 1.12), *((None, 0.5, 1.5),) * 2, (None, -0.05, 0.05)
    ):
        drawn = plain((61, 83), flip=True)._replace(
            brightness=brightness, contrast=contrast, saturation=saturation, hue=hue, contrast_first=contrast_first
        )
        assert same_as_reference(image, labels, drawn, (61, 83))


def test_order_of_contrast_matters_here() -> None:
    image, labels = sample(24, 36)
    drawn = plain((24, 36))._replace(contrast=1.4, saturation=0.6)
    last, first = (apply(image, labels, drawn._replace(contrast_first=order), (24, 36)) for order in (False, True))
    assert last is not None
    assert first is not None
    assert np.abs(last[0].astype(int) - first[0]).max() > LEVELS


SIDES = [(1, 1), (1, 7), (2, 3), (9, 400), (700, 5), (1, 3000), (33, 47), (120, 95), (300, 451)]


@pytest.mark.parametrize("crop", [(64, 64), (32, 96), (200, 150)])
@pytest.mark.parametrize("size", SIDES)
def test_draws_give_what_torchvision_gives(size: tuple[int, int], crop: tuple[int, int]) -> None:
    image, labels = sample(*size)
    labels[labels > 2] = 255
    rng = np.random.default_rng(size)
    crops = sum(same_as_reference(image, labels, draw(rng, size, crop), crop) for _ in range(12))
    assert crops or (labels == 255).all()


@pytest.mark.parametrize("size", [(13, 7), (64, 80), (257, 90), (600, 1000)])
def test_any_scale_is_as_torchvision_has_it(size: tuple[int, int]) -> None:
    image, labels = sample(80, 100)
    for crop, flip in product([(16, 16), (64, 200)], (False, True)):
        offset = max(0, size[0] - crop[0]), max(0, size[1] - crop[1]) // 2
        assert same_as_reference(image, labels, plain(size, offset, flip), crop)


@pytest.mark.shared
def test_photographs_give_what_torchvision_gives(shared: Path) -> None:
    camvid = [io.BytesIO(path.read_bytes()) for path in sorted((shared / "data/camvid/images").rglob("*.jpg"))[::50]]
    with zipfile.ZipFile(shared / "data/official-layouts/ADEChallengeData2016.zip") as archive:
        ade = [io.BytesIO(archive.read(name)) for name in archive.namelist() if "images/validation/ADE" in name]
    assert camvid
    assert ade
    rng = np.random.default_rng(2)
    for file in (*camvid, *ade):
        image = np.array(Image.open(file).convert("RGB"))
        size = image.shape[0], image.shape[1]
        labels = rng.integers(0, 11, size, dtype=np.uint8)
        for _ in range(3):
            assert same_as_reference(image, labels, draw(rng, size, (256, 320)), (256, 320))


def test_no_colour_changes_labels_and_no_coin_leaves_colours_alone() -> None:
    image, labels = sample(24, 36)
    result = apply(image, labels, plain((24, 36)), (24, 36))
    assert result is not None
    assert (result[0] == channels_first(image)).all()
    assert (result[1] == labels).all()


def test_without_a_label_there_is_no_crop() -> None:
    image, _ = sample(40, 60)
    labels = np.full((40, 60), 255, np.uint8)
    assert augment(image, labels, (16, 16), np.random.default_rng(0)) is None


def test_crops_are_redrawn_until_one_is_labelled_and_not_for_ever() -> None:
    image, _ = sample(64, 64)
    labels = np.full((64, 64), 255, np.uint8)
    labels[:8, :8] = 2
    drawn = plain((64, 64))
    later = drawn._replace(offsets=np.array([[40, 40], [48, 3], [4, 4], [0, 0]]))
    result = apply(image, labels, later, (16, 16))
    assert result is not None
    assert (result[0] == channels_first(image)[:, 4:20, 4:20]).all()
    assert apply(image, labels, drawn._replace(offsets=np.array([[40, 40]] * 9)), (16, 16)) is None


@pytest.mark.parametrize("crop", [(32, 32), (16, 48), (48, 16)])
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (700, 1), (3, 2), (32, 32), (200, 150), (15, 31)])
def test_any_size_gives_the_crop(size: tuple[int, int], crop: tuple[int, int]) -> None:
    image, labels = sample(*size)
    rng = np.random.default_rng(11)
    for _ in range(20):
        result = augment(image, labels, crop, rng)
        assert result is not None
        assert result[0].shape == (3, *crop)
        assert result[1].shape == crop
        assert result[0].dtype == result[1].dtype == np.uint8
        assert (result[1] != 255).any()
