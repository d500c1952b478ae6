"""The loss of masks as its definition says it, in float64, image by image, with all masks at the labels' size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.mask_points import Points

MATCHED, CANDIDATES, UNCERTAIN, FRESH = 12_544, 37_632, 9_408, 3_136
Losses = Callable[[MaskOutput, Tensor], Tensor]


def given(row: Tensor) -> Points:
    """These points (n 2), by their numbers."""

    def write(first: int, out: Tensor) -> None:
        rows, _, n = out.shape
        out.copy_(row[first : first + rows * n].view(rows, n, 2).mT)

    return write


def some_points(images: int, pairs: int) -> Tensor:
    """As many as a loss may ask for (n 2)."""
    generator = torch.Generator().manual_seed(11)
    return torch.rand(images * MATCHED + pairs * (CANDIDATES + FRESH), 2, generator=generator)


def batch(
    classes: int, queries: int, *, grid: tuple[int, int] = (5, 7), size: tuple[int, int] = (40, 56), layers: int = 2
) -> tuple[MaskOutput, Tensor]:
    """Predictions for two images, and their labels in squares, without ignored pixels."""
    generator = torch.Generator().manual_seed(3)
    output = MaskOutput(
        torch.randn(layers, 2, queries, classes + 1, generator=generator),
        4 * torch.randn(layers, 2, queries, *grid, generator=generator),
    )
    squares = torch.randint(0, classes, (2, 4, 5), dtype=torch.uint8, generator=generator)
    rows, columns = torch.arange(size[0]) * 4 // size[0], torch.arange(size[1]) * 5 // size[1]
    return output, squares[:, rows][:, :, columns].contiguous()


def with_gradients(losses: Losses, output: MaskOutput, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The losses (b), and the gradients of a sum in which each image has another weight."""
    leaves = [part.detach().requires_grad_() for part in output]
    found = losses(MaskOutput(*leaves), labels)
    weights = torch.arange(1, len(found) + 1, dtype=found.dtype)
    classes, masks = torch.autograd.grad(found @ weights, leaves)
    return found.detach(), classes, masks


def plain_losses(output: MaskOutput, labels: Tensor, ignored: str, row: Tensor) -> Tensor:
    """(b), float64, at the points of a row."""
    shared, own = torch.split(row.double(), [len(labels) * MATCHED, len(row) - len(labels) * MATCHED])
    of_pairs = iter(torch.split(own, CANDIDATES + FRESH))
    losses = torch.zeros(len(labels), dtype=torch.float64)
    for of_classes, of_masks in zip(*output, strict=True):
        of_images = [
            _image_loss(classes.double(), masks.double(), image, ignored, points, of_pairs)
            for classes, masks, image, points in zip(
                of_classes, of_masks, labels, torch.split(shared, MATCHED), strict=True
            )
        ]
        losses = losses + torch.stack(of_images)
    return losses


def _image_loss(
    classes: Tensor, masks: Tensor, labels: Tensor, ignored: str, shared: Tensor, of_pairs: Iterator[Tensor]
) -> Tensor:
    excluded = (labels == 255) & (ignored == "excluded")
    present = [c for c in range(classes.shape[1] - 1) if (labels == c).any()]
    if excluded.all():
        return 0 * (classes.sum() + masks.sum())
    targets = [(labels == c).double() for c in present]

    costs = plain_costs(masks.detach(), targets, excluded, shared).numpy()
    costs = 5 * costs - 2 * classes.detach().softmax(-1)[:, present].numpy()
    expected = torch.full((len(masks),), classes.shape[1] - 1)
    total = torch.zeros((), dtype=torch.float64)
    for q, m in zip(*linear_sum_assignment(costs), strict=True):
        expected[q] = present[m]
        candidates, fresh = torch.split(next(of_pairs), [CANDIDATES, FRESH])
        size = sampled(masks[q], candidates).abs()
        size[counting(excluded, candidates) < 1e-9] = torch.inf
        points = torch.cat([candidates[size.argsort()[:UNCERTAIN]], fresh])
        counts = counting(excluded, points)
        total = total + _compared(sampled(masks[q], points), sampled(targets[m], points), counts)
    weights = torch.ones(classes.shape[1], dtype=torch.float64)
    weights[-1] = 0.1
    return 2 * F.cross_entropy(classes, expected, weights) + 5 * total / max(1, len(present))


def plain_costs(masks: Tensor, targets: list[Tensor], excluded: Tensor, points: Tensor) -> Tensor:
    """BCE + dice of masks (queries h w) with targets of (H W) -> (queries targets)."""
    counts = counting(excluded, points)
    costs = masks.new_empty(len(masks), len(targets))
    for q, mask in enumerate(masks):
        for m, target in enumerate(targets):
            costs[q, m] = _compared(sampled(mask, points), sampled(target, points), counts)
    return costs


def _compared(logits: Tensor, shares: Tensor, counts: Tensor) -> Tensor:
    """Weighted means of BCE with soft targets, plus dice."""
    whole = counts.clamp(min=1e-12)
    targets = (shares / whole).clamp(0, 1)
    bce = F.binary_cross_entropy_with_logits(logits, targets, counts, reduction="sum") / counts.sum().clamp(min=1e-12)
    s = logits.sigmoid()
    overlap, sizes = (counts * s * targets).sum(), (counts * s).sum() + (counts * targets).sum()
    return bce + 1 - (2 * overlap + 1) / (sizes + 1)


def sampled(grid: Tensor, points: Tensor) -> Tensor:
    """A map (h w) at points (n 2)."""
    return F.grid_sample(grid[None, None], 2 * points[None, None] - 1, align_corners=False)[0, 0, 0]


def counting(excluded: Tensor, points: Tensor) -> Tensor:
    """What points (n 2) count, with pixels excluded (H W); beyond the border is as it is at the border."""
    grid = 2 * points[None, None] - 1
    return 1 - F.grid_sample(excluded.double()[None, None], grid, padding_mode="border", align_corners=False)[0, 0, 0]
