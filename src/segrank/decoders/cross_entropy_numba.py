"""Upsampled cross-entropy on a CPU, compiled by numba.

From one row of pixels to the next, as long as they lie between the same two rows of the grid, a class's logit at one
column of pixels changes by a constant. So its exponential changes by a constant factor: exp(z + r s) = exp(z) exp(s)^r.
Two exponentials, which numpy takes of many numbers at once, serve up to 16 rows; the rest is products and sums.
All are relative to a straight line from the largest logit of the first row to that of the last: convex as it is, the
largest logit in between lies nowhere above it. Where some logit lies so far below that its exponential might vanish,
rows go one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.compiled import compiled
from segrank.decoders.pixels import Pixels
from segrank.threads import spread

Array = NDArray[Any]
"""float32 or float64, as the grid is."""
Indices = NDArray[np.int64]
Labels = NDArray[np.uint8]

_ROWS = 16
"""Each row that one exponential serves adds a rounding or two to it."""
_ROWS_AT_ONCE = 4
"""Between the loading and the storing of a value in the compiled loops, which are written out for 4."""
_STRIP_VALUES = 2**16
"""Classes x columns: with their factors 512 KiB in float32, which a core's second cache holds."""
_LOWEST = {"float32": -80.0, "float64": -600.0}
"""Exponents whose exponentials are still above the smallest normal number: exp(-87.3) and exp(-708.4)."""


def sum_losses(grid: Tensor, pixels: Pixels, differentiate: bool) -> tuple[Tensor, Tensor | None]:
    """The sum of the losses of each image's labelled pixels, and its gradient.

    As many threads as torch uses; the result does not depend on how many.

    Args:
        grid: (b h+2 classes w+2), as `bordered` gives it.
        pixels: of the same images.
        differentiate: whether a gradient is wanted.

    Returns:
        (b), and (b h+2 classes w+2) or None.
    """
    values = grid.numpy()
    bands = _Bands(values, np.zeros_like(values), pixels, differentiate)
    images, count = len(grid), grid.shape[1] - 1
    losses = np.zeros((images, count))

    for odd in (0, 1):  # bands with another between them touch no common row of the gradient
        places = [(image, band) for image in range(images) for band in range(odd, count, 2)]

        def add(start: int, stop: int, places: list[tuple[int, int]] = places) -> None:
            for place in places[start:stop]:
                losses[place] = bands.add(*place)

        spread(add, len(places))
    summed = torch.from_numpy(losses.sum(axis=1)).to(grid.dtype)
    return summed, torch.from_numpy(bands.gradient) if differentiate else None


