"""A small dataset on disk, for tests to spoil."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

DEFINITION = """\
name: tiny
classes: [sky, road, car]
ignore: 255
splits:
  train: {images: images/train/*.jpg, masks: masks/train/*.png}
  val: {images: images/val/*.jpg, masks: masks/val/*.png}
"""


def save_pair(root: Path, name: str, mask: object = ((0, 1), (2, 255)), size: tuple[int, int] | None = None) -> None:
    """`save_pair(root, "train/a", [[0, 1], [2, 255]])`: a mask, and an image in a colour of its own."""
    ids = np.array(mask)
    ids = ids.astype(np.uint8 if ids.max() < 256 else np.uint16)
    image, label = root / f"images/{name}.jpg", root / f"masks/{name}.png"
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    colour = sum(name.encode()) % 256
    Image.new("RGB", size or (ids.shape[1], ids.shape[0]), (colour, 255 - colour, 90)).save(image)
    Image.fromarray(ids).save(label)


def save_tiny(root: Path) -> Path:
    """The YAML file of a dataset with two images in train and one in val."""
    save_pair(root, "train/a")
    save_pair(root, "train/b", [[0, 0, 0], [1, 1, 1]])
    save_pair(root, "val/c", [[2, 2], [2, 2]])
    path = root / "tiny.yaml"
    path.write_text(DEFINITION)
    return path
