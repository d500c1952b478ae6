"""Estimates of a cell with their errors: an encoder's mIoU, and what its interval is made of.

Encoders are fixed. Seeds and images are samples, as far as the cell has several seeds and counts per image; what an
interval does not cover, it says. The formulas, and why not a plain bootstrap, stand in docs/method.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import Cell
from segrank.ranking.noise import ImageNoise, SeedNoise, image_noise, paired_seed_noise, seed_noise
from segrank.ranking.resample import ImageDraws
from segrank.ranking.standard_errors import LEVEL, Errors, FloatArray, Part, ratio

Source = Literal["seeds", "images"]


@dataclass(frozen=True)
class Interval:
    """Holds the true value with probability `level` over repetitions of what it `covers`."""

    low: float
    high: float
    level: float
    covers: tuple[Source, ...]
    """What is taken as a sample. What is missing is held as it was: these seeds, these images."""
    df: float
    """Degrees of freedom of the error by the seeds of all encoders; by an encoder's own the interval may be wider."""


@dataclass(frozen=True)
class Estimate:
    value: float
    interval: Interval | None
    note: str = ""
    """In words: why there is no interval, or what it leaves out. Empty if it covers seeds and images."""


@dataclass(frozen=True, eq=False)
class Estimates:
    """Mean score of each encoder of a cell, and all that is known about its error. Made by `estimates`."""

    encoders: tuple[str, ...]
    higher_is_better: bool
    value: FloatArray
    """(encoders,): mean over seeds."""
    seeds: NDArray[np.int64]
    """(encoders,): how many."""
    seed_noise: SeedNoise | None
    """None if every encoder has a single seed."""
    paired_seed_noise: SeedNoise | None
    """Beside what a seed does to all encoders alike; none unless all have the same seeds, or if nothing is left beside
    it."""
    image_noise: ImageNoise | None
    runs: tuple[tuple[str, ...], ...]
    """Per encoder and seed what names the run; empty for scores that are put together of several cells."""
    deviations: tuple[FloatArray, ...]
    """Per encoder and seed, as `runs`: its score - the encoder's mean."""

    @property
    def covers(self) -> tuple[Source, ...]:
        known: tuple[tuple[Source, object], ...] = (("seeds", self.seed_noise), ("images", self.image_noise))
        return tuple(source for source, noise in known if noise is not None)

    @property
    def note(self) -> str:
        """What the intervals leave out, in words."""
        few = [name for name, seeds in zip(self.encoders, self.seeds, strict=True) if seeds == 1]
        parts = []
        if self.seed_noise is None:
            why = "one seed each" if few else "all seeds have the same score, as if none had arrived"
            parts.append(f"{why}: no interval covers what another seed would change")
        elif few:
            parts.append(f"one seed of {', '.join(few)}: its spread is taken from the other encoders")
        if self.image_noise is None:
            parts.append("no counts per image: no interval covers what other images would change")
        return "; ".join(parts)


def estimates(cell: Cell, draws: ImageDraws | None = None) -> Estimates:
    """The errors of a cell's scores.

    Args:
        cell: runs that may be ranked together.
        draws: of `cell.images`; drawn here if there are counts and none are given.
    """
    return Estimates(
        encoders=cell.encoders,
        higher_is_better=cell.higher_is_better,
        # exact sums do not depend on the order of the seeds: else rounding would part equal encoders
        value=np.array([math.fsum(scores) / len(scores) for scores in cell.scores]),
        seeds=np.array([len(seeds) for seeds in cell.seeds]),
        seed_noise=seed_noise(cell),
        paired_seed_noise=paired_seed_noise(cell),
        image_noise=image_noise(cell, draws),
        runs=cell.runs,
        deviations=tuple(scores - scores.mean() for scores in cell.scores),
    )


