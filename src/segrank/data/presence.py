"""Which classes occur in which image: learnt by reading every label of a split once, and kept on disk.

    CACHE/presence/<key>     CACHE as `cache_folder` has it

A check sum, then a bit for each image and class. The key is a digest over the split's own.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from segrank.data.cache_folder import cache_folder
from segrank.data.dataset import Split
from segrank.data.file_dataset import FileSplit
from segrank.files import digest, write_whole
from segrank.stop import Stopped

FORMAT = 1
"""To be raised whenever it is learnt or kept in another way."""

_CHECK_BYTES = 8
"""CRC-32 of all that follows, in hex."""

Presence = NDArray[np.bool_]
"""(images, classes)."""


def classes_present(
    split: Split, classes: int, *, on_image: Callable[[int, int], None], stop: Callable[[], bool]
) -> Presence:
    """In which images of a split which classes have labelled pixels.

    An image whose label file holds a single value has none here: training leaves it out.

    Args:
        split: is read only if nothing is kept of it.
        classes: how many there are.
        on_image: told how many labels are read, of how many.
        stop: asked before each of them.

    Raises:
        DataError: a label cannot be read. Stopped: `stop` said so.
    """
    shape = len(split), classes
    key = digest(f"{FORMAT} {shape} {split.digest()}")
    present = _load(key, shape)
    if present is None:
        present = np.zeros(shape, np.bool_)
        for index in range(len(split)):
            if stop():
                raise Stopped
            labels, single_valued = _labels(split, index)
            if not single_valued:
                present[index] = np.bincount(labels.ravel(), minlength=classes)[:classes] > 0
            on_image(index + 1, len(split))
        _keep(key, present)
    return present


def _labels(split: Split, index: int) -> tuple[NDArray[np.uint8], bool]:
    if isinstance(split, FileSplit):
        return split.read_labels(index)
    sample = split[index]
    return sample.labels, sample.single_valued


def _load(key: str, shape: tuple[int, int]) -> Presence | None:
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        content = (cache_folder("presence") / key).read_bytes()
        bits = content[_CHECK_BYTES:]
        if zlib.crc32(bits) == int(content[:_CHECK_BYTES], 16):
            count = shape[0] * shape[1]
            return np.unpackbits(np.frombuffer(bits, np.uint8), count=count).reshape(shape).astype(np.bool_)
    return None


def _keep(key: str, present: Presence) -> None:
    bits = np.packbits(present).tobytes()
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_folder("presence")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / key, f"{zlib.crc32(bits):08x}".encode() + bits)
