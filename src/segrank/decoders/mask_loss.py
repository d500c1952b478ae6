"""The loss of mask decoders: queries are matched with masks, anew for each output layer, then compared with them.

Mask2Former's (arXiv 2112.01527) as its reference has it, but of label maps: a target mask is sampled where a point
lies, and never written down. There are two ways to do it, equal but for rounding: `mask_costs_numba` with
`mask_pairs_numba` on a CPU, and `mask_loss_torch` elsewhere.

At a point p let x be the mask's logit and w the bilinear weight of the mask's class among the pixels around; let i be
that of ignored pixels, if they are excluded, and 0 if they are background. Outside of the image is background, but
beside excluded pixels it is excluded. The point counts v = 1 - i, and its target is w / v. With s = sigmoid(x), and
sums over points:

    BCE = sum(v BCE(x, w / v)) / sum(v) = sum(v softplus(x) - w x) / sum(v)
    dice = 1 - (2 sum(w s) + 1) / (sum(v s) + sum(w) + 1)

Where all points count, these are the reference's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from segrank.decoders import mask_costs_numba, mask_loss_torch, mask_pairs_numba
from segrank.decoders.mask_matching import Pairs, match
from segrank.decoders.mask_output import MaskOutput
from segrank.decoders.mask_points import MATCHED, Points, drawn
from segrank.decoders.mask_targets import Ignored, Targets, targets_of

_CLASS, _MASK = 2, 5
"""Weights of the class, and of BCE and dice both, in costs and in losses: Mask2Former's."""
_NO_OBJECT = 0.1
"""Weight of a query without a mask among an image's queries."""


class Way(NamedTuple):
    """How masks are compared: the functions of `mask_loss_torch`, or others that give the same."""

    mask_costs: Callable[[Tensor, Targets, Points], Tensor]
    pair_losses: Callable[[Tensor, Pairs, Targets, Points, int, bool], tuple[Tensor, Tensor | None]]


NUMBA = Way(mask_costs_numba.mask_costs, mask_pairs_numba.pair_losses)
TORCH = Way(mask_loss_torch.mask_costs, mask_loss_torch.pair_losses)


def mask_loss(output: MaskOutput, labels: Tensor, *, ignored: Ignored = "excluded") -> Tensor:
    """Loss per image, the sum over its output layers; the gradient cannot itself be differentiated.

    A layer's: 2 x the cross-entropy of classes, averaged by weight over the image's queries ("no object" weighs 0.1),
    + 5 x BCE + 5 x dice of its matched pairs, summed and divided by the image's number of masks. With more masks than
    queries, some masks have no pair. Without any mask, all queries learn that there is no object.

    Points are uniform and come from torch's default generator. An image's 12,544 for the matching are the same for all
    of its layers (the reference draws them for each); each pair of each layer has candidates of its own.

    Args:
        output: of b images; half precision is computed in float32.
        labels: (b H W), uint8: one mask for each class that occurs; 255 is ignored.
        ignored: with "excluded" ignored pixels take no part, and an image of nothing else has the loss 0; with
            "negative" they are background of every mask.

    Returns:
        (b), float32. On the meta device, where nothing can be matched, a sum that depends on all of the output alike.

    Raises:
        DataError: a label is neither a class nor 255. A GPU reports it later and in its own words.
    """
    assert len(labels) == output.masks.shape[1], f"labels of {len(labels)} images, masks of {output.masks.shape[1]}"
    device = output.masks.device
    if device.type == "meta":
        return output.classes.float().sum((0, 2, 3)) + output.masks.float().sum((0, 2, 3, 4))
    return compare(output, labels, ignored, NUMBA if device.type == "cpu" else TORCH, drawn(device))


def compare(output: MaskOutput, labels: Tensor, ignored: Ignored, way: Way, points: Points) -> Tensor:
    """`mask_loss` in this way, at these points: those for matching first, then those of each pair in turn."""
    with torch.autocast(labels.device.type, enabled=False):
        classes, masks = output.classes.float(), output.masks.float()
        targets = targets_of(labels, classes.shape[-1] - 1, ignored)
        with torch.no_grad():
            costs = _MASK * way.mask_costs(masks.detach(), targets, points)
            matching = match(costs - _CLASS * classes.softmax(-1)[..., :-1], targets.present)
        differentiate = torch.is_grad_enabled() and masks.requires_grad
        of_pairs: Tensor = _PairLosses.apply(  # type: ignore[no-untyped-call]
            masks, matching.pairs, targets, points, len(labels) * MATCHED, way, differentiate
        )
        own = matching.pairs.image == torch.arange(len(labels), device=labels.device)[:, None]
        of_masks = torch.where(own, of_pairs, 0).sum(1) / matching.masks.clamp(min=1)
        of_classes = _class_losses(classes, matching.classes)
        if ignored == "excluded":
            of_classes = of_classes.where(matching.masks > 0, 0)
        return _CLASS * of_classes + _MASK * of_masks


def _class_losses(logits: Tensor, classes: Tensor) -> Tensor:
    """(layers b queries classes + 1) and (layers b queries) -> (b): means by weight, summed over layers."""
    weights = logits.new_ones(logits.shape[-1])
    weights[-1].fill_(_NO_OBJECT)
    of_queries = F.cross_entropy(logits.flatten(0, 2), classes.flatten(), weights, reduction="none")
    return (of_queries.view(classes.shape).sum(2) / weights[classes].sum(2)).sum(0)


class _PairLosses(torch.autograd.Function):
    """BCE + dice of each matched pair."""

    @staticmethod
    def forward(
        ctx: Any,
        masks: Tensor,
        pairs: Pairs,
        targets: Targets,
        points: Points,
        first: int,
        way: Way,
        differentiate: bool,
    ) -> Tensor:
        losses, gradient = way.pair_losses(masks.detach().flatten(0, 2), pairs, targets, points, first, differentiate)
        if gradient is not None:
            ctx.save_for_backward(gradient, pairs.query)
            ctx.shape = masks.shape
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor) -> tuple[Tensor | None, ...]:
        gradient, query = ctx.saved_tensors
        of_masks = gradient.new_zeros(ctx.shape)
        of_masks.flatten(0, 2)[query] = gradient * of_losses[:, None, None]
        return of_masks, None, None, None, None, None, None
