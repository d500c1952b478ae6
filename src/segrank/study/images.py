"""What a study's datasets look like to a plan: how many classes, images and windows. No torch."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass

from segrank.data import open_dataset
from segrank.data.dataset import Split
from segrank.data.official.dataset import OfficialDataset
from segrank.errors import SegrankError
from segrank.evaluate.windows import resized_size, windows
from segrank.spec import RunSpec

_LOOKED_AT = 3
"""Images of a split whose sizes stand for all."""
_USUAL_SIZES = ((480, 640), (500, 375), (1024, 2048))
"""Where there is no image to look at: 4:3, 3:4 and a street."""


@dataclass(frozen=True)
class Scored:
    """The images of a split, such as a run is scored on."""

    classes: int
    images: int
    split: Split | None
    missing: str = ""
    """Why it cannot be read here."""

    def windows(self, crop: tuple[int, int]) -> float:
        """Of an image, on average."""
        return sum(len(windows(resized_size(size, crop), crop)) for size in self._sizes) / len(self._sizes)

    @functools.cached_property
    def _sizes(self) -> tuple[tuple[int, int], ...]:
        """Height and width of some images; usual ones where there is none to look at."""
        split = self.split
        if split is None:
            return _USUAL_SIZES
        count = min(_LOOKED_AT, len(split))
        try:
            shapes = [split[index * len(split) // count].labels.shape for index in range(count)]
        except (SegrankError, OSError):  # a run will say what is wrong with it
            return _USUAL_SIZES
        return tuple((height, width) for height, width in shapes)


class Datasets:
    """Opens each once."""

    def __init__(self, root: str | os.PathLike[str] | None) -> None:
        self._root = root
        self._known: dict[tuple[str, str], Scored] = {}

    def scored(self, spec: RunSpec) -> Scored:
        """What its runs are scored on."""
        return self.look(spec.eval_dataset or spec.dataset, spec.eval_split)

    def look(self, dataset: str, split: str) -> Scored:
        """Raises nothing: what is not there says so, and has what is known of it all the same."""
        if (dataset, split) not in self._known:
            self._known[dataset, split] = self._look(dataset, split)
        return self._known[dataset, split]

    def _look(self, reference: str, name: str) -> Scored:
        classes = images = 0
        try:
            dataset = open_dataset(reference, self._root)
            classes = len(dataset.classes)
            if isinstance(dataset, OfficialDataset):
                images = dataset.official.card.images.get(name, 0)
            split = dataset.split(name)
            return Scored(classes, len(split), split)
        except (SegrankError, OSError) as error:
            return Scored(classes, images, None, missing=str(error))
