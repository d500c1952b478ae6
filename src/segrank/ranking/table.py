"""Records as a table: a row for each run and evaluation. No torch here."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from segrank.record import Record


def evaluations_table(records: Iterable[Record]) -> pl.DataFrame:
    """One row per run and final evaluation: the fields of the spec, then what was scored and what it cost.

    Runs without a score have a row too, with nulls and their status.
    """
    rows = []
    for record in records:
        run = {
            **record.spec.model_dump(),
            "run": record.key,
            "status": record.status,
            "precision": record.precision,
            "steps_done": record.step,
            **record.cost.model_dump(),
        }
        finals = [e for e in record.evaluations if e.final]
        rows += [
            {
                **run,
                "evaluation": e.key,
                "eval_dataset": e.dataset,
                "eval_split": e.split,
                "score_precision": e.precision,
                "images": e.images,
                "miou": e.scores.miou,
                "pixel_accuracy": e.scores.pixel_accuracy,
            }
            for e in finals
        ] or [run]
    return pl.DataFrame(rows, infer_schema_length=None)
