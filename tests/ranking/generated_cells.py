"""Cells for tests: counts drawn at random, or scores alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import Cell, ImageCounts
from segrank.ranking.resample import exact_miou


def random_counts(encoders: int, seeds: int, images: int, classes: int, *, seed: int = 0) -> ImageCounts:
    """Each class in one of three images, and in one at least."""
    random = np.random.default_rng(seed)
    present = random.random((images, classes)) < 1 / 3
    present[np.arange(classes) % images, np.arange(classes)] = True
    truth = (present * random.integers(1, 50_000, (images, classes))).astype(np.int32)
    hits, predicted = [], []
    for _ in range(encoders):
        found = (truth * random.uniform(0.3, 0.9, (seeds, images, classes))).astype(np.int32)
        wrong = random.integers(0, 2_000, (seeds, images, classes)) * (random.random((seeds, images, classes)) < 0.2)
        hits.append(found)
        predicted.append((found + wrong).astype(np.int32))
    return ImageCounts(
        names=tuple(f"image {number}" for number in range(images)),
        classes=tuple(f"class {number}" for number in range(classes)),
        truth=truth,
        hits=tuple(hits),
        predicted=tuple(predicted),
    )


def cell_of(
    scores: Sequence[Sequence[float]] | NDArray[np.float64],
    *,
    images: ImageCounts | None = None,
    higher_is_better: bool = True,
    names: Sequence[str] | None = None,
    seeds: Sequence[Sequence[int]] | None = None,
) -> Cell:
    """Encoders a, b, c ... with seeds 0, 1, 2 ..., if no others are given."""
    names = names or [chr(ord("a") + number) if len(scores) <= 26 else f"e{number}" for number in range(len(scores))]
    return Cell(
        encoders=tuple(names),
        seeds=tuple(tuple(each) for each in seeds or [range(len(row)) for row in scores]),
        runs=tuple(tuple(f"{name}{seed}" for seed in range(len(row))) for name, row in zip(names, scores, strict=True)),
        scores=tuple(np.array(row, np.float64) for row in scores),
        images=images,
        higher_is_better=higher_is_better,
    )


def counted_cell(encoders: int, seeds: int, images: int, classes: int, *, seed: int = 0) -> Cell:
    counts = random_counts(encoders, seeds, images, classes, seed=seed)
    return cell_of([miou.tolist() for miou in exact_miou(counts)], images=counts)