def only(of: Estimates, encoders: Sequence[str]) -> Estimates:
    """Some of the encoders, in that order. What is known of the seeds' spread stays what all of them tell."""
    if tuple(encoders) == of.encoders:
        return of  # so that what was computed of it already is found again
    at = np.array([of.encoders.index(name) for name in encoders], np.intp)

    def seeds(noise: SeedNoise | None) -> SeedNoise | None:
        if noise is None:
            return None
        own = noise.own[np.ix_(at, at)]
        per_encoder = {name: getattr(noise, name)[at] for name in ("variance", "df", "likely", "own_df")}
        return replace(noise, own=own, **per_encoder)

    images = of.image_noise
    return replace(
        of,
        encoders=tuple(encoders),
        value=of.value[at],
        seeds=of.seeds[at],
        seed_noise=seeds(of.seed_noise),
        paired_seed_noise=seeds(of.paired_seed_noise),
        image_noise=images
        and replace(
            images,
            draws=images.draws[:, at],
            covariance=images.covariance[np.ix_(at, at)],
            moved=images.moved[at],
            hidden=images.hidden[at],
            per_seed=images.per_seed[at],
        ),
        runs=tuple(of.runs[index] for index in at) if of.runs else (),
        deviations=tuple(of.deviations[index] for index in at) if of.deviations else (),
    )


def score(of: Estimates, encoder: int, *, level: float = LEVEL) -> Estimate:
    """An encoder's mean score over its seeds, with its interval."""
    value = float(of.value[encoder])
    if not of.covers:
        return Estimate(value, None, of.note)
    at = np.array([encoder])
    errors = Errors(seed_part(of, of.seed_noise, at), own_part(of, of.seed_noise, at), image_part(of, at))
    return Estimate(value, interval(value, errors, level, of.covers), of.note)


def seed_part(of: Estimates, noise: SeedNoise | None, *encoders: NDArray[np.intp]) -> Part | None:
    """Of the scores of some encoders, or of the differences (or sums) of two lists of them."""
    if noise is None:
        return None
    terms = [noise.variance[at] / of.seeds[at] for at in encoders]
    variance = np.sum(terms, axis=0)
    spread = np.sum([term**2 / noise.df[at] for term, at in zip(terms, encoders, strict=True)], axis=0)
    # encoders that stand on one pooled variance do not know more of it together than one of them
    df = np.minimum(ratio(variance**2, spread), noise.total_df)
    return Part(variance, df, _shared(of, encoders))


def own_part(of: Estimates, noise: SeedNoise | None, *encoders: NDArray[np.intp]) -> Part | None:
    """Of the scores of some encoders, or of the differences of two lists of them, by their own seeds alone; NaN where
    one has a single seed."""
    if noise is None:
        return None
    terms = [noise.own[at, at] / of.seeds[at] for at in encoders]
    df = [noise.own_df[at] for at in encoders]
    variance = np.sum(terms, axis=0)
    if noise.paired and len(encoders) == 2:
        a, b = encoders
        variance = np.maximum(variance - 2 * noise.own[a, b] / of.seeds[a], 0)
        together = np.minimum(*df)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            together = ratio(
                variance**2, np.sum([term**2 / each for term, each in zip(terms, df, strict=True)], axis=0)
            )
    known = np.min(df, axis=0) > 0
    return Part(np.where(known, variance, np.nan), np.where(known, together, 1.0), _shared(of, encoders))


def _shared(of: Estimates, encoders: Sequence[NDArray[np.intp]]) -> FloatArray:
    """What of the variance between seeds is the luck of each seed on each image."""
    if of.image_noise is None:
        return np.zeros(len(encoders[0]))
    return np.asarray(np.sum([of.image_noise.per_seed[at] / of.seeds[at] for at in encoders], axis=0))


def image_part(of: Estimates, a: NDArray[np.intp], b: NDArray[np.intp] | None = None) -> Part | None:
    """Of the scores of `a`, or of the differences a - b."""
    noise = of.image_noise
    if noise is None:
        return None
    variance, moved = noise.covariance[a, a], noise.moved[a]
    if b is not None:
        variance = np.maximum(variance + noise.covariance[b, b] - 2 * noise.covariance[a, b], 0)
        moved = moved - noise.moved[b]
    second, fourth = (moved**2).sum(axis=1), (moved**4).sum(axis=1)
    # a variance estimated by a sum of squares has 2 mean^2 / variance degrees of freedom: few, if few images decide
    df = ratio(2 * second**2, fourth - second**2 / moved.shape[1])
    # of very few, such as groups of frames, moments say nothing: never more than what n numbers around a mean have
    return Part(variance, np.minimum(df, max(moved.shape[1] - 1, 1)), np.zeros_like(variance))


def interval(value: float, errors: Errors, level: float, covers: tuple[Source, ...]) -> Interval:
    """Around one value."""
    half = float(errors.half_width(level)[0])
    return Interval(value - half, value + half, level, covers, float(errors.satterthwaite()[1][0]))
