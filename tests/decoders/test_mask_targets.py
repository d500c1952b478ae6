"""Labels at points, against grid_sample of one mask per class."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from plain_mask_loss import counting, sampled
from torch import Tensor

from segrank.decoders.mask_arithmetic import locate
from segrank.decoders.mask_loss_torch import around
from segrank.decoders.mask_pairs_numba import sample_labels
from segrank.decoders.mask_targets import Ignored, Targets, targets_of


def by_numba(points: Tensor, targets: Targets, label: int) -> tuple[Tensor, Tensor]:
    (x, y), labels = points.T.contiguous().numpy(), targets.labels[0].numpy()
    cell, reals = np.empty(len(points), np.int32), np.empty((4, len(points)), np.float32)
    locate(x, y, labels.shape[1] - 2, labels.shape[0] - 2, cell, reals[0], reals[1])
    sample_labels(labels, label, cell, *reals)
    return torch.from_numpy(reals[2]), torch.from_numpy(reals[3])


def by_torch(points: Tensor, targets: Targets, label: int) -> tuple[Tensor, Tensor]:
    labels, parts = around(points.T[None], targets.labels, torch.zeros(1, dtype=torch.int64))
    return (parts * (labels != 255)).sum((0, 1))[0], (parts * (labels == label)).sum((0, 1))[0]


@pytest.mark.parametrize("at", [by_numba, by_torch])
@pytest.mark.parametrize("ignored", ["excluded", "negative"])
def test_shares_and_weights_equal_those_of_masks(at: type, ignored: Ignored) -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(0, 3, (1, 9, 14), dtype=torch.uint8, generator=generator)
    labels[torch.rand(labels.shape, generator=generator) < 0.3] = 255
    points = torch.rand(5000, 2, generator=generator)
    targets = targets_of(labels, 3, ignored)
    excluded = (labels[0] == 255) & (ignored == "excluded")
    for label in range(3):
        weight, share = at(points, targets, label)
        torch.testing.assert_close(share, sampled((labels[0] == label).float(), points), rtol=0, atol=1e-5)
        torch.testing.assert_close(weight.double(), counting(excluded, points.double()), rtol=0, atol=1e-5)


@pytest.mark.parametrize("at", [by_numba, by_torch])
def test_points_among_ignored_pixels_count_exactly_nothing(at: type) -> None:
    labels = torch.full((1, 8, 8), 255, dtype=torch.uint8)
    labels[0, 0, 0] = 1
    points = torch.rand(5000, 2, generator=torch.Generator().manual_seed(1))
    weight, _ = at(points, targets_of(labels, 3, "excluded"), 1)
    assert torch.equal(weight > 0, (points < 1.5 / 8).all(1))


def test_masks_that_are_there() -> None:
    labels = torch.tensor([[[0, 2], [255, 2]], [[255, 255], [255, 255]]], dtype=torch.uint8)
    assert targets_of(labels, 3, "excluded").present.tolist() == [[True, False, True], [False] * 3]


def test_the_border_is_background_except_beside_ignored_pixels() -> None:
    labels = torch.tensor([[[0, 255], [1, 1]]], dtype=torch.uint8)
    excluded = [[254, 254, 255, 255], [254, 0, 255, 255], [254, 1, 1, 254], [254] * 4]
    assert targets_of(labels, 2, "excluded").labels.tolist() == [excluded]
    negative = F.pad(torch.where(labels == 255, 254, labels), (1, 1, 1, 1), value=254)
    assert torch.equal(targets_of(labels, 2, "negative").labels, negative)
