"""Whether a record is what it says, as far as it can tell by itself: what comes from elsewhere is asked. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from segrank.counts import BOUNDARY, CALIBRATION, CONFIDENCE, CONFUSION, confusion_from_table, scores
from segrank.errors import SegrankError, StoreError
from segrank.evaluate.corruptions import AMOUNTS, Corruption
from segrank.predictions import Prediction
from segrank.record import Evaluation, Record, Scores
from segrank.spec import evaluation_identity, key_of
from segrank.spec import identity as identity_of

_KINDS = {CONFUSION: CONFUSION, BOUNDARY: BOUNDARY, CALIBRATION: CALIBRATION, CONFIDENCE: CALIBRATION}
"""Of rows of counts, and what has to be asked for to have them."""
_LONGEST_NAME = 4096
_MOST_PIXELS = 2**40
"""In one row: more than any image has, and so few that sums stay exact."""


def check_record(record: Record) -> None:
    """A finished run whose key is that of its spec, and whose evaluations have keys of their own.

    Raises:
        StoreError: it is another run than it says, or has no final score.
    """
    if record.status != "ok" or record.evaluation is None:
        raise _wrong(record, "is not finished, or has no final evaluation")
    if key_of(record.identity) != record.key:
        raise _wrong(record, "has a key that does not follow from its identity")
    if identity_of(record.spec, _digests(record), record.precision) != record.identity:
        raise _wrong(record, "has a spec that is not that of its identity")
    for evaluation in record.evaluations:
        if evaluation.key not in _keys(evaluation):
            raise _wrong(record, f"has an evaluation {evaluation.key} whose key does not follow from what it says")


def check_counts(evaluation: Evaluation, counts: pl.DataFrame) -> None:
    """That an evaluation's scores are those of its counts.

    Raises:
        StoreError: they are not, or the counts are none.
    """
    kinds = {kind for kind, asked in _KINDS.items() if asked in (CONFUSION, *evaluation.also)}
    bad = (
        counts.null_count().sum_horizontal().sum()
        or counts.filter(~pl.col("kind").is_in(list(kinds)) | ~pl.col("pixels").is_between(0, _MOST_PIXELS)).height
    )
    if bad or counts["image"].n_unique() > evaluation.images:
        raise StoreError(f"the counts of evaluation {evaluation.key} hold what it did not count")
    total = confusion_from_table(counts, len(evaluation.classes))
    try:
        computed = scores(total, evaluation.classes)
    except SegrankError as error:
        raise StoreError(f"the counts of evaluation {evaluation.key}: {error.found}") from error
    if not _equal(computed, evaluation.scores):
        raise StoreError(
            f"evaluation {evaluation.key} says mIoU {100 * evaluation.scores.miou:.4f}, "
            f"and its counts give {100 * computed.miou:.4f}",
            wanted="scores that follow from the counts",
        )


def check_predictions(evaluation: Evaluation, predictions: Sequence[Prediction]) -> None:
    """That predictions are of images of the evaluation, and of its classes.

    Raises:
        StoreError: they are not.
    """
    for one in predictions:
        good = 0 <= one.place < evaluation.images and one.labels.size and one.labels.max() < len(evaluation.classes)
        if not good or not one.name.isprintable() or len(one.name) > _LONGEST_NAME:
            raise StoreError(f"the predictions of evaluation {evaluation.key} are not of its images and classes")


def _digests(record: Record) -> dict[str, str]:
    """What of an identity stands in place of a path, where the spec has one."""
    spec, identity = record.spec, record.identity
    found = {"dataset": str(identity.get("dataset"))}
    if spec.weights not in ("pretrained", "random"):
        found["weights"] = str(identity.get("weights"))
    own = spec.encoder.partition(":")[0]
    if own in ("file", "python", "hf") and str(identity.get("encoder")).startswith(f"{own}:sha256:"):
        found["encoder"] = str(identity["encoder"])
    return found


def _keys(evaluation: Evaluation) -> Iterator[str]:
    """That it may have: it looked at the whole split, or at so many images of it."""
    corruption: tuple[Any, ...] = ()
    if evaluation.corruption in AMOUNTS and evaluation.severity:
        one = Corruption(evaluation.corruption, evaluation.severity)
        corruption = (*one, one.amount)
    for images in (None, evaluation.images):
        yield key_of(
            evaluation_identity(
                evaluation.run,
                evaluation.dataset_digest,
                evaluation.split,
                evaluation.precision,
                evaluation.step,
                images=images,
                also=evaluation.also,
                corruption=corruption,
            )
        )


def _equal(one: Scores, other: Scores) -> bool:
    """To a rounding: machines may sum in another order."""

    def close(x: float | None, y: float | None) -> bool:
        return x is y or (x is not None and y is not None and math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12))

    return (
        (one.scored_classes, one.pixels, len(one.iou)) == (other.scored_classes, other.pixels, len(other.iou))
        and close(one.miou, other.miou)
        and close(one.pixel_accuracy, other.pixel_accuracy)
        and all(map(close, one.iou, other.iou))
    )


def _wrong(record: Record, what: str) -> StoreError:
    return StoreError(f"run {record.key} {what}", wanted="a finished run as segrank leaves it")
