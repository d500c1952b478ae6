"""A folder as a tree of files."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from segrank.data.globs import check_inside, expression, is_hidden, shown
from segrank.data.images import read_bytes
from segrank.errors import DataError

MAX_FILES = 5_000_000
"""Of one pattern."""


@dataclass(frozen=True)
class FolderTree:
    """The files below a folder. A link that leaves it is refused where files are looked for."""

    root: Path
    """Absolute, without links."""

    @cached_property
    def _fence(self) -> _Fence:
        return _Fence(self.root)

    def __reduce__(self) -> tuple[type[FolderTree], tuple[Path]]:
        return FolderTree, (self.root,)

    @property
    def place(self) -> str:
        return shown(str(self.root))

    def find(self, pattern: str) -> Sequence[str]:
        matches = expression(pattern).fullmatch
        start = len(str(self.root).rstrip("/")) + 1
        names = []
        # pathlib's ** does not enter links to folders, so a loop of links ends.
        for path in self.root.glob(pattern):
            name = str(path)[start:]
            if is_hidden(name) or not matches(name):
                continue
            self._fence.check(path)
            names.append(name)
            if len(names) > MAX_FILES:
                raise DataError(f'the pattern "{pattern}" matches over {MAX_FILES} files', wanted="fewer")
        return names

    def __contains__(self, name: str) -> bool:
        check_inside(name)
        if not (self.root / name).exists():
            return False
        self._fence.check(self.root / name)
        return True

    def size(self, name: str) -> int:
        try:
            status = (self.root / name).stat()
        except OSError:
            return -1
        return status.st_size if stat.S_ISREG(status.st_mode) else -1

    def read(self, name: str) -> bytes:
        return read_bytes(self.root / name)

    def where(self, name: str) -> str:
        return shown(str(self.root / name))

    def subset(self, names: Sequence[str]) -> FolderTree:
        return self

    def fingerprint(self) -> str:
        return ""


class _Fence:
    """Refuses what a link leads out of the root. Folders are resolved once each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inside: set[Path] = set()

    def check(self, path: Path) -> None:
        if path.parent in self.inside and not path.is_symlink():
            return
        for place in (path.parent, path):
            try:
                target = place.resolve()
            except (OSError, RuntimeError) as error:  # a link that leads to itself
                raise DataError(f"{place} cannot be followed: {error}", wanted="a file") from error
            if not target.is_relative_to(self.root):
                raise DataError(
                    f"{place} is a link that leaves the root {self.root}",
                    wanted="files inside the root",
                    fix=f"set root to a folder that holds {target} too, and write the patterns from there",
                )
        self.inside.add(path.parent)
