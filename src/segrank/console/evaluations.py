"""How evaluations look on a terminal. No torch here."""

from __future__ import annotations

import sys
from collections.abc import Iterable

import polars as pl
from rich import box
from rich.table import Table

from segrank.console.output import out
from segrank.errors import StoreError
from segrank.metrics import boundary_iou, further
from segrank.progress import plain
from segrank.record import Evaluation, Record
from segrank.robustness import Robustness, robustness
from segrank.store import Store


def print_evaluations(record: Record, store: Store) -> None:
    """mIoU along the way, then all that is known of the final weights on each split."""
    curves: dict[tuple[str, str, str, int], list[str]] = {}
    for e in record.evaluations:
        if not e.final:
            curve = curves.setdefault((e.dataset, e.split, e.precision, e.images), [])
            curve.append(f"step {e.step}: {100 * e.scores.miou:.2f}")
    for (dataset, split, precision, images), points in curves.items():
        where = f"{plain(dataset)} {plain(split)}, {images} images, {precision}"
        out().print(f"mIoU along the way on {where}:  {'  '.join(points)}")
    for evaluation in _fullest(record.evaluations):
        print_evaluation(evaluation, store)
    for found in robustness(record.evaluations):
        print_robustness(found)


def print_evaluation(evaluation: Evaluation, store: Store) -> None:
    """mIoU and the IoU of each class, in percent, and what else the counts say."""
    counts, trouble = pl.DataFrame(), ""
    try:
        counts = store.counts(evaluation)
    except StoreError as error:  # the scores stand in a file of their own
        trouble = f"no further figures: {error}"
    table = Table("class", box=_box())
    table.add_column("IoU %", justify="right")
    columns = [evaluation.scores.iou]
    if "boundary" in evaluation.also and not trouble:
        table.add_column("Boundary IoU %", justify="right")
        columns.append(boundary_iou(counts, len(evaluation.classes)))
    for name, *values in zip(evaluation.classes, *columns, strict=True):
        table.add_row(plain(name), *("no pixels" if value is None else f"{100 * value:.2f}" for value in values))
    out().print(table)
    out().print(
        f"mIoU {100 * evaluation.scores.miou:.2f} on {_where(evaluation)}: "
        f"{evaluation.images} images, {len(evaluation.scores.scored_classes)} of {len(evaluation.classes)} classes, "
        f"{evaluation.precision}"
    )
    out().print(plain(trouble) if trouble else _further(evaluation, counts))


def print_robustness(found: Robustness) -> None:
    """mIoU by corruption and severity, in percent, and what is left on average."""
    one = next(iter(found.cells.values()))
    table = Table("corruption", box=_box())
    for severity in found.severities:
        table.add_column(f"severity {severity}", justify="right")
    table.add_column("mean mIoU %", justify="right")
    for kind in found.kinds:
        cells = (found.cells.get((kind, severity)) for severity in found.severities)
        mean = found.kind_mean(kind)
        table.add_row(
            plain(kind),
            *("missing" if cell is None else f"{100 * cell.scores.miou:.2f}" for cell in cells),
            "" if mean is None else f"{100 * mean:.2f}",
        )
    out().print(table)
    where = f"on {_where(one)} with corruptions, {one.precision}"
    if found.mean is None:
        out().print(f"no mean {where}: {len(found.missing)} missing; the same command again scores them")
        return
    text = f"mIoU {100 * found.mean:.2f} on average {where}"
    if found.clean is not None and found.relative_drop is not None:
        text += f": {100 * found.relative_drop:.1f} % less than the {100 * found.clean.scores.miou:.2f} without"
    out().print(text)


def _fullest(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """Of the final ones on images as they are, the one that counted most of each split and precision."""
    found: dict[tuple[str, str, str], Evaluation] = {}
    for e in evaluations:
        way = (e.dataset_digest, e.split, e.precision)
        if e.final and not e.corruption and (way not in found or len(e.also) > len(found[way].also)):
            found[way] = e
    return list(found.values())


def _further(evaluation: Evaluation, counts: pl.DataFrame) -> str:
    figures = further(counts, evaluation.classes)
    named = {
        "pixel accuracy": evaluation.scores.pixel_accuracy,
        "mean accuracy": figures.mean_accuracy,
        "frequency-weighted IoU": figures.frequency_weighted_iou,
        "per-image mIoU": figures.image_miou,
        "Boundary IoU": figures.boundary_iou,
        "calibration error": figures.calibration_error,
    }
    return ", ".join(f"{name} {100 * value:.2f}" for name, value in named.items() if value is not None)


def _where(evaluation: Evaluation) -> str:
    return f"{plain(evaluation.dataset)} {plain(evaluation.split)}"


def _box() -> box.Box | None:
    return box.SIMPLE if sys.stdout.isatty() else None
