"""From rows of one protocol to estimates: counts read, incomplete encoders put aside, images resampled. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.cell import Cell
from segrank.ranking.cells import MIOU, cell_of, read_counts
from segrank.ranking.comparable import Block, complete
from segrank.ranking.intervals import Estimates, estimates
from segrank.ranking.leaderboard import Options
from segrank.ranking.resample import image_draws
from segrank.ranking.results import Metric, Results


@dataclass(frozen=True, eq=False)
class Estimated:
    """The encoders of a block that have all its seeds, with their errors."""

    block: Block
    rows: pl.DataFrame
    """Of `block`, those that the estimates are from."""
    cell: Cell
    of: Estimates
    """Encoders by their labels."""
    left_out: tuple[str, ...]
    """Encoders with fewer seeds than most, or with damaged counts."""


def estimate_blocks(
    results: Results, blocks: Sequence[Block], metric: Metric, options: Options
) -> tuple[Estimated, ...]:
    """The blocks with their estimates; one of which nothing can be used is left out.

    Blocks that are scored on the same images are resampled alike.

    Raises:
        RankingError: nothing can be used, or the evaluations of a block are of different images.
    """
    draw_seeds: dict[tuple[str, ...], int] = {}
    found = []
    for block in blocks:
        rows, counts, wrong = block.rows, None, dict[str, str]()
        if results.store and metric.name == MIOU:
            counts, wrong = read_counts(results.store, rows)
            rows = rows.filter(~pl.col("run").is_in(list(wrong)))
        if rows.is_empty():
            continue
        usual, seeds = complete(rows)
        short = [label for label, count in seeds.items() if count < usual]
        rows = rows.filter(~pl.col("label").is_in(short))
        if counts is None and options.group_images:
            raise RankingError(
                f"images were to be grouped, but {metric.name} of {results.source} comes without counts per image",
                wanted=f"{MIOU} of a store",
            )
        cell = cell_of(rows, metric, counts, group_images=options.group_images)
        draws = None
        if cell.images is not None:
            seed = draw_seeds.setdefault(cell.images.names, options.seed + len(draw_seeds))
            draws = image_draws(cell.images, resamples=options.resamples, seed=seed)
        damaged = set(block.rows["label"]) - set(rows["label"]) - set(short)
        found.append(Estimated(block, rows, cell, estimates(cell, draws), (*short, *sorted(damaged))))
    if not found:
        raise RankingError(
            f"{results.source}: the counts of all runs are damaged",
            fix="restore them, or evaluate the runs again",
        )
    return tuple(found)
