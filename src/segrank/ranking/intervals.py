"""Estimates of a cell with their errors: an encoder's mIoU, and what its interval is made of.

Encoders are fixed. Seeds and images are samples, as far as the cell has several seeds and counts per image; what an
interval does not cover, it says. The formulas, and why not a plain bootstrap, stand in docs/method.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.cell import Cell
from segrank.ranking.noise import ImageNoise, SeedNoise, image_noise, paired_seed_noise, seed_noise
from segrank.ranking.resample import ImageDraws

LEVEL = 0.95
FloatArray = NDArray[np.float64]
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
    """Degrees of freedom of the t quantile."""


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
    )


def only(of: Estimates, encoders: Sequence[str]) -> Estimates:
    """Some of the encoders, in that order. What is known of the seeds' spread stays what all of them tell."""
    at = np.array([of.encoders.index(name) for name in encoders], np.intp)

    def seeds(noise: SeedNoise | None) -> SeedNoise | None:
        return noise and replace(noise, variance=noise.variance[at], df=noise.df[at])

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
    )


def shared_covariance(x: Estimates, y: Estimates) -> FloatArray:
    """(encoders of x, encoders of y): what the same images do to both; 0 where they were scored on different ones."""
    one, other = x.image_noise, y.image_noise
    if one is None or other is None or one.names != other.names or one.seed != other.seed:
        return np.zeros((len(x.value), len(y.value)))
    assert len(one.draws) == len(other.draws), "another number of resamples"
    of_draws = np.cov(one.draws, other.draws, rowvar=False, dtype=np.float64)[: len(x.value), len(x.value) :]
    shared: FloatArray = of_draws + one.hidden @ other.hidden.T
    return shared


def score(of: Estimates, encoder: int, *, level: float = LEVEL) -> Estimate:
    """An encoder's mean score over its seeds, with its interval."""
    value = float(of.value[encoder])
    if not of.covers:
        return Estimate(value, None, of.note)
    at = np.array([encoder])
    error, df = combined(seed_part(of, of.seed_noise, at), image_part(of, at))
    return Estimate(value, t_interval(value, float(error[0]), float(df[0]), level, of.covers), of.note)


_SCALES = 9


def error_covariances(of: Estimates) -> list[FloatArray]:
    """(encoders, encoders) of the errors of the values, as far as they decide differences: several, equally likely,
    where the seed variance itself is uncertain, as few seeds leave it.
    """
    images = np.zeros((len(of.encoders), len(of.encoders)))
    own = np.zeros(len(of.encoders))
    if of.image_noise is not None:
        images, own = of.image_noise.covariance, of.image_noise.per_seed
    seeds = of.paired_seed_noise or of.seed_noise
    if seeds is None:
        return [images]
    df = float(np.median(seeds.df))
    scales = df / stats.chi2.ppf((np.arange(_SCALES) + 0.5) / _SCALES, df)
    return [images + np.diag(np.maximum(scale * seeds.variance - own, 0) / of.seeds) for scale in scales]


class Part(NamedTuple):
    """Of the variance of some estimates; all arrays are (estimates,)."""

    variance: FloatArray
    df: FloatArray
    shared: FloatArray
    """What of it is in the other part too."""


def seed_part(of: Estimates, noise: SeedNoise | None, *encoders: NDArray[np.intp]) -> Part | None:
    """Of the scores of some encoders, or of the differences (or sums) of two lists of them."""
    if noise is None:
        return None
    terms = [noise.variance[at] / of.seeds[at] for at in encoders]
    variance = np.sum(terms, axis=0)
    spread = np.sum([term**2 / noise.df[at] for term, at in zip(terms, encoders, strict=True)], axis=0)
    # encoders that stand on one pooled variance do not know more of it together than one of them
    df = np.minimum(_ratio(variance**2, spread), noise.total_df)
    shared = np.zeros_like(variance)
    if of.image_noise is not None:
        shared = np.sum([of.image_noise.per_seed[at] / of.seeds[at] for at in encoders], axis=0)
    return Part(variance, df, shared)


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
    df = _ratio(2 * second**2, fourth - second**2 / moved.shape[1])
    # of very few, such as groups of frames, moments say nothing: never more than what n numbers around a mean have
    return Part(variance, np.minimum(df, max(moved.shape[1] - 1, 1)), np.zeros_like(variance))


def combined(seeds: Part | None, images: Part | None) -> tuple[FloatArray, FloatArray]:
    """Standard error and its degrees of freedom by Welch and Satterthwaite, of two independent parts."""
    parts = [part for part in (seeds, images) if part is not None]
    assert parts, "nothing is known of the errors"
    variance = np.sum([np.maximum(part.variance - part.shared, 0) for part in parts], axis=0)
    spread = np.sum([part.variance**2 / part.df for part in parts], axis=0)
    # what is shared may be more than there is, where encoders are the same runs: then the ratio is no bound
    least = np.min([part.df for part in parts], axis=0) / len(parts)
    return np.sqrt(variance), np.maximum(_ratio(variance**2, spread), least)


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Infinite where `below` is not above 0: a variance of 0 is taken as known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.inf)


def t_interval(value: float, error: float, df: float, level: float, covers: tuple[Source, ...]) -> Interval:
    half = error * float(stats.t.ppf((1 + level) / 2, df))
    return Interval(value - half, value + half, level, covers, df)
