"""The difference of two encoders of a cell: its interval, the probability that one is better, what would settle it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.intervals import (
    LEVEL,
    Estimates,
    FloatArray,
    Interval,
    Part,
    combined,
    image_part,
    seed_part,
    t_interval,
)

POWER = 0.8
"""How likely it shall be that what was asked for settles a difference that is what it seems; 80 % is the custom (Cohen,
Statistical Power Analysis for the Behavioral Sciences, 2nd edition, 1988, page 56)."""
MOST_SEEDS = 1000
_MOST_TIMES = 1000
"""As many images as there are, to look among."""


@dataclass(frozen=True)
class Difference:
    """`value` = score of `a` - score of `b`, on the same images."""

    a: int
    b: int
    value: float
    interval: Interval | None
    better: float | None
    """Probability that a is truly better than b: the t distribution's, under a flat prior; 1 - one-sided p."""
    p_value: float | None
    """Two-sided, of no difference; not adjusted for looking at several pairs."""
    note: str = ""

    @property
    def settled(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


def difference(of: Estimates, a: int, b: int, *, level: float = LEVEL) -> Difference:
    """a - b: paired over images, and over seeds where all encoders of the cell have the same."""
    value = float(of.value[a] - of.value[b])
    if not of.covers:
        return Difference(a, b, value, None, None, None, of.note)
    error, df = (float(each[0]) for each in difference_errors(of, np.array([a]), np.array([b])))
    above = float(above_zero(np.array(value), np.array(error), np.array(df)))
    return Difference(
        a=a,
        b=b,
        value=value,
        interval=t_interval(value, error, df, level, of.covers),
        better=above if of.higher_is_better else 1 - above,
        p_value=2 * min(above, 1 - above),
        note=of.note,
    )


def difference_errors(of: Estimates, a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Standard errors and degrees of freedom (pairs,) of the differences a - b."""
    return combined(*_parts(of, a, b))


def above_zero(value: FloatArray, error: FloatArray, df: FloatArray) -> FloatArray:
    """Probability of being above 0 under a flat prior; 1/2 for a difference of 0 without error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(value == 0, 0.0, value / error)
    found: FloatArray = stats.t.cdf(t, df)
    return found


@dataclass(frozen=True)
class Needed:
    """What would probably settle a difference, if it is what it seems: its interval would leave 0 out."""

    seeds: int | None
    """Per encoder, on the same images; none if `MOST_SEEDS` would not do, or nothing is known of seeds."""
    images: int | None
    """With the same seeds; none if a thousand times as many would not do, or there are no counts per image."""


def to_settle(of: Estimates, a: int, b: int, *, level: float = LEVEL) -> Needed | None:
    """How many seeds, or images, settle a difference of this size with a probability of `POWER`.

    The difference and the variances are taken as they are estimated, which a few seeds know only roughly; degrees of
    freedom grow with what is added.

    Returns:
        None if it is settled already, or the difference is 0, or there is no interval.
    """
    found = difference(of, a, b, level=level)
    if found.interval is None or found.value == 0 or found.settled:
        return None
    seeds, images = _parts(of, np.array([a]), np.array([b]))
    now = int(min(of.seeds[a], of.seeds[b]))
    needed_seeds = needed_images = None
    if seeds is not None:
        more = np.arange(now + 1, MOST_SEEDS + 1)
        needed_seeds = _first(more, found.value, *_with(seeds, images, now, more, np.ones(1)), level)
    if of.image_noise is not None:
        count = len(of.image_noise.names)
        more = np.unique(np.ceil(count * np.geomspace(1, _MOST_TIMES, 3000)).astype(np.int64))[1:]
        needed_images = _first(more, found.value, *_with(seeds, images, now, np.array([now]), more / count), level)
    return Needed(needed_seeds, needed_images)


def _parts(of: Estimates, a: NDArray[np.intp], b: NDArray[np.intp]) -> tuple[Part | None, Part | None]:
    return seed_part(of, of.paired_seed_noise or of.seed_noise, a, b), image_part(of, a, b)


def _with(
    seeds: Part | None, images: Part | None, now: int, number: NDArray[np.int64], times: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Standard errors and degrees of freedom with that number of seeds instead of `now`, or `times` as many images."""
    fewer, times = np.broadcast_arrays(now / number, times)
    own = (seeds.shared if seeds else 0) * fewer / times  # of one seed, on each image
    more_seeds = more_images = None
    if seeds:
        of_seeds = np.maximum(seeds.variance - seeds.shared, 0) * fewer
        df = seeds.df * ((now / fewer - 1) / (now - 1) if now > 1 else np.ones(fewer.shape))
        more_seeds = Part(of_seeds + own, df, own)
    if images:
        of_images = np.maximum(images.variance - (seeds.shared if seeds else 0), 0) / times
        more_images = Part(of_images + own, images.df * times, np.zeros(times.shape))
    return combined(more_seeds, more_images)


def _first(numbers: NDArray[np.int64], value: float, error: FloatArray, df: FloatArray, level: float) -> int | None:
    """The first number by which a difference of this size is settled with a probability of `POWER`."""
    enough = abs(value) >= (stats.t.ppf((1 + level) / 2, df) + stats.t.ppf(POWER, df)) * error
    return int(numbers[np.argmax(enough)]) if enough.any() else None
