"""From a store to a table: a row for each run and final evaluation, or for each run without one. No torch.

The columns are told in `segrank.ranking.rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import polars as pl

from segrank.errors import SegrankError, StoreError
from segrank.metrics import further
from segrank.ranking.results import OK, Metric, Results
from segrank.ranking.rows import COLUMNS, FURTHER, METRICS, Row, rows_of_record, rows_without_record
from segrank.read_once import ReadOnce
from segrank.spec import RunSpec
from segrank.store import Store

EVALUATION = (
    "eval_digest", "eval_split", "score_precision", "corruption", "severity", "images", "progress", "classes",
    "scored_classes",
)  # fmt: skip
_NOT_PROTOCOL = ("encoder", "weights", "seed", "dataset", "eval_dataset")
PROTOCOL = (
    *(field for field in RunSpec.model_fields if field not in _NOT_PROTOCOL),
    "train_digest",
    *(name for name in EVALUATION if name not in RunSpec.model_fields),
)
"""All fields of a spec but the encoder, its weights and the seed, with digests in the place of names; and how it was
scored. A field that a spec gains is part of it."""
NAMES = {"train_digest": "dataset", "eval_digest": "eval_dataset"}
_SCORED = ("eval_digest", "images", "scored_classes")
FOLLOWS = {
    "dataset": ("train_digest", "eval_dataset", "classes", *_SCORED),
    "train_split": ("train_digest",),
    "eval_dataset": _SCORED,
    "eval_split": _SCORED,
}


def results_of(
    store: Store,
    *,
    final: bool = True,
    with_further: bool = False,
    on_damage: Callable[[SegrankError], None] = lambda _: None,
) -> Results:
    """All runs of a store.

    A row's status is `ok`; `failed` or `interrupted` as recorded; `running`, or `begun` and left; `unscored` if the
    evaluation is not there; or `damaged`. Only `ok` comes with scores.

    Args:
        store: of which each record is read once, see `ReadOnce`.
        final: False for the evaluations along the way instead, a row for each; tell them apart by `progress`.
        with_further: compute the metrics of `FURTHER` as well.
        on_damage: told of what cannot be read. Such a run is `damaged` if its spec says what it was, else left out.
    """
    store = store if isinstance(store, ReadOnce) else ReadOnce(store)
    rows: list[Row] = []
    for key in store.run_keys():
        try:
            record = store.record(key)
        except StoreError as error:
            on_damage(error)
            rows += rows_without_record(store, key, "damaged", str(error))
            continue
        if record is None:
            rows += rows_without_record(store, key, "running" if store.running(key) else "begun", "")
        else:
            rows += rows_of_record(record, final=final)
    _identify(rows)
    if with_further:
        for row in rows:
            row |= _further(store, row, on_damage)
    names = (*METRICS, *FURTHER) if with_further else METRICS
    metrics = tuple(Metric(name, "lower" if name.endswith("_error") else "higher", share=True) for name in names)
    return Results(
        source=str(store.folder),
        rows=pl.DataFrame(rows, schema=COLUMNS),
        metrics=metrics,
        protocol=PROTOCOL,
        evaluation=EVALUATION,
        names=NAMES,
        follows=FOLLOWS,
        own="own",
        store=store,
    )


def _further(store: Store, row: Row, on_damage: Callable[[SegrankError], None]) -> Row:
    if row["status"] != OK:
        return {}
    try:
        record = store.record(row["run"])
        evaluation = next(e for e in record.evaluations if e.key == row["evaluation"]) if record else None
        return further(store.counts(evaluation), evaluation.classes)._asdict() if evaluation else {}
    except SegrankError as error:
        on_damage(error)
        return {}


def _identify(rows: list[Row]) -> None:
    """Complete `encoder_id` and `train_digest`, and make labels that several encoders share differ.

    A run without a record has no digests. It is taken for the encoder and the dataset that others call by its names.
    """
    for column, names in (("encoder_id", ("encoder", "weights")), ("train_digest", ("dataset", "train_split"))):
        known: dict[tuple[str, ...], str] = {}
        for row in rows:
            if row.get(column):
                known[tuple(row[name] for name in names)] = row[column]
        for row in rows:
            called = tuple(row[name] for name in names)
            row[column] = row.get(column) or known.get(called) or " ".join(called)
    for row, label in zip(rows, _distinct(rows), strict=True):
        row["family"] = label if row["family"] == row["label"] else row["family"]
        row["label"] = label


def _distinct(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows' labels, with a number added where encoders would share one."""
    members: dict[str, dict[str, None]] = {}
    rows = list(rows)
    for row in rows:
        members.setdefault(row["label"], {})[row["encoder_id"]] = None
    return [
        row["label"]
        if len(members[row["label"]]) == 1
        else f"{row['label']} #{list(members[row['label']]).index(row['encoder_id']) + 1}"
        for row in rows
    ]
