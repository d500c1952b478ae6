"""Any folder of images and masks, as a YAML file describes it."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.data.dataset import Sample
from segrank.data.definition import Definition, read_definition
from segrank.data.images import RawIds, read_image, read_label, read_rgb_label
from segrank.data.labels import LabelMapping, pack_colours, resize_nearest
from segrank.data.listing import Listing, Pair, list_pairs
from segrank.errors import DataError
from segrank.files import canonical_json, digest, nearest


class RawSample(NamedTuple):
    """An image and its mask as the files have them."""

    image: NDArray[np.uint8]
    """(height, width, 3), RGB."""
    mask: RawIds
    """(height, width) of the mask: raw ids, or packed colours."""


@dataclass(frozen=True)
class FolderSplit:
    """The files of one split, in order."""

    root: Path
    classes: tuple[str, ...]
    mapping: LabelMapping
    resize_labels: bool
    pairs: tuple[Pair, ...]

    @property
    def names(self) -> Sequence[str]:
        return [pair.name for pair in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        image, raw = self.read_raw(index)
        pair = self.pairs[index]
        if image.shape[:2] != raw.shape and not self.resize_labels:
            raise DataError(
                f"{self.root / pair.image} is {_size(image)} and {self.root / pair.mask} is {_size(raw)}",
                wanted="a mask of its image's size (width x height)",
                fix="if the mask shows the whole image, set `resize_labels: true` in the dataset's YAML file",
            )
        labels, unknown = self.mapping.apply(raw)
        if unknown:
            raise DataError(
                f"{self.root / pair.mask} has the unknown {self.describe(unknown)}",
                wanted=self._known(),
                fix="add what is missing under `ids` or `ignore` (`colours` or `ignore_colours`) "
                "in the dataset's YAML file",
            )
        if labels.shape != image.shape[:2]:
            labels = resize_nearest(labels, *image.shape[:2])
        return Sample(image, labels, pair.name, single_valued=bool((raw == raw.flat[0]).all()))

    def read_raw(self, index: int) -> RawSample:
        """Both files, decoded and nothing more: sizes may differ and ids be unknown.

        Raises:
            DataError: a file is damaged, unsafe or of a kind that is not read.
        """
        pair = self.pairs[index]
        image = read_image(self.root / pair.image)
        if self.mapping.by_colour:
            return RawSample(image, pack_colours(read_rgb_label(self.root / pair.mask)))
        return RawSample(image, read_label(self.root / pair.mask))

    def describe(self, values: tuple[int, ...]) -> str:
        """Raw values in words: `ids 12, 13` or `colours #804080`."""
        shown = ", ".join(self.mapping.describe(value) for value in values[:8])
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        return f"{'colour' if self.mapping.by_colour else 'id'}{'s' * (len(values) > 1)} {shown}{more}"

    def digest(self) -> str:
        content = {
            "classes": self.classes,
            "by_colour": self.mapping.by_colour,
            "values": self.mapping.pairs,
            "resize_labels": self.resize_labels,
            "files": [
                [pair.name, _bytes(self.root / pair.image), _bytes(self.root / pair.mask)] for pair in self.pairs
            ],
        }
        return f"sha256:{digest(canonical_json(content))}"

    def _known(self) -> str:
        known = [self.mapping.describe(value) for value, _ in self.mapping.pairs]
        if not self.mapping.by_colour and len(known) > 12:
            return f"one of {len(known)} ids: {', '.join(known[:6])} ... {', '.join(known[-3:])}"
        return f"one of: {', '.join(known[:24])}"


@dataclass(frozen=True)
class FolderDataset:
    """A dataset's definition with the root it refers to."""

    definition: Definition
    root: Path
    """Absolute, without links."""

    @classmethod
    def open(cls, path: Path) -> FolderDataset:
        """The dataset of a YAML file.

        Raises:
            DataError: the file is not valid, or there is no such root.
        """
        definition = read_definition(path)
        root = path.parent / definition.root
        if not root.is_dir():
            raise DataError(
                f"{path} says root: {definition.root}, and there is no folder {root}",
                fix="set root to the folder with the images, relative to the YAML file",
            )
        return cls(definition, root.resolve())

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.definition.classes

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.definition.splits)

    def split(self, name: str) -> FolderSplit:
        listing = self.listing(name)
        if listing.missing:
            first = "; ".join(listing.missing[:3])
            more = f"; and {len(listing.missing) - 3} more" if len(listing.missing) > 3 else ""
            raise DataError(
                f'split "{name}" of {self.name} is incomplete in {self.root}: {first}{more}',
                wanted="a mask for each image and an image for each mask",
                fix="add or remove those files, or correct the patterns in the dataset's YAML file",
            )
        if not listing.pairs:
            files = self.definition.splits[name]
            raise DataError(
                f'split "{name}" of {self.name} is empty: '
                + (
                    f"{files.stems_file} lists nothing"
                    if files.stems_file
                    else f'nothing in {self.root} matches "{files.images}"'
                ),
                wanted="at least one image with its mask",
            )
        return self.split_of(listing)

    def listing(self, name: str) -> Listing:
        """The pairs of a split, complete or not.

        Raises:
            DataError: there is no such split, or a path or name cannot be used.
        """
        if name not in self.definition.splits:
            raise DataError(
                f'{self.name} has no split "{name}"',
                wanted=f"one of: {', '.join(self.splits)}",
                fix=nearest(name, self.splits),
            )
        return list_pairs(self.root, self.definition.splits[name])

    def split_of(self, listing: Listing) -> FolderSplit:
        """The complete pairs of a listing as a split."""
        definition = self.definition
        return FolderSplit(self.root, definition.classes, definition.mapping(), definition.resize_labels, listing.pairs)


def _size(array: NDArray[np.uint8] | RawIds) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"


def _bytes(path: Path) -> int:
    """File size; -1 for what is no file, which reading will refuse."""
    try:
        status = path.stat()
    except OSError:
        return -1
    return status.st_size if stat.S_ISREG(status.st_mode) else -1
