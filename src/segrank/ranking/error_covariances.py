"""How the errors of several scores go together, of one setting or of two: what true scores are drawn with. No torch.

As the variances are themselves estimated, there are several covariances, equally likely: those of a few seeds, or of a
few images, leave a wide choice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.intervals import Estimates
from segrank.ranking.noise import ImageNoise
from segrank.ranking.once import once

FloatArray = NDArray[np.float64]
STRATA = 9
_STRATA_OF_MANY = 3
_MANY = 200
"""Encoders: of more, each covariance takes seconds, and what one encoder's variance may be decides little."""


@once
def error_covariances(of: Estimates) -> list[FloatArray]:
    """(encoders, encoders) of the errors of the values, as far as they decide differences: `STRATA` of them, or fewer
    for many encoders."""
    images, seeds = _over_images([of])[0][0], _over_seeds(of)
    scale = _scales(np.array([_image_df(of)]), np.random.default_rng(0), len(seeds))[:, 0]
    return [by_images * images + np.diag(by_seeds) for by_images, by_seeds in zip(scale, seeds, strict=True)]


def joint_error_covariances(x: Estimates, y: Estimates) -> list[FloatArray]:
    """(2 x encoders, 2 x encoders) of the errors of two settings that have the same encoders: the same images move
    both, and so do the seeds of the same runs."""
    (in_x, across), (across_turned, in_y) = _over_images([x, y])
    luck = _seed_correlation(x, y)
    # what is not known of the variances is the same for the same images and runs, and else of each setting's own
    other_images, other_runs = not across.any(), not luck.any()
    over_seeds_x, over_seeds_y = _over_seeds(x), _over_seeds(y, other_runs)
    number = len(over_seeds_x)
    scale_x = _scales(np.array([_image_df(x)]), np.random.default_rng(0), number)[:, 0]
    scale_y = _scales(np.array([_image_df(y)]), np.random.default_rng(int(other_images)), number)[:, 0]
    found = []
    for sx, sy, seeds_x, seeds_y in zip(scale_x, scale_y, over_seeds_x, over_seeds_y, strict=True):
        shared = np.sqrt(sx * sy) * across + np.diag(luck * np.sqrt(seeds_x * seeds_y))
        turned = np.sqrt(sx * sy) * across_turned + np.diag(luck * np.sqrt(seeds_x * seeds_y))
        found.append(np.block([[sx * in_x + np.diag(seeds_x), shared], [turned, sy * in_y + np.diag(seeds_y)]]))
    return found


def shared_covariance(x: Estimates, y: Estimates) -> FloatArray:
    """(encoders of x, encoders of y): what the same images do to both; 0 where they were scored on different ones."""
    one, other = x.image_noise, y.image_noise
    if one is None or other is None or one.names != other.names or one.seed != other.seed:
        return np.zeros((len(x.value), len(y.value)))
    assert len(one.draws) == len(other.draws), "another number of resamples"
    of_draws = np.cov(one.draws, other.draws, rowvar=False, dtype=np.float64)[: len(x.value), len(x.value) :]
    shared: FloatArray = of_draws + one.hidden @ other.hidden.T
    return shared


def _over_images(settings: Sequence[Estimates]) -> list[list[FloatArray]]:
    """Covariances (encoders, encoders) between every two settings with the same encoders, or of one with itself.

    They are drawn towards errors that are equal and independent between encoders, the more so the fewer images there
    are: with fewer of them than encoders some differences seem to have no error at all (Ledoit and Wolf, Journal of
    Multivariate Analysis 88, 2004, 365-411). All by the same share, the larger of those that the settings ask for.
    """
    count = len(settings[0].encoders)
    drawn = max(_drawn(of.image_noise) if of.image_noise else 0.0 for of in settings)
    centre = np.eye(count) - 1 / count
    found = [[shared_covariance(one, other) for other in settings] for one in settings]
    if not drawn:
        return found
    for row in found:
        for at, covariance in enumerate(row):
            apart = centre @ covariance @ centre
            row[at] = covariance + drawn * (np.trace(apart) / (count - 1) * centre - apart)
    return found


@once
def _drawn(noise: ImageNoise) -> float:
    """Which share, 0 to 1."""
    if len(noise.moved) < 3:
        return 0.0
    moved = noise.moved - noise.moved.mean(axis=0)
    count, images = moved.shape
    products = moved @ moved.T / images
    even = np.trace(products) / (count - 1) * (np.eye(count) - 1 / count)
    apart = float(((products - even) ** 2).sum())
    error = float((((moved**2).sum(axis=0) ** 2).sum() - images * (products**2).sum()) / images**2)
    return min(max(error, 0.0) / apart, 1.0) if apart > 0 else 0.0


def _image_df(of: Estimates) -> float:
    """Of the variance of a difference over images (see `image_part`), in the middle of the encoders."""
    if of.image_noise is None:
        return np.inf
    moved = of.image_noise.moved - of.image_noise.moved.mean(axis=0)
    second, fourth = (moved**2).sum(axis=1), (moved**4).sum(axis=1)
    known = second > 0
    if not known.any():
        return np.inf
    spread = np.maximum(fourth[known] - second[known] ** 2 / moved.shape[1], 1e-300)
    return float(np.clip(np.median(2 * second[known] ** 2 / spread), 1, max(moved.shape[1] - 1, 1)))


def _over_seeds(of: Estimates, other_runs: bool = False) -> FloatArray:
    """(strata, encoders): variances, beside what is counted with the images."""
    seeds = of.paired_seed_noise or of.seed_noise
    number = STRATA if len(of.encoders) <= _MANY else _STRATA_OF_MANY
    if seeds is None:
        return np.zeros((number, len(of.encoders)))
    scales = _scales(seeds.df, np.random.default_rng([1, other_runs]), number)
    own = 0.0 if of.image_noise is None else of.image_noise.per_seed
    return np.asarray(np.maximum(scales * seeds.likely - own, 0) / of.seeds)


def _seed_correlation(x: Estimates, y: Estimates) -> FloatArray:
    """(encoders,): between what a seed does under x and under y, over the encoders whose runs are the same; of others
    0."""
    none = np.zeros(len(x.encoders))
    if not x.runs or not y.runs or x.seed_noise is None or y.seed_noise is None:
        return none
    same = np.array([of_x == of_y for of_x, of_y in zip(x.runs, y.runs, strict=True)])
    if not same.any():
        return none
    of_x, of_y = (np.concatenate([side.deviations[at] for at in np.flatnonzero(same)]) for side in (x, y))
    size = float(np.sqrt((of_x**2).sum() * (of_y**2).sum()))
    return same * (float((of_x * of_y).sum()) / size if size else 0.0)


def _scales(df: FloatArray, random: np.random.Generator, strata: int) -> FloatArray:
    """(strata, variances): what each may be as a multiple of its estimate, one from each part of its distribution, in
    an order of its own (a Latin hypercube)."""
    parts = np.array([(random.permutation(strata) + 0.5) / strata for _ in df]).T
    known = np.minimum(df, 1e9)
    return np.asarray(known / stats.chi2.ppf(parts, known))
