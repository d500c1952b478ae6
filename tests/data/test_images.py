"""Image and label files: every kind that may turn up is either read right or refused with file and reason."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segrank.data.images import read_bytes, read_image, read_label, read_rgb_label
from segrank.errors import DataError


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    content = io.BytesIO()
    image.save(content, format, **options)
    return content.getvalue()


def png(header: bytes, data: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds hardly any data."""
    return png(struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), bytes(64))


def few_bits(bits: int, row: int) -> bytes:
    """A grey PNG of one row, which is one byte."""
    return png(struct.pack(">IIBBBBB", 8 // bits, 1, bits, 0, 0, 0, 0), bytes([0, row]))


RED = Image.new("RGB", (5, 3), (200, 10, 30))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF"])
def test_lossless_rgb_is_read_exactly(format: str) -> None:
    pixels = np.arange(45, dtype=np.uint8).reshape(3, 5, 3)
    assert (read_image(encoded(Image.fromarray(pixels), format), "x") == pixels).all()


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_lossy_rgb_is_read_nearly(format: str) -> None:
    image = read_image(encoded(RED, format), "x")
    assert image.shape == (3, 5, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - (200, 10, 30)).max() < 20


@pytest.mark.parametrize(
    ("image", "colour"),
    [
        (Image.new("L", (5, 3), 77), (77, 77, 77)),
        (Image.new("1", (5, 3), 1), (255, 255, 255)),
        (Image.new("LA", (5, 3), (77, 0)), (77, 77, 77)),
        (Image.new("RGBA", (5, 3), (1, 2, 3, 0)), (1, 2, 3)),
        (RED.quantize(4), (200, 10, 30)),
    ],
    ids=["grey", "1-bit", "grey-alpha", "rgba", "palette"],
)
def test_other_modes_become_rgb(image: Image.Image, colour: tuple[int, int, int]) -> None:
    read = read_image(encoded(image, "PNG"), "x")
    assert read.shape == (3, 5, 3)
    assert (read == colour).all()


def opened_by_pillow(content: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 33), (101, 64)])
def test_jpeg_gives_the_pixels_that_pillow_gives(
    size: tuple[int, int], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    width, height = size
    y, x = np.mgrid[:height, :width]
    pixels = np.stack([127 + 120 * np.sin(x / 3), 127 + 120 * np.cos(y / 5 + x / 9), (x * y) % 256], axis=-1)
    image = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
    options = [
        {"subsampling": subsampling, "progressive": progressive, "quality": quality}
        for subsampling in ("4:4:4", "4:2:2", "4:2:0")
        for progressive in (False, True)
        for quality in (35, 95)
    ]
    files = [encoded(image, "JPEG", **option) for option in options]
    files.append(encoded(image, "JPEG", keep_rgb=mode == "RGB"))
    wanted = [opened_by_pillow(file) for file in files]
    monkeypatch.delattr(Image, "open")  # none of these needs it
    for file, pillow in zip(files, wanted, strict=True):
        assert (read_image(file, "x") == pillow).all()


@pytest.mark.shared
def test_photographs_have_the_pixels_that_pillow_gives(shared: Path) -> None:
    files = sorted((shared / "data/camvid/images").rglob("*.jpg"))[::50]
    assert files
    for file in files:
        assert (read_image(file) == opened_by_pillow(file.read_bytes())).all()


def test_what_libjpeg_only_warns_of_is_left_to_pillow() -> None:
    content = encoded(RED.resize((64, 64)), "JPEG")
    strewn = content[:-2] + b"\0\0\0" + content[-2:]  # bytes that belong to nothing
    assert (read_image(strewn, "x") == opened_by_pillow(strewn)).all()


def test_a_jpeg_of_very_many_scans_is_refused() -> None:
    content = encoded(RED.resize((64, 64)), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xda") : -2]  # a refinement, which may be given again
    assert read_image(content[:-2] + 400 * last + content[-2:], "x").shape == (64, 64, 3)
    with pytest.raises(DataError, match=r"x is a JPEG of 6\d\d scans"):
        read_image(content[:-2] + 600 * last + content[-2:], "x")


def test_a_palette_image_without_its_palette_is_refused() -> None:
    content = encoded(RED.quantize(4), "PNG", transparency=0)
    start = content.index(b"PLTE") - 4
    without = content[:start] + content[start + 12 + int.from_bytes(content[start : start + 4], "big") :]
    for read in (read_image, read_rgb_label):
        with pytest.raises(DataError, match=r"x has colours of mode P that cannot be read"):
            read(without, "x")


def test_cmyk_becomes_rgb() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow: red
    red, green, blue = read_image(encoded(cmyk, "JPEG"), "x")[8, 8]
    assert red > 240
    assert max(green, blue) < 15


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_image_is_refused_and_not_clipped(format: str) -> None:
    deep = Image.fromarray(np.full((3, 5), 3000, dtype=np.uint16))
    with pytest.raises(DataError, match=r"scan\.png is greyscale with more than 8 bits"):
        read_image(encoded(deep, format), "scan.png")


def test_exif_orientation_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # "turn by 90 degrees"
    assert read_image(encoded(RED, "JPEG", exif=exif), "x").shape == (3, 5, 3)


def test_one_pixel() -> None:
    assert read_image(encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG"), "x").tolist() == [[[9, 8, 7]]]


@pytest.mark.parametrize("side", [10_001, 60_000])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_bomb_is_refused_by_its_header(side: int) -> None:
    with pytest.raises(DataError, match=r"bomb\.png .*\n?.*at most 100000000 pixels"):
        read_image(png_header(side, side), "bomb.png")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"<!DOCTYPE html><html>404</html>",
            r"not an image of a known format; it begins with b'<!DOCTYPE ht'",
        ),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of a known format"),
        (b"\x89PNG\r\n\x1a\n", "damaged|not an image"),
        (encoded(RED.resize((200, 200)), "JPEG")[:-200], "damaged or cut short"),
        (encoded(Image.effect_noise((90, 90), 80), "PNG")[:3000], "damaged or cut short"),
        (png_header(50, 50), "damaged or cut short"),
        (encoded(RED, "TIFF", save_all=True, append_images=[RED]), "several frames"),
    ],
    ids=["html", "eps", "signature-only", "cut-jpeg", "cut-png", "short-png", "two-pages"],
)
def test_what_is_no_whole_image_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"x\.png.*({reason})"):
        read_image(path)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_cut_mask_is_refused(mode: str) -> None:
    noise = Image.effect_noise((90, 90), 80).convert(mode)
    read = read_label if mode == "L" else read_rgb_label
    with pytest.raises(DataError, match=r"m\.png is damaged or cut short"):
        read(encoded(noise, "PNG")[:3000], "m.png")
    with pytest.raises(DataError, match=r"m\.png is not an image of a known format"):
        read(b"<html>", "m.png")


