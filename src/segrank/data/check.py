"""Looks through a dataset before anybody trains on it, and collects what is wrong."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.data import open_dataset
from segrank.data.contact_sheet import write_contact_sheet
from segrank.data.dataset import IGNORE, Dataset, Split
from segrank.data.dataset_report import DatasetReport, SplitReport, notes_of, problems_of, some
from segrank.data.file_dataset import FileDataset, FileSplit
from segrank.data.labels import resize_nearest
from segrank.data.official.dataset import OfficialDataset
from segrank.errors import DataError

SHOWN = 4
"""Images of each split on the contact sheet."""


class _Look(NamedTuple):
    """One image as it was found."""

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    mask_size: tuple[int, int]
    unknown: tuple[str, ...]
    single_valued: bool


def check_dataset(
    reference: str,
    *,
    root: str | os.PathLike[str] | None = None,
    images_per_split: int | None = None,
    contact_sheet: Path | None = None,
    on_image: Callable[[str, int, int], None] | None = None,
) -> DatasetReport:
    """Read a dataset and report.

    Args:
        reference, root: as `open_dataset` takes them.
        images_per_split: read at most so many of each split, evenly spaced; None for all. Images shared by
            splits are found among those read.
        contact_sheet: where to write a PNG of a few images with their masks.
        on_image: called with (split, images done, images to do) after each image.

    Raises:
        DataError: the definition itself is not valid. Everything else is in the report.
    """
    dataset = open_dataset(reference, root)
    reports = []
    pictures: dict[str, list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]]] = {}
    places: dict[bytes, list[str]] = defaultdict(list)
    for name in dataset.splits:
        try:
            split, missing = _split_and_missing(dataset, name)
        except DataError as error:
            reports.append(SplitReport(name=name, error=str(error)))
            continue
        pictures[name] = []
        reports.append(
            _check_split(
                dataset,
                name,
                split,
                missing,
                images_per_split,
                places,
                pictures[name] if contact_sheet else None,
                on_image,
            )
        )
    if contact_sheet is not None:
        write_contact_sheet(contact_sheet, dataset.classes, pictures)
    shared = tuple(tuple(group) for group in places.values() if len({place.split("/")[0] for place in group}) > 1)
    problems = [line for report in reports for line in problems_of(report)]
    if shared:
        count = some(shared, "image is", "images are")
        problems.append(f"{count} in several splits, such as {' = '.join(shared[0][:3])}")
    notes = [line for report in reports for line in notes_of(report, dataset.classes)]
    return DatasetReport(
        name=dataset.name,
        classes=dataset.classes,
        splits=tuple(reports),
        shared_images=shared,
        problems=tuple(problems),
        notes=tuple(notes),
    )


def _split_and_missing(dataset: Dataset, name: str) -> tuple[Split, tuple[str, ...]]:
    """A split of files is taken even if it is incomplete: its complete pairs are looked at all the same."""
    files = dataset.files(name) if isinstance(dataset, OfficialDataset) else dataset
    if isinstance(files, FileDataset):
        listing = files.listing(name)
        if len(listing.missing) > files.unpaired and len(listing.pairs):
            return files.split_of(listing), listing.missing
    return files.split(name), ()


def _check_split(
    dataset: Dataset,
    name: str,
    split: Split,
    missing: tuple[str, ...],
    limit: int | None,
    places: dict[bytes, list[str]],
    pictures: list[tuple[str, NDArray[np.uint8], NDArray[np.uint8]]] | None,
    on_image: Callable[[str, int, int], None] | None,
) -> SplitReport:
    names = split.names
    count = len(names) if limit is None else min(limit, len(names))
    # Evenly spaced, because neighbours in a list are often frames of one film.
    indices = [step * len(names) // count for step in range(count)]
    shown = {indices[step * count // SHOWN] for step in range(SHOWN)} if count else set()
    pixels = np.zeros(256, dtype=np.int64)
    in_images = np.zeros(256, dtype=np.int64)
    unknown: Counter[str] = Counter()
    lists: dict[str, Any] = defaultdict(list)
    sizes: list[tuple[int, int]] = []
    for done, index in enumerate(indices, start=1):
        try:
            look = _look(split, index)
        except DataError as error:
            lists["unreadable"].append(str(error).splitlines()[0])
        else:
            size = look.labels.shape[0], look.labels.shape[1]
            sizes.append(size)
            counts = np.bincount(look.labels.ravel(), minlength=256)
            pixels += counts
            in_images += counts > 0
            unknown.update(look.unknown)
            if look.unknown:
                lists["unknown_in"].append(names[index])
            if look.mask_size != size:
                lists["size_mismatches"].append(
                    f"{names[index]}: image {size[1]}x{size[0]}, mask {look.mask_size[1]}x{look.mask_size[0]}"
                )
            if look.single_valued:
                lists["single_valued"].append(names[index])
            if counts[IGNORE] == look.labels.size:
                lists["all_ignored"].append(names[index])
            # Pixels, not file bytes: they match even if a picture was saved again without loss.
            places[_hash(look.image)].append(f"{name}/{names[index]}")
            if pictures is not None and index in shown:
                pictures.append((names[index], look.image, look.labels))
        if on_image is not None:
            on_image(name, done, count)
    sizes.sort(key=lambda size: (size[0] * size[1], size))
    return SplitReport(
        name=name,
        images=len(names),
        looked_at=count,
        missing=missing,
        left_out=split.left_out if isinstance(split, FileSplit) and not missing else (),
        unknown_values=dict(sorted(unknown.items())),
        class_pixels=tuple(pixels[: len(dataset.classes)].tolist()),
        class_images=tuple(in_images[: len(dataset.classes)].tolist()),
        ignored_pixels=int(pixels[IGNORE]),
        smallest=sizes[0] if sizes else (0, 0),
        median=sizes[len(sizes) // 2] if sizes else (0, 0),
        largest=sizes[-1] if sizes else (0, 0),
        **lists,
    )


def _look(split: Split, index: int) -> _Look:
    if not isinstance(split, FileSplit):
        sample = split[index]
        size = sample.labels.shape[0], sample.labels.shape[1]
        return _Look(sample.image, sample.labels, size, (), sample.single_valued)
    image, raw = split.read_raw(index)
    labels, unknown = split.mapping.apply(raw)
    height, width = image.shape[:2]
    if labels.shape != (height, width):
        labels = resize_nearest(labels, height, width)
    return _Look(
        image,
        labels,
        # A size that the definition allows is no mismatch.
        (height, width) if split.resize_labels else (raw.shape[0], raw.shape[1]),
        tuple(split.mapping.describe(value) for value in unknown[:256]),
        bool((raw == raw.flat[0]).all()),
    )


def _hash(image: NDArray[np.uint8]) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=16, salt=str(image.shape).encode()[:16]).digest()
