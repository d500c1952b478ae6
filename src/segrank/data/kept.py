"""What was learnt from an archive, kept on disk: a later start neither opens the archive's directory nor pairs names.

    CACHE/splits/<key>     CACHE as `cache_folder` has it

A check sum, a line of JSON, then names and rows as they stand in memory. The key is a digest over the definition and
the archives' fingerprints, so what is out of date is not found; and what is read through it is checked against the
archive all the same. The folder may be deleted at any time. Without it, or where it cannot be written, all works.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segrank.data.archive import ArchiveTree, Contents
from segrank.data.cache_folder import cache_folder
from segrank.data.lines import Lines
from segrank.data.listing import Pairs
from segrank.data.members import ROW, Members
from segrank.files import write_whole

_CHECK_BYTES = 8
"""CRC-32 of all that follows, in hex."""

FORMAT = 1
"""To be raised whenever names are paired or kept in another way."""


@dataclass(frozen=True)
class KeptSplit:
    """A split as it was found."""

    digest: str
    left_out: tuple[str, ...]
    """Files without a partner, in words."""
    pairs: Pairs
    archives: tuple[ArchiveTree, ...]
    """They know the split's files alone."""


def load(key: str) -> KeptSplit | None:
    """What was kept under a key; None if there is nothing, or it is damaged."""
    try:
        content = (cache_folder("splits") / key).read_bytes()
        view = memoryview(content)
        if zlib.crc32(view[_CHECK_BYTES:]) != int(content[:_CHECK_BYTES], 16):
            return None
        start = content.index(b"\n", _CHECK_BYTES) + 1
        about = json.loads(content[_CHECK_BYTES:start])
        blobs = []
        for length in about["lengths"]:
            blobs.append(view[start : start + length])
            start += length
        pairs = Pairs(_lines(blobs[0]), _lines(blobs[1]))
        archives = tuple(
            ArchiveTree(
                Path(path),
                Contents(kind, Members(_lines(names) if names else pairs.files, np.frombuffer(rows, dtype=ROW))),
            )
            for (path, kind), names, rows in zip(about["archives"], blobs[2::2], blobs[3::2], strict=True)
        )
        return KeptSplit(about["digest"], tuple(about["left_out"]), pairs, archives)
    except (OSError, RuntimeError, ValueError, KeyError, TypeError):
        return None


def keep(key: str, split: KeptSplit) -> None:
    """Keep a split under a key, if the disk takes it. Several processes may do so at once."""
    blobs = [_bytes(split.pairs.names.text), _bytes(split.pairs.files.text)]
    for archive in split.archives:
        members = archive.contents.members
        # a single archive has the pairs' own files
        names = "" if members.names is split.pairs.files else members.names.text
        blobs += [_bytes(names), members.rows.tobytes()]
    about = {
        "digest": split.digest,
        "left_out": split.left_out,
        "archives": [[str(archive.path), archive.contents.kind] for archive in split.archives],
        "lengths": [len(blob) for blob in blobs],
    }
    content = b"".join([json.dumps(about).encode(), b"\n", *blobs])
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_folder("splits")
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / key, f"{zlib.crc32(content):08x}".encode() + content)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")  # a tar may hold names that are not UTF-8


def _lines(text: memoryview) -> Lines:
    return Lines(str(text, "utf-8", "surrogateescape"))
