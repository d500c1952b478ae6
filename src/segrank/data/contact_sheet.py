"""A picture of a dataset: a few images of each split beside their masks in colour, with a legend."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from segrank.data.dataset import IGNORE
from segrank.data.palette import class_colours, overlay
from segrank.files import write_whole

CELL_PX = 240
"""Width of an image on the sheet; heights are scaled alike, up to twice that."""
LINE_PX = 18


def write_contact_sheet(
    path: Path,
    classes: Sequence[str],
    pictures: Mapping[str, Sequence[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]],
) -> None:
    """Write a PNG.

    Args:
        path: replaced if it is there.
        classes: names, in the order of the labels.
        pictures: per split, (name, image (h, w, 3), labels (h, w)).
    """
    font = ImageFont.load_default(13)
    rows = [_row(split, shown, len(classes), font) for split, shown in pictures.items() if shown]
    rows.append(_legend(classes, max([row.width for row in rows], default=4 * CELL_PX), font))
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    content = io.BytesIO()
    sheet.save(content, "PNG")
    write_whole(path, content.getvalue())


Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def _row(
    split: str,
    shown: Sequence[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]],
    classes: int,
    font: Font,
) -> Image.Image:
    """The images of one split, each left of its overlay, under the split's name and above their own."""
    cells = []
    for _, image, labels in shown:
        height, width = labels.shape
        scale = min(CELL_PX / width, 2 * CELL_PX / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        # Nearest, so that no class appears that is not in the mask.
        small_labels = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
        cells.append((small, Image.fromarray(overlay(np.asarray(small), small_labels, classes))))
    tallest = max(picture.height for picture, _ in cells)
    row = Image.new("RGB", (len(cells) * (2 * CELL_PX + 8), tallest + 2 * LINE_PX + 10), "white")
    draw = ImageDraw.Draw(row)
    draw.text((4, 3), _printable(split), fill="black", font=font)
    for number, ((picture, coloured), (name, _, _)) in enumerate(zip(cells, shown, strict=True)):
        left = number * (2 * CELL_PX + 8)
        row.paste(picture, (left, LINE_PX + 4))
        row.paste(coloured, (left + picture.width, LINE_PX + 4))
        draw.text((left + 4, LINE_PX + 5 + tallest), _printable(name)[-64:], fill="#555555", font=font)
    return row


def _legend(classes: Sequence[str], width: int, font: Font) -> Image.Image:
    colours = class_colours(len(classes))
    entries = [(f"{index} {name}", tuple(colours[index].tolist())) for index, name in enumerate(classes)]
    entries.append((f"{IGNORE} ignored: darkened", (60, 60, 60)))
    columns = max(1, width // 180)
    lines = -(-len(entries) // columns)
    legend = Image.new("RGB", (width, lines * LINE_PX + 12), "white")
    draw = ImageDraw.Draw(legend)
    for number, (text, colour) in enumerate(entries):
        left, top = number % columns * 180 + 4, number // columns * LINE_PX + 6
        draw.rectangle((left, top, left + 20, top + 13), fill=colour)
        draw.text((left + 26, top - 1), _printable(text)[:22], fill="black", font=font)
    return legend


def _printable(text: str) -> str:
    """One line of characters. What the built-in font lacks, it draws as a box."""
    return "".join(character if character.isprintable() else "?" for character in text)
