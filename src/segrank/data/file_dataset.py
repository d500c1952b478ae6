"""Any folder or archive of images and masks, as a YAML file or an official definition describes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.data.archive import ArchiveTree
from segrank.data.dataset import Sample
from segrank.data.definition import Definition, read_definition
from segrank.data.images import RawIds, read_image, read_label, read_rgb_label
from segrank.data.kept import FORMAT, KeptSplit, keep, load
from segrank.data.labels import LabelMapping, pack_colours, resize_nearest
from segrank.data.listing import Listing, Pairs, list_pairs
from segrank.data.transcoded import Transcoded
from segrank.data.tree import Tree
from segrank.data.union import UnionTree, join, open_tree
from segrank.errors import DataError
from segrank.files import canonical_json, digest, nearest


class RawSample(NamedTuple):
    """An image and its mask as the files have them."""

    image: NDArray[np.uint8]
    """(height, width, 3), RGB."""
    mask: RawIds
    """(height, width) of the mask: raw ids, or packed colours."""


@dataclass(frozen=True)
class FileSplit:
    """The files of one split, in order."""

    tree: Tree
    """It has these files, and in an archive knows no others."""
    classes: tuple[str, ...]
    mapping: LabelMapping
    resize_labels: bool
    pairs: Pairs
    left_out: tuple[str, ...] = ()
    """Images without a mask and masks without an image that the dataset is known to have, in words."""
    known_digest: str = ""
    """From when the archives were listed; empty for a folder, where sizes are looked up each time."""
    transcoded: Transcoded | None = None
    """Its decoded images, where somebody had some made."""

    @property
    def names(self) -> Sequence[str]:
        return self.pairs.names

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        image, raw = self.read_raw(index)
        name, image_file, mask_file = self.pairs[index]
        if image.shape[:2] != raw.shape and not self.resize_labels:
            raise DataError(
                f"{self.tree.where(image_file)} is {_size(image)} and {self.tree.where(mask_file)} is {_size(raw)}",
                wanted="a mask of its image's size (width x height)",
                fix="if the mask shows the whole image, set `resize_labels: true` in the dataset's YAML file",
            )
        labels, single_valued = self._labels(raw, mask_file)
        if labels.shape != image.shape[:2]:
            labels = resize_nearest(labels, *image.shape[:2])
        return Sample(image, labels, name, single_valued)

    def read_labels(self, index: int) -> tuple[NDArray[np.uint8], bool]:
        """Labels of the mask's own size, without a look at its image, and whether its file holds a single value.

        Raises:
            DataError: the mask is damaged, unsafe or has unknown values.
        """
        _, _, mask_file = self.pairs[index]
        return self._labels(self._raw_mask(mask_file), mask_file)

    def read_raw(self, index: int) -> RawSample:
        """Both files, decoded and nothing more: sizes may differ and ids be unknown.

        Raises:
            DataError: a file is damaged, unsafe or of a kind that is not read.
        """
        tree = self.tree
        _, image_file, mask_file = self.pairs[index]
        image = self.transcoded.read(image_file, tree.size(image_file)) if self.transcoded else None
        if image is None:
            image = read_image(tree.read(image_file), tree.where(image_file))
        return RawSample(image, self._raw_mask(mask_file))

    def _raw_mask(self, file: str) -> RawIds:
        content, where = self.tree.read(file), self.tree.where(file)
        return pack_colours(read_rgb_label(content, where)) if self.mapping.by_colour else read_label(content, where)

    def _labels(self, raw: RawIds, mask_file: str) -> tuple[NDArray[np.uint8], bool]:
        labels, unknown = self.mapping.apply(raw)
        if unknown:
            raise DataError(
                f"{self.tree.where(mask_file)} has the unknown {self.describe(unknown)}",
                wanted=self._known(),
                fix="add what is missing under `ids` or `ignore` (`colours` or `ignore_colours`) "
                "in the dataset's YAML file",
            )
        return labels, bool((raw == raw.flat[0]).all())

    def describe(self, values: tuple[int, ...]) -> str:
        """Raw values in words: `ids 12, 13` or `colours #804080`."""
        shown = ", ".join(self.mapping.describe(value) for value in values[:8])
        more = f" and {len(values) - 8} more" if len(values) > 8 else ""
        return f"{'colour' if self.mapping.by_colour else 'id'}{'s' * (len(values) > 1)} {shown}{more}"

    def digest(self) -> str:
        if self.known_digest:
            return self.known_digest
        size, pairs = self.tree.size, self.pairs
        content = {
            "classes": self.classes,
            "by_colour": self.mapping.by_colour,
            "values": self.mapping.pairs,
            "resize_labels": self.resize_labels,
            "files": list(zip(pairs.names, map(size, pairs.images), map(size, pairs.masks), strict=True)),
        }
        return f"sha256:{digest(canonical_json(content))}"

    def _known(self) -> str:
        known = [self.mapping.describe(value) for value, _ in self.mapping.pairs]
        if not self.mapping.by_colour and len(known) > 12:
            return f"one of {len(known)} ids: {', '.join(known[:6])} ... {', '.join(known[-3:])}"
        return f"one of: {', '.join(known[:24])}"


@dataclass(frozen=True)
class FileDataset:
    """A dataset's definition with the files that it speaks of."""

    definition: Definition
    tree: Tree
    unpaired: int = 0
    """Files without a partner that a split may have: so many are left out, more are an error."""

    @classmethod
    def open(cls, path: Path) -> FileDataset:
        """The dataset of a YAML file.

        Raises:
            DataError: the file is not valid, or there is no such root.
        """
        definition = read_definition(path)
        root = path.parent / definition.root
        if not root.is_dir() and not root.is_file():
            raise DataError(
                f"{path} says root: {definition.root}, and there is no folder or archive {root}",
                fix="set root to the folder with the images, or to a .zip or .tar of it, relative to the YAML file",
            )
        return cls(definition, open_tree(root))

    @property
    def name(self) -> str:
        return self.definition.name

    @property
    def classes(self) -> tuple[str, ...]:
        return self.definition.classes

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.definition.splits)

    def split(self, name: str) -> FileSplit:
        split = self._known_or_listed(name)
        return replace(split, transcoded=Transcoded.kept(split.digest))

    def _known_or_listed(self, name: str) -> FileSplit:
        fingerprint = self.tree.fingerprint() if name in self.definition.splits else ""
        if not fingerprint:
            return self._list(name)
        about = [FORMAT, self.definition.model_dump(mode="json"), self.unpaired, name, fingerprint]
        key = digest(canonical_json(about))
        if kept := load(key):
            return self._split(join(kept.archives), kept.pairs, kept.left_out, kept.digest)
        listed = self._list(name)
        tree, known_digest = self.tree.subset(listed.pairs.files), listed.digest()
        parts = tree.parts if isinstance(tree, UnionTree) else (tree,)
        archives = tuple(part for part in parts if isinstance(part, ArchiveTree))
        assert len(archives) == len(parts), "only archives have fingerprints"
        keep(key, KeptSplit(known_digest, listed.left_out, listed.pairs, archives))
        return self._split(tree, listed.pairs, listed.left_out, known_digest)

    def _list(self, name: str) -> FileSplit:
        listing = self.listing(name)
        if len(listing.missing) > self.unpaired:
            first = "; ".join(listing.missing[:3])
            more = f"; and {len(listing.missing) - 3} more" if len(listing.missing) > 3 else ""
            raise DataError(
                f'split "{name}" of {self.name} is incomplete in {self.tree.place}: {first}{more}',
                wanted="a mask for each image and an image for each mask",
                fix="add or remove those files, or correct the patterns in the dataset's YAML file",
            )
        if not len(listing.pairs):
            files = self.definition.splits[name]
            raise DataError(
                f'split "{name}" of {self.name} is empty: '
                + (
                    f"{files.stems_file} lists nothing"
                    if files.stems_file
                    else f'nothing in {self.tree.place} matches "{files.images}"'
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
        return list_pairs(self.tree, self.definition.splits[name])

    def split_of(self, listing: Listing) -> FileSplit:
        """The complete pairs of a listing as a split."""
        return self._split(self.tree, listing.pairs, listing.missing)

    def _split(self, tree: Tree, pairs: Pairs, left_out: tuple[str, ...], known_digest: str = "") -> FileSplit:
        definition = self.definition
        return FileSplit(
            tree, definition.classes, definition.mapping(), definition.resize_labels, pairs, left_out, known_digest
        )


def _size(array: NDArray[np.uint8] | RawIds) -> str:
    return f"{array.shape[1]}x{array.shape[0]}"
