"""Zip archives: the directory at the end, and one member at a time.

The standard library's `zipfile` takes three times as long for a directory of 44,420 members, and bounds nothing that
it reads of one. Layouts are those of PKWARE's APPNOTE.TXT 6.3.10, by its section numbers.
"""

from __future__ import annotations

import stat
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

from segrank.data.archive_file import ArchiveFile
from segrank.data.images import MAX_FILE_BYTES
from segrank.data.members import MAX_MEMBERS, MAX_NAME, ROW, Collector, Member, Members
from segrank.errors import DataError

MAGIC = b"PK\x03\x04", b"PK\x05\x06"
"""Of an archive, and of an empty one."""

MAX_DIRECTORY_BYTES = 2**29
MAX_DEFLATE = 1032
"""Times that deflate can shrink anything (zlib's technical details): a member that claims more is lying."""

_STORED, _DEFLATED = 0, 8
_METHODS = {1: "shrunk", 6: "imploded", 9: "deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_UTF8, _ENCRYPTED = 1 << 11, 1 << 0 | 1 << 6 | 1 << 13

_END = struct.Struct("<4s4H2LH")  # 4.3.16
_END64 = struct.Struct("<4sQ2H2L4Q")  # 4.3.14
_LOCATOR64 = struct.Struct("<4sLQL")  # 4.3.15
_ENTRY = np.dtype(  # 4.3.12
    [("signature", "S4"), ("made_by", "<u2"), ("needed", "<u2"), ("flags", "<u2"), ("method", "<u2"), ("time", "<u4"),
     ("check", "<u4"), ("packed", "<u4"), ("size", "<u4"), ("name_length", "<u2"), ("extra_length", "<u2"),
     ("comment_length", "<u2"), ("disk", "<u2"), ("text", "<u2"), ("attributes", "<u4"), ("at", "<u4")]
)  # fmt: skip
_SIGNATURE = b"PK\x01\x02"
_LOCAL = struct.Struct("<4s5H3L2H")  # 4.3.7


def list_zip(file: ArchiveFile) -> Members:
    """Read the directory.

    Raises:
        DataError: it is damaged, too large, or names something dangerous.
    """
    directory, count = _directory(file)
    collect = Collector(file.place, file.size)
    if not count:
        return collect.members()
    starts, entries = _entries(file, directory, count)
    extras = starts + _ENTRY.itemsize + entries["name_length"]
    raw = [
        directory[end - length : end]
        for end, length in zip(extras.tolist(), entries["name_length"].tolist(), strict=True)
    ]
    names = [_decode(file, name, flags) for name, flags in zip(raw, entries["flags"].tolist(), strict=True)]
    names = collect.clean_all(names)
    rows = np.zeros(count, dtype=ROW)
    for column in ("at", "packed", "size", "check", "method"):
        rows[column] = entries[column]
    # made on Unix: the upper half of the attributes is its st_mode
    kinds = np.where(entries["made_by"] >> 8 == 3, entries["attributes"] >> 16 & 0o170000, 0)
    files = np.array([name != "" and not end.endswith(b"/") for name, end in zip(names, raw, strict=True)])
    unusual = _unusual(rows, entries["flags"], kinds, file.size)
    usual_places = np.flatnonzero(files & ~unusual)
    collect.add_all([names[place] for place in usual_places.tolist()], rows[usual_places])
    for place in np.flatnonzero(files & unusual).tolist():
        member, name, kind = Member(*rows[place].item()), names[place], int(kinds[place])
        if 0xFFFFFFFF in (member.at, member.packed, member.size):
            extra = directory[extras[place] : extras[place] + int(entries["extra_length"][place])]
            member = _large(file, extra, member)
        if problem := _problem(member, int(entries["flags"][place]), kind):
            collect.refuse(name, problem)
        elif kind == stat.S_IFLNK:
            target = read_zip_member(file, name, member) if 0 < member.size <= MAX_NAME else b"/"
            collect.link(name, target.decode("utf-8", "replace"))
        else:
            collect.add(name, member)
    return collect.members()


def _unusual(
    rows: NDArray[np.void], flags: NDArray[np.uint16], kinds: NDArray[np.uint32], bytes_there: int
) -> NDArray[np.bool_]:
    """What needs a closer look: all that `_problem` or `Collector.add` would refuse, links, and ZIP64 entries."""
    stored, deflated = rows["method"] == _STORED, rows["method"] == _DEFLATED
    unusual: NDArray[np.bool_] = (
        (flags & _ENCRYPTED != 0)
        | ((kinds != 0) & (kinds != stat.S_IFREG))
        | ~(deflated | (stored & (rows["packed"] == rows["size"])))
        | (rows["size"] > np.minimum(MAX_DEFLATE * rows["packed"], MAX_FILE_BYTES))
        | (rows["packed"] > MAX_FILE_BYTES)
        | (rows["at"] + rows["packed"] > bytes_there)
        | (rows["at"] == 0xFFFFFFFF)
    )
    return unusual


def _entries(file: ArchiveFile, directory: bytes, count: int) -> tuple[NDArray[np.int64], NDArray[np.void]]:
    """Where each entry of the directory starts, and its fixed part."""
    starts = np.empty(count, np.int64)
    position = 0
    lengths = struct.Struct("<3H").unpack_from
    try:
        for place in range(count):
            starts[place] = position
            name, extra, comment = lengths(directory, position + 28)
            position += _ENTRY.itemsize + name + extra + comment
    except struct.error:
        position = len(directory) + 1
    if position > len(directory):
        raise _damaged(file, "its directory ends early")
    # 16 bits count to 65,535, and some archivers go on from 0 instead of writing ZIP64
    if directory[position : position + 4] == _SIGNATURE:
        raise _damaged(file, f"its directory goes on after the {count} files that it says", fix="pack it again")
    windows = np.lib.stride_tricks.sliding_window_view(np.frombuffer(directory, np.uint8), _ENTRY.itemsize)
    entries: NDArray[np.void] = windows[starts].view(_ENTRY)[:, 0]
    if (entries["signature"] != _SIGNATURE).any():
        raise _damaged(file, "its directory is not one")
    return starts, entries


def read_zip_member(file: ArchiveFile, name: str, member: Member) -> bytes:
    """The content of a member, inflated to the size that the directory states and checked by CRC-32.

    Raises:
        DataError: it is not what the directory says.
    """
    # header and content in one read: longer names or extra fields are rare
    guess = _LOCAL.size + 3 * len(name) + 64
    block = file.read(member.at, guess + member.packed)
    if len(block) < _LOCAL.size:
        raise _bad(file, name, "is cut short")
    signature, _, flags, _, _, _, _, _, _, name_length, extra_length = _LOCAL.unpack_from(block)
    raw = block[_LOCAL.size : _LOCAL.size + name_length]
    if signature != b"PK\x03\x04" or _decode(file, raw, flags).removeprefix("./") != name:
        raise _bad(file, name, "is not where the archive's directory says")
    start = _LOCAL.size + name_length + extra_length
    end = start + member.packed
    if end > len(block):
        block += file.read(member.at + len(block), end - len(block))
    if end > len(block):
        raise _bad(file, name, "is cut short")
    content = memoryview(block)[start:end]
    unpacked = bytes(content) if member.method == _STORED else _inflate(file, name, content, member.size)
    if zlib.crc32(unpacked) != member.check:
        raise _bad(file, name, "is damaged: its CRC-32 is wrong")
    return unpacked


def _inflate(file: ArchiveFile, name: str, content: memoryview, size: int) -> bytes:
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        # room for one byte more, so that a content that goes on is told from one that ends
        unpacked = engine.decompress(content, size + 1)
    except zlib.error as error:
        raise _bad(file, name, f"is damaged: {error}") from error
    if len(unpacked) != size or not engine.eof:
        raise _bad(file, name, f"does not unpack to the {size} bytes that it says")
    return unpacked


def _directory(file: ArchiveFile) -> tuple[bytes, int]:
    """The directory, and the number of its entries."""
    size = file.size
    before = max(0, size - _END.size - 0xFFFF - _LOCATOR64.size)
    tail = file.read(before, size - before)
    found = tail.rfind(b"PK\x05\x06")
    while found >= 0:  # the signature may stand in the comment too: the right one's comment ends with the file
        if found + _END.size <= len(tail) and found + _END.size + _END.unpack_from(tail, found)[-1] == len(tail):
            break
        found = tail.rfind(b"PK\x05\x06", 0, found)
    else:
        raise _damaged(file, "it has no directory at its end")
    _, disk, first_disk, _, count, length, start, _ = _END.unpack_from(tail, found)
    end = before + found
    locator = found - _LOCATOR64.size
    if locator >= 0 and tail[locator : locator + 4] == b"PK\x06\x07":
        end = _LOCATOR64.unpack_from(tail, locator)[2]
        record = file.read(end, _END64.size)
        if len(record) < _END64.size or record[:4] != b"PK\x06\x06":
            raise _damaged(file, "its ZIP64 end record is not where it says")
        _, _, _, _, disk, first_disk, _, count, length, start = _END64.unpack(record)
    if disk or first_disk:
        raise _damaged(file, "it is one of several volumes", fix="join them: `zip -s 0 volumes.zip --out whole.zip`")
    if count > MAX_MEMBERS or length > MAX_DIRECTORY_BYTES:
        raise DataError(
            f"{file.place} says it holds {count} files in a directory of {length} bytes",
            wanted=f"at most {MAX_MEMBERS} files and {MAX_DIRECTORY_BYTES} bytes",
        )
    if start + length > end or count * _ENTRY.itemsize > length:
        raise _damaged(file, "its directory is not where it says")
    return file.read(start, length), count


def _large(file: ArchiveFile, extra: bytes, member: Member) -> Member:
    """With those of size, packed size and offset that do not fit 32 bits, from an extra field (4.5.3)."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            body = extra[position + 4 : position + 4 + length]
            wide = iter(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
            # a value that is not there stays at its 4 GiB: no file is so large, and none is found so far on
            values = {
                field: next(wide, 0xFFFFFFFF)
                for field in ("size", "packed", "at")
                if getattr(member, field) == 0xFFFFFFFF
            }
            return member._replace(**values)
        position += 4 + length
    raise _damaged(file, "a ZIP64 field is missing in its directory")


def _problem(member: Member, flags: int, kind: int) -> str:
    """Why a member cannot be read, as far as the directory tells; empty if it can."""
    if flags & _ENCRYPTED:
        return "is encrypted"
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
        return "is a device or pipe"
    if member.method not in (_STORED, _DEFLATED):
        return f"is compressed in a way that is not read ({_METHODS.get(member.method, f'method {member.method}')})"
    if member.method == _STORED and member.packed != member.size:
        return f"says it has {member.size} bytes, and has {member.packed}"
    if member.size > MAX_DEFLATE * member.packed:
        return f"says that {member.packed} bytes unpack to {member.size}, which cannot be"
    return ""


def _decode(file: ArchiveFile, raw: bytes, flags: int) -> str:
    try:
        return raw.decode("utf-8" if flags & _UTF8 or raw.isascii() else "cp437")
    except UnicodeDecodeError as error:
        raise _damaged(file, f"it has a name that is not UTF-8: {raw[:80]!r}") from error


def _damaged(file: ArchiveFile, reason: str, fix: str = "download it again") -> DataError:
    return DataError(f"{file.place} is damaged or cut short: {reason}", wanted="a whole zip archive", fix=fix)


def _bad(file: ArchiveFile, name: str, reason: str) -> DataError:
    return DataError(f"{file.place}: {name} {reason}", wanted="a whole file", fix="download the archive again")
