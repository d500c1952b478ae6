"""Costs of matching masks, on a CPU, compiled by numba.

The points of an image are the same for all queries and layers: they are located once, and the queries of a layer lie
side by side, so that one point's samples of all of them are blended with the same four weights. BCE with a mask m is
softplus(x) - m x, so of each query two sums over all points serve all masks, and of each mask two sums over the points
on it: of x and of sigmoid(x). Points are put in order of their class, then of their place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.compiled import compiled
from segrank.data.dataset import IGNORE
from segrank.decoders.mask_arithmetic import Array, Indices, Labels, exp, locate
from segrank.decoders.mask_points import MATCHED, Points
from segrank.decoders.mask_targets import Targets
from segrank.threads import spread

Double = NDArray[np.float64]

_AT_ONCE = 16
"""Queries are made up to a multiple of this, so that no loop over them has a remainder."""
_BLOCK = 96
"""Points whose factors 1 + exp(-|x|), at most 2, are multiplied before one logarithm: float32 ends at 2^128."""


def mask_costs(masks: Tensor, targets: Targets, points: Points) -> Tensor:
    """BCE + dice of every query's mask with every mask of its image.

    Args:
        masks: (layers b queries h w), float32.
        targets: of the same images.
        points: number `MATCHED` * i and those after it are image i's.

    Returns:
        (layers b queries classes), float32; of classes that are not in the image, zeros.
    """
    layers, images, queries, height, width = masks.shape
    where = torch.empty(images, 2, MATCHED)
    points(0, where)
    values = masks.contiguous().numpy()
    present = [np.flatnonzero(row) for row in targets.present.numpy()]
    samples = [
        _in_order(where[i].numpy(), targets.labels[i].numpy(), present[i], (height, width)) for i in range(images)
    ]
    costs = np.zeros((layers, images, queries, targets.present.shape[1]), np.float32)

    def add(start: int, stop: int) -> None:
        padded = -(-queries // _AT_ONCE) * _AT_ONCE
        grid = np.zeros((height + 2, width + 2, padded), np.float32)
        for place in range(start, stop):
            layer, image = divmod(place, images)
            if not len(present[image]):
                continue
            of_queries, of_pairs = np.zeros((3, padded)), np.zeros((2, len(present[image]), padded))
            _queries_last(values[layer, image], grid)
            _add_points(grid.reshape(-1, padded), width + 2, samples[image], of_queries, of_pairs)
            costs[layer, image][:, present[image]] = _costs(samples[image], of_queries, of_pairs)[:, :queries].T

    spread(add, layers * images)
    return torch.from_numpy(costs)


class _Samples(NamedTuple):
    """The points of an image that count at all."""

    cell: Indices
    """(n): index of the sample above and to the left, in the flattened grid with its border."""
    right: Array
    down: Array
    """(n): weights of the samples to the right, and below."""
    weight: Array
    """(n): what the point counts."""
    mask: Indices
    """(n 4): the masks it is on, by their numbers among the image's, -1 where there are fewer."""
    share: Array
    """(n 4): and how far it is."""


def _in_order(points: Array, labels: Labels, present: NDArray[np.int64], grid: tuple[int, int]) -> _Samples:
    number = np.full(256, -1, np.int32)
    number[present] = np.arange(len(present))
    count = points.shape[1]
    cell, (right, down, weight) = np.empty(count, np.int32), np.empty((3, count), np.float32)
    mask, share = np.empty((count, 4), np.int32), np.empty((count, 4), np.float32)
    _sample_labels(points, labels, number, cell, right, down, weight, mask, share)
    locate(points[0], points[1], grid[1], grid[0], cell, right, down)
    counted = np.flatnonzero(weight)
    order = counted[np.lexsort((cell[counted], mask[counted, 0]))]
    return _Samples(cell[order], right[order], down[order], weight[order], mask[order], share[order])


def _costs(samples: _Samples, of_queries: Double, of_pairs: Double) -> Double:
    """(masks queries): the weighted mean of the BCE, and dice. Where no point counts, neither says anything."""
    number = of_pairs.shape[1]
    area = np.array([samples.share[samples.mask == m].sum(dtype=np.float64) for m in range(number)])[:, None]
    total = samples.weight.sum(dtype=np.float64)
    positive, logarithms, sigmoids = of_queries
    logits_on, sigmoids_on = of_pairs
    cross_entropy = (positive + logarithms - logits_on) / max(total, 1e-6)
    costs: Double = cross_entropy + 1 - (2 * sigmoids_on + 1) / (sigmoids + area + 1)
    return costs


