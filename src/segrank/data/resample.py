"""A part of an image or of a label map at another size, without computing the rest.

Pixels are those of torch's `interpolate(mode="bilinear", antialias=True)` on uint8 tensors, to the bit: integer
weights, first along rows, with results that are rounded to whole levels, then along columns. Labels are those of
its `mode="nearest"`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.compiled import compiled


class Taps(NamedTuple):
    """Which source pixels make up each output pixel along one side, and with what weights."""

    first: NDArray[np.intp]
    """(outputs,): where each output's source pixels begin."""
    weights: NDArray[np.uint64]
    """(outputs, taps): of the source pixels from there on. Those of an output add up to 2**bits, nearly."""
    bits: int

    @property
    def source(self) -> slice:
        """The source pixels that any output needs."""
        return slice(int(self.first.min()), int(self.first.max()) + self.weights.shape[1])


def triangle_taps(source: int, size: int, part: slice, mirrored: bool = False) -> Taps:
    """The taps of a part of the outputs, when a side of `source` pixels is resized to `size`.

    The filter is a triangle that reaches one source pixel to each side when enlarging, one output pixel when
    shrinking.

    Args:
        mirrored: whether the source is swapped end for end before.
    """
    first, exact = _triangles(source, size)
    # as many bits as let all weights be int16, and at most 22; found over the whole side, as torch does
    bits = next(b for b in range(23) if b == 22 or int(0.5 + exact.max() * 2 ** (b + 1)) >= 2**15)
    first, weights = first[part], np.floor(exact[part] * 2**bits + 0.5).astype(np.uint64)
    if mirrored:
        first, weights = source - weights.shape[1] - first, weights[:, ::-1].copy()
    return Taps(first, weights, bits)


def nearest(source: int, size: int, part: slice) -> NDArray[np.intp]:
    """The source pixel of each of a part of the outputs, when a side of `source` pixels is resized to `size`."""
    # in float32: what torch's rounding gives, not what fractions would
    position = np.arange(part.start, part.stop).astype(np.float32) * (np.float32(source) / np.float32(size))
    return np.minimum(position.astype(np.intp), source - 1)


@compiled
def _triangles(source: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """(size,) and (size, taps): each output's first source pixel, and weights that add up to 1."""
    scale = source / size
    reach = max(scale, 1.0)
    inverse = 1 / reach
    taps = 0
    for x in range(size):
        centre = scale * (x + 0.5)
        taps = max(taps, min(int(centre + reach + 0.5), source) - max(int(centre - reach + 0.5), 0))
    first, weights = np.empty(size, np.intp), np.zeros((size, taps))
    for x in range(size):
        centre = scale * (x + 0.5)
        begin, end = max(int(centre - reach + 0.5), 0), min(int(centre + reach + 0.5), source)
        first[x] = min(begin, source - taps)  # weights of 0 before it: every output has as many taps
        total = 0.0
        for i in range(begin, end):
            weight = max(1 - abs((i - centre + 0.5) * inverse), 0.0)
            weights[x, i - first[x]] = weight
            total += weight
        for k in range(taps):
            weights[x, k] /= total
    return first, weights


def resize(region: NDArray[np.uint8], down: Taps, across: Taps, resized: NDArray[np.uint8]) -> None:
    """Resize the source pixels that the taps need.

    Args:
        region: (channels, rows, columns): `down.source` by `across.source` of the image.
        down: taps of the output's rows.
        across: taps of its columns.
        resized: (channels, height, width), of which the upper left is written to.
    """
    channels, rows, columns = region.shape
    first, start = across.first - across.source.start, down.source.start
    narrow = _resize_rows(region.reshape(channels * rows, columns), first, across.weights, across.bits)
    for channel in range(channels):
        lines = narrow[channel * rows : (channel + 1) * rows]
        _resize_columns(lines, down.first - start, down.weights, down.bits, resized[channel])


@compiled
def _resize_rows(
    lines: NDArray[np.uint8], first: NDArray[np.intp], weights: NDArray[np.uint64], bits: int
) -> NDArray[np.uint8]:
    """(lines, source pixels) -> (lines, outputs), along each line."""
    count, length = lines.shape
    resized = np.empty((count, len(first)), np.uint8)
    # A sum takes less than 32 bits, so one 64-bit number holds those of two lines. Four lines go together.
    pair, other = np.empty(length, np.uint64), np.empty(length, np.uint64)
    sums, other_sums = np.empty(len(first), np.uint64), np.empty(len(first), np.uint64)
    for y in range(0, count, 4):
        y1, y2, y3 = min(y + 1, count - 1), min(y + 2, count - 1), min(y + 3, count - 1)
        _join(lines[y], lines[y1], pair)
        _join(lines[y2], lines[y3], other)
        _weigh(pair, other, first, weights, sums, other_sums)
        _part(sums, bits, resized[y], resized[y1])
        _part(other_sums, bits, resized[y2], resized[y3])
    return resized


@compiled
def _join(low: NDArray[np.uint8], high: NDArray[np.uint8], pair: NDArray[np.uint64]) -> None:
    for x in range(len(pair)):
        pair[x] = np.uint64(low[x]) | np.uint64(high[x]) << np.uint64(32)


@compiled
def _part(sums: NDArray[np.uint64], bits: int, low: NDArray[np.uint8], high: NDArray[np.uint8]) -> None:
    """Round both halves to whole levels."""
    half, shift = np.uint64(1) << np.uint64(bits - 1), np.uint64(bits)
    both = half | half << np.uint64(32)
    for x in range(len(sums)):
        rounded = (sums[x] + both) >> shift
        low[x] = np.uint8(rounded & np.uint64(255))
        high[x] = np.uint8(rounded >> np.uint64(32))


@compiled
def _weigh(
    pair: NDArray[np.uint64],
    other: NDArray[np.uint64],
    first: NDArray[np.intp],
    weights: NDArray[np.uint64],
    sums: NDArray[np.uint64],
    other_sums: NDArray[np.uint64],
) -> None:
    taps = weights.shape[1]
    for x in range(len(first)):
        begin = np.uint64(first[x])  # unsigned: no look whether an index counts from the end
        a = b = np.uint64(0)
        for k in range(np.uint64(taps)):
            weight = weights[x, k]
            a += weight * pair[begin + k]
            b += weight * other[begin + k]
        sums[x], other_sums[x] = a, b


@compiled
def _resize_columns(
    lines: NDArray[np.uint8],
    first: NDArray[np.intp],
    weights: NDArray[np.uint64],
    bits: int,
    resized: NDArray[np.uint8],
) -> None:
    """(source pixels, columns) -> (outputs, columns), written into the upper left of `resized`."""
    sums = np.empty(lines.shape[1], np.int32)
    for y in range(len(first)):
        sums[:] = 1 << (bits - 1)
        for k in range(weights.shape[1]):
            weight, line = np.int32(weights[y, k]), lines[first[y] + k]
            for x in range(len(sums)):
                sums[x] += weight * np.int32(line[x])
        row = resized[y]
        for x in range(len(sums)):
            row[x] = np.uint8(sums[x] >> bits)


@compiled
def pick(
    labels: NDArray[np.uint8], rows: NDArray[np.intp], columns: NDArray[np.intp], picked: NDArray[np.uint8]
) -> None:
    """labels[rows][:, columns], written into the upper left of `picked`."""
    for y in range(len(rows)):
        line, row = labels[rows[y]], picked[y]
        for x in range(len(columns)):
            row[x] = line[columns[x]]
