"""Encoders that differ in their pretraining seed alone, as one encoder with several seeds. No torch."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from segrank.errors import RankingError
from segrank.ranking.results import Results

SEED = "card_pretraining_seed"


def by_pretraining_seed(results: Results) -> Results:
    """The same results with one encoder for each objective of `segrank pretrain`, whose seeds are those of pretraining.

    What is said of such an encoder then holds for its objective, as far as other seeds of pretraining would leave it,
    and not for one checkpoint. Other encoders stay as they are.

    Raises:
        RankingError: there are no such encoders, or one of them was tuned with several seeds, which are no independent
            evidence on its objective.
    """
    rows = results.rows
    if SEED not in rows.columns or rows[SEED].null_count() == rows.height:
        raise RankingError(
            f"{results.source} has no encoders whose pretraining seed is known",
            wanted="encoders of `segrank pretrain`, or a column card_pretraining_seed",
        )
    several = rows.filter(pl.col(SEED).is_not_null()).group_by("encoder_id").agg(pl.col("seed").n_unique())
    if (several["seed"] > 1).any():
        name = several.filter(pl.col("seed") > 1)["encoder_id"][0]
        raise RankingError(
            f"{name} was tuned with several seeds: they share one pretraining",
            wanted="one seed of tuning for each pretraining",
            fix="leave --pretraining-seeds out, or rank a store of one seed",
        )
    known = pl.col(SEED).is_not_null()
    called = [
        pl.when(known).then("card_family").otherwise(name).alias(name) for name in ("encoder_id", "label", "family")
    ]
    seed = pl.when(known).then(SEED).otherwise("seed").alias("seed")
    return replace(results, rows=rows.with_columns(*called, seed), known=None)
