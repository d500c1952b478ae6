"""What a dataset is to the rest of segrank. No torch here: planning and looking open datasets too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

IGNORE = 255
"""The label of pixels that take no part, in every label map."""


class Sample(NamedTuple):
    """One labelled image, at its own size."""

    image: NDArray[np.uint8]
    """(height, width, 3), RGB."""
    labels: NDArray[np.uint8]
    """(height, width), class indices; 255 is ignored."""
    name: str
    """Unique in its split, and the same on every machine."""
    single_valued: bool
    """Whether the label file, before any mapping, holds one value only: training leaves such images out."""


class Split(Protocol):
    """A named, ordered list of samples. Picklable; safe to read from several processes at once."""

    @property
    def names(self) -> Sequence[str]:
        """Of all samples, in order. Costs no image decoding."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample:
        """Read one sample.

        Raises:
            DataError: naming the file, if the image or the mask is damaged, unsafe, or does not fit.
        """
        ...

    def digest(self) -> str:
        """`sha256:...` over what the labels mean and which files there are (names and sizes, no paths)."""
        ...


class Dataset(Protocol):
    """Named splits over one list of classes."""

    @property
    def name(self) -> str: ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names, in the order of the label values."""
        ...

    @property
    def splits(self) -> tuple[str, ...]: ...

    def split(self, name: str) -> Split:
        """One split.

        Raises:
            DataError: there is no such split (the message lists those there are), or it is empty.
        """
        ...
