"""One order from several datasets: the mean of standardised scores. No torch.

On each dataset an encoder's score is taken as its distance from the encoders' mean there, in units of the encoders'
standard deviation there; the overall score is the mean of these over the datasets, each with the same weight. So a
dataset on which all encoders lie close together counts as much as one on which they lie far apart, and how far ahead an
encoder is still counts. Mean ranks, which are common (Demsar, Journal of Machine Learning Research 7, 2006, 1-30), do
not say by how much; they make a difference within noise as large as any other; and which of two encoders they place
first depends on the others (Benavoli, Corani and Mangili, Journal of Machine Learning Research 17(5), 2016). Here the
others only move the units, that is, how much each dataset counts. Mean ranks are shown beside.

Errors: the units are held fixed, so the overall score is a weighted sum of scores, and its error is put together from
theirs. Different images are drawn independently, the same images together; so are seeds, and where the same runs are
scored on several datasets, it is their weighted sum that varies from seed to seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import Cell
from segrank.ranking.intervals import Estimates, estimates, only
from segrank.ranking.noise import ImageNoise, SeedNoise

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """One dataset: the encoders that all have, in the same order."""

    cell: Cell
    of: Estimates
    weight: float
    """The weights of all parts sum to 1."""

    @property
    def unit(self) -> float:
        """Standard deviation between encoders; 0 if all are equal here, and then this part decides nothing."""
        return float(self.of.value.std(ddof=1)) if np.ptp(self.of.value) > 0 else 0.0

    @property
    def factor(self) -> float:
        """What a point of score on this dataset adds to the overall score; in sign, more is better."""
        sign = 1 if self.of.higher_is_better else -1
        return sign * self.weight / self.unit if self.unit else 0.0

    @property
    def standardised(self) -> FloatArray:
        """(encoders,): more is better, mean 0, standard deviation 1."""
        found: FloatArray = self.factor / self.weight * (self.of.value - self.of.value.mean())
        return found


def part_of(cell: Cell, of: Estimates, encoders: Sequence[str], weight: float) -> Part:
    """A cell and its estimates for some of its encoders."""
    at = [cell.encoders.index(name) for name in encoders]
    chosen = Cell(
        encoders=tuple(encoders),
        seeds=tuple(cell.seeds[i] for i in at),
        runs=tuple(cell.runs[i] for i in at),
        scores=tuple(cell.scores[i] for i in at),
        higher_is_better=cell.higher_is_better,
    )
    return Part(chosen, only(of, encoders), weight)


def overall(parts: Sequence[Part]) -> Estimates:
    """The overall scores with their errors, in standard deviations; more is better."""
    assert all(part.cell.encoders == parts[0].cell.encoders for part in parts)
    seeds = np.min([part.of.seeds for part in parts], axis=0)
    together = _sharing_runs(parts)
    return Estimates(
        encoders=parts[0].cell.encoders,
        higher_is_better=True,
        value=np.sum([part.weight * part.standardised for part in parts], axis=0),
        seeds=seeds,
        seed_noise=_sum_of_noises([_seed_noise(group, paired=False) for group in together], seeds, paired=False),
        paired_seed_noise=_sum_of_noises([_seed_noise(group, paired=True) for group in together], seeds, paired=True),
        image_noise=_image_noise(parts, seeds),
        runs=(),
        deviations=(),
    )


def _sharing_runs(parts: Sequence[Part]) -> list[list[Part]]:
    """Parts that have a run in common, directly or through others."""
    groups: list[tuple[set[str], list[Part]]] = []
    for part in parts:
        runs = {run for runs in part.cell.runs for run in runs}
        joined = [group for group in groups if group[0] & runs]
        groups = [group for group in groups if not group[0] & runs]
        members = [member for _, others in joined for member in others]
        groups.append((runs.union(*(others for others, _ in joined)), [*members, part]))
    return [members for _, members in groups]


@dataclass(frozen=True)
class _Noise:
    """Variance (encoders,) of the overall score from the seeds of some parts, and how well it is known."""

    variance: FloatArray
    df: FloatArray
    total_df: float
    likely: FloatArray
    own: FloatArray
    """(encoders, encoders), by the encoders' own seeds."""
    own_df: FloatArray


