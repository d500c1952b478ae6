"""Estimates of two encoders: their runs paired by image and seed, and the spread of seeds learnt from all. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from segrank.ranking.cell import Cell
from segrank.ranking.cells import RunCounts, cell_of
from segrank.ranking.intervals import Estimates, estimates, only
from segrank.ranking.leaderboard import Options
from segrank.ranking.noise import image_noise
from segrank.ranking.resample import image_draws
from segrank.ranking.results import OK, Metric


def same_seeds(rows: pl.DataFrame, a: str, b: str) -> tuple[pl.DataFrame, str, bool]:
    """The rows of the seeds that both have, what was left out in words, and whether there are such seeds."""
    of_a, of_b = (set(rows.filter(pl.col("label") == name)["seed"]) for name in (a, b))
    shared = of_a & of_b
    if not shared:
        return rows, "they have no seed in common: their seeds are taken as independent", False
    parts = [
        f"seed{'s' * (len(extra) > 1)} {', '.join(map(str, sorted(extra)))} of {name}"
        for name, extra in ((a, of_a - shared), (b, of_b - shared))
        if extra
    ]
    note = f"{' and '.join(parts)} left out: the other encoder has no such score" if parts else ""
    return rows.filter(pl.col("seed").is_in(list(shared))), note, True


def peers(
    everyone: pl.DataFrame, protocol: Sequence[str], rows: pl.DataFrame, metric: Metric, *, paired: bool
) -> pl.DataFrame:
    """Rows of the other encoders that were run as the two were: what another seed changes is learnt from them too.

    Args:
        everyone: rows of all encoders.
        protocol: columns in which they have to agree.
        rows: of the two.
        metric: that they need a score of.
        paired: they need the same seeds, and give no others.
    """
    found = everyone.filter(
        (pl.col("status") == OK) & pl.col(metric.name).is_finite() & ~pl.col("label").is_in(rows["label"].implode())
    )
    if protocol:
        found = found.join(rows.head(1).select(protocol), on=protocol, how="semi", nulls_equal=True)
    if paired:
        found = found.filter(pl.col("seed").is_in(rows["seed"].implode()))
    seeds = pl.col("seed").n_unique().over("label")
    found = found.filter(seeds == pl.len().over("label"))  # a double is no repetition
    return found.filter(seeds == rows["seed"].n_unique()) if paired else found


def pair_estimates(
    rows: pl.DataFrame,
    others: pl.DataFrame,
    counts: Mapping[str, RunCounts] | None,
    metric: Metric,
    pair: tuple[str, str],
    options: Options,
) -> tuple[Cell, Estimates]:
    """Cell and estimates of a pair of encoders, in this order.

    Args:
        rows: of the two.
        others: their `peers`.
        counts: of the evaluations in `rows`; None if there are none.
        metric: of the scores.
        pair: labels.
        options: how uncertainty is estimated.

    Raises:
        RankingError: the evaluations are of different images.
    """
    ordered = cell_of(rows, metric, counts, group_images=options.group_images)
    cell = _turned(ordered) if ordered.encoders != pair else ordered
    draws = None
    if cell.images is not None:
        draws = image_draws(cell.images, resamples=options.resamples, seed=options.seed)
    of_all = estimates(cell_of(pl.concat([rows, others]), metric))
    return cell, replace(only(of_all, pair), image_noise=image_noise(cell, draws))


def _turned(cell: Cell) -> Cell:
    """The two encoders in the other order."""
    images = cell.images
    return replace(
        cell,
        encoders=cell.encoders[::-1],
        seeds=cell.seeds[::-1],
        runs=cell.runs[::-1],
        scores=cell.scores[::-1],
        images=images and replace(images, hits=images.hits[::-1], predicted=images.predicted[::-1]),
    )
