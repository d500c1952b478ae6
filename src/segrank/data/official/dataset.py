"""A dataset that a spec names: looked for when a split is asked for, not before."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segrank.data.file_dataset import FileDataset, FileSplit
from segrank.data.official import OFFICIAL
from segrank.data.official.find import ROOT_VARIABLE, Found, look_for, missing_error, places, sources
from segrank.data.official.official import Official
from segrank.data.tree import Tree
from segrank.data.union import open_tree
from segrank.errors import DataError
from segrank.files import nearest


@dataclass(frozen=True)
class OfficialDataset:
    """An official dataset, or some of its parts, and where to look for it."""

    official: Official
    root: Path | None
    parts: str = ""
    """The chosen ones as they were written, `1-2`; empty for all."""
    _trees: dict[tuple[Path, ...], Tree] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Splits in the same archives share what was read of them."""

    @property
    def name(self) -> str:
        return self.official.definition.name + (f"?parts={self.parts}" if self.parts else "")

    @property
    def classes(self) -> tuple[str, ...]:
        return self.official.definition.classes

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self.official.definition.splits)

    def split(self, name: str) -> FileSplit:
        return self.files(name).split(name)

    def files(self, split: str) -> FileDataset:
        """The same over the archives or folders that a split needs; no other one is opened.

        Raises:
            DataError: there is no such split, or not all that it needs is found.
        """
        paths = sources(self.find(split))
        tree = self._trees.setdefault(paths, open_tree(*paths))
        return FileDataset(self.official.definition, tree, self.official.unpaired)

    def find(self, split: str) -> tuple[Found, ...]:
        """Where the parts lie that a split needs.

        Raises:
            DataError: there is no such split, or something is missing: what, and where to get it.
        """
        name, card = self.official.definition.name, self.official.card
        if split not in self.splits:
            elsewhere = card.protocol.get("eval_dataset")
            raise DataError(
                f'{name} has no split "{split[:80]}"',
                wanted=f"one of: {', '.join(self.splits)}",
                fix=nearest(split, self.splits) or (f"score on another: eval_dataset={elsewhere}" if elsewhere else ""),
            )
        if self.root is None:
            raise DataError(
                f"nothing says where {name} lies",
                wanted=f"the folder that holds its archives: --root FOLDER (root= in Python), or ${ROOT_VARIABLE}",
                fix=f"get them from {card.home}; licence: {card.licence}",
            )
        where = places(self.official, self.root)
        found = look_for([part for part in self.official.parts if split in part.splits], where)
        if self.parts:  # an unpacked folder does not say which file came from which archive
            found = tuple(dataclasses.replace(one, folder=None) for one in found)
        if any(one.missing for one in found):
            raise missing_error(self.official, found, where, archives_only=bool(self.parts))
        return found

    def account(self, name: str, split: FileSplit) -> str:
        """How many images of how many, and where from: `voc2012 train: 1,464 of 1,464 images in /data/...`."""
        official = "" if self.parts else f" of {self.official.card.images[name]:,}"
        paths = sources(self.find(name))
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        lonely = f"; left out: {len(split.left_out)} files without a partner" if split.left_out else ""
        return f"{self.name} {name}: {len(split):,}{official} images in {paths[0]}{more}{lonely}"


def open_official(name: str, options: Mapping[str, Any], root: Path | None) -> OfficialDataset:
    """The dataset of a reference: its name, and `parts` where it has numbered ones.

    Raises:
        DataError: an option is unknown, or there are no such parts.
    """
    official = OFFICIAL[name]
    numbers = sorted({part.number for part in official.parts} - {0})
    known = ("parts",) if numbers else ()
    if unknown := [key for key in options if key not in known]:
        raise DataError(
            f'{name} has no option "{unknown[0][:80]}"',
            wanted=f"{name}?parts=1-2" if numbers else f"{name} without options",
            fix=nearest(unknown[0], known),
        )
    if "parts" not in options:
        return OfficialDataset(official, root)
    text = str(options["parts"])
    chosen = _numbers(text, numbers)
    if not chosen:
        raise DataError(
            f'{name} has no parts "{text[:80]}"',
            wanted=f"numbers from {numbers[0]} to {numbers[-1]}, such as 1-2 or 1,4-6",
        )
    parts = tuple(part for part in official.parts if part.number in chosen)
    return OfficialDataset(dataclasses.replace(official, parts=parts), root, text if len(chosen) < len(numbers) else "")


def _numbers(text: str, known: Sequence[int]) -> set[int]:
    """`1-2,5` -> {1, 2, 5}; empty if it is no such list, or goes beyond the known ones."""
    chosen: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", piece.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if first > last or first not in known or last not in known:
            return set()
        chosen.update(range(first, last + 1))
    return chosen
