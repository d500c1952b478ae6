"""Prediction as a whole, with networks that know what is right."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from segrank.evaluate.sliding import predict

CPU = torch.device("cpu")
LEVELS = 4
"""Classes of the patterns below: class k has the grey value 80 * k."""


class Looks:
    """Reads the class off the grey value in cells of `cell` pixels, as an encoder of such patches would."""

    classes, scores_are_logits = LEVELS, True

    def __init__(self, cell: int = 1) -> None:
        self.cell = cell
        self.batches: list[tuple[int, ...]] = []

    def output(self, images: Tensor) -> Tensor:
        self.batches.append(tuple(images.shape))
        assert images.dtype == torch.uint8
        grey = F.avg_pool2d(images.float().mean(1, keepdim=True), self.cell)
        values = torch.arange(LEVELS).view(1, -1, 1, 1) * 80
        return ((grey - values).abs() < 40).float()

    def scores(self, output: Tensor, image: int) -> Tensor:
        return output[image]


def pattern(h: int, w: int, side: int) -> NDArray[np.uint8]:
    coarse = np.random.default_rng(2).integers(0, LEVELS, (-(-h // side), -(-w // side)), dtype=np.uint8)
    return coarse.repeat(side, 0).repeat(side, 1)[:h, :w]


def painted(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(labels[..., None] * np.uint8(80), 3, axis=2)


@pytest.mark.parametrize("size", [(32, 32), (32, 64), (32, 75), (75, 32), (32, 33)])
def test_a_perfect_network_is_perfect_where_nothing_is_resized(size: tuple[int, int]) -> None:
    labels = np.random.default_rng(0).integers(0, LEVELS, size, dtype=np.uint8)
    prediction = predict(Looks(), painted(labels), (32, 32), device=CPU)
    assert prediction.dtype == np.uint8
    assert (prediction == labels).all()


@pytest.mark.parametrize("size", [(96, 130), (200, 150), (48, 33), (64, 64), (300, 420)])
@pytest.mark.parametrize("crop", [(64, 64), (64, 96)])
def test_resizing_there_and_back_moves_nothing(size: tuple[int, int], crop: tuple[int, int]) -> None:
    labels = pattern(*size, side=24)
    prediction = predict(Looks(), painted(labels), crop, device=CPU)
    reach = 1 + int(np.ceil(max(size[0] / crop[0], size[1] / crop[1])))
    middle = ndimage.minimum_filter(labels, 2 * reach + 1) == ndimage.maximum_filter(labels, 2 * reach + 1)
    assert middle.mean() > 0.1
    assert (prediction == labels)[middle].all()


@pytest.mark.parametrize("size", [(128, 128), (128, 200), (200, 128), (192, 256), (60, 97)])
def test_a_coarse_grid_is_right_within_a_cell(size: tuple[int, int]) -> None:
    scale = 128 / min(size)
    labels = pattern(*size, side=round(64 / scale))
    prediction = predict(Looks(cell=16), painted(labels), (128, 128), device=CPU)
    # A cell that two colours share is read as neither or as another; its neighbours blend with it.
    reach = int(np.ceil(24 / scale))
    middle = ndimage.minimum_filter(labels, 2 * reach + 1) == ndimage.maximum_filter(labels, 2 * reach + 1)
    assert middle.mean() > 0.02
    assert (prediction == labels)[middle].all()


@pytest.mark.parametrize("flip", [(0,), (1,), (0, 1)])
def test_a_turned_image_gives_the_turned_labels(flip: tuple[int, ...]) -> None:
    # Any shift, however small, would show: the two would differ by twice as much.
    labels = pattern(100, 100, side=37)
    one = predict(Looks(cell=16), painted(labels), (64, 64), device=CPU)
    other = predict(Looks(cell=16), painted(np.flip(labels, flip)), (64, 64), device=CPU)
    assert (np.flip(other, flip) == one).mean() > 0.99


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_each_window_goes_through_once(batch: int) -> None:
    network = Looks()
    labels = pattern(32, 120, side=8)
    prediction = predict(network, painted(labels), (32, 32), device=CPU, window_batch=batch)
    assert sum(shape[0] for shape in network.batches) == 4
    assert max(shape[0] for shape in network.batches) == min(batch, 4)
    assert {shape[1:] for shape in network.batches} == {(3, 32, 32)}
    assert (prediction == labels).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 90), (90, 1), (7, 5)])
def test_tiny_and_thin_images(size: tuple[int, int]) -> None:
    labels = np.full(size, 3, np.uint8)
    assert (predict(Looks(), painted(labels), (32, 32), device=CPU) == labels).all()


def test_an_image_may_be_read_only_or_a_view() -> None:
    labels = pattern(40, 56, side=9)
    image = painted(labels)
    wanted = predict(Looks(), image, (32, 32), device=CPU)
    image.flags.writeable = False
    assert (predict(Looks(), image, (32, 32), device=CPU) == wanted).all()
    view = painted(labels[:, ::-1])[:, ::-1]
    assert (predict(Looks(), view, (32, 32), device=CPU) == wanted).all()