def _seed_noise(group: Sequence[Part], *, paired: bool) -> _Noise | None:
    """None if it is not known."""
    first = group[0].cell
    if len(group) > 1 and all((part.cell.runs, part.cell.seeds) == (first.runs, first.seeds) for part in group):
        scores = [
            np.sum([part.factor * part.cell.scores[encoder] for part in group], axis=0)
            for encoder in range(len(first.encoders))
        ]
        return _of_mean(estimates(Cell(first.encoders, first.seeds, first.runs, tuple(scores))), 1.0, paired=paired)
    known = [_of_mean(part.of, part.factor, paired=paired) for part in group]
    noises = [noise for noise in known if noise is not None]
    if len(noises) < len(group):
        return None
    if len(noises) == 1:
        return noises[0]
    # some runs are shared and some are not: as if all moved together, which is the most that they can
    worst = max(noises, key=lambda noise: float(noise.variance.sum()))
    variance, likely, own = (
        np.sum([np.sqrt(each) for each in of_parts], axis=0) ** 2
        for of_parts in zip(*((noise.variance, noise.likely, noise.own.diagonal()) for noise in noises), strict=True)
    )
    return _Noise(variance, worst.df, worst.total_df, likely, np.diag(own), worst.own_df)


def _of_mean(of: Estimates, factor: float, *, paired: bool) -> _Noise | None:
    noise = of.paired_seed_noise if paired else of.seed_noise
    if factor == 0:  # whatever its seeds do, it decides nothing
        nothing, known = np.zeros(len(of.encoders)), np.full(len(of.encoders), np.inf)
        return _Noise(nothing, known, np.inf, nothing, np.diag(nothing), known)
    if noise is None:
        return None
    of_mean = factor**2 / of.seeds
    own = noise.own * np.sqrt(np.outer(of_mean, of_mean))
    return _Noise(of_mean * noise.variance, noise.df, noise.total_df, of_mean * noise.likely, own, noise.own_df)


def _sum_of_noises(noises: Sequence[_Noise | None], seeds: NDArray[np.int64], *, paired: bool) -> SeedNoise | None:
    """Independent ones, as the noise of one seed; degrees of freedom by Welch and Satterthwaite."""
    known = [noise for noise in noises if noise is not None]
    if len(known) < len(noises) or not any(noise.variance.any() for noise in known):
        return None
    variance = np.sum([noise.variance for noise in known], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = variance**2 / np.sum([noise.variance**2 / noise.df for noise in known], axis=0)
        means = np.array([noise.variance.mean() for noise in known])
        total = means.sum() ** 2 / np.sum(means**2 / np.array([noise.total_df for noise in known]))
        own = np.sum([noise.own for noise in known], axis=0)
        own_df = own.diagonal() ** 2 / np.sum([noise.own.diagonal() ** 2 / noise.own_df for noise in known], axis=0)
    df = np.where(np.isnan(df), total, df)  # an encoder without any variance
    least = np.min([noise.own_df for noise in known], axis=0)
    return SeedNoise(
        variance=variance * seeds,
        df=np.minimum(df, total),
        likely=seeds * np.sum([noise.likely for noise in known], axis=0),
        total_df=float(total),
        own=own * np.sqrt(np.outer(seeds, seeds)),
        own_df=np.where((least > 0) & np.isfinite(own_df), own_df, least),
        paired=paired,
    )


def _image_noise(parts: Sequence[Part], seeds: NDArray[np.int64]) -> ImageNoise | None:
    together: dict[tuple[tuple[str, ...], int], list[tuple[Part, ImageNoise]]] = {}
    for part in parts:
        noise = part.of.image_noise
        if noise is not None:
            together.setdefault((noise.names, noise.seed), []).append((part, noise))
        elif part.factor:
            return None
    if not together:
        return None
    sums = [_on_the_same_images(group) for group in together.values()]
    return ImageNoise(
        names=tuple(f"{number}/{name}" for number, noise in enumerate(sums) for name in noise.names),
        seed=sums[0].seed,
        draws=np.sum([noise.draws for noise in sums], axis=0),
        covariance=np.sum([noise.covariance for noise in sums], axis=0),
        moved=np.concatenate([noise.moved for noise in sums], axis=1),
        hidden=np.concatenate([noise.hidden for noise in sums], axis=1),
        per_seed=seeds * np.sum([noise.per_seed for noise in sums], axis=0),
    )


def _on_the_same_images(group: Sequence[tuple[Part, ImageNoise]]) -> ImageNoise:
    """The weighted sum of what was resampled alike: an image moves all of it at once. `per_seed` is of the mean."""
    draws = np.sum([part.factor * noise.draws for part, noise in group], axis=0).astype(np.float32)
    hidden = np.sum([part.factor * noise.hidden for part, noise in group], axis=0)
    return replace(
        group[0][1],
        draws=draws,
        covariance=np.atleast_2d(np.cov(draws, rowvar=False, dtype=np.float64)) + hidden @ hidden.T,
        moved=np.sum([part.factor * noise.moved for part, noise in group], axis=0),
        hidden=hidden,
        per_seed=np.sum([part.factor**2 * noise.per_seed / part.of.seeds for part, noise in group], axis=0),
    )
