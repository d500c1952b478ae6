"""Losses of masks in torch alone: all layers, images and pairs at once, so that a GPU gets few and large operations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from segrank.data.dataset import IGNORE
from segrank.decoders.mask_matching import Pairs
from segrank.decoders.mask_points import CANDIDATES, FRESH, MATCHED, UNCERTAIN, Points
from segrank.decoders.mask_targets import Targets

_COSTS_AT_ONCE = 2**26
"""Samples of masks: 256 MiB, of which there are three or four."""
_CANDIDATES_AT_ONCE = 2**24
"""Of as many pairs as have these. Each takes about 50 bytes."""


def mask_costs(masks: Tensor, targets: Targets, points: Points) -> Tensor:
    """BCE + dice of every query's mask with the mask of every class.

    Args:
        masks: (layers b queries h w), float32.
        targets: of the same images.
        points: number `MATCHED` * i and those after it are image i's.

    Returns:
        (layers b queries classes), float32.
    """
    _, images, queries = masks.shape[:3]
    where = masks.new_empty(images, 2, MATCHED)
    points(0, where)
    labels, parts = around(where, targets.labels, torch.arange(images, device=masks.device))
    shares = masks.new_zeros(images, 256, MATCHED)
    shares.scatter_add_(1, labels.flatten(0, 1).transpose(0, 1).long(), parts.flatten(0, 1).transpose(0, 1))
    weight = shares[:, :IGNORE].sum(1)[..., None]  # b points 1
    shares = torch.cat([shares[:, : targets.present.shape[1]].mT, weight], dim=2)
    total, area = weight.sum(1, keepdim=True).clamp(min=1e-6), shares[..., :-1].sum(1, keepdim=True)

    costs = []
    for part in torch.split(masks, max(1, _COSTS_AT_ONCE // (images * queries * MATCHED))):
        logits = _sampled(part.transpose(0, 1).flatten(1, 2), where)  # b layers*queries points
        on, sigmoids = logits @ shares[..., :-1], logits.sigmoid() @ shares
        cross_entropy = (F.softplus(logits) @ weight - on) / total
        cost = cross_entropy + 1 - (2 * sigmoids[..., :-1] + 1) / (sigmoids[..., -1:] + area + 1)
        costs.append(cost.view(images, len(part), queries, -1).transpose(0, 1))
    return torch.cat(costs)


def pair_losses(
    masks: Tensor, pairs: Pairs, targets: Targets, points: Points, first: int, differentiate: bool
) -> tuple[Tensor, Tensor | None]:
    """BCE + dice of each pair, and its gradient.

    Args:
        masks: (queries of all images and layers, h, w), float32.
        pairs: which of them is compared with which mask.
        targets: of all images.
        points: number `first` is the first candidate of the first pair.
        differentiate: whether a gradient is wanted.

    Returns:
        (pairs), float32, and (pairs h w) or None.
    """
    count, each = len(pairs.query), CANDIDATES + FRESH
    losses = masks.new_empty(count)
    gradient = masks.new_empty(count, *masks.shape[1:]) if differentiate else None
    nothing = _uncounted(targets.labels)
    at_once = _CANDIDATES_AT_ONCE // CANDIDATES
    for start in range(0, count, at_once):
        part = slice(start, start + at_once)
        query, image, label = (values[part] for values in pairs)
        where = masks.new_empty(len(query), 2, each)
        points(first + start * each, where)
        leaf = masks[query][:, None].requires_grad_(differentiate)
        chosen = _uncertain(leaf.detach(), image, nothing, where)
        labels, parts = around(chosen, targets.labels, image)
        weight = (parts * (labels != IGNORE)).sum((0, 1))
        share = (parts * (labels == label[:, None])).sum((0, 1))
        with torch.set_grad_enabled(differentiate):
            logits = _sampled(leaf, chosen)
        losses[part], slope = _compared(logits.detach()[:, 0], weight, share)
        if gradient is not None:
            gradient[part] = torch.autograd.grad(logits, leaf, slope[:, None])[0][:, 0]
    return losses, gradient


def _compared(logits: Tensor, weight: Tensor, share: Tensor) -> tuple[Tensor, Tensor]:
    """All (pairs points) -> (pairs), the weighted mean of the BCE plus dice; its derivative by the logits."""
    sigmoids, total = logits.sigmoid(), weight.sum(1, keepdim=True).clamp(min=1e-6)
    overlap = 2 * (share * sigmoids).sum(1, keepdim=True) + 1
    sizes = (weight * sigmoids + share).sum(1, keepdim=True) + 1
    cross_entropy = (weight * F.softplus(logits) - share * logits).sum(1, keepdim=True) / total
    of_dice = sigmoids * (1 - sigmoids) * (weight * (overlap / sizes) - 2 * share) / sizes
    return (cross_entropy + 1 - overlap / sizes)[:, 0], (weight * sigmoids - share) / total + of_dice


def _uncertain(masks: Tensor, image: Tensor, nothing: Tensor, where: Tensor) -> Tensor:
    """Points (pairs 2 n): of the candidates the uncertain ones, those that count before all others; the fresh ones."""
    candidates, fresh = torch.split(where, [CANDIDATES, FRESH], dim=2)
    cell, right, down = _locate(candidates, nothing.shape[2:], image)
    among = ((down > 0) * 2 + (right > 0)) * nothing[0].numel()  # pixels without weight do not matter
    size = _sampled(masks, candidates)[:, 0].abs().masked_fill_(nothing.take(cell + among), torch.inf)
    chosen = size.topk(UNCERTAIN, dim=1, largest=False, sorted=False).indices
    return torch.cat([candidates.gather(2, chosen[:, None].expand(-1, 2, -1)), fresh], dim=2)


def _uncounted(labels: Tensor) -> Tensor:
    """(4 b H W), bool: whether a pixel is ignored; and the one to its right; the one below; all four."""
    ignored = labels == IGNORE
    across = ignored & ignored.roll(-1, 2)  # what comes round is not read: there points have a pixel to the right
    return torch.stack([ignored, across, ignored & ignored.roll(-1, 1), across & across.roll(-1, 1)])


def _sampled(masks: Tensor, points: Tensor) -> Tensor:
    """(b channels h w) at (b 2 n) -> (b channels n)."""
    grid = 2 * points.mT[:, None] - 1
    return F.grid_sample(masks, grid, align_corners=False)[:, :, 0]


def around(points: Tensor, labels: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
    """Of points (k 2 n) of images (k): the labels (2 2 k n) of the four pixels around, and their bilinear weights."""
    cell, right, down = _locate(points, labels.shape[1:], image)
    two = torch.arange(2, device=points.device)
    corners = (two[:, None] * labels.shape[2] + two)[..., None, None]
    parts = torch.stack([1 - down, down])[:, None] * torch.stack([1 - right, right])
    return labels.take(cell + corners), parts


def _locate(points: Tensor, size: torch.Size, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pixel above and to the left of points, as an index into maps of this size, which includes a border of one.

    Also the weights of the pixels to the right, and below.
    """
    height, width = size
    x, y = points[:, 0] * (width - 2) - 0.5, points[:, 1] * (height - 2) - 0.5
    left, above = x.floor(), y.floor()
    cell = (above.long() + 1 + image[:, None] * height) * width + left.long() + 1
    return cell, x - left, y - above
