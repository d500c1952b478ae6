"""Rows of a store's table: what a record, its spec, its card and an evaluation say. No torch.

Columns, beside those that all `Results` have:

    (a field of RunSpec)   as it came to be: `precision` resolved; `eval_dataset`, `eval_split` and `score_precision`
                           are those of the evaluation, so that a row says all of one score
    train_digest           of the training split; eval_digest of the evaluated one
    corruption, severity   of the evaluation; `none` and 0 for images as they are
    classes, scored_classes, images, step, progress (step / steps), error
    own                    whether it is the evaluation that the run's own spec asks for
    (a field of Scores)    a share: miou, pixel_accuracy
    (a field of Further)   further metrics from the counts, only where they were asked for
    cost_(field of Cost)   as recorded
    card_(field of Card)   of encoders that have a card
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from segrank.cards import CARDS, card_of
from segrank.errors import SegrankError
from segrank.metrics import Further
from segrank.ranking.results import COMMON, OK
from segrank.record import Cost, Evaluation, Record, Scores
from segrank.spec import RunSpec, parse_reference
from segrank.store import Store

Row = dict[str, Any]

FURTHER = Further._fields
"""Metrics that take reading the counts of every evaluation."""


def _dtype(annotation: Any) -> pl.DataType:
    """What a field's values are in a table: whole number, number, truth value, else text."""
    if isinstance(annotation, types.UnionType):
        annotation = next(kind for kind in typing.get_args(annotation) if kind is not types.NoneType)
    known: dict[Any, pl.DataType] = {bool: pl.Boolean(), int: pl.Int64(), float: pl.Float64()}
    return known.get(annotation, pl.String())


def _fields(model: type[BaseModel], prefix: str = "") -> dict[str, pl.DataType]:
    return {prefix + name: _dtype(field.annotation) for name, field in model.model_fields.items()}


_CARD_TYPES = {
    f"card_{name}": {bool: pl.Boolean(), int: pl.Int64(), float: pl.Float64()}.get(type(value), pl.String())
    for name, value in next(iter(CARDS.values())).to_data().items()
} | {"card_images_seen_m": pl.Float64(), "card_pretraining_seed": pl.Int64()}
METRICS = tuple(name for name, dtype in _fields(Scores).items() if dtype == pl.Float64())
COLUMNS = pl.Schema(
    COMMON
    | _fields(RunSpec)
    | {"train_digest": pl.String(), "eval_digest": pl.String(), "classes": pl.String(), "scored_classes": pl.String()}
    | {"images": pl.Int64(), "step": pl.Int64(), "progress": pl.Float64(), "error": pl.String(), "own": pl.Boolean()}
    | {"corruption": pl.String(), "severity": pl.Int64()}
    | {name: pl.Float64() for name in (*METRICS, *FURTHER)}
    | _fields(Cost, "cost_")
    | _CARD_TYPES
)


def rows_of_record(record: Record, *, final: bool) -> list[Row]:
    """One for each evaluation, final or along the way; of a run without a final one, a single row without a score."""
    cost, card = record.cost, record.card or _card(record.spec)
    base = _of_spec(record.spec, card)
    base |= {
        "run": record.key,
        "status": record.status,
        "error": record.error,
        "precision": record.precision,
        "step": record.step,
        "train_digest": _as_text(record.identity.get("dataset")),
        "encoder_id": base["encoder_id"] or _digests(record),
        "device": record.provenance.device or None,
        "train_hours": (cost.train_s + cost.data_wait_s) / 3600 or None,
        "memory_gib": cost.peak_host_gib if cost.peak_device_gib is None else cost.peak_device_gib,
        "gflops": cost.forward_flops / 1e9 if cost.forward_flops else None,
        **{f"cost_{name}": value for name, value in cost.model_dump().items()},
    }
    if cost.encoder_parameters:  # as it was built; the card's are those of the native size
        base["parameters_m"] = cost.encoder_parameters / 1e6
    scored = _once([evaluation for evaluation in record.evaluations if evaluation.final == final])
    if record.status != OK and final:
        return [base]
    if not scored and final:
        return [{**base, "status": "unscored"}]
    return [base | _of_evaluation(evaluation, record) for evaluation in scored]


