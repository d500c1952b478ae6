"""What an archive holds: names, and where the content of each lies. Nothing that the archive says is trusted."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.data.globs import shown
from segrank.data.images import MAX_FILE_BYTES
from segrank.data.lines import Lines
from segrank.errors import DataError

MAX_MEMBERS = 5_000_000
"""Of one archive, folders among them."""
MAX_NAME = 4096
"""Characters, as Linux limits paths."""

ROW = np.dtype([("at", "<i8"), ("packed", "<i8"), ("size", "<i8"), ("check", "<u4"), ("method", "<u2")])
_PACK_ROW = struct.Struct("<qqqLH").pack
assert ROW.itemsize == struct.calcsize("<qqqLH")


class Member(NamedTuple):
    """A row: a file that can be read."""

    at: int
    """Where its own header starts, bytes into the archive."""
    packed: int
    """Bytes in the archive, without the header."""
    size: int
    """Bytes of the content."""
    check: int
    """CRC-32: of the content in a zip, of the header in a tar, which has none of the content."""
    method: int
    """As zip counts them: 0 as it is, 8 deflated."""


@dataclass(frozen=True)
class Members:
    """The files of an archive, or some of them."""

    names: Lines
    rows: NDArray[np.void]
    """(files,) of ROW."""
    refused: dict[str, str] = field(default_factory=dict)
    """Name -> why it cannot be read: a link, an encrypted file."""

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.names)}

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str) -> Member:
        return Member(*self.rows[self._places[name]].item())

    @cached_property
    def _sizes(self) -> list[int]:
        sizes: list[int] = self.rows["size"].tolist()
        return sizes

    def size(self, name: str) -> int:
        """Bytes of the content; -1 if there is no such file."""
        place = self._places.get(name)
        return -1 if place is None else self._sizes[place]

    def subset(self, names: Sequence[str]) -> Members:
        places = self._places
        lines = names if isinstance(names, Lines) else Lines.of(names)
        return Members(lines, self.rows[[*map(places.__getitem__, names)]])

    def __reduce__(self) -> tuple[type[Members], tuple[Lines, NDArray[np.void], dict[str, str]]]:
        return Members, (self.names, self.rows, self.refused)


class Collector:
    """Takes down what an archive says that it holds, and refuses what is dangerous.

    A file that merely cannot be read is noted: the archive is refused only when somebody wants that file.
    """

    def __init__(self, archive: str, bytes_there: int) -> None:
        """`archive` for messages."""
        self.archive, self.bytes_there = archive, bytes_there
        self._names: list[str] = []
        self._rows = bytearray()
        self._refused: dict[str, str] = {}
        self._count = 0

    def count(self) -> None:
        """One more header of whatever kind. Raises DataError if there are too many."""
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise DataError(f"{self.archive} holds over {MAX_MEMBERS} files", wanted="fewer")

    def clean(self, name: str) -> str:
        """A member's name without `./` before it and / after it; empty for the root itself.

        Raises:
            DataError: unpacking this name would write outside the folder.
        """
        if name.startswith("./") or name == ".":
            name = name[1:].lstrip("/")
        if (
            name.startswith("/")
            or "\\" in name
            or name[1:2] == ":"
            or "\0" in name
            or len(name) > MAX_NAME
            or (".." in name and ".." in name.split("/"))
        ):
            raise DataError(
                f"{self.archive} holds a file of the dangerous name {name[:200]!r}",
                wanted=f"names that stay in the archive: relative, with / and no .., at most {MAX_NAME} characters",
                fix="do not unpack it; get the archive from its makers again",
            )
        return name.rstrip("/")

    def clean_all(self, names: list[str]) -> list[str]:
        """`count` and `clean` for each, at the speed of a few searches in one text if no name is unusual.

        The / after a folder's name may stay.
        """
        self._count += len(names) - 1
        self.count()
        text = "\0".join(["", *names])
        usual = text.count("\0") == len(names) and max(map(len, names), default=0) <= MAX_NAME
        if usual and not any(mark in text for mark in ("\\", ":", "..", "\0.", "\0/")):
            return names
        return [self.clean(name) for name in names]

    def add_all(self, names: list[str], rows: NDArray[np.void]) -> None:
        """Regular files of which `add` would refuse none; `rows` (files,) of ROW."""
        assert len(names) == len(rows)
        self._names += names
        self._rows += rows.tobytes()

    def add(self, name: str, member: Iterable[int]) -> None:
        """A regular file, by its cleaned name, with the values of a `Member`."""
        at, packed, size, check, method = member
        if size > MAX_FILE_BYTES or packed > MAX_FILE_BYTES:
            self.refuse(name, f"says it has {size} bytes; {MAX_FILE_BYTES} is the limit")
        elif at + packed > self.bytes_there:
            self.refuse(name, "lies beyond the end of the archive, which is cut short")
        elif name:
            self._names.append(name)
            self._rows += _PACK_ROW(at, packed, size, check, method)

    def refuse(self, name: str, reason: str) -> None:
        """What is there and cannot be read."""
        self._refused[name] = reason

    def link(self, name: str, target: str, *, hard: bool = False) -> None:
        """Note a link: a hard one starts from the root, another from its folder.

        Raises:
            DataError: it leads out of the archive.
        """
        depth = 0 if hard else name.count("/")
        for part in target.split("/"):
            depth += -1 if part == ".." else part not in ("", ".")
            if depth < 0:
                break
        if depth < 0 or target.startswith("/") or "\\" in target or target[1:2] == ":":
            raise DataError(
                f"{self.archive}: {shown(name)} is a link that leaves the archive, to {target[:200]!r}",
                wanted="links that stay in the archive",
                fix="do not unpack it; get the archive from its makers again",
            )
        self.refuse(name, "is a link")

    def members(self) -> Members:
        """All of it. Raises DataError if a name stands twice."""
        places = set(self._names)
        if len(places) < len(self._names) or places & self._refused.keys():
            seen = set(self._refused)
            for name in self._names:
                if name in seen:
                    break
                seen.add(name)
            raise DataError(
                f"{self.archive} holds {shown(name)} twice", wanted="one file per name", fix="pack it again"
            )
        rows: NDArray[np.void] = np.frombuffer(bytes(self._rows), dtype=ROW)
        return Members(Lines.of(self._names), rows, self._refused)
