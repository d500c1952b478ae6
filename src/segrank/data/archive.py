"""A zip or tar archive as a tree of files, read without unpacking."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from segrank.data.archive_file import ArchiveFile
from segrank.data.globs import expression, is_hidden, literal_start, shown
from segrank.data.members import Members
from segrank.data.tar_archive import BLOCK, is_header, list_tar, read_tar_member
from segrank.data.zip_archive import MAGIC, list_zip, read_zip_member
from segrank.errors import DataError

_READERS = {"zip": (list_zip, read_zip_member), "tar": (list_tar, read_tar_member)}

_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "XZ", b"\x28\xb5\x2f\xfd": "Zstandard"}


class Contents(NamedTuple):
    """What an archive turned out to be."""

    kind: str
    """`zip` or `tar`, by its content: its name may say otherwise."""
    members: Members


class ArchiveTree:
    """The files of one archive, which is opened when the first is asked for. No link in it is followed."""

    def __init__(self, path: Path, known: Contents | None = None) -> None:
        """`known`: what is in it, from an earlier look; only these files are then there."""
        self.path = path.absolute()
        self._known = known
        self._file = ArchiveFile(self.path)

    def __reduce__(self) -> tuple[type[ArchiveTree], tuple[Path, Contents | None]]:
        return ArchiveTree, (self.path, self._known)

    @cached_property
    def contents(self) -> Contents:
        """Raises DataError if it is no archive, or not a safe one."""
        if self._known is not None:
            return self._known
        kind = _kind(self._file)
        return Contents(kind, _READERS[kind][0](self._file))

    @property
    def place(self) -> str:
        return shown(str(self.path))

    def find(self, pattern: str) -> Sequence[str]:
        matches, start = expression(pattern).fullmatch, literal_start(pattern)
        members = self.contents.members
        for name, reason in members.refused.items():
            if matches(name) and not is_hidden(name):
                raise self._refusal(name, reason)
        return [name for name in members.names if name.startswith(start) and matches(name) and not is_hidden(name)]

    def __contains__(self, name: str) -> bool:
        members = self.contents.members
        if name in members.refused:
            raise self._refusal(name, members.refused[name])
        return name in members

    def size(self, name: str) -> int:
        return self.contents.members.size(name)

    def read(self, name: str) -> bytes:
        if name not in self:
            raise DataError(f"{self.where(name)} cannot be read: No such file in the archive")
        kind, members = self.contents
        member = members[name]
        if not member.size:
            raise DataError(f"{self.where(name)} is empty (0 bytes)", wanted="a file with content")
        return _READERS[kind][1](self._file, name, member)

    def where(self, name: str) -> str:
        return f"{self.place}: {shown(name)}"

    def subset(self, names: Sequence[str]) -> ArchiveTree:
        kind, members = self.contents
        return ArchiveTree(self.path, Contents(kind, members.subset(names)))

    def fingerprint(self) -> str:
        return self._file.fingerprint()

    def _refusal(self, name: str, reason: str) -> DataError:
        return DataError(
            f"{self.where(name)} {reason}",
            wanted="a plain file, as it is or deflated",
            fix="pack the archive again from plain files (tar --dereference, or zip without a password)",
        )


def _kind(file: ArchiveFile) -> str:
    start = file.read(0, BLOCK)
    if is_header(start):
        return "tar"
    if start.startswith(MAGIC):
        return "zip"
    wanted = "a .zip, or a .tar that is not compressed"
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise DataError(
                f"{file.place} is compressed as a whole ({name}): no file in it can be found without unpacking all",
                wanted=wanted,
                fix="unpack it and use the folder, or decompress it to a .tar",
            )
    if not start:
        raise DataError(f"{file.place} is empty (0 bytes)", wanted=wanted, fix="download it again")
    raise DataError(
        f"{file.place} is no archive; it begins with {start[:12]!r}", wanted=wanted, fix="download it again"
    )