@compiled
def _sample_labels(
    points: Array, labels: Labels, number: Indices,
    cell: Indices, right: Array, down: Array, weight: Array, mask: Indices, share: Array,
) -> None:  # fmt: skip
    """Masks and weights of points; the mask with the largest share comes first."""
    zero, one = np.float32(0), np.float32(1)
    stride = labels.shape[1]
    flat = labels.reshape(-1)
    locate(points[0], points[1], stride - 2, labels.shape[0] - 2, cell, right, down)
    for i in range(len(cell)):
        mask[i] = -1
        share[i] = zero
        total, whole = zero, True
        for corner in range(4):
            below, after = corner // 2, corner % 2
            label = flat[cell[i] + below * stride + after]
            if label == IGNORE:
                whole = False
                continue
            part = (down[i] if below else one - down[i]) * (right[i] if after else one - right[i])
            total += part
            if number[label] < 0:
                continue
            for slot in range(4):
                if mask[i, slot] < 0 or mask[i, slot] == number[label]:
                    mask[i, slot] = number[label]
                    share[i, slot] += part
                    break
        weight[i] = one if whole else total  # not what rounding left of it
        for slot in range(1, 4):
            if share[i, slot] > share[i, 0]:
                mask[i, 0], mask[i, slot] = mask[i, slot], mask[i, 0]
                share[i, 0], share[i, slot] = share[i, slot], share[i, 0]


@compiled
def _queries_last(masks: Array, grid: Array) -> None:
    """(queries h w) into the inside of a grid (h+2 w+2 queries)."""
    for y in range(masks.shape[1]):
        for x in range(masks.shape[2]):
            for q in range(len(masks)):
                grid[y + 1, x + 1, q] = masks[q, y, x]


@compiled
def _add_points(grid: Array, stride: int, samples: _Samples, of_queries: Double, of_pairs: Double) -> None:
    """Add to (3 queries): max(x, 0), log(1 + exp(-|x|)), sigmoid(x); on masks, to (2 masks queries): x, sigmoid(x)."""
    zero, one = np.float32(0), np.float32(1)
    queries = grid.shape[1]
    factors = np.ones(queries, np.float32)
    sums = np.zeros((4, queries), np.float32)
    twice_positive, sigmoids, logits_on, sigmoids_on = sums[0], sums[1], sums[2], sums[3]
    lines = np.empty((3, queries), np.float32)
    line, sigmoid, factor = lines[0], lines[1], lines[2]
    mask: Any = np.int32(-1)
    block = 0
    for p in range(len(samples.cell)):
        if samples.mask[p, 0] != mask or block == _BLOCK:
            _carry(sums, factors, mask, of_queries, of_pairs)
            mask, block = samples.mask[p, 0], 0
        block += 1
        k, right, down = samples.cell[p], samples.right[p], samples.down[p]
        above_left, above_right = grid[k], grid[k + 1]
        below_left, below_right = grid[k + stride], grid[k + stride + 1]
        w00, w01 = (one - down) * (one - right), (one - down) * right
        w10, w11 = down * (one - right), down * right
        weight, share = samples.weight[p], samples.share[p, 0]
        whole = one if weight == one else zero
        # several loops, since one over so many arrays would not be compiled to run on several queries at once
        for q in range(queries):
            line[q] = above_left[q] * w00 + above_right[q] * w01 + below_left[q] * w10 + below_right[q] * w11
        for q in range(queries):
            e = exp(-abs(line[q]))
            inverse = one / (one + e)
            sigmoid[q] = inverse if line[q] >= zero else e * inverse
            factor[q] = one + whole * e
        for q in range(queries):
            factors[q] *= factor[q]
            twice_positive[q] += weight * (line[q] + abs(line[q]))
        for q in range(queries):
            sigmoids[q] += weight * sigmoid[q]
            sigmoids_on[q] += share * sigmoid[q]
        for q in range(queries):
            logits_on[q] += share * line[q]
        if weight != one:
            for q in range(queries):
                of_queries[1, q] += weight * np.log1p(np.exp(-abs(line[q])))
        for slot in range(1, 4):
            if samples.mask[p, slot] >= 0:
                on = of_pairs[:, samples.mask[p, slot]]
                for q in range(queries):
                    on[0, q] += samples.share[p, slot] * line[q]
                    on[1, q] += samples.share[p, slot] * sigmoid[q]
    _carry(sums, factors, mask, of_queries, of_pairs)


@compiled
def _carry(sums: Array, factors: Array, mask: Any, of_queries: Double, of_pairs: Double) -> None:
    """Sums of a few points into those of all: float32 would lose digits of these."""
    for q in range(len(factors)):
        of_queries[0, q] += np.float32(0.5) * sums[0, q]
        of_queries[1, q] += np.log(factors[q])
        of_queries[2, q] += sums[1, q]
        if mask >= 0:
            of_pairs[0, mask, q] += sums[2, q]
            of_pairs[1, mask, q] += sums[3, q]
    sums[:] = np.float32(0)
    factors[:] = np.float32(1)
