"""An archive's bytes, by where they lie."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path

from segrank.data.globs import shown
from segrank.errors import DataError

END = 64 * 1024
"""Bytes at the end of an archive that tell it from another: in a zip they list the last few hundred members."""


class ArchiveFile:
    """Reads at offsets: no position that threads or processes would share, and so no lock.

    The file is opened at the first read in each process, and closed when nobody holds this any more.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def place(self) -> str:
        """For messages."""
        return shown(str(self.path))

    @cached_property
    def _descriptor(self) -> _Descriptor:
        return _Descriptor(self.path)

    def __reduce__(self) -> tuple[type[ArchiveFile], tuple[Path]]:
        return ArchiveFile, (self.path,)

    def read(self, at: int, count: int) -> bytes:
        """`count` bytes from `at` on, or what there is of them.

        Raises:
            DataError: the disk does not give them.
        """
        try:
            # Held until it was read: another thread may have opened the file too and put its own in this one's place.
            descriptor = self._descriptor
            return os.pread(descriptor.number, count, at)
        except OSError as error:
            raise DataError(f"{self.place} cannot be read: {error.strerror or error}") from error

    @property
    def size(self) -> int:
        """Bytes.

        Raises:
            DataError: there is no such file.
        """
        return self._status().st_size

    def fingerprint(self) -> str:
        """A digest over path, size, time of change and the archive's end. Reads 64 KiB."""
        status = self._status()
        end = self.read(max(0, status.st_size - END), END)
        about = f"{self.path}\0{status.st_size}\0{status.st_mtime_ns}\0".encode("utf-8", "surrogateescape")
        return hashlib.sha256(about + end).hexdigest()

    def _status(self) -> os.stat_result:
        try:
            descriptor = self._descriptor
            return os.fstat(descriptor.number)
        except OSError as error:
            raise DataError(f"{self.place} cannot be read: {error.strerror or error}") from error


class _Descriptor:
    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)
