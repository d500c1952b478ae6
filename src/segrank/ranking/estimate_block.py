"""From rows of one protocol to estimates: counts read, incomplete encoders put aside, images resampled. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.cell import Cell
from segrank.ranking.cells import MIOU, RunCounts, cell_of, read_counts
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
    """Of the encoders that have all their seeds; without counts."""
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
    known = results.known if results.known is not None else {}
    asked = (metric, options.resamples, options.group_images, tuple(exempt), _scores(block.rows, metric))
    # the same images may be resampled by another seed elsewhere: then the counts are read again
    of_images = known.get(asked)
    seed = None if of_images is None else _draw_seed(of_images, options, draw_seeds)
    if (asked, seed) not in known:
        found = _estimated(results, block.rows, metric, options, draw_seeds, exempt)
        known[asked] = found.images
        seed = _draw_seed(found.images, options, draw_seeds)
        known[asked, seed] = found
    found = known[asked, seed]
    damaged = block.rows.filter(pl.col("run").is_in(list(found.wrong))).with_columns(
        pl.col("run").replace_strict(dict(found.wrong), default="").alias("status")
    )
    unscored = _unscored([block.without_score, damaged])
    rows = block.rows.filter(~pl.col("run").is_in(list(found.wrong)))
    return BlockEstimate(rows, found.usual, found.seeds, unscored, found.cell, found.of)


@dataclass(frozen=True, eq=False)
class _Estimated:
    """What is kept of a block: no counts."""

    wrong: Mapping[str, str]
    """Run -> what is wrong with its counts."""
    usual: int
    seeds: Mapping[str, int]
    images: tuple[str, ...] | None
    """Those that were resampled."""
    cell: Cell
    of: Estimates


def _scores(rows: pl.DataFrame, metric: Metric) -> frozenset[tuple[object, ...]]:
    return frozenset(rows.select("label", "seed", "run", "evaluation", metric.name).iter_rows())


def _draw_seed(images: tuple[str, ...] | None, options: Options, draw_seeds: dict[tuple[str, ...], int]) -> int | None:
    return None if images is None else draw_seeds.setdefault(images, options.seed + len(draw_seeds))


def _estimated(
    results: Results,
    rows: pl.DataFrame,
    metric: Metric,
    options: Options,
    draw_seeds: dict[tuple[str, ...], int],
    exempt: Collection[str],
) -> _Estimated:
    counts: Mapping[str, RunCounts] | None = None
    wrong: Mapping[str, str] = {}
    if results.store and metric.name == MIOU:
        counts, wrong = read_counts(results.store, rows)
        rows = rows.filter(~pl.col("run").is_in(list(wrong)))
        if rows.is_empty():
            raise RankingError(
                f"{results.source}: the counts of all {len(wrong)} runs are damaged; {next(iter(wrong.values()))}",
                fix="restore them, or evaluate the runs again",
            )
    compared = rows.filter(~pl.col("label").is_in(list(exempt)))
    usual, seeds = complete(rows if compared.is_empty() else compared)
    full = rows.filter(pl.col("label").is_in([label for label, count in seeds.items() if count >= usual] + [*exempt]))
    if counts is None and options.group_images:
        raise RankingError(
            f"images were to be grouped, but {metric.name} of {results.source} comes without counts per image",
            wanted=f"{MIOU} of a store",
        )
    cell = cell_of(full, metric, counts, group_images=options.group_images)
    del counts  # as much as the cell has of them
    names = cell.images.names if cell.images is not None else None
    draws = None
    if (seed := _draw_seed(names, options, draw_seeds)) is not None and cell.images is not None:
        draws = image_draws(cell.images, resamples=options.resamples, seed=seed)
    return _Estimated(wrong, usual, seeds, names, replace(cell, images=None), estimates(cell, draws))


def _unscored(parts: Sequence[pl.DataFrame]) -> tuple[Unscored, ...]:
    return tuple(
        Unscored(*row)
        for part in parts
        if part.height
        for row in part.select("label", "run", "seed", "status").sort("label", "seed").iter_rows()
    )
