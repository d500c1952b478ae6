"""Images and label files, and nothing about them taken on trust.

The usual kinds are decoded by faster means to the same pixels: JPEG by simplejpeg, 8-bit PNG by `segrank.data.png`.
Both are strict. Whatever they do not take goes to Pillow, which has the last word on what can be read.

What Pillow would do silently is decided here:

- Only JPEG, PNG, BMP, TIFF and WEBP are opened, whatever the file is called.
- The size in the header is checked before pixels are decoded. Pillow itself only warns.
- EXIF orientation is not applied. Masks carry none, so turning the image would part it from its mask. Images
  whose masks were drawn on the turned image have to be turned on disk. (TIFF's own orientation tag belongs to
  that format; Pillow applies it to images and masks alike.)
- Alpha is dropped, not blended: there is no background to blend with.
- Greyscale of more than 8 bits is refused as an image: its range (10, 12, 16 bits?) is not in the file.
- A mask is never read from JPEG or WEBP: both may change ids.

Readers take a path, or bytes with a name for messages, and raise DataError with that name and the reason.
No global state of Pillow or `warnings` is touched, so threads and processes may read at once.
"""

from __future__ import annotations

import io
import stat
from pathlib import Path

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from segrank.data.globs import shown
from segrank.errors import DataError

MAX_PIXELS = 100_000_000
"""Of one image. 1e8 pixels are 300 MB as RGB."""
MAX_RATIO = 100
"""Of an image's sides. An evaluation enlarges an image until its shorter side covers the crop."""
MAX_FILE_BYTES = 2**30
"""Of one image file."""
MAX_SCANS = 500
"""Of one JPEG. Each goes over all pixels, however few bytes it has; a progressive file has about ten."""

IMAGE_FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
LABEL_FORMATS = ("PNG", "BMP", "TIFF")

_SPREAD = {"L;2": 255 // 3, "L;4": 255 // 15}
"""By what Pillow multiplies greys of few bits, to spread them over 0 to 255."""

RawIds = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.int32]


def read_bytes(path: Path) -> bytes:
    """The content of a regular, non-empty file of at most 1 GiB."""
    try:
        status = path.stat()
        # Anything else first: opening a FIFO would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
            raise DataError(f"{shown(str(path))} is a {kind}", wanted="a file")
        if status.st_size > MAX_FILE_BYTES:
            raise DataError(f"{shown(str(path))} has {status.st_size} bytes", wanted=f"at most {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{shown(str(path))} cannot be read: {error.strerror or error}") from error
    if not content:
        raise DataError(f"{shown(str(path))} is empty (0 bytes)", wanted="an image file")
    return content


def read_image(source: Path | bytes, name: str = "") -> NDArray[np.uint8]:
    """An image as (height, width, 3) uint8 RGB, in the orientation in which its pixels are stored."""
    content, name = _content(source, name)
    if is_jpeg(content) and (scans := content.count(b"\xff\xda")) > MAX_SCANS:
        raise DataError(
            f"{name} is a JPEG of {scans} scans", wanted=f"at most {MAX_SCANS}", fix="save it again, not progressive"
        )
    pixels = _jpeg(content) if is_jpeg(content) else _png(content, "RGB")
    if pixels is None:
        pixels = _any_image(content, name)
    height, width, _ = pixels.shape
    if max(height, width) > MAX_RATIO * min(height, width):
        raise DataError(
            f"{name} has {width}x{height} pixels",
            wanted=f"sides of which one is at most {MAX_RATIO} times the other",
            fix="cut it into tiles",
        )
    return pixels


def _any_image(content: bytes, name: str) -> NDArray[np.uint8]:
    image = _open(content, name, IMAGE_FORMATS)
    if image.mode.startswith("I") or image.mode == "F":
        raise DataError(
            f"{name} is greyscale with more than 8 bits per pixel (mode {image.mode})",
            wanted="8 bits per channel: the range in use is not in the file",
            fix="scale it to 8 bits yourself, once, and save it as PNG",
        )
    return _rgb(image, name)


def read_label(source: Path | bytes, name: str = "") -> RawIds:
    """A mask's raw ids as (height, width): grey values or palette indices, as they stand in the file.

    A mask of 1, 2 or 4 bits gives 0 to 1, 3 or 15. The type is the file's: uint8, uint16 or int32.
    """
    content, name = _content(source, name)
    ids = _png(content, "GREY", "PALETTE")
    if ids is not None:
        return ids
    image = _open(content, name, LABEL_FORMATS)
    if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
        raise DataError(
            f"{name} is a mask of mode {image.mode}",
            wanted="one id per pixel: greyscale of 8 or 16 bits, or a palette",
            fix="if the classes are told apart by colour, list them under `colours` in its YAML file",
        )
    if image.format == "TIFF" and image.tag_v2.get(262) == 0:  # type: ignore[attr-defined]
        raise DataError(
            f"{name} is a TIFF in which 0 is white",
            wanted="ids as they are: readers turn such files over",
            fix="save the mask as PNG",
        )
    tiles = getattr(image, "tile", None)  # gone once it is decoded
    arguments = tiles[0].args if tiles else ""
    stored_as = arguments[0] if isinstance(arguments, tuple) else arguments
    array = np.array(_decoded(image, name))
    if array.dtype.itemsize == 1:
        return array.astype(np.uint8, copy=False) // np.uint8(_SPREAD.get(stored_as, 1))
    if array.dtype.itemsize == 2:  # of either byte order
        return array.astype(np.uint16, copy=False)
    return array.astype(np.int32, copy=False)


