"""From the values in a mask file to class indices, by a lookup table."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.data.images import RawIds

MAX_ID = 65_535
"""Largest raw id: what 16 bits hold."""

_UNKNOWN = -1


@dataclass(frozen=True)
class LabelMapping:
    """Which raw value means what.

    Values are raw ids, or colours packed as red * 65536 + green * 256 + blue.
    """

    pairs: tuple[tuple[int, int], ...]
    """(raw value, class index or 255), ascending."""
    by_colour: bool = False

    def apply(self, raw: RawIds) -> tuple[NDArray[np.uint8], tuple[int, ...]]:
        """Labels (h, w), and the raw values that nothing is known about, ascending.

        Those pixels are 255 in the labels; whether that is an error is the caller's to say.
        """
        if raw.dtype == np.uint8:
            table, known = _byte_table(self)
            content = raw.tobytes()
            if not content.translate(None, known):  # nothing left without what is known
                return np.frombuffer(bytearray(content.translate(table)), np.uint8).reshape(raw.shape), ()
        wide = _table(self)
        if raw.dtype == np.int32 and ((raw < 0) | (raw >= len(wide))).any():
            inside = (raw >= 0) & (raw < len(wide))
            mapped = np.where(inside, wide[np.where(inside, raw, 0)], _UNKNOWN)
        else:
            mapped = wide[raw]
        unknown = mapped == _UNKNOWN
        if not unknown.any():
            return mapped.astype(np.uint8), ()
        values = tuple(int(value) for value in np.unique(raw[unknown]))
        return np.where(unknown, 255, mapped).astype(np.uint8), values

    def describe(self, value: int) -> str:
        """A raw value as a person would write it: `17`, or `#804080`."""
        return f"#{value:06x}" if self.by_colour else str(value)


@functools.lru_cache(maxsize=8)
def _table(mapping: LabelMapping) -> NDArray[np.int16]:
    """(65536,), or (2**24,) for colours. Made once per process: it is not pickled with a split."""
    table = np.full(2**24 if mapping.by_colour else MAX_ID + 1, _UNKNOWN, dtype=np.int16)
    for value, label in mapping.pairs:
        table[value] = label
    return table


@functools.lru_cache(maxsize=8)
def _byte_table(mapping: LabelMapping) -> tuple[bytes, bytes]:
    """For ids of 8 bits, which `bytes.translate` maps 7x faster: the label of each of the 256, and the known ids."""
    known = [(value, label) for value, label in mapping.pairs if value < 256]
    labels = dict(known)
    return bytes(labels.get(value, 0) for value in range(256)), bytes(value for value, _ in known)


def pack_colours(rgb: NDArray[np.uint8]) -> NDArray[np.int32]:
    """(h, w, 3) -> (h, w), each colour as one number."""
    wide = rgb.astype(np.int32)
    packed: NDArray[np.int32] = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return packed


def resize_nearest(labels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Labels at another size; pixel i is taken from floor(i * old / new), as in the training augmentation."""
    rows = np.arange(height) * labels.shape[0] // height
    columns = np.arange(width) * labels.shape[1] // width
    resized: NDArray[np.uint8] = labels[rows[:, None], columns]
    return resized