def test_what_is_no_readable_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    reasons = {
        "empty.png": r"is empty \(0 bytes\)",
        "folder.png": "is a folder",
        "pipe.png": "is a device or pipe",
        "loop.png": "cannot be read: .*symbolic links",
        "gone.png": "cannot be read: No such file",
    }
    for name, reason in reasons.items():
        with pytest.raises(DataError, match=f"{name} {reason}"):
            read_bytes(tmp_path / name)


def test_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "secret.png"
    path.write_bytes(encoded(RED, "PNG"))

    def refuse(_: Path) -> bytes:  # chmod would not stop a superuser, as who tests in containers run
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(DataError, match=r"secret\.png cannot be read: Permission denied"):
        read_image(path)


def test_ids_are_read_as_they_stand_in_the_file() -> None:
    ids = np.array([[0, 7], [200, 255]], dtype=np.uint8)
    assert read_label(encoded(Image.fromarray(ids), "PNG"), "x").tolist() == ids.tolist()
    palette = Image.fromarray(ids)
    palette.putpalette([9, 9, 9] * 256)  # equal colours: only the indices tell
    assert read_label(encoded(palette, "PNG"), "x").tolist() == ids.tolist()
    assert read_label(encoded(Image.fromarray(ids > 100), "PNG"), "x").tolist() == [[0, 0], [1, 1]]
    for bits, row, ids_of_few_bits in ((2, 0b00_01_10_11, [0, 1, 2, 3]), (4, 0x1F, [1, 15])):
        assert read_label(few_bits(bits, row), "x").tolist() == [ids_of_few_bits]
    deep = np.array([[0, 26_001]], dtype=np.uint16)
    for format in ("PNG", "TIFF"):
        read = read_label(encoded(Image.fromarray(deep), format), "x")
        assert read.dtype == np.uint16
        assert read.tolist() == [[0, 26_001]]
    wide = Image.fromarray(np.array([[70_000, -1]], dtype=np.int32))
    assert read_label(encoded(wide, "TIFF"), "x").tolist() == [[70_000, -1]]


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_lossy_mask_is_refused(format: str) -> None:
    content = encoded(Image.new("L", (8, 8), 3), format)
    for read in (read_label, read_rgb_label):
        with pytest.raises(DataError, match=rf"m\.png is a mask saved as {format}.*\n.*lossless"):
            read(content, "m.png")


def test_colour_mask_needs_declared_colours() -> None:
    content = encoded(RED, "PNG")
    with pytest.raises(DataError, match=r"(?s)m\.png is a mask of mode RGB.*`colours`"):
        read_label(content, "m.png")
    assert (read_rgb_label(content, "m.png") == (200, 10, 30)).all()
    with pytest.raises(DataError, match=r"(?s)m\.png is a mask of mode L.*`ids`"):
        read_rgb_label(encoded(Image.new("L", (2, 2)), "PNG"), "m.png")


def test_a_strip_is_refused_as_an_image(tmp_path: Path) -> None:
    for side, fits in ((100, True), (101, False)):
        Image.new("RGB", (side, 1)).save(tmp_path / "strip.png")
        if fits:
            assert read_image(tmp_path / "strip.png").shape == (1, side, 3)
        else:
            with pytest.raises(DataError, match="101x1 pixels"):
                read_image(tmp_path / "strip.png")


def test_a_tiff_mask_in_which_0_is_white_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 7]], np.uint8)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    with pytest.raises(DataError, match="0 is white"):
        read_label(tmp_path / "a.tif")
