"""What both compiled loops over masks need: an exponential of several numbers at once, and where points lie."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Indices = NDArray[np.int32]
Labels = NDArray[np.uint8]


@numba.njit(inline="always")
def exp(x: Any) -> Any:
    """exp(x) in float32 for x <= 0, within 1e-7 of it; 0 below -87, where float32 has few digits left.

    exp(x) = 2^n exp(r): n, rounded, stands in the low bits of a sum with 1.5 * 2^23; of r, at most ln(2) / 2, a
    polynomial (the coefficients are those of `expf` in Moshier's Cephes). numba's own calls a library for each number.
    """
    shifted = x * np.float32(1.44269504) + np.float32(12582912)
    n = shifted - np.float32(12582912)
    r = (x - n * np.float32(0.693359375)) + n * np.float32(2.12194440e-4)
    p = np.float32(1.9875691500e-4)
    p = p * r + np.float32(1.3981999507e-3)
    p = p * r + np.float32(8.3334519073e-3)
    p = p * r + np.float32(4.1665795894e-2)
    p = p * r + np.float32(1.6666665459e-1)
    p = p * r + np.float32(5.0000001201e-1)
    p = p * r * r + r + np.float32(1)
    power = np.int32(np.int32(np.float32(shifted).view(np.int32) - np.int32(0x4B400000 - 127)) << np.int32(23))
    return p * power.view(np.float32) if x > np.float32(-87) else x * np.float32(0)


@numba.njit(inline="always")
def locate(x: Array, y: Array, width: int, height: int, cell: Indices, right: Array, down: Array) -> None:
    """Of points, the four samples around, in a grid (height width) that has a border of one sample more on each side.

    Positions as in `torch.nn.functional.grid_sample` without aligned corners, to the last bit.

    Args:
        x: (n), from 0 to 1, as `y`.
        cell: (n), written: index of the sample above and to the left, in the flattened grid with its border.
        right: (n), written: weight of the samples to the right.
        down: (n), written: weight of those below.
    """
    stride = np.int32(width + 2)
    across, along = np.float32(width), np.float32(height)
    half = np.float32(0.5)
    for i in range(len(cell)):
        column, row = x[i] * across - half, y[i] * along - half
        left, above = np.floor(column), np.floor(row)
        right[i], down[i] = column - left, row - above
        cell[i] = (np.int32(above) + np.int32(1)) * stride + (np.int32(left) + np.int32(1))
