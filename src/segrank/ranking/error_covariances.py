"""How the errors of several scores go together, of one setting or of two: what true scores are drawn with. No torch.

As the variances are themselves estimated, there are several covariances, equally likely: those of a few seeds, or of a
few images, leave a wide choice.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.intervals import Estimates
from segrank.ranking.noise import ImageNoise

FloatArray = NDArray[np.float64]
STRATA = 9


def error_covariances(of: Estimates) -> list[FloatArray]:
    """(encoders, encoders) of the errors of the values, as far as they decide differences: `STRATA` of them, or one
    where nothing is estimated."""
    return [covariance for covariance, _ in _strata(of)]


def joint_error_covariances(x: Estimates, y: Estimates) -> list[FloatArray]:
    """(2 x encoders, 2 x encoders) of the errors of two settings that have the same encoders: the same images move
    both, and so do the seeds of the same runs."""
    between = shared_covariance(x, y)
    luck = _seed_correlation(x, y)
    # what is not known of the variances is the same for the same images and runs, and else of each setting's own
    of_x, of_y = _strata(x), _strata(y, other_images=not between.any(), other_runs=luck == 0)
    found = []
    for at in range(max(len(of_x), len(of_y))):
        (in_x, from_x), (in_y, from_y) = of_x[at % len(of_x)], of_y[at % len(of_y)]
        across = between * np.sqrt(from_x.images_kept * from_y.images_kept)
        across = across + np.diag(luck * np.sqrt(from_x.seeds * from_y.seeds))
        found.append(np.block([[in_x, across], [across.T, in_y]]))
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


def _seed_correlation(x: Estimates, y: Estimates) -> float:
    """Between what a seed does under x and under y, over the encoders whose runs are the same; 0 if not all are."""
    if not x.runs or x.runs != y.runs or x.seed_noise is None or y.seed_noise is None:
        return 0.0
    of_x, of_y = (np.concatenate(side.deviations) for side in (x, y))
    size = float(np.sqrt((of_x**2).sum() * (of_y**2).sum()))
    return float((of_x * of_y).sum()) / size if size else 0.0


class _From(NamedTuple):
    """What a covariance is made of."""

    images_kept: float
    """Share of the images' covariance that is in it."""
    seeds: FloatArray
    """(encoders,): variance by seeds."""


def _strata(of: Estimates, *, other_images: bool = False, other_runs: bool = False) -> list[tuple[FloatArray, _From]]:
    nothing = np.zeros(len(of.encoders))
    seeds = of.paired_seed_noise or of.seed_noise
    if not of.covers or len(of.encoders) < 2:
        images = of.image_noise.covariance if of.image_noise else np.diag(nothing)
        return [(images, _From(1.0, nothing))]
    of_images = _Images(np.diag(nothing), 1.0, np.inf) if of.image_noise is None else _of_images(of.image_noise)
    own = nothing if of.image_noise is None else of.image_noise.per_seed
    scale_images = _scales(np.array([of_images.df]), np.random.default_rng([0, other_images]))
    scale_seeds = np.ones((STRATA, len(nothing)))
    if seeds is not None:
        scale_seeds = _scales(seeds.df, np.random.default_rng([1, other_runs]))
    found = []
    for for_images, for_seeds in zip(scale_images[:, 0], scale_seeds, strict=True):
        by_seeds = nothing if seeds is None else np.maximum(for_seeds * seeds.variance - own, 0) / of.seeds
        covariance = for_images * of_images.covariance + np.diag(by_seeds)
        found.append((covariance, _From(float(for_images * of_images.kept), by_seeds)))
    return found


def _scales(df: FloatArray, random: np.random.Generator) -> FloatArray:
    """(STRATA, variances): what each may be as a multiple of its estimate, one from each part of its distribution, in
    an order of its own (a Latin hypercube)."""
    parts = np.array([(random.permutation(STRATA) + 0.5) / STRATA for _ in df]).T
    known = np.minimum(df, 1e9)
    return np.asarray(known / stats.chi2.ppf(parts, known))


class _Images(NamedTuple):
    covariance: FloatArray
    """(encoders, encoders)."""
    kept: float
    """Share of what images say of differences that is left in it."""
    df: float


def _of_images(noise: ImageNoise) -> _Images:
    """Drawn towards equal and independent errors, the more so the fewer images there are beside encoders: fewer images
    than encoders leave differences of several that seem to have no error at all (Ledoit and Wolf, Journal of
    Multivariate Analysis 88, 2004, 365-411)."""
    count, images = noise.moved.shape
    centre = np.eye(count) - 1 / count
    moved = centre @ noise.moved
    products = moved @ moved.T / images
    size = np.trace(products) / (count - 1)
    if size <= 0 or count < 3:
        return _Images(noise.covariance, 1.0, _image_df(moved))
    apart = ((products - size * centre) ** 2).sum()
    squares = (moved**2).sum(axis=0)
    error = ((squares**2).sum() - images * (products**2).sum()) / images**2
    drawn = float(min(error / apart, 1.0)) if apart > 0 else 1.0
    apart_from_common = centre @ noise.covariance @ centre
    even = np.trace(apart_from_common) / (count - 1) * centre
    return _Images(noise.covariance + drawn * (even - apart_from_common), 1 - drawn, _image_df(moved))


def _image_df(moved: FloatArray) -> float:
    """As of a difference (see `image_part`), in the middle of the encoders."""
    second, fourth = (moved**2).sum(axis=1), (moved**4).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        df = 2 * second**2 / (fourth - second**2 / moved.shape[1])
    df = df[np.isfinite(df)]
    return float(np.clip(np.median(df), 1, max(moved.shape[1] - 1, 1))) if df.size else np.inf
