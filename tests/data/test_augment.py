import numpy as np
import pytest
import torch
from scipy import ndimage, stats
from torch import Tensor

from segrank.data.augment import Draw, apply, augment, draw

# isort: split
# Torchvision comes after `segrank._torchvision`, which the line above imports.
from torchvision.transforms.v2 import functional as tvf

FINE = (10**6, 10**6)  # a crop so large that a scaled side tells the scale to six digits


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


def sample(h: int, w: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    return (
        torch.from_numpy(rng.integers(0, 256, (3, h, w), dtype=np.uint8)),
        torch.from_numpy(rng.integers(0, 9, (h, w), dtype=np.uint8)),
    )


def blocks(h: int, w: int, side: int) -> tuple[Tensor, Tensor]:
    """An image whose colour says the label: (3, h, w) and (h, w)."""
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 8, (-(-h // side), -(-w // side)), dtype=np.uint8)
    labels = coarse.repeat(side, 0).repeat(side, 1)[:h, :w]
    image = np.stack([(labels & 1) * 200, (labels >> 1 & 1) * 200, (labels >> 2) * 200])
    return torch.from_numpy(image), torch.from_numpy(labels.copy())


def in_the_middle(labels: Tensor, reach: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Pixels whose neighbours, as far as `reach`, all have the same label."""
    side = 2 * reach + 1
    same: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = ndimage.minimum_filter(
        labels.numpy(), side
    ) == ndimage.maximum_filter(labels.numpy(), side)
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
        labels = torch.full((h, w), value, dtype=torch.uint8)
        augment(torch.zeros(3, h, w, dtype=torch.uint8), labels, (32, 32), rng)
        states.append(rng.random())
    assert len(set(states)) == 1


def test_one_seed_gives_one_result_and_touches_nothing_else() -> None:
    image, labels = sample(50, 70)
    before = image.clone(), labels.clone()
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())
    first, second = (augment(image, labels, (32, 48), np.random.default_rng(3)) for _ in range(2))
    assert first is not None
    assert second is not None
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(image, before[0])
    assert torch.equal(labels, before[1])
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [(48, 72), (96, 144), (150, 225), (192, 288)])
def test_image_and_labels_stay_registered(size: tuple[int, int], flip: bool) -> None:
    image, labels = blocks(96, 144, 24)
    result = apply(image, labels, plain(size, flip=flip), size)
    assert result is not None
    pixels, truth = result
    bits = (pixels > 100).to(torch.uint8)
    seen = (bits[0] + 2 * bits[1] + 4 * bits[2]).numpy()
    # Labels are rounded down, pixels are not: they differ by a source pixel at most, two at scale 2.
    middle = in_the_middle(truth, 2)
    assert middle.mean() > 0.3
    assert (seen == truth.numpy())[middle].all()
    assert truth[0, 0] == (labels[0, -1] if flip else labels[0, 0])


def test_labels_are_the_nearest_rounded_down() -> None:
    _, labels = sample(37, 53)
    size = (64, 31)
    result = apply(torch.zeros(3, 37, 53, dtype=torch.uint8), labels, plain(size), size)
    assert result is not None
    rows, columns = np.arange(64) * 37 // 64, np.arange(31) * 53 // 31
    assert (result[1].numpy() == labels.numpy()[np.ix_(rows, columns)]).all()


def test_padding_is_black_and_ignored_to_the_right_and_below() -> None:
    image, labels = sample(20, 30)
    result = apply(image, labels, plain((20, 30)), (32, 48))
    assert result is not None
    pixels, truth = result
    assert torch.equal(pixels[:, :20, :30], image)
    assert torch.equal(truth[:20, :30], labels)
    assert pixels[:, 20:].max() == pixels[:, :, 30:].max() == 0
    assert truth[20:].min() == truth[:, 30:].min() == 255


def test_a_crop_is_cut_where_it_was_drawn() -> None:
    image, labels = sample(40, 60)
    result = apply(image, labels, plain((40, 60), offset=(5, 11)), (16, 32))
    assert result is not None
    assert torch.equal(result[0], image[:, 5:21, 11:43])
    assert torch.equal(result[1], labels[5:21, 11:43])
    for tensor in result:
        assert tensor.is_contiguous()
        assert tensor.untyped_storage().nbytes() == tensor.numel()


@pytest.mark.parametrize("contrast_first", [False, True])
def test_colour_comes_in_order_and_before_scaling(contrast_first: bool) -> None:
    image, labels = sample(24, 36)
    drawn = plain((12, 18))._replace(
        brightness=0.9, contrast=1.4, saturation=0.6, hue=0.04, contrast_first=contrast_first
    )
    result = apply(image, labels, drawn, (12, 18))
    wanted = tvf.adjust_brightness(image, 0.9)
    if contrast_first:
        wanted = tvf.adjust_hue(tvf.adjust_saturation(tvf.adjust_contrast(wanted, 1.4), 0.6), 0.04)
    else:
        wanted = tvf.adjust_contrast(tvf.adjust_hue(tvf.adjust_saturation(wanted, 0.6), 0.04), 1.4)
    assert result is not None
    assert torch.equal(result[0], tvf.resize(wanted, [12, 18], antialias=True))


def test_no_colour_changes_labels_and_no_coin_leaves_colours_alone() -> None:
    image, labels = sample(24, 36)
    result = apply(image, labels, plain((24, 36)), (24, 36))
    assert result is not None
    assert torch.equal(result[0], image)
    assert torch.equal(result[1], labels)


def test_without_a_label_there_is_no_crop() -> None:
    image, _ = sample(40, 60)
    labels = torch.full((40, 60), 255, dtype=torch.uint8)
    assert augment(image, labels, (16, 16), np.random.default_rng(0)) is None


def test_crops_are_redrawn_until_one_is_labelled_and_not_for_ever() -> None:
    image, _ = sample(64, 64)
    labels = torch.full((64, 64), 255, dtype=torch.uint8)
    labels[:8, :8] = 2
    drawn = plain((64, 64))
    later = drawn._replace(offsets=np.array([[40, 40], [48, 3], [4, 4], [0, 0]]))
    result = apply(image, labels, later, (16, 16))
    assert result is not None
    assert torch.equal(result[0], image[:, 4:20, 4:20])
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
        assert result[0].dtype == result[1].dtype == torch.uint8
        assert (result[1] != 255).any()
