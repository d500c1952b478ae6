"""Errors of estimates over seeds and images: how wide an interval is, and how sure a sign.

What seeds do is known in two ways. By an encoder's own seeds: right for every encoder, but of a few seeds hardly
anything is known. By those of all encoders together: known well, but wrong for an encoder that is noisier than the
others. An interval is as wide as the wider of both, so it holds whether encoders are alike or not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import stdtr, stdtrit

FloatArray = NDArray[np.float64]
LEVEL = 0.95
_HALVINGS = 40
_MANY = 1e9
"""Degrees of freedom: as good as infinitely many."""


class Part(NamedTuple):
    """Of the variance of some estimates; all arrays are (estimates,)."""

    variance: FloatArray
    df: FloatArray
    shared: FloatArray
    """What of it is in the other part too."""


class Errors(NamedTuple):
    """Of some estimates, each around 0 with these variances; at least one part is known."""

    seeds: Part | None
    """Of all encoders together."""
    own: Part | None
    """Of the estimate's own seeds; NaN where there are too few."""
    images: Part | None

    def half_width(self, level: float) -> FloatArray:
        """(estimates,) of the interval that holds with probability `level`."""
        error, df = self.satterthwaite()
        half: FloatArray = error * stats.t.ppf((1 + level) / 2, df)
        if self.own is None:
            return half
        return np.asarray(np.fmax(half, self._by_own_seeds(np.array((1 - level) / 2))))

    def above_zero(self, value: FloatArray) -> FloatArray:
        """Probability of being above 0 under a flat prior; 1/2 for a value of 0 without error.

        By all seeds; and where the interval by the estimate's own seeds holds 0, by these if they are less sure.
        """
        error, df = self.satterthwaite()
        size = np.abs(value)
        with np.errstate(divide="ignore", invalid="ignore"):
            tail = stats.t.sf(np.where(size == 0, 0.0, size / error), df)
        if self.own is not None:
            unsure = np.flatnonzero(size < self._by_own_seeds(np.array((1 - LEVEL) / 2)))
            tail[unsure] = np.maximum(tail[unsure], self._tail_by_own_seeds(size, unsure))
        return np.asarray(np.where(value < 0, tail, 1 - tail))

    def satterthwaite(self) -> tuple[FloatArray, FloatArray]:
        """Standard error and its degrees of freedom, by the seeds of all encoders."""
        return combined(self.seeds, self.images)

    def _by_own_seeds(self, tail: FloatArray, at: NDArray[np.intp] | slice = slice(None)) -> FloatArray:
        """Half the width of an interval with this much beyond each end; never too narrow, however few the seeds:
        each part of the variance is multiplied by its own squared quantile (Banerjee, Sankhya A 23, 1961, 359-378).
        """
        assert self.own is not None
        variance, df, shared = (each[at] for each in self.own)
        square = stdtrit(np.minimum(df, _MANY), tail) ** 2 * variance
        if self.images is not None:
            t = stdtrit(np.minimum(self.images.df[at], _MANY), tail)
            images = self.images.variance[at]
            # what is in both parts is counted with the seeds, but is never less than images say
            square = t**2 * images + np.maximum(square - t**2 * np.minimum(shared, images), 0)
        return np.asarray(np.sqrt(square))

    def _tail_by_own_seeds(self, size: FloatArray, at: NDArray[np.intp]) -> FloatArray:
        """The tail whose interval ends at 0: between that of `LEVEL` and 1/2, by halving where images have a part."""
        assert self.own is not None
        if self.images is None:
            with np.errstate(divide="ignore", invalid="ignore"):
                t = np.where(size[at] == 0, 0.0, size[at] / np.sqrt(self.own.variance[at]))
            return np.asarray(stdtr(self.own.df[at], -t))
        low, high = np.full(len(at), (1 - LEVEL) / 2), np.full(len(at), 0.5)
        for _ in range(_HALVINGS if len(at) else 0):
            middle = (low + high) / 2
            wider = self._by_own_seeds(middle, at) > size[at]
            low, high = np.where(wider, middle, low), np.where(wider, high, middle)
        return low


def combined(seeds: Part | None, images: Part | None) -> tuple[FloatArray, FloatArray]:
    """Standard error and its degrees of freedom by Welch and Satterthwaite, of two independent parts."""
    parts = [part for part in (seeds, images) if part is not None]
    assert parts, "nothing is known of the errors"
    variance = np.sum([np.maximum(part.variance - part.shared, 0) for part in parts], axis=0)
    spread = np.sum([part.variance**2 / part.df for part in parts], axis=0)
    # what is shared may be more than there is, where encoders are the same runs: then the ratio is no bound
    least = np.min([part.df for part in parts], axis=0) / len(parts)
    return np.sqrt(variance), np.maximum(ratio(variance**2, spread), least)


def ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Infinite where `below` is not above 0: a variance of 0 is taken as known."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.inf)
