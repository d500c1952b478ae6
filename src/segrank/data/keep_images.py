"""Decode a split's images once, for all runs to come."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from segrank.data import open_dataset
from segrank.data.cache_folder import cache_folder
from segrank.data.file_dataset import FileSplit
from segrank.data.transcoded import Transcoded, transcode
from segrank.errors import DataError


class Kept(NamedTuple):
    """What came of it."""

    folder: Path
    made: int
    """Images decoded now. Those that were kept already, and files other than PNG, are not among them."""
    images: int
    """Of the split."""


def keep_images(
    dataset: str,
    split: str = "train",
    *,
    root: str | os.PathLike[str] | None = None,
    on_image: Callable[[int, int], None] = lambda done, total: None,
) -> Kept:
    """Decode the PNG images of a split and keep them in the cache folder, where every run finds them.

    What is kept changes no pixel and no key. It can be stopped, and goes on where it was.

    Args:
        dataset: a name or a YAML file.
        split: which one.
        root: where named datasets are.
        on_image: called after each image with images done, images in all.

    Raises:
        DataError: there is no such dataset or split, an image is damaged, or the disk has no room for all of them.
    """
    opened = open_dataset(dataset, root).split(split)
    if not isinstance(opened, FileSplit):
        raise DataError(f"{dataset} is drawn, not read", wanted="a dataset made of files")
    try:
        kept = Transcoded.of(cache_folder("images"), opened.digest())
    except RuntimeError as error:
        raise DataError(f"there is no cache folder: {error}", fix="set SEGRANK_CACHE to one") from error
    made = transcode(opened.tree, opened.pairs.images, kept, on_image)
    return Kept(kept.folder, made, len(opened))