@dataclass(frozen=True)
class _Bands:
    """Images in bands: the pixels between one row of the grid and the next. Band k lies below row k."""

    grid: Array
    gradient: Array
    """As `grid`; each band adds to two rows of it."""
    pixels: Pixels
    differentiate: bool

    def add(self, image: int, band: int) -> float:
        """The sum of a band's losses; its gradient is added on."""
        start, stop = self.pixels.rows.first[band : band + 2].tolist()
        width = self.pixels.labels.shape[2]
        columns = max(64, _STRIP_VALUES // self.grid.shape[2])
        return sum(
            self._add_strip(image, band, range(top, min(top + _ROWS, stop)), slice(left, min(left + columns, width)))
            for top in range(start, stop, _ROWS)
            for left in range(0, width, columns)
        )

    def _add_strip(self, image: int, band: int, rows: range, columns: slice) -> float:
        number = self.grid.dtype.type
        padded = -(-len(rows) // _ROWS_AT_ONCE) * _ROWS_AT_ONCE  # the rows too many count for nothing
        weight = self.pixels.rows.weight.numpy()[rows.start]
        step = number(self.pixels.rows.step if len(rows) > 1 else 0)
        before, after = self.pixels.columns.before.numpy()[columns], self.pixels.columns.weight.numpy()[columns]
        above, below = self.grid[image, band], self.grid[image, band + 1]
        to_above, to_below = self.gradient[image, band], self.gradient[image, band + 1]

        value, factor = np.empty((2, len(above), len(before)), dtype=number)
        line = np.empty((2, len(before)), dtype=number)
        lowest = _exponents(above, below, before, after, weight, step, number(padded - 1), value, factor, line)
        if lowest < _LOWEST[self.grid.dtype.name] and len(rows) > 1:
            return sum(self._add_strip(image, band, range(row, row + 1), columns) for row in rows)
        np.exp(value, out=value)
        np.exp(factor, out=factor)
        sums = np.zeros((padded, len(before)), dtype=number)
        _sum_classes(value, factor, sums)
        labels = self.pixels.labels[image].numpy()[rows.start : rows.stop]
        loss: float = _compare(
            labels, columns.start, self.pixels.ignore, above, below, before, after, weight, step, line,
            np.log(sums), sums, to_above, to_below,
        )  # fmt: skip
        if self.differentiate:
            _add_softmax(value, factor, sums, before, after, weight, step, to_above, to_below)
        return loss


# In the compiled loops below columns are innermost, so that a core computes several at once. Numbers are of the arrays'
# type throughout: one Python number among float32 would make all of them float64.


@compiled
def _exponents(
    above: Array, below: Array, before: Indices, after: Array, weight: Any, step: Any, last: Any,
    value: Array, change: Array, line: Array,
) -> Any:  # fmt: skip
    """Logits of the first row (classes columns) and their change from row to row, both relative to the line.

    `line` (2, columns) is its value at the first row and its change. Returns the lowest exponent from there to `last`.
    """
    zero = value.dtype.type(0)
    samples = above.shape[1]
    at_sample, change_at_sample = np.empty_like(above[0]), np.empty_like(above[0])
    right, change_right = np.empty_like(after), np.empty_like(after)
    line[:] = -np.inf
    for c in range(len(above)):
        for k in range(samples):
            slope = below[c, k] - above[c, k]
            at_sample[k] = above[c, k] + weight * slope
            change_at_sample[k] = step * slope
        for x in range(len(before)):  # apart from the arithmetic, which then runs on several columns at once
            k = before[x]
            value[c, x], right[x] = at_sample[k], at_sample[k + 1]
            change[c, x], change_right[x] = change_at_sample[k], change_at_sample[k + 1]
        for x in range(len(before)):
            z = value[c, x] + after[x] * (right[x] - value[c, x])
            s = change[c, x] + after[x] * (change_right[x] - change[c, x])
            value[c, x], change[c, x] = z, s
            line[0, x] = max(line[0, x], z)
            line[1, x] = max(line[1, x], z + last * s)
    lowest = zero
    for x in range(len(before)):
        line[1, x] = (line[1, x] - line[0, x]) / last
    for c in range(len(above)):
        for x in range(len(before)):
            z = value[c, x] - line[0, x]
            s = change[c, x] - line[1, x]
            value[c, x], change[c, x] = z, s
            lowest = min(lowest, min(z, z + last * s))
    return lowest


@compiled
def _sum_classes(value: Array, factor: Array, sums: Array) -> None:
    """Add the exponentials of all classes to `sums` (rows columns)."""
    running = np.empty_like(value[0])
    for c in range(len(value)):
        running[:] = value[c]
        for r in range(0, len(sums), 4):
            for x in range(len(running)):
                e, f = running[x], factor[c, x]
                sums[r, x] += e
                e *= f
                sums[r + 1, x] += e
                e *= f
                sums[r + 2, x] += e
                e *= f
                sums[r + 3, x] += e
                running[x] = e * f


@compiled
def _compare(
    labels: Labels, left: int, ignore: int, above: Array, below: Array, before: Indices, after: Array, weight: Any,
    step: Any, line: Array, log_sums: Array, sums: Array, to_above: Array, to_below: Array,
) -> float:  # fmt: skip
    """Sum of the losses; the labelled class's part of the gradient; `sums` become their inverses, 0 where ignored."""
    number = sums.dtype.type
    one, zero = number(1), number(0)
    loss = 0.0
    columns = len(before)
    for r in range(len(labels)):
        down = weight + number(r) * step
        up = one - down
        x = 0
        while x < columns:  # pixels of one label between the same two samples together
            label, k = labels[r, left + x], before[x]
            pixels, right = zero, zero
            while x < columns and before[x] == k and labels[r, left + x] == label:
                if label == ignore:
                    sums[r, x] = zero
                else:
                    pixels += one
                    right += after[x]
                    loss += log_sums[r, x] + (line[0, x] + number(r) * line[1, x])
                    sums[r, x] = one / sums[r, x]
                x += 1
            if label != ignore:
                stay = pixels - right
                loss -= up * (stay * above[label, k] + right * above[label, k + 1])
                loss -= down * (stay * below[label, k] + right * below[label, k + 1])
                to_above[label, k] -= up * stay
                to_above[label, k + 1] -= up * right
                to_below[label, k] -= down * stay
                to_below[label, k + 1] -= down * right
    sums[len(labels) :] = zero
    return loss


@compiled
def _add_softmax(
    value: Array, factor: Array, inverse: Array, before: Indices, after: Array, weight: Any, step: Any,
    to_above: Array, to_below: Array,
) -> None:  # fmt: skip
    """Add the softmax of each pixel to the gradient, in the shares in which the pixel is made of four samples."""
    number = value.dtype.type
    zero = number(0)
    running, every, low = np.empty_like(value[0]), np.empty_like(value[0]), np.empty_like(value[0])
    columns = len(before)
    for c in range(len(value)):
        running[:] = value[c]
        every[:] = zero
        low[:] = zero
        for r in range(0, len(inverse), 4):
            down0, down1 = weight + number(r) * step, weight + number(r + 1) * step
            down2, down3 = weight + number(r + 2) * step, weight + number(r + 3) * step
            for x in range(columns):
                e, f = running[x], factor[c, x]
                p0 = e * inverse[r, x]
                e *= f
                p1 = e * inverse[r + 1, x]
                e *= f
                p2 = e * inverse[r + 2, x]
                e *= f
                p3 = e * inverse[r + 3, x]
                running[x] = e * f
                every[x] += (p0 + p1) + (p2 + p3)
                low[x] += (down0 * p0 + down1 * p1) + (down2 * p2 + down3 * p3)
        x = 0
        while x < columns:
            k = before[x]
            up, up_right, down, down_right = zero, zero, zero, zero
            while x < columns and before[x] == k:
                high = every[x] - low[x]
                up += high
                up_right += after[x] * high
                down += low[x]
                down_right += after[x] * low[x]
                x += 1
            to_above[c, k] += up - up_right
            to_above[c, k + 1] += up_right
            to_below[c, k] += down - down_right
            to_below[c, k + 1] += down_right
