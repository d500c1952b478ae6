"""The best class of every pixel, on a CPU, compiled by numba: class by class, a row at a time.

Where scores are an upsampled grid, a row of them lives in a core's own cache, from being upsampled to being compared.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.bilinear import Taps, taps
from segrank.compiled import compiled, fma
from segrank.evaluate.confidence_numba import add_best, share_of_best
from segrank.evaluate.mosaic import Confidence, Filled, Mosaic
from segrank.evaluate.windows import Limits
from segrank.threads import spread

UPSAMPLES = True
_TILE_BYTES = 2**24
"""Of computed scores. Less is slower: two tiles both have the rows between them. More no longer fits a common cache."""
_BLOCK_BYTES = 2**19
"""Of the best scores so far and their classes, which every class passes by: they stay in a core's own cache."""

Floats = NDArray[np.float32]


class _Windows(NamedTuple):
    """Scores of windows, one window after the other."""

    scores: NDArray[np.float32]
    places: NDArray[np.int64]
    """Of each: its first row in the resized image, how many rows, its first column, its first score's index."""
    classes: int
    crop_width: int
    grid: tuple[int, int]
    """Rows and columns that are upsampled; 0, 0 if scores are there for every pixel."""
    rows: tuple[NDArray[Any], ...]
    """Taps of the crop's rows in the grid."""
    columns: tuple[NDArray[Any], ...]


class _Slots(NamedTuple):
    """The image's columns in another order, in which they are computed without looking anything up.

    Between a column of the resized image and the next lie some of the image's own columns, as many as there are layers
    at most. Layer by layer, each has a slot for every column of the resized image; some stay without use.
    """

    of_before: Floats
    """(layers, w): what the column contributes to its slot."""
    of_after: Floats
    """What the next one does."""
    place: NDArray[np.int64]
    """(width,): the slot of each of the image's own columns, layer * w + column of the resized image."""


class _Resizing(NamedTuple):
    """From windows to the image's own size: as `Mosaic`, but of some of the image's rows."""

    row_shares: Floats
    column_shares: Floats
    rows: tuple[NDArray[Any], ...]
    slots: _Slots


def limits(mosaic: Mosaic, classes: int, *, upsampled: bool) -> Limits:
    """Of a tile. Grids need none, being small."""
    resized = mosaic.resized[0] if upsampled else _TILE_BYTES // (4 * mosaic.row_values(classes))
    return Limits(own=mosaic.own[0], resized=resized)


