"""From when on the order of a setting stayed what it came to be: the evaluations along the way. No torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import stats

from segrank.ranking.results import Results
from segrank.ranking.settings import Setting

_SCORED_ALIKE = ("progress", "eval_digest", "eval_split", "score_precision", "corruption", "severity", "images")


@dataclass(frozen=True)
class Point:
    progress: float
    """Share of the steps done."""
    tau: float | None
    """With the order of the final scores; none if all are tied."""
    encoders: int
    images: int
    """Scored along the way: mostly a part of those of the final scores."""


@dataclass(frozen=True)
class AlongTheWay:
    points: tuple[Point, ...]
    """By progress."""

    def stable_from(self, tau: float) -> float | None:
        """The progress from which on no tau is below; None if even the last one is."""
        found = None
        for point in reversed(self.points):
            if point.tau is None or point.tau < tau - 1e-9:
                break
            found = point.progress
        return found


def along_the_way(results: Results, setting: Setting) -> AlongTheWay | None:
    """
    Args:
        results: of the evaluations along the way, `results_of(store, final=False)`.
        setting: whose final order they are held against.

    Returns:
        None if its runs have none.
    """
    metric, cell = setting.metric.name, setting.cell
    if metric not in results.rows.columns:
        return None
    encoder = {run: name for name, runs in zip(cell.encoders, cell.runs, strict=True) for run in runs}
    rows = results.rows.filter(pl.col("run").is_in(list(encoder)) & pl.col(metric).is_finite()).with_columns(
        pl.col("run").replace_strict(encoder, default="").alias("of")
    )
    seeds = pl.DataFrame({"of": cell.encoders, "all_seeds": [len(runs) for runs in cell.runs]})
    means = (
        rows.group_by(*_SCORED_ALIKE, "of")
        .agg(pl.col(metric).mean().alias("score"), pl.col("run").n_unique().alias("seeds"))
        .join(seeds, on="of")
        .filter(pl.col("seeds") == pl.col("all_seeds"))
    )
    final = dict(zip(cell.encoders, setting.merit.tolist(), strict=True))
    up = 1 if setting.of.higher_is_better else -1
    points: dict[float, Point] = {}
    for values, group in means.sort("of").group_by(*_SCORED_ALIKE, maintain_order=True):
        progress, images = float(values[0]), int(values[-1])
        names = group["of"].to_list()
        there = points.get(progress)
        if len(names) < 2 or (there and there.encoders >= len(names)):  # of several ways, that which scored the most
            continue
        tau = float(stats.kendalltau(up * group["score"].to_numpy(), [final[name] for name in names]).statistic)
        points[progress] = Point(progress, None if np.isnan(tau) else tau, len(names), images)
    return AlongTheWay(tuple(points[progress] for progress in sorted(points))) if points else None
