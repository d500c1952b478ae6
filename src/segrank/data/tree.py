"""Files by name, wherever they lie: in a folder, in archives that nobody unpacks, or in several of these."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self


class Tree(Protocol):
    """Files by relative name, with / between the parts. Picklable; safe to read from several threads and processes."""

    @property
    def place(self) -> str:
        """For messages: the folder or the archives."""
        ...

    def find(self, pattern: str) -> Sequence[str]:
        """Names of the files that a glob matches, in no order that counts. Hidden files are passed over.

        Raises:
            DataError: the pattern leaves the tree, or a name does; or a match is nothing that can be read (a link or
                an encrypted file in an archive).
        """
        ...

    def __contains__(self, name: str) -> bool:
        """Whether there is such a file.

        Raises:
            DataError: as `find`.
        """
        ...

    def size(self, name: str) -> int:
        """Bytes of a file, unpacked; -1 for what is no file, which reading will refuse."""
        ...

    def read(self, name: str) -> bytes:
        """The content of a file of at most 1 GiB, by a name that `find` gave or that is `in` the tree.

        Raises:
            DataError: there is no such file, or it is damaged, empty, encrypted, or larger than it says.
        """
        ...

    def where(self, name: str) -> str:
        """A file for messages: its path, or `archive.zip: name`."""
        ...

    def subset(self, names: Sequence[str]) -> Self:
        """These files alone: what a split takes to other processes, and need not look for again."""
        ...

    def fingerprint(self) -> str:
        """A cheap digest that changes when the archives do, over paths, sizes and times; empty where none can tell."""
        ...
