"""Cells of runs whose true scores are known: counts per image, from a world that says what they are on average.

Images share their difficulty among all encoders (that is why comparisons are paired), classes are unevenly frequent,
each encoder has images of its own that it fails on, and each seed its own luck: on every image, on some classes and on
some images. All is linear in effects with mean 0, so that the expected counts, and with them the true mIoU, are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import Cell, ImageCounts
from segrank.ranking.resample import exact_miou

FloatArray = NDArray[np.float64]
SEED_DRAWS = 250
"""And as many of the opposite sign, for the mean over seeds: what is linear in their effects cancels, and the rest of
the error is below 1e-5."""


@dataclass(frozen=True, eq=False)
class World:
    frequency: FloatArray
    """(classes,): share of images that a class is in."""
    pixels: FloatArray
    """(classes,): mean number of pixels where it is."""
    recall: FloatArray
    """(encoders, classes): share of them that is found, on average."""
    confused: FloatArray
    """(classes, classes): missed pixels of the row that go to the column; rows sum to 1, the diagonal is 0."""
    seed_spread: FloatArray
    """(encoders,): standard deviation of a seed's effect on recall."""
    common_seed: float = 0.0
    """Share of a seed's variance that all encoders have in common."""

    def true_iou(self, recall: FloatArray) -> FloatArray:
        """(..., classes) for recalls (..., classes)."""
        mean = self.frequency * self.pixels
        found = mean * recall
        iou: FloatArray = found / (mean + (mean - found) @ self.confused)
        return iou

    def true_miou(self, classes: NDArray[np.intp]) -> FloatArray:
        """(encoders,): mean over seeds of the mIoU over some classes on infinitely many images."""
        luck = np.random.default_rng(1).standard_normal((SEED_DRAWS, 1 + len(self.frequency)))
        luck = np.concatenate([luck, -luck])
        return np.array(
            [
                self.true_iou(recall + spread * _seed_effect(luck))[:, classes].mean()
                for recall, spread in zip(self.recall, self.seed_spread, strict=True)
            ]
        )


def _seed_effect(luck: FloatArray) -> FloatArray:
    """(..., classes) with variance 1, from (..., 1 + classes): half of it is the same for all classes."""
    effect: FloatArray = np.sqrt(0.5) * (luck[..., :1] + luck[..., 1:])
    return effect


def world(
    true: FloatArray,
    random: np.random.Generator,
    *,
    classes: int = 12,
    seed_spread: float = 0.006,
    uneven_seeds: bool = False,
    noisy: float = 1.0,
    common_seed: float = 0.0,
) -> World:
    """One in which the encoders' mIoU is `true` (encoders,), all classes counted.

    With `uneven_seeds` the standard deviations of encoders' seeds differ by half their size; that of the first one is
    `noisy` times as large.
    """
    for _ in range(100):
        made = _aimed_at(true, _any_world(len(true), random, classes, seed_spread, uneven_seeds, noisy, common_seed))
        off = np.abs(true - made.true_miou(np.arange(classes))).max()
        if off < 1e-6 and made.recall.min() > 0.1 and made.recall.max() < 0.95:
            return made
    raise ValueError(f"no world found with mIoUs {true}")


def _any_world(
    encoders: int,
    random: np.random.Generator,
    classes: int,
    seed_spread: float,
    uneven_seeds: bool,
    noisy: float,
    common_seed: float,
) -> World:
    spread = seed_spread * (np.exp(random.normal(0, 0.5, encoders)) if uneven_seeds else np.ones(encoders))
    spread[0] *= noisy
    confused = random.dirichlet(np.full(classes, 0.5), classes) + 0.02
    np.fill_diagonal(confused, 0)
    return World(
        frequency=np.geomspace(0.9, 0.04, classes),
        pixels=1e4 * np.exp(random.normal(0, 0.7, classes)),
        recall=np.clip(random.normal(0.7, 0.1, classes) + random.normal(0, 0.04, (encoders, classes)), 0.35, 0.9),
        confused=confused / confused.sum(axis=1, keepdims=True),
        seed_spread=spread,
        common_seed=common_seed,
    )