def read_rgb_label(source: Path | bytes, name: str = "") -> NDArray[np.uint8]:
    """A mask whose classes are colours, as (height, width, 3) uint8 RGB."""
    content, name = _content(source, name)
    pixels = _png(content, "RGB")
    if pixels is not None:
        return pixels
    image = _open(content, name, LABEL_FORMATS)
    if image.mode not in ("RGB", "RGBA", "P"):
        raise DataError(
            f"{name} is a mask of mode {image.mode}",
            wanted="a colour mask (RGB, or a palette), because the dataset lists `colours`",
            fix="for a mask of ids use `ids` instead of `colours` in the dataset's YAML file",
        )
    return _rgb(image, name)


def is_jpeg(content: bytes) -> bool:
    """By its signature, which says nothing about the rest."""
    return content.startswith(b"\xff\xd8\xff")


def is_png(content: bytes) -> bool:
    """Likewise."""
    return content.startswith(b"\x89PNG\r\n\x1a\n")


def _content(source: Path | bytes, name: str) -> tuple[bytes, str]:
    return (read_bytes(source), shown(str(source))) if isinstance(source, Path) else (source, name)


def _jpeg(content: bytes) -> NDArray[np.uint8] | None:
    """A sound JPEG of colours or greys as RGB; none for any other."""
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        if colours not in ("YCbCr", "Gray", "RGB") or height * width > MAX_PIXELS:
            return None
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:  # also for what libjpeg merely warns of
        return None
    return pixels


def _png(content: bytes, *colours: str) -> NDArray[np.uint8] | None:
    from segrank.data.png import Colour, decode_png  # numba, which listing a dataset does not need

    return decode_png(content, tuple(Colour[colour] for colour in colours), MAX_PIXELS)


def _open(content: bytes, name: str, formats: tuple[str, ...]) -> Image.Image:
    """Read the header alone and decide by it. Masks are opened in every format, to say why one is refused."""
    try:
        image = Image.open(io.BytesIO(content), formats=IMAGE_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{name} is too large: {error}", wanted=f"at most {MAX_PIXELS} pixels") from error
    except UnidentifiedImageError:
        raise DataError(
            f"{name} is not an image of a known format; it begins with {content[:12]!r}",
            wanted=", ".join(formats),
        ) from None
    except Exception as error:  # damaged headers raise KeyError, struct.error, OverflowError and more
        raise DataError(f"{name} is damaged: {_reason(error)}", wanted="a whole image file") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise DataError(
            f"{name} says it has {width}x{height} pixels",
            wanted=f"at most {MAX_PIXELS} pixels",
            fix="cut it into tiles",
        )
    lossy = image.info.get("compression") in ("jpeg", "webp")
    # MPO is a JPEG as some phones write it; Pillow's JPEG reader returns it.
    if (image.format not in formats and not (image.format == "MPO" and "JPEG" in formats)) or (
        lossy and formats is LABEL_FORMATS
    ):
        raise DataError(
            f"{name} is a mask saved as {image.format}{' with lossy compression' if lossy else ''}",
            wanted=f"a lossless format ({', '.join(LABEL_FORMATS)}): compression changes ids at borders",
            fix="export the masks again as PNG; converting this file would keep the damage",
        )
    if getattr(image, "is_animated", False) and image.format != "MPO":
        raise DataError(f"{name} holds several frames", wanted="one image per file")
    return image


def _decoded(image: Image.Image, name: str) -> Image.Image:
    try:
        image.load()
    except Exception as error:  # as above: truncated and hostile data raise nearly anything
        raise DataError(
            f"{name} is damaged or cut short: {_reason(error)}",
            wanted="a whole image file",
            fix="copy it again",
        ) from error
    return image


def _rgb(image: Image.Image, name: str) -> NDArray[np.uint8]:
    decoded = _decoded(image, name)
    try:
        return np.array(decoded if decoded.mode == "RGB" else decoded.convert("RGB"))
    except Exception as error:  # ValueError, or an assertion where a palette is not there
        raise DataError(
            f"{name} has colours of mode {image.mode} that cannot be read: {_reason(error)}",
            wanted="RGB, greyscale, or a palette",
            fix="convert it",
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
