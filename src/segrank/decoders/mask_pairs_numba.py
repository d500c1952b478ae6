"""Losses of matched pairs and their gradient, on a CPU, compiled by numba.

A pair at a time: its candidates are located and sampled, the uncertain ones chosen by counting (no sort), and what is
compared at the chosen points is added to the gradient of the pair's few logits. No array is larger than the candidates.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.compiled import compiled
from segrank.data.dataset import IGNORE
from segrank.decoders.mask_arithmetic import Array, Indices, Labels, exp, locate
from segrank.decoders.mask_matching import Pairs
from segrank.decoders.mask_points import CANDIDATES, FRESH, UNCERTAIN, Points
from segrank.decoders.mask_targets import Targets
from segrank.threads import spread

Keys = NDArray[np.uint32]
"""Bits of numbers that are not negative, which are in the order of the numbers."""


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
    count = len(pairs.query)
    values, labels = masks.contiguous().numpy(), targets.labels.numpy()
    queries, images, classes = (part.numpy() for part in (pairs.query, pairs.image, pairs.label))
    corners = [_ignored_corners(image) for image in labels]
    losses = np.empty(count, np.float32)
    gradient = np.zeros((count if differentiate else 0, *values.shape[1:]), np.float32)

    def compare(start: int, stop: int) -> None:
        everywhere = torch.empty(1, 2, CANDIDATES + FRESH)
        where = everywhere[0].numpy()
        reals = np.empty((7, CANDIDATES), np.float32)
        integers = np.empty((3, CANDIDATES), np.int32)
        for p in range(start, stop):
            points(first + p * (CANDIDATES + FRESH), everywhere)
            image = images[p]
            losses[p] = _compare(
                where, values[queries[p]], labels[image], classes[p], corners[image], UNCERTAIN, CANDIDATES, reals,
                integers, gradient[p if differentiate else 0 : p + 1 if differentiate else 0],
            )  # fmt: skip

    spread(compare, count)
    return torch.from_numpy(losses), torch.from_numpy(gradient) if differentiate else None


@compiled
def _compare(
    points: Array, mask: Array, labels: Labels, label: int, corners: Labels, uncertain: int, candidates: int,
    reals: Array, integers: Indices, gradient: Array,
) -> float:  # fmt: skip
    """The loss of a pair; its gradient is added to `gradient` (1 h w), if there is one (0 h w)."""
    height, width = mask.shape
    grid = np.zeros((height + 2, width + 2), np.float32)
    grid[1:-1, 1:-1] = mask
    flat = grid.reshape(-1)
    right, down, logit, weight, share = reals[0], reals[1], reals[2], reals[3], reals[4]
    cell, chosen, spare = integers[0], integers[1], integers[2]

    x, y = points[0, :candidates], points[1, :candidates]
    locate(x, y, width, height, cell, right, down)
    _sample(flat, width + 2, cell, right, down, logit)
    keys = logit.view(np.uint32)
    for i in range(candidates):
        keys[i] &= np.uint32(0x7FFFFFFF)  # |logit|
    if len(corners):
        locate(x, y, labels.shape[1] - 2, labels.shape[0] - 2, cell, right, down)
        _put_last(labels, corners, cell, right, down, logit)
    _choose_least(keys, uncertain, chosen, spare)

    fresh = points.shape[1] - candidates
    n = uncertain + fresh
    x, y = reals[5, :n], reals[6, :n]
    for i in range(uncertain):
        x[i], y[i] = points[0, chosen[i]], points[1, chosen[i]]
    x[uncertain:], y[uncertain:] = points[0, candidates:], points[1, candidates:]
    cell, right, down, logit, weight, share = cell[:n], right[:n], down[:n], logit[:n], weight[:n], share[:n]
    locate(x, y, labels.shape[1] - 2, labels.shape[0] - 2, cell, right, down)
    sample_labels(labels, label, cell, right, down, weight, share)
    locate(x, y, width, height, cell, right, down)
    _sample(flat, width + 2, cell, right, down, logit)
    slope = x  # the points are not needed any more
    loss = _score(logit, weight, share, slope)
    if len(gradient):
        grid[:] = np.float32(0)
        _scatter(slope, width + 2, cell, right, down, flat)
        gradient[0] += grid[1:-1, 1:-1]
    return loss


@compiled
def _sample(flat: Array, stride: int, cell: Indices, right: Array, down: Array, values: Array) -> None:
    """Four products, as torch has it: two nested blends would round off more, and choose other points now and then."""
    one = np.float32(1)
    for i in range(len(cell)):
        k = np.uint32(cell[i])
        a, b = flat[k], flat[k + np.uint32(1)]
        c, d = flat[k + np.uint32(stride)], flat[k + np.uint32(stride + 1)]
        left, up = one - right[i], one - down[i]
        values[i] = a * (left * up) + b * (right[i] * up) + c * (left * down[i]) + d * (right[i] * down[i])


def _ignored_corners(labels: Labels) -> Labels:
    """How many of the four pixels from each one to the right and down are ignored; empty where none is at all."""
    ignored: Labels = (labels == IGNORE).astype(np.uint8)
    if not ignored.any():
        return np.empty((0, 0), np.uint8)
    ignored[:, :-1] += ignored[:, 1:]
    ignored[:-1] += ignored[1:]
    return ignored


@compiled
def _put_last(labels: Labels, corners: Labels, cell: Indices, right: Array, down: Array, size: Array) -> None:
    """Make |logit| infinite where a point counts nothing."""
    zero, infinite = np.float32(0), np.float32(np.inf)
    stride = labels.shape[1]
    flat, of_cell = labels.reshape(-1), corners.reshape(-1)
    for i in range(len(cell)):
        k = np.uint32(cell[i])
        if of_cell[k] == 4:
            size[i] = infinite
        elif of_cell[k]:  # a pixel that is not ignored may have no weight here
            after, below = right[i] > zero, down[i] > zero
            if not (
                flat[k] != IGNORE
                or (after and flat[k + np.uint32(1)] != IGNORE)
                or (below and flat[k + np.uint32(stride)] != IGNORE)
                or (after and below and flat[k + np.uint32(stride + 1)] != IGNORE)
            ):
                size[i] = infinite


@compiled
def sample_labels(
    labels: Labels, label: int, cell: Indices, right: Array, down: Array, weight: Array, share: Array
) -> None:
    """What points count, and how far they are on the mask of a label."""
    zero, one = np.float32(0), np.float32(1)
    stride = labels.shape[1]
    flat = labels.reshape(-1)
    for i in range(len(cell)):
        k = np.uint32(cell[i])
        a, b = flat[k], flat[k + np.uint32(1)]
        c, d = flat[k + np.uint32(stride)], flat[k + np.uint32(stride + 1)]
        if a == b and a == c and a == d:
            share[i] = one if a == label else zero
            weight[i] = zero if a == IGNORE else one
            continue
        of_d, of_b = down[i] * right[i], (one - down[i]) * right[i]
        of_c, of_a = down[i] * (one - right[i]), (one - down[i]) * (one - right[i])
        share[i] = (
            (of_a if a == label else zero)
            + (of_b if b == label else zero)
            + (of_c if c == label else zero)
            + (of_d if d == label else zero)
        )
        if a == IGNORE or b == IGNORE or c == IGNORE or d == IGNORE:
            weight[i] = (
                (of_a if a != IGNORE else zero)
                + (of_b if b != IGNORE else zero)
                + (of_c if c != IGNORE else zero)
                + (of_d if d != IGNORE else zero)
            )
        else:
            weight[i] = one


@compiled
def _choose_least(keys: Keys, count: int, chosen: Indices, open_: Indices) -> None:
    """Indices of the `count` least keys into `chosen`: digit by digit, those below the limit are in."""
    found, left = 0, len(keys)
    open_[:] = np.arange(left)
    histogram = np.empty(2048, np.int32)
    for shift, digits in ((20, 2048), (10, 1024), (0, 1024)):
        histogram[:] = 0
        for j in range(left):
            histogram[(keys[open_[j]] >> np.uint32(shift)) & np.uint32(digits - 1)] += 1
        limit, below = 0, 0
        while below + histogram[limit] < count - found:
            below += histogram[limit]
            limit += 1
        same = 0
        for j in range(left):  # written first, counted then: no branch to guess
            i = open_[j]
            digit = (keys[i] >> np.uint32(shift)) & np.uint32(digits - 1)
            chosen[found] = i
            found += digit < limit
            open_[same] = i
            same += digit == limit
        left = same
    chosen[found:count] = open_[: count - found]


@compiled
def _score(logit: Array, weight: Array, share: Array, slope: Array) -> float:
    """BCE + dice of a pair at its points, and the derivative by each point's logit."""
    zero, one, half = np.float32(0), np.float32(1), np.float32(0.5)
    total, area, sigmoids, on, cross_entropy, factors = 0.0, 0.0, 0.0, 0.0, 0.0, 1.0
    factor, sigmoid = np.empty_like(logit), slope
    for i in range(len(logit)):
        size = abs(logit[i])
        e = exp(-size)
        inverse = one / (one + e)
        factor[i] = one + e
        sigmoid[i] = inverse if logit[i] >= zero else e * inverse
    for i in range(len(logit)):
        x, v, w = logit[i], weight[i], share[i]
        total += v
        area += w
        sigmoids += v * sigmoid[i]
        on += w * sigmoid[i]
        cross_entropy += half * v * (x + abs(x)) - w * x
        if v == one:
            factors *= factor[i]
            if factors > 1e200:
                cross_entropy += np.log(factors)
                factors = 1.0
        else:
            cross_entropy += v * np.log(factor[i])
    cross_entropy += np.log(factors)
    total = max(total, 1e-6)
    per_weight = np.float32(1 / total)
    per_overlap = np.float32(2 / (sigmoids + area + 1))
    per_union = np.float32((2 * on + 1) / (sigmoids + area + 1) ** 2)
    for i in range(len(logit)):
        s, v, w = sigmoid[i], weight[i], share[i]
        slope[i] = (v * s - w) * per_weight + s * (one - s) * (v * per_union - w * per_overlap)
    loss: float = cross_entropy / total + 1 - (2 * on + 1) / (sigmoids + area + 1)
    return loss


@compiled
def _scatter(slope: Array, stride: int, cell: Indices, right: Array, down: Array, flat: Array) -> None:
    """Add the slope of each point to the four samples that it lies between."""
    for i in range(len(cell)):
        k = np.uint32(cell[i])
        below = down[i] * slope[i]
        above = slope[i] - below
        above_right, below_right = right[i] * above, right[i] * below
        flat[k] += above - above_right
        flat[k + np.uint32(1)] += above_right
        flat[k + np.uint32(stride)] += below - below_right
        flat[k + np.uint32(stride + 1)] += below_right
