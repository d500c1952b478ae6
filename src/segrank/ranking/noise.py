"""What other seeds and other images would change in the scores of a cell. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.cell import Cell
from segrank.ranking.influence import influence
from segrank.ranking.moderated import steadied
from segrank.ranking.resample import ImageDraws, image_draws

FloatArray = NDArray[np.float64]
_ROUNDING = 1e-12
"""Of sums of a few scores, beside the scores."""


@dataclass(frozen=True, eq=False)
class SeedNoise:
    """What training again with another seed changes, per encoder (encoders,)."""

    variance: FloatArray
    """Of one seed's score, on these images: by the encoder's own seeds and those of all, see `Steadied`."""
    df: FloatArray
    likely: FloatArray
    """As `variance`, but as often too large as too small."""
    total_df: float
    """Of all encoders together."""
    own: FloatArray
    """(encoders, encoders): covariance of one seed's scores by the encoders' own seeds alone; 0 between encoders whose
    seeds are not paired."""
    own_df: FloatArray
    """0 for an encoder with one seed."""
    paired: bool


@dataclass(frozen=True, eq=False)
class ImageNoise:
    """What other images would change, in the mean over seeds."""

    names: tuple[str, ...]
    seed: int
    """Of the resamples: two cells with the same names and seed were resampled alike."""
    draws: NDArray[np.float32]
    """(resamples, encoders): the mean over seeds of mIoU in each resample."""
    covariance: FloatArray
    """(encoders, encoders): of `draws`, and of `hidden`."""
    moved: FloatArray
    """(encoders, images), as in `influence`."""
    hidden: FloatArray
    """(encoders, images), as in `influence`."""
    per_seed: FloatArray
    """(encoders,): variance over images of what is one seed's own. It is part of the variance between seeds' scores on
    these images too, and must not be counted twice."""


def seed_noise(cell: Cell) -> SeedNoise | None:
    """Between the seeds of each encoder, steadied by the others. None if no seed changes anything, or none has two."""
    df = np.array([len(scores) - 1.0 for scores in cell.scores])
    if all(np.ptp(scores) == 0 for scores in cell.scores):  # one seed each; or a seed that changed nothing
        return None
    variance = np.array([scores.var(ddof=1) if len(scores) > 1 else 0.0 for scores in cell.scores])
    return SeedNoise(*steadied(variance, df), float(df.sum()), np.diag(variance), df, paired=False)


def paired_seed_noise(cell: Cell) -> SeedNoise | None:
    """Residuals of encoder + seed. With two encoders their difference has the variance of the paired t test.

    None if encoders have different seeds. None too if all move exactly alike: coarse numbers do so by chance, and an
    error of 0 would make any difference certain.
    """
    count, seeds = len(cell.encoders), sorted(cell.seeds[0])
    if count < 2 or all(np.ptp(s) == 0 for s in cell.scores) or any(sorted(others) != seeds for others in cell.seeds):
        return None
    scores = np.stack([s[np.argsort(names)] for s, names in zip(cell.scores, cell.seeds, strict=True)])
    residual = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
    if np.abs(residual).max() <= _ROUNDING * np.abs(scores).max():
        return None
    df = np.full(count, (len(seeds) - 1) * (count - 1) / count)
    own = np.cov(scores)
    own_df = np.full(count, len(seeds) - 1.0)
    return SeedNoise(*steadied((residual**2).sum(axis=1) / df, df), float(df.sum()), own, own_df, paired=True)


def image_noise(cell: Cell, draws: ImageDraws | None) -> ImageNoise | None:
    """By resampling, completed by what resamples hide. None without counts of two images."""
    images = cell.images
    if images is None or len(images.names) < 2:
        return None
    draws = image_draws(images) if draws is None else draws
    assert draws.names == images.names, "draws of other images"
    mean = np.stack([miou.mean(axis=1) for miou in draws.miou], axis=1)
    own = [
        (miou - miou.mean(axis=1, keepdims=True)).var(axis=0, dtype=np.float64).sum() / max(1, miou.shape[1] - 1)
        for miou in draws.miou
    ]
    per_image = [influence(images, encoder) for encoder in range(len(cell.encoders))]
    hidden = np.stack([each.hidden for each in per_image])
    return ImageNoise(
        names=draws.names,
        seed=draws.seed,
        draws=mean,
        covariance=np.atleast_2d(np.cov(mean, rowvar=False, dtype=np.float64)) + hidden @ hidden.T,
        moved=np.stack([each.moved for each in per_image]),
        hidden=hidden,
        per_seed=np.array(own),
    )
