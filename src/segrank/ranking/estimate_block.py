"""From rows of one protocol to estimates: counts read, incomplete encoders put aside, images resampled. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.cell import Cell
from segrank.ranking.cells import MIOU, cell_of, read_counts
from segrank.ranking.comparable import Block, complete
from segrank.ranking.intervals import Estimates, estimates
from segrank.ranking.leaderboard import Options, Unscored
from segrank.ranking.resample import image_draws
from segrank.ranking.results import Metric, Results


@dataclass(frozen=True, eq=False)
class BlockEstimate:
    """A block's encoders with all that is known of their errors."""

    rows: pl.DataFrame
    """With a score that can be used, of incomplete encoders too."""
    usual: int
    """Seeds that an encoder should have."""
    seeds: Mapping[str, int]
    """By label, how many each has; without those that are exempt."""
    unscored: tuple[Unscored, ...]
    cell: Cell
    """Of the encoders that have all their seeds."""
    of: Estimates

    @property
    def complete_rows(self) -> pl.DataFrame:
        return self.rows.filter(pl.col("label").is_in(self.cell.encoders))


def estimate_block(
    results: Results,
    block: Block,
    metric: Metric,
    options: Options,
    draw_seeds: dict[tuple[str, ...], int],
    *,
    exempt: Collection[str] = (),
) -> BlockEstimate:
    """
    Args:
        results: that the block is of.
        block: rows of one protocol.
        metric: of the scores.
        options: how uncertainty is estimated.
        draw_seeds: images -> seed of their resampling: the same images are resampled alike, others independently.
        exempt: labels of encoders that may have fewer seeds than the others.

    Raises:
        RankingError: all counts are damaged, or evaluations cannot be paired.
    """
    rows, counts, damaged = block.rows, None, pl.DataFrame()
    if results.store and metric.name == MIOU:
        counts, wrong = read_counts(results.store, rows)
        damaged = rows.filter(pl.col("run").is_in(list(wrong))).with_columns(
            pl.col("run").replace_strict(wrong, default="").alias("status")
        )
        rows = rows.filter(~pl.col("run").is_in(list(wrong)))
        if rows.is_empty():
            raise RankingError(
                f"{results.source}: the counts of all {len(wrong)} runs are damaged; {next(iter(wrong.values()))}",
                fix="restore them, or evaluate the runs again",
            )
    known = rows.filter(~pl.col("label").is_in(list(exempt)))
    usual, seeds = complete(rows if known.is_empty() else known)
    full = rows.filter(pl.col("label").is_in([label for label, count in seeds.items() if count >= usual] + [*exempt]))
    if counts is None and options.group_images:
        raise RankingError(
            f"images were to be grouped, but {metric.name} of {results.source} comes without counts per image",
            wanted=f"{MIOU} of a store",
        )
    cell = cell_of(full, metric, counts, group_images=options.group_images)
    draws = None
    if cell.images is not None:
        seed = draw_seeds.setdefault(cell.images.names, options.seed + len(draw_seeds))
        draws = image_draws(cell.images, resamples=options.resamples, seed=seed)
    unscored = _unscored([block.without_score, damaged])
    return BlockEstimate(rows, usual, seeds, unscored, cell, estimates(cell, draws))


def _unscored(parts: Sequence[pl.DataFrame]) -> tuple[Unscored, ...]:
    return tuple(
        Unscored(*row)
        for part in parts
        if part.height
        for row in part.select("label", "run", "seed", "status").sort("label", "seed").iter_rows()
    )
