"""The difference of two encoders of a cell: its interval, the probability that one is better, what would settle it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.intervals import Estimates, Interval, image_part, interval, own_part, seed_part
from segrank.ranking.standard_errors import LEVEL, Errors, FloatArray, Part

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
    """Probability that a is truly better than b, under a flat prior; 1 - one-sided p."""
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
    errors = difference_errors(of, np.array([a]), np.array([b]))
    above = float(errors.above_zero(np.array([value]))[0])
    return Difference(
        a=a,
        b=b,
        value=value,
        interval=interval(value, errors, level, of.covers),
        better=above if of.higher_is_better else 1 - above,
        p_value=2 * min(above, 1 - above),
        note=of.note,
    )


def difference_errors(of: Estimates, a: NDArray[np.intp], b: NDArray[np.intp]) -> Errors:
    """Of the differences a - b (pairs,)."""
    noise = of.paired_seed_noise or of.seed_noise
    return Errors(seed_part(of, noise, a, b), own_part(of, noise, a, b), image_part(of, a, b))


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
    errors = difference_errors(of, np.array([a]), np.array([b]))
    now = int(min(of.seeds[a], of.seeds[b]))
    needed_seeds = needed_images = None
    if errors.seeds is not None:
        more = np.arange(now + 1, MOST_SEEDS + 1)
        needed_seeds = _first(more, found.value, _with(errors, now, more, np.ones(1)), level)
    if of.image_noise is not None:
        count = len(of.image_noise.names)
        more = np.unique(np.ceil(count * np.geomspace(1, _MOST_TIMES, 3000)).astype(np.int64))[1:]
        needed_images = _first(more, found.value, _with(errors, now, np.array([now]), more / count), level)
    return Needed(needed_seeds, needed_images)


def _with(errors: Errors, now: int, number: NDArray[np.int64], times: FloatArray) -> Errors:
    """With that number of seeds instead of `now`, or `times` as many images."""
    fewer, times = np.broadcast_arrays(now / number, times)
    shared = errors.seeds.shared if errors.seeds else 0
    luck = shared * fewer / times  # of one seed, on each image

    def of_seeds(part: Part | None) -> Part | None:
        if part is None:
            return None
        df = part.df * ((now / fewer - 1) / (now - 1) if now > 1 else np.ones(fewer.shape))
        return Part(np.maximum(part.variance - shared, 0) * fewer + luck, df, luck)

    images = errors.images
    if images is not None:
        of_images = np.maximum(images.variance - shared, 0) / times
        images = Part(of_images + luck, images.df * times, np.zeros(times.shape))
    return Errors(of_seeds(errors.seeds), of_seeds(errors.own), images)


def _first(numbers: NDArray[np.int64], value: float, errors: Errors, level: float) -> int | None:
    """The first number by which a difference of this size is settled with a probability of `POWER`."""
    enough = abs(value) >= errors.half_width(level) + errors.half_width(2 * POWER - 1)
    return int(numbers[np.argmax(enough)]) if enough.any() else None