def label_tile(filled: Filled, mosaic: Mosaic, labels: Tensor, confidence: Confidence | None) -> Tensor:
    """Average the windows' scores, resize them to the image's own rows, and take the best class of each pixel.

    Of equal scores the first class wins.

    Args:
        filled: the tile and its scores.
        mosaic: of the whole image.
        labels: (height, width), uint8, of the whole image: the tile's rows are written.
        confidence: of the whole image: the tile's rows are written. Without it, it costs nothing.

    Returns:
        Whether all scores are finite, as a tensor without dimensions.
    """
    windows, into = _windows(filled, mosaic.crop), labels[filled.tile.own].numpy()
    share = None if confidence is None else confidence.share[filled.tile.own].numpy()
    logits = confidence is not None and confidence.logits
    shares = mosaic.row_shares.numpy(), mosaic.column_shares.numpy()
    rows, slots = mosaic.rows.part(filled.tile.own).arrays(), _slots(mosaic.columns, mosaic.resized[1])
    block = max(1, _BLOCK_BYTES // (5 * slots.of_before.size))

    def label(start: int, stop: int) -> None:
        for first in range(start, stop, block):
            part = slice(first, min(first + block, stop))
            resizing = _Resizing(*shares, tuple(values[part] for values in rows), slots)
            _label_rows(windows, resizing, into[part], None if share is None else share[part], logits)

    spread(label, len(into))
    return torch.stack(filled.scores.aminmax()).isfinite().all()  # one pass, and no array of truths


def _windows(filled: Filled, crop: tuple[int, int]) -> _Windows:
    classes, height, width = filled.pieces[0].scores.shape
    grid = (height, width) if filled.upsampled else (0, 0)
    down, across = (
        taps(samples or side, side, torch.device("cpu")).arrays() for samples, side in zip(grid, crop, strict=True)
    )
    places, offset = [], 0
    for rows, left, scores in filled.pieces:
        places.append((rows.start, rows.stop - rows.start, left, offset))
        offset += scores.numel()
    return _Windows(filled.scores.numpy(), np.array(places), classes, crop[1], grid, down, across)


def _slots(columns: Taps, width: int) -> _Slots:
    before, _, of_before, of_after = columns.arrays()
    layer = np.arange(len(before)) - np.searchsorted(before, before)
    layers = int(layer.max()) + 1
    slots = _Slots(np.ones((layers, width), np.float32), np.zeros((layers, width), np.float32), layer * width + before)
    slots.of_before[layer, before], slots.of_after[layer, before] = of_before, of_after
    return slots


@compiled
def _label_rows(
    windows: _Windows, resizing: _Resizing, labels: NDArray[np.uint8], confidence: Floats | None, logits: bool
) -> None:
    """Label some rows of the image. What is asked about `confidence` is settled when this is compiled.

    Windows are averaged by multiplying each with its share before they are added. Shares are powers of two, so that
    this rounds as adding and dividing does, wherever in the computation they come in.
    """
    scores, places, classes, crop_width, (grid_height, grid_width), crop_rows, crop_columns = windows
    row_shares, column_shares, (above, below, of_above, of_below), slots = resizing
    crop_above, crop_below, of_crop_above, of_crop_below = crop_rows
    height, width, pieces, slot_count = len(labels), len(column_shares), len(places), slots.of_before.size
    # Rows that are widened wait, two at a time, for the next one, which has the other parity; `held` says which do.
    wide, held = np.empty(2 * slot_count, np.float32), np.empty(2, np.int64)
    grid_wide, grid_held = np.empty(2 * pieces * crop_width, np.float32), np.empty(2 * pieces, np.int64)
    merged = np.empty(width + 1, np.float32)  # the last column is its own neighbour
    best, winners = np.empty(height * slot_count, np.float32), np.zeros(height * slot_count, np.uint8)
    sums = np.empty(0 if confidence is None else height * slot_count, np.float32)
    for label in range(classes):
        held[:] = -1
        grid_held[:] = -1
        for row in range(height):
            for source in (above[row], below[row]):
                if held[source & 1] == source:
                    continue
                held[source & 1] = source
                merged[:] = 0
                for piece in range(pieces):
                    start, count, left, offset = places[piece]
                    inside = source - start
                    if not 0 <= inside < count:
                        continue
                    if grid_height == 0:
                        first = offset + (label * count + inside) * crop_width
                        _add(scores, first, crop_width, row_shares[source], column_shares, merged, left)
                        continue
                    for sample in (crop_above[inside], crop_below[inside]):
                        slot = 2 * piece + (sample & 1)
                        if grid_held[slot] != sample:
                            grid_held[slot] = sample
                            first = offset + (label * grid_height + sample) * grid_width
                            _widen(scores, first, crop_columns, column_shares, left, grid_wide, slot * crop_width)
                    upper = (2 * piece + (crop_above[inside] & 1)) * crop_width
                    lower = (2 * piece + (crop_below[inside] & 1)) * crop_width
                    of_upper = of_crop_above[inside] * row_shares[source]
                    of_lower = of_crop_below[inside] * row_shares[source]
                    _add_blend(grid_wide, upper, lower, of_upper, of_lower, crop_width, merged, left)
                merged[width] = merged[width - 1]
                _fill_slots(merged, slots, wide, (source & 1) * slot_count)
            upper, lower, at = (above[row] & 1) * slot_count, (below[row] & 1) * slot_count, row * slot_count
            if confidence is None:
                _compete(label, wide, upper, lower, of_above[row], of_below[row], slot_count, best, winners, at)
            else:
                add_best(
                    label, wide, upper, lower, of_above[row], of_below[row], slot_count, best, winners, at, sums, logits
                )
    for row in range(height):
        for column in range(len(slots.place)):
            labels[row, column] = winners[row * slot_count + slots.place[column]]
        if confidence is not None:
            at = row * slot_count
            share_of_best(best[at:], sums[at:], slots.place, classes, logits, confidence[row])


# Below, each array is cut to what is meant before the loop: the compiler then knows that no index is negative, which
# would count from the end, and computes for many elements at once.


@compiled
def _widen(
    source: Floats,
    first: int,
    columns: tuple[NDArray[Any], ...],
    shares: Floats,
    left: int,
    into: Floats,
    at: int,
) -> None:
    """A row of a window's grid at the crop's width."""
    before, after, of_before, of_after = columns
    samples, wide, share = source[first:], into[at : at + len(before)], shares[left : left + len(before)]
    for i in range(len(wide)):
        wide[i] = fma(of_before[i], samples[before[i]], of_after[i] * samples[after[i]]) * share[i]


@compiled
def _add(source: Floats, first: int, count: int, of_row: np.float32, shares: Floats, total: Floats, left: int) -> None:
    scores, into, share = source[first : first + count], total[left : left + count], shares[left : left + count]
    for i in range(count):
        into[i] += scores[i] * of_row * share[i]


@compiled
def _add_blend(
    source: Floats,
    above: int,
    below: int,
    of_above: np.float32,
    of_below: np.float32,
    count: int,
    total: Floats,
    at: int,
) -> None:
    """Blend two rows, and add what comes out."""
    upper, lower, into = source[above : above + count], source[below : below + count], total[at : at + count]
    for i in range(count):
        into[i] += fma(of_above, upper[i], of_below * lower[i])


@compiled
def _fill_slots(average: Floats, slots: _Slots, into: Floats, at: int) -> None:
    layers, width = slots.of_before.shape
    next_one = average[1:]
    for layer in range(layers):
        wide = into[at + layer * width : at + (layer + 1) * width]
        of_before, of_after = slots.of_before[layer], slots.of_after[layer]
        for i in range(width):
            wide[i] = fma(of_before[i], average[i], of_after[i] * next_one[i])


@compiled
def _compete(
    label: int,
    source: Floats,
    above: int,
    below: int,
    of_above: np.float32,
    of_below: np.float32,
    count: int,
    all_best: Floats,
    all_winners: NDArray[np.uint8],
    at: int,
) -> None:
    """Blend two rows of a class's scores, and compare what comes out with the best of the classes before it."""
    upper, lower = source[above : above + count], source[below : below + count]
    best, winner = all_best[at : at + count], all_winners[at : at + count]
    if label == 0:
        best[:] = -np.inf
    for i in range(count):
        score = fma(of_above, upper[i], of_below * lower[i])
        better = score > best[i]
        best[i] = score if better else best[i]
        winner[i] = label if better else winner[i]