def _aimed_at(true: FloatArray, of: World) -> World:
    """With each encoder's recall moved so that its mIoU is `true`: Newton's method, which may fail."""
    every = np.arange(len(of.frequency))
    for _ in range(5):
        now = of.true_miou(every)
        slope = (replace(of, recall=of.recall + 1e-4).true_miou(every) - now) / 1e-4
        of = replace(of, recall=of.recall + ((true - now) / slope)[:, None])
    return of


@dataclass(frozen=True, eq=False)
class Scenes:
    """Images of a world, as all encoders meet them."""

    truth: NDArray[np.int32]
    """(images, classes)."""
    difficulty: FloatArray
    """(images, classes), -1 to 1."""
    drawn_to: FloatArray
    """(images, classes): how much of what is missed goes to a class here, 1 on average."""


def scenes(of: World, images: int, random: np.random.Generator) -> Scenes:
    shape = (images, len(of.frequency))
    present = random.random(shape) < of.frequency
    size = np.exp(random.normal(0, 0.8, shape) - 0.32)
    return Scenes(
        truth=np.rint(present * size * of.pixels).astype(np.int32),
        difficulty=0.5 * random.uniform(-1, 1, (images, 1)) + 0.5 * random.uniform(-1, 1, shape),
        drawn_to=np.exp(random.normal(0, 0.5, shape) - 0.125),
    )


class Known(NamedTuple):
    """A cell, and what is true of it: (encoders,) each, over its scored classes."""

    cell: Cell
    miou: FloatArray
    """On infinitely many images and seeds."""
    miou_of_runs: FloatArray
    """On infinitely many images, of the runs that there are: the mean of their mIoUs."""


def cell(of: World, on: Scenes, seeds: int, random: np.random.Generator) -> Known:
    """Every encoder trained with each seed and scored on the images. Classes that occur in none are not scored."""
    scored = np.flatnonzero(on.truth.any(axis=0))
    images, classes = on.truth.shape
    hits, predicted, of_runs = [], [], []
    common = random.standard_normal((seeds, 1 + classes))
    for recall, spread in zip(of.recall, of.seed_spread, strict=True):
        own = random.standard_normal((seeds, 1 + classes))
        luck = np.sqrt(of.common_seed) * common + np.sqrt(1 - of.common_seed) * own
        mean = np.clip(recall + spread * _seed_effect(luck), 0.05, 0.98)[:, None]
        of_runs.append(of.true_iou(mean[:, 0])[:, scored].mean())
        failures = random.uniform(-1, 1, (images, 1)) + random.uniform(-1, 1, (images, classes))
        chance = random.uniform(-1, 1, (seeds, images, classes))
        effect = 0.5 * on.difficulty + 0.17 * failures + 0.16 * chance
        found = np.rint(on.truth * (mean + np.minimum(mean, 1 - mean) * effect))
        wrong = np.rint((on.truth - found) @ of.confused * on.drawn_to)
        hits.append(found[..., scored].astype(np.int32))
        predicted.append((found + wrong)[..., scored].astype(np.int32))
    counts = ImageCounts(
        names=tuple(f"image {number}" for number in range(images)),
        classes=tuple(f"class {number}" for number in scored),
        truth=on.truth[:, scored],
        hits=tuple(hits),
        predicted=tuple(predicted),
    )
    encoders = tuple(f"encoder {number}" for number in range(len(of.recall)))
    made = Cell(
        encoders=encoders,
        seeds=(tuple(range(seeds)),) * len(encoders),
        runs=tuple(tuple(f"{name}, seed {seed}" for seed in range(seeds)) for name in encoders),
        scores=exact_miou(counts),
        images=counts,
    )
    return Known(made, of.true_miou(scored), np.array(of_runs))
