"""Scores of the encoders of a setting along the way, each on the same images from the first to the last. No torch."""

from __future__ import annotations

import polars as pl

from segrank.ranking.cells import MIOU
from segrank.ranking.convergence import last_quarter
from segrank.ranking.results import Results
from segrank.ranking.settings import Setting

_SCORED_ALIKE = ("eval_digest", "eval_split", "corruption", "severity")
SCHEMA = pl.Schema(
    {"encoder": pl.String, "progress": pl.Float64, "score": pl.Float64, "seeds": pl.Int64, "images": pl.Int64}
)


def learning_curves(results: Results, setting: Setting) -> pl.DataFrame:
    """A row for each encoder and share of the steps done: the mean over seeds, where all seeds have a score.

    The last point is the end of training on the images that were scored along the way, from the counts of the final
    evaluation: the final score itself is of the whole split, and no part of the curve.

    Args:
        results: of the evaluations along the way, `results_of(store, final=False)`.
        setting: whose runs are meant.
    """
    metric, cell = setting.metric.name, setting.cell
    if results.rows.is_empty() or metric not in results.rows.columns:
        return pl.DataFrame(schema=SCHEMA)
    encoder = {run: name for name, runs in zip(cell.encoders, cell.runs, strict=True) for run in runs}
    # of one run, scored as its final evaluation was, on the same split of the same images as they are
    along = results.rows.filter(pl.col("run").is_in(list(encoder)), pl.col(metric).is_finite()).join(
        setting.rows.select("run", *_SCORED_ALIKE).unique("run"), on=["run", *_SCORED_ALIKE], nulls_equal=True
    )
    points = along.select("run", "progress", pl.col(metric).alias("score"), "images")
    if results.store is not None and metric == MIOU:
        ends = last_quarter(results, [setting])
        last = points.unique("run").filter(pl.col("run").is_in(list(ends)))
        points = pl.concat(
            [
                points,
                last.with_columns(
                    pl.lit(1.0).alias("progress"),
                    pl.Series("score", [ends[run].after for run in last["run"]], pl.Float64),
                ),
            ]
        )
    names = pl.DataFrame({"run": list(encoder), "encoder": list(encoder.values())})
    seeds = pl.DataFrame({"encoder": cell.encoders, "all": [len(runs) for runs in cell.runs]})
    return (
        points.join(names, on="run")
        .group_by("encoder", "progress")
        .agg(pl.col("score").mean(), pl.col("run").n_unique().alias("seeds"), pl.col("images").max())
        .join(seeds, on="encoder")
        .filter(pl.col("seeds") == pl.col("all"))
        .select(SCHEMA.names())
        .cast(SCHEMA)
        .sort("encoder", "progress")
    )
