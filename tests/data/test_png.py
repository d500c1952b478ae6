"""PNG files decoded without Pillow: the same samples as with it, and none where anything is out of the ordinary."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segrank.data.png import SIGNATURE, Colour, decode_png

ANY = tuple(Colour)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(size: tuple[int, int], filtered: bytes, *, depth: int = 8, colour: int = 2, interlaced: int = 0) -> bytes:
    """A PNG of (width, height) around rows that are filtered already."""
    header = struct.pack(">IIBBBBB", *size, depth, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes(range(256)) * 3) if colour == Colour.PALETTE else b""
    parts = zlib.compress(filtered)
    middle = len(parts) // 2
    data = chunk(b"IDAT", parts[:middle]) + chunk(b"IDAT", parts[middle:])
    return SIGNATURE + chunk(b"IHDR", header) + palette + data + chunk(b"IEND", b"")


def opened_by_pillow(content: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("colour", ANY)
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 40), (61, 50)])
def test_every_filter_is_undone_as_pillow_does(size: tuple[int, int], colour: Colour) -> None:
    width, height = size
    rng = np.random.default_rng(size)
    rows = rng.integers(0, 256, (height, 1 + width * (3 if colour == Colour.RGB else 1)), dtype=np.uint8)
    rows[:, 0] = rng.permutation(height) % 5
    content = png(size, rows.tobytes(), colour=colour)
    decoded = decode_png(content, ANY, 10**6)
    assert decoded is not None
    assert (decoded == opened_by_pillow(content)).all()


def test_only_what_is_wanted_is_decoded() -> None:
    content = png((2, 2), bytes(6), colour=Colour.GREY)
    assert decode_png(content, (Colour.RGB, Colour.PALETTE), 10**6) is None
    assert decode_png(content, (Colour.GREY,), 3) is None
    assert decode_png(content, (Colour.GREY,), 4) is not None


ROWS = bytes(2 * 7)  # of 2x2 RGB
GOOD = png((2, 2), ROWS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        SIGNATURE,
        b"GIF89a" + GOOD,
        GOOD[:-1],
        GOOD[:-12],
        GOOD[:40],
        GOOD[:44] + bytes([GOOD[44] ^ 1]) + GOOD[45:],
        png((2, 2), ROWS[:-1]),
        png((2, 2), ROWS + b"\0"),
        png((2, 2), b"\5" + ROWS[1:]),
        png((2, 2), ROWS, interlaced=1),
        png((2, 2), bytes(2 * 13), depth=16),
        png((2, 2), bytes(2 * 9), colour=6),
        png((2, 0), b""),
        GOOD[:33] + chunk(b"acTL", struct.pack(">II", 1, 0)) + GOOD[33:],
        GOOD[:8] + struct.pack(">I", 2**31) + GOOD[12:],
    ],
    ids=[
        "empty", "signature", "gif", "cut", "no-end", "cut-data", "checksum", "short", "surplus", "unknown-filter",
        "interlaced", "16-bit", "rgba", "no-rows", "animated", "long-chunk",
    ],
)  # fmt: skip
def test_what_is_out_of_the_ordinary_is_left_alone(content: bytes) -> None:
    assert decode_png(content, ANY, 10**6) is None


@pytest.mark.parametrize("seed", range(8))
def test_damage_never_gives_other_pixels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
    whole = io.BytesIO()
    Image.fromarray(pixels).save(whole, "PNG")
    for _ in range(50):
        content = bytearray(whole.getvalue())
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        decoded = decode_png(bytes(content), ANY, 10**6)
        assert decoded is None or (decoded == pixels).all()


@pytest.mark.shared
def test_real_label_files_are_read_as_pillow_reads_them(shared: Path) -> None:
    files = sorted((shared / "data/camvid").rglob("*.png"))[::60]
    assert files
    for file in files:
        content = file.read_bytes()
        decoded = decode_png(content, ANY, 10**6)
        assert decoded is not None
        assert (decoded == opened_by_pillow(content)).all()