def _once(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Of evaluations that differ in what was counted besides confusions, the one with the most."""
    found: dict[tuple[object, ...], Evaluation] = {}
    for e in sorted(evaluations, key=lambda e: len(e.also)):
        found[e.dataset_digest, e.split, e.precision, e.step, e.corruption, e.severity, e.images] = e
    return list(found.values())


def _of_evaluation(evaluation: Evaluation, record: Record) -> Row:
    own = record.evaluation
    return {
        "evaluation": evaluation.key,
        "eval_dataset": evaluation.dataset,
        "eval_digest": evaluation.dataset_digest,
        "eval_split": evaluation.split,
        "score_precision": evaluation.precision,
        "corruption": evaluation.corruption or "none",
        "severity": evaluation.severity,
        "own": own is not None and _once([own, evaluation]) == [evaluation],
        "images": evaluation.images,
        "step": evaluation.step,
        "progress": evaluation.step / record.spec.steps,
        "classes": json.dumps(evaluation.classes, ensure_ascii=False),
        "scored_classes": json.dumps(evaluation.scores.scored_classes, ensure_ascii=False),
        "image_ms": 1000 * evaluation.seconds / evaluation.images if evaluation.images else None,
        **{name: getattr(evaluation.scores, name) for name in METRICS},
    }


def rows_without_record(store: Store, key: str, status: str, error: str) -> list[Row]:
    """What the spec beside it says of a run; nothing if that cannot be read either."""
    try:
        spec = RunSpec.model_validate_json((store.run_folder(key) / "spec.json").read_bytes())
    except (OSError, ValueError, SegrankError):
        return []
    row = {**_of_spec(spec, _card(spec)), "run": key, "status": status, "error": error}
    if spec.precision == "auto":
        row["precision"] = None
    return [row]


def _card(spec: RunSpec) -> dict[str, Any] | None:
    card = card_of(spec.encoder, spec.weights)
    return card.to_data() if card else None


def _of_spec(spec: RunSpec, card: Mapping[str, Any] | None) -> Row:
    row = spec.model_dump()
    row["eval_dataset"] = spec.eval_dataset or spec.dataset
    row["label"] = row["family"] = _label(spec)
    row["encoder_id"] = None
    if card is None:
        return row
    facts = {f"card_{name}": _as_one(value) for name, value in card.items()}
    facts = {name: value for name, value in facts.items() if name in _CARD_TYPES and _fits(value, _CARD_TYPES[name])}
    called = facts.get("card_name") or row["label"]
    return {
        **row,
        **facts,
        "label": called,
        "encoder_id": called,
        "family": facts.get("card_family") or called,
        "licence": facts.get("card_licence"),
        "parameters_m": facts.get("card_parameters_m"),
    }


def _as_text(value: Any) -> str | None:
    return None if value is None else str(value)


def _as_one(value: Any) -> Any:
    """Lists as text; of the evaluation sets that were seen, their names."""
    if not isinstance(value, list):
        return value
    return ", ".join(str(item.get("dataset")) if isinstance(item, dict) else str(item) for item in value)


def _fits(value: Any, dtype: pl.DataType) -> bool:
    """Whether a value of a record's card, which may come from anywhere, is what its column holds."""
    kinds: dict[pl.DataType, Any] = {pl.Boolean(): bool, pl.Int64(): int, pl.Float64(): (int, float)}
    return isinstance(value, kinds.get(dtype, str))


def _label(spec: RunSpec) -> str:
    """`vit_small_patch14_dinov2 with mine.safetensors`; pretrained weights go without saying."""
    scheme, name, _ = parse_reference(spec.encoder)
    name = spec.encoder.removeprefix(f"{scheme}:") if scheme == "timm" else spec.encoder
    if spec.weights == "pretrained":
        return name
    return f"{name} with {'random weights' if spec.weights == 'random' else Path(spec.weights).name}"


def _digests(record: Record) -> str | None:
    """An encoder without a card: its reference and its weights, files by their content."""
    encoder, weights = record.identity.get("encoder"), record.identity.get("weights", "pretrained")
    return f"{encoder} {weights}" if encoder else None
