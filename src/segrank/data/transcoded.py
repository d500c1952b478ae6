"""Images decoded once and kept as plain pixels, for datasets of large PNG files, whose decoding takes most of the time
that a training sample takes.

    CACHE/images/<of the split's digest>/<of the file's name>.rgb     CACHE as `cache_folder` has it

Each file stands for itself: a header, then the pixels as they lie in memory (6.3 MB for 2048x1024). The header says
which file of which split it was made from, how many bytes that had, and the pixels' check sum. What is out of date,
cut short or damaged in any other way is not used: the image is then decoded as if nothing were kept. So files may be
missing, and making them may stop and go on. The folder may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import deflate
import numpy as np
from numpy.typing import NDArray

from segrank.data.cache_folder import cache_folder
from segrank.data.images import MAX_PIXELS, is_png, read_image
from segrank.data.tree import Tree
from segrank.errors import DataError
from segrank.files import write_whole

_HEADER = struct.Struct("<8s32sQIII")
"""Magic and version; origin; bytes of the original; height, width; CRC-32 of the pixels."""
_MAGIC = b"segrgb\0\1"
_SPARE_BYTES = 2**30
"""To be left on the disk."""


@dataclass(frozen=True)
class Transcoded:
    """The decoded images of one split, as far as there are any."""

    folder: Path
    """Of this split alone."""
    digest: str
    """The split's."""

    @classmethod
    def of(cls, folder: Path, digest: str) -> Transcoded:
        """Those of a split in a folder that several may share."""
        return cls(folder / digest.rpartition(":")[2][:32], digest)

    @classmethod
    def kept(cls, digest: Callable[[], str]) -> Transcoded | None:
        """Those of a split, if anybody had them made. Where nobody had any made, its digest is not asked for."""
        with contextlib.suppress(RuntimeError):
            folder = cache_folder("images")
            if folder.is_dir() and (kept := cls.of(folder, digest())).folder.is_dir():
                return kept
        return None

    def read(self, name: str, original_bytes: int) -> NDArray[np.uint8] | None:
        """The image of a file as (height, width, 3); none unless it is here, whole and of this very file.

        Args:
            name: as the split's tree has it.
            original_bytes: the file's size now.
        """
        try:
            with self._path(name).open("rb", buffering=0) as file:
                header = file.read(_HEADER.size)
                if len(header) != _HEADER.size:
                    return None
                magic, origin, size, height, width, checksum = _HEADER.unpack(header)
                if (magic, origin, size) != (_MAGIC, self._origin(name), original_bytes):
                    return None
                if not 0 < height * width <= MAX_PIXELS:
                    return None
                pixels = np.empty((height, width, 3), np.uint8)
                if file.readinto(pixels.data.cast("B")) != pixels.nbytes or deflate.crc32(pixels) != checksum:
                    return None
        except OSError:
            return None
        return pixels

    def write(self, name: str, original_bytes: int, pixels: NDArray[np.uint8]) -> None:
        """Keep an image, whole or not at all.

        Raises:
            OSError: the disk does not take it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        height, width, _ = pixels.shape
        checksum = deflate.crc32(pixels)
        header = _HEADER.pack(_MAGIC, self._origin(name), original_bytes, height, width, checksum)
        write_whole(self._path(name), header + pixels.tobytes())

    def _path(self, name: str) -> Path:
        return self.folder / f"{self._origin(name).hex()[:32]}.rgb"

    def _origin(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.digest}\n{name}".encode(errors="surrogateescape")).digest()


def transcode(
    tree: Tree,
    names: Sequence[str],
    kept: Transcoded,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Decode and keep the images of a split that are not kept yet.

    Only PNG files are. JPEG decodes nearly as fast as pixels are read. And where nothing is compressed, as in BMP, a
    file of other pixels would have the same size, and could not be told from the one that was decoded.

    Args:
        tree: with the split's files.
        names: its images.
        kept: where to.
        progress: called after each image with the number done and the number of all.

    Returns:
        The images that were decoded.

    Raises:
        DataError: an image is damaged, or the disk has no room or cannot be written to.
    """
    made = 0
    for done, name in enumerate(names, 1):
        if kept.read(name, tree.size(name)) is None:
            content = tree.read(name)
            if is_png(content):
                pixels = read_image(content, tree.where(name))
                if not made:
                    _check_room(kept.folder, (len(names) - done + 1) * pixels.nbytes)
                try:
                    kept.write(name, len(content), pixels)
                except OSError as error:
                    raise DataError(
                        f"{kept.folder} cannot be written to: {error.strerror or error}",
                        fix="free some space, or choose another folder; what is there already will be used",
                    ) from error
                made += 1
        progress(done, len(names))
    return made


def _check_room(folder: Path, wanted_bytes: int) -> None:
    """Images of a dataset are of about one size, so that the first one tells enough."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < wanted_bytes + _SPARE_BYTES:
        raise DataError(
            f"{there} has {free / 2**30:.1f} GiB left",
            wanted=f"{(wanted_bytes + _SPARE_BYTES) / 2**30:.1f} GiB: the decoded images, and 1 GiB to spare",
            fix="free some space, or choose another folder",
        )
