"""Several trees as one, and the tree of a place on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segrank.data.archive import ArchiveTree
from segrank.data.folder import FolderTree
from segrank.data.tree import Tree
from segrank.errors import DataError
from segrank.files import digest


@dataclass(frozen=True)
class UnionTree:
    """The files of several trees. One that two of them have is an error once somebody wants it.

    Archives of one dataset may all hold a README.
    """

    parts: tuple[Tree, ...]

    @property
    def place(self) -> str:
        return " + ".join(part.place for part in self.parts)

    def find(self, pattern: str) -> Sequence[str]:
        names = [name for part in self.parts for name in part.find(pattern)]
        if len(set(names)) < len(names):
            for name in names:
                self._part(name)
        return names

    def __contains__(self, name: str) -> bool:
        return self._part(name) is not None

    def size(self, name: str) -> int:
        part = self._part(name)
        return -1 if part is None else part.size(name)

    def read(self, name: str) -> bytes:
        part = self._part(name)
        if part is None:
            raise DataError(f"{self.where(name)} cannot be read: No such file in any of them")
        return part.read(name)

    def where(self, name: str) -> str:
        part = self._part(name)
        return f"{self.place}: {name}" if part is None else part.where(name)

    def subset(self, names: Sequence[str]) -> UnionTree:
        wanted = [[name for name in names if name in part] for part in self.parts]
        return UnionTree(tuple(part.subset(some) for part, some in zip(self.parts, wanted, strict=True) if some))

    def fingerprint(self) -> str:
        prints = [part.fingerprint() for part in self.parts]
        return digest(" ".join(prints)) if all(prints) else ""

    def _part(self, name: str) -> Tree | None:
        there = [part for part in self.parts if name in part]
        if len(there) > 1:
            raise DataError(
                f"{there[0].where(name)} and {there[1].where(name)} are the same file",
                wanted="each file in one place",
                fix="leave one of the two out",
            )
        return there[0] if there else None


def open_tree(*places: Path) -> Tree:
    """The files of a folder, of a zip or tar archive, or of several of these. Archives are opened when needed.

    Raises:
        DataError: there is no such folder or file.
    """
    parts: list[Tree] = []
    for place in dict.fromkeys(place.resolve() for place in places):
        if place.is_dir():
            parts.append(FolderTree(place))
        elif place.is_file():
            parts.append(ArchiveTree(place))
        else:
            raise DataError(f"there is no folder or archive {place}", fix="check the path")
    return join(parts)


def join(parts: Sequence[Tree]) -> Tree:
    """Several trees as one."""
    return parts[0] if len(parts) == 1 else UnionTree(tuple(parts))
