"""What ranking an encoder takes under each setting: training hours, or operations where devices differ. No torch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from segrank.ranking.protocol_search import FloatArray
from segrank.ranking.settings import Setting

_UNITS = {"hours": "training hours", "flops": "training PFLOP"}


def costs_of(settings: Sequence[Setting]) -> tuple[FloatArray, str, list[str]]:
    """(settings,) what an encoder took with all its seeds, in the mean; its unit; and what to know of it.

    Hours say nothing where devices differ: then the operations of training, if they are known of all.
    """
    tables = [_run_costs(setting.rows) for setting in settings]
    devices = sorted({name for table in tables for name in table["device"].drop_nulls().to_list()})
    known = {kind: all(table[kind].null_count() == 0 for table in tables) for kind in _UNITS}
    notes = []
    kind = "hours" if known["hours"] else "flops" if known["flops"] else ""
    if len(devices) > 1:
        listed = ", ".join(devices[:4])
        if known["flops"]:
            kind = "flops"
            notes.append(f"devices differ ({listed}): cost is counted in operations of training, not in hours")
        elif known["hours"]:
            notes.append(f"devices differ ({listed}), and operations are not known: hours are not comparable")
    if not kind:
        notes.append("what training took is not known of every run: agreement is told without cost")
        return np.full(len(settings), np.nan), "", notes
    found = [table.group_by("label").agg(pl.col(kind).sum())[kind].mean() for table in tables]
    return np.array(found, np.float64), _UNITS[kind], notes


def _run_costs(rows: pl.DataFrame) -> pl.DataFrame:
    flops = pl.lit(None, pl.Float64)
    if {"cost_train_flops", "batch_size", "steps"} <= set(rows.columns):
        names = ("cost_train_flops", "batch_size", "steps")
        flops = pl.lit(1e-15)
        for name in names:
            flops = flops * pl.col(name).cast(pl.Float64, strict=False)
    return rows.select("label", "device", pl.col("train_hours").alias("hours"), flops.alias("flops"))
