"""Results: rows to rank, wherever they come from, and what their columns mean.

A row is a run with one final evaluation, or a run without any, which has a status and no score. Whatever the source,
these columns are there:

    encoder_id    text; equal for runs of the same encoder with the same weights, whatever their file is called
    label         text; what `encoder_id` is called in a table of results
    family        text; what the encoder is called across settings, see below
    run           text; the run's key, or the line of a file
    evaluation    text; its key, none in a file
    status        `ok`, or why there is no score; a row that is not `ok` is shown and never ranked
    seed          whole number
    licence, device                                              text
    train_hours, memory_gib, image_ms, parameters_m, gflops      numbers, none where unknown: what the run took

and one column for each metric, for each field of the protocol, and for whatever else the source knows.

Who an encoder is. In one ranking, an encoder is a card's model (`dinov2-base`), or else a reference with its weights:
the same file under two paths is one encoder, the same path with two contents is two, and random weights are another
encoder than pretrained ones. From one setting to another it is its card's family: DINOv2-B under base and DINOv2-L
under large are both DINOv2, as in arXiv 2404.12172. This holds as long as a setting has one encoder of a family; where
it has several, a family says no longer which, and `across_settings` falls back to the encoders themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import polars as pl

from segrank.errors import RankingError
from segrank.store import Store

Direction = Literal["higher", "lower"]

COMMON = pl.Schema(
    {
        "encoder_id": pl.String, "label": pl.String, "family": pl.String, "run": pl.String, "evaluation": pl.String,
        "status": pl.String, "seed": pl.Int64, "licence": pl.String, "device": pl.String, "train_hours": pl.Float64,
        "memory_gib": pl.Float64, "image_ms": pl.Float64, "parameters_m": pl.Float64, "gflops": pl.Float64,
    }
)  # fmt: skip
"""Of the columns that every source has."""

OK = "ok"

_HIGHER = frozenset({
    "miou", "iou", "fwiou", "jaccard", "dice", "f1", "acc", "accuracy", "top1", "top5", "precision", "recall", "ap",
    "map", "auc", "auroc", "pq", "correlation", "psnr", "ssim", "r2",
})  # fmt: skip
_LOWER = frozenset({
    "loss", "error", "err", "mae", "mse", "rmse", "abs_rel", "ece", "nll", "brier", "perplexity", "fid", "lpips",
    "hd95",
})  # fmt: skip
"""Last parts of metrics' names whose direction nobody disputes."""


@dataclass(frozen=True)
class Metric:
    """A column of scores."""

    name: str
    direction: Direction
    guessed: bool = False
    """The direction was read off the name."""
    share: bool = False
    """Between 0 and 1, and shown in percent."""


@dataclass(frozen=True)
class Results:
    """Rows to rank, and what their columns mean."""

    source: str
    """The folder or file, for messages."""
    rows: pl.DataFrame
    metrics: tuple[Metric, ...]
    """Those that the source has; the first is ranked by unless another is asked for."""
    protocol: tuple[str, ...]
    """Columns that have to agree among the rows of a ranking."""
    evaluation: tuple[str, ...] = ()
    """Those of `protocol` that say how a run was scored. A run without a score has none of them."""
    names: Mapping[str, str] | None = None
    """Column of digests -> column with the names that people give to what was digested."""
    follows: Mapping[str, tuple[str, ...]] | None = None
    """Column -> columns that cannot but change with it."""
    own: str = ""
    """Column that says which score of a run is ranked by unless others are asked for."""
    store: Store | None = None
    """Where the counts behind the scores are."""
    notes: tuple[str, ...] = ()
    """What was noticed while reading."""
    known: dict[Any, Any] | None = field(default=None, repr=False)
    """Where `estimate_block` and `last_quarter` keep what they found, for whoever asks several questions of one store
    or table; None keeps nothing."""

    def metric(self, text: str = "") -> Metric:
        """A metric by its name, with `:lower` or `:higher` after it if one likes; the first one without.

        Raises:
            RankingError: there are no rows, there is none of that name, or its direction is another.
        """
        if self.rows.is_empty():
            raise RankingError(f"there are no runs in {self.source}", fix="check the path; `segrank show` lists runs")
        name, _, said = text.rpartition(":")
        for metric in self.metrics:
            if text in ("", metric.name):
                return metric
            if metric.name == name and said in get_args(Direction):
                if metric.direction != said:
                    raise RankingError(f"{name}:{said} was asked for, but of {name} {metric.direction} is better")
                return metric
        raise RankingError(
            f'{self.source} has no metric "{text[:80]}"',
            wanted=f"one of {', '.join(metric.name for metric in self.metrics)}",
        )


def direction_of(name: str) -> Direction | None:
    """Whether more or less is better, where the name leaves no doubt: `depth:rmse`, `val/mIoU`, `recall@1px`.

    Only the part after the last `:` or `/` counts. None if it says both, or neither.
    """
    last = re.split(r"[:/]", name.lower())[-1]
    words = {last, *re.split(r"[^a-z0-9]+", last)}
    higher, lower = bool(words & _HIGHER), bool(words & _LOWER)
    return None if higher == lower else "higher" if higher else "lower"


def across_settings(rows: pl.DataFrame, settings: Iterable[str]) -> pl.DataFrame:
    """The rows with the column `across`: what their encoder is called from setting to setting.

    Args:
        rows: of `Results`.
        settings: columns whose values tell settings apart.
    """
    members = rows.group_by("family", *settings).agg(pl.col("encoder_id").n_unique().alias("members"))
    several = members.filter(pl.col("members") > 1)["family"].unique()
    return rows.with_columns(
        pl.when(pl.col("family").is_in(several.implode())).then("label").otherwise("family").alias("across")
    )
