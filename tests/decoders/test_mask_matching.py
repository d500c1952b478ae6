"""Costs of matching against their definition, the assignment against scipy's, and what the host waits for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from plain_mask_loss import MATCHED, batch, given, plain_costs, some_points
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.overrides import TorchFunctionMode

from segrank.decoders.mask_loss import NUMBA, TORCH, Way, compare
from segrank.decoders.mask_matching import Pairs, match
from segrank.decoders.mask_points import drawn
from segrank.decoders.mask_targets import targets_of


def assigned(costs: Tensor, present: list[list[int]]) -> list[tuple[int, int, int]]:
    """(index of the query in layers x images x queries, image, class) of each pair, by scipy."""
    pairs = []
    for layer, of_images in enumerate(costs.double()):
        for image, of_queries in enumerate(of_images):
            for query, mask in zip(*linear_sum_assignment(of_queries[:, present[image]]), strict=True):
                index = (layer * costs.shape[1] + image) * costs.shape[2] + int(query)
                pairs.append((index, image, present[image][mask]))
    return pairs


def as_tuples(pairs: Pairs) -> list[tuple[int, ...]]:
    return list(zip(*(part.tolist() for part in pairs), strict=True))


@pytest.mark.parametrize("way", [NUMBA, TORCH], ids=["numba", "torch"])
@pytest.mark.parametrize("ignore", [False, True])
@pytest.mark.parametrize(("queries", "spread"), [(20, 4.0), (3, 40.0)])
def test_costs_and_assignment_equal_those_of_the_full_matrix(
    way: Way, ignore: bool, queries: int, spread: float
) -> None:
    output, labels = batch(6, queries)
    masks = output.masks * (spread / 4)
    if ignore:
        labels[torch.rand(labels.shape, generator=torch.Generator().manual_seed(2)) < 0.3] = 255
        labels[:, 5:20] = 255
    row = some_points(2, 0)
    targets = targets_of(labels, 6, "excluded")
    found = way.mask_costs(masks, targets, given(row))
    present = [[c for c in range(6) if (image == c).any()] for image in labels]
    full = torch.zeros(found.shape, dtype=torch.float64)
    for layer, image in np.ndindex(2, 2):
        of_classes = [(labels[image] == c).double() for c in present[image]]
        points = row[image * MATCHED :][:MATCHED].double()
        of_image = plain_costs(masks[layer, image].double(), of_classes, labels[image] == 255, points)
        full[layer, image][:, present[image]] = of_image
        torch.testing.assert_close(found[layer, image][:, present[image]].double(), of_image, rtol=1e-5, atol=1e-6)
    matching = match(found, targets.present)
    assert as_tuples(matching.pairs) == assigned(full, present)
    assert matching.masks.tolist() == list(map(len, present))


def test_each_matched_query_has_its_class_and_the_others_none() -> None:
    costs = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    matching = match(costs, torch.tensor([[True, False, True, True], [False, False, False, False]]))
    expected = torch.full((3 * 2 * 5,), 4)
    expected[matching.pairs.query] = matching.pairs.label
    assert torch.equal(matching.classes.flatten(), expected)
    assert len(matching.pairs.query) == 9
    assert matching.masks.tolist() == [3, 0]
    assert set(matching.pairs.label.tolist()) == {0, 2, 3}


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_a_cost_that_is_no_number_is_avoided(value: float) -> None:
    costs = torch.tensor([[[[value, 5.0], [3.0, 1.0], [9.0, value]]]])
    matching = match(costs, torch.tensor([[True, True]]))
    assert as_tuples(matching.pairs) == [(0, 0, 1), (1, 0, 0)]


class _Transfers(TorchFunctionMode):
    """Counts what is brought to the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += function is Tensor.cpu
        return function(*args, **(kwargs or {}))


def test_the_host_waits_once() -> None:
    output, labels = batch(6, 9, layers=3)
    with _Transfers() as transfers:
        compare(output, labels, "excluded", TORCH, given(some_points(2, 3 * 2 * 6)))
    assert transfers.count == 1
    # All else runs on the meta device, which has no values: whatever asks for one there raises an error.
    masks, pair = output.masks.to("meta"), torch.empty(7, dtype=torch.int64, device="meta")
    targets = targets_of(labels.to("meta"), 6, "excluded")
    points = drawn(masks.device)
    assert TORCH.mask_costs(masks, targets, points).shape == (3, 2, 9, 6)
    losses, gradient = TORCH.pair_losses(masks.flatten(0, 2), Pairs(pair, pair, pair), targets, points, 0, True)
    assert losses.shape == (7,)
    assert gradient is not None
    assert gradient.shape == (7, *masks.shape[3:])
    with pytest.raises(RuntimeError):
        bool(targets.present.any())
