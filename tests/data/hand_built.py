"""Archives made byte by byte, so that they can lie. Field orders are those of PKWARE's APPNOTE.TXT."""

from __future__ import annotations

import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class ZipMember:
    """What is None is what is true."""

    name: bytes
    content: bytes = b""
    deflate: bool = False
    method: int | None = None
    flags: int = 0
    mode: int = stat.S_IFREG | 0o644
    size: int | None = None
    packed: int | None = None
    crc: int | None = None
    local_name: bytes | None = None
    at: int | None = None


def zip_bytes(members: Iterable[ZipMember], *, count: int | None = None, comment: bytes = b"") -> bytes:
    """`count`: how many the end record says there are."""
    body, directory, number = b"", b"", 0
    for member in members:
        engine = zlib.compressobj(9, zlib.DEFLATED, -15)
        data = engine.compress(member.content) + engine.flush() if member.deflate else member.content
        method = member.method if member.method is not None else 8 * member.deflate
        crc = zlib.crc32(member.content) if member.crc is None else member.crc
        size = len(member.content) if member.size is None else member.size
        packed = len(data) if member.packed is None else member.packed
        shared = struct.pack("<3H2H3L", 20, member.flags, method, 0, 33, crc, packed, size)
        at = len(body) if member.at is None else member.at
        local_name = member.name if member.local_name is None else member.local_name
        body += b"PK\3\4" + shared + struct.pack("<2H", len(local_name), 0) + local_name + data
        rest = struct.pack("<5H2L", len(member.name), 0, 0, 0, 0, member.mode << 16, at)
        directory += b"PK\1\2" + struct.pack("<H", 3 << 8 | 20) + shared + rest + member.name
        number += 1
    if count is None:
        count = number
    end = struct.pack("<4H2LH", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), len(directory), len(body), len(comment))
    if count <= 0xFFFF:
        return body + directory + b"PK\5\6" + end + comment
    end64 = struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    locator = struct.pack("<LQL", 0, len(body) + len(directory), 1)
    return body + directory + b"PK\6\6" + end64 + b"PK\6\7" + locator + b"PK\5\6" + end + comment


def tar_header(
    name: bytes, size: int | bytes = 0, *, kind: bytes = b"0", target: bytes = b"", magic: bytes = b"ustar\x0000"
) -> bytes:
    """One block. `size` as a number, or as its twelve bytes."""
    field = size if isinstance(size, bytes) else b"%011o\0" % size
    block = name.ljust(100, b"\0") + b"0000644\0" + b"0000000\0" * 2 + field + b"00000000000\0"
    block += b" " * 8 + kind + target.ljust(100, b"\0") + magic
    block = block.ljust(512, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def tar_member(name: bytes, content: bytes = b"", **options: bytes) -> bytes:
    return tar_header(name, len(content), **options) + content.ljust(-(-len(content) // 512) * 512, b"\0")


TAR_END = bytes(1024)


def pack_folder(folder: Path, archive: Path) -> Path:
    """All files of a folder in a .zip or .tar, by the standard library."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in files:
                packed.write(path, path.relative_to(folder))
    else:
        with tarfile.open(archive, "w") as packed_tar:
            for path in files:
                packed_tar.add(path, path.relative_to(folder))
    return archive
