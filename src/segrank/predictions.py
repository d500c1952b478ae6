"""Predictions to look at: of a few images of a split, small, in one file beside an evaluation's scores. No torch here.

They are the same images for every run, evenly spread, so that encoders can be set beside each other. Nothing is
computed from them but what a page shows of them: scores come from the counts of whole images.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.errors import StoreError

MOST_IMAGES = 32
SIDE_PX = 320
"""Longer side of a map at most. 32 of ADE20K's are about 150 kB."""
_NAMES = "names"


class Prediction(NamedTuple):
    place: int
    """Of the image in its split."""
    name: str
    labels: NDArray[np.uint8]
    """(h, w) class indices, as `reduced` gives them."""


def images_kept(images: int) -> list[int]:
    """Places of the images, of so many, whose predictions are kept."""
    count = min(images, MOST_IMAGES)
    return [i * images // count for i in range(count)]


def reduced(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every so manyth pixel, so that the longer side is `SIDE_PX` at most: classes are picked, not mixed."""
    scale = min(1.0, SIDE_PX / max(labels.shape))
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count).astype(np.intp)
        for side in labels.shape
        for count in (max(1, round(side * scale)),)
    )
    return np.ascontiguousarray(labels[np.ix_(rows, columns)])


def packed(predictions: Iterable[Prediction]) -> bytes:
    """As a file has them; empty for none."""
    found = sorted(predictions)
    if not found:
        return b""
    content = io.BytesIO()
    arrays = {f"{one.place}": one.labels for one in found}
    np.savez_compressed(content, allow_pickle=False, **arrays, **{_NAMES: np.array([one.name for one in found])})
    return content.getvalue()


def unpacked(path: Path) -> list[Prediction]:
    """
    Raises:
        StoreError: it is not what `packed` made.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # what is in it may claim any size
            large = [one.filename for one in archive.infolist() if one.file_size > 16 * SIDE_PX**2]
            if large or len(archive.infolist()) > MOST_IMAGES + 1:
                raise ValueError(f"more than {MOST_IMAGES} maps of {SIDE_PX} x {SIDE_PX}")
        with np.load(path, allow_pickle=False) as arrays:
            places = [int(name) for name in arrays.files if name != _NAMES]
            found = [
                Prediction(place, str(name), arrays[f"{place}"])
                for place, name in zip(places, arrays[_NAMES], strict=True)
            ]
        if any(one.labels.ndim != 2 or one.labels.dtype != np.uint8 for one in found):
            raise ValueError("a map that is not of bytes")
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(
            f"{path} is damaged: {str(error)[:200]}", fix="delete it, and evaluate the run again"
        ) from None
    return found
