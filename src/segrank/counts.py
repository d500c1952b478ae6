"""Pixel counts: what an evaluation stores, and what every score is computed from. No torch here.

Counts add up: over images, over slices of a split, over resamples. They are kept per image as a table, one
row per (truth, prediction) pair that occurs, with the columns

    image   name of the sample
    kind    "confusion"
    a       truth, a class index
    b       prediction, a class index
    pixels  how many

An image without labelled pixels has no rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segrank.errors import DataError, StoreError
from segrank.record import Scores

IGNORE = 255
"""As in `segrank.data.dataset`, of which this module must not know."""
CONFUSION = "confusion"
_BYTES = 256
"""Values that a byte can have. To count all pairs of them is faster than to pick out the labelled pixels."""
_PIXELS = 2**18
"""Counted at once: their indices fit a processor's cache."""
SCHEMA = pl.Schema({"image": pl.String, "kind": pl.String, "a": pl.Int16, "b": pl.Int16, "pixels": pl.Int64})
"""Of a table of counts."""


def confusion(labels: NDArray[np.uint8], prediction: NDArray[np.uint8], classes: int) -> NDArray[np.int64]:
    """Count the pixels of one image by truth and prediction.

    Args:
        labels: (h, w) truth; 255 is ignored.
        prediction: (h, w) class indices.
        classes: how many there are.

    Returns:
        (classes, classes): rows are the truth, columns the prediction.

    Raises:
        DataError: a label is neither a class nor 255.
    """
    assert labels.shape == prediction.shape, f"{prediction.shape} predicted for labels {labels.shape}"
    assert labels.dtype == prediction.dtype == np.uint8, f"{labels.dtype} labels, {prediction.dtype} predicted"
    truth, predicted = labels.ravel(), prediction.ravel()
    every = np.zeros(_BYTES * _BYTES, np.int64)
    for start in range(0, truth.size, _PIXELS):
        part = slice(start, start + _PIXELS)
        every += np.bincount(truth[part].astype(np.intp) * _BYTES + predicted[part], minlength=_BYTES * _BYTES)
    counts = every.reshape(_BYTES, _BYTES)
    if strange := [value for value in np.flatnonzero(counts.any(axis=1)).tolist() if classes <= value != IGNORE]:
        raise DataError(
            f"labels {strange} in a label map of {classes} classes",
            wanted=f"0 to {classes - 1}, or {IGNORE} for pixels that take no part",
            fix="correct the label map, or how the dataset maps the values of its files",
        )
    assert not counts[:classes, classes:].any(), "prediction out of range"
    assert counts[:classes].sum() + counts[IGNORE].sum() == truth.size
    return counts[:classes, :classes].copy()


def scores(total: NDArray[np.int64], class_names: Sequence[str]) -> Scores:
    """Score the summed confusions of a split.

    mIoU is the mean of intersection / union over the classes that have labelled pixels. A class without them
    is not scored: pixels predicted as such are errors of the class they belong to, and nothing more.

    Args:
        total: (classes, classes): rows are the truth, columns the prediction.
        class_names: in the order of the label values.

    Raises:
        DataError: there is no labelled pixel at all.
    """
    classes = len(class_names)
    assert total.shape == (classes, classes), f"{total.shape} counts for {classes} classes"
    pixels = int(total.sum())
    if pixels == 0:
        raise DataError(
            "the evaluated images hold no labelled pixel",
            wanted="at least one pixel with a class",
            fix="evaluate other images, or check how the dataset maps the values of its label files",
        )
    truth, hits = total.sum(axis=1), total.diagonal()
    union = truth + total.sum(axis=0) - hits
    scored = np.flatnonzero(truth)
    iou = hits[scored] / union[scored]
    by_class = dict(zip(scored.tolist(), iou.tolist(), strict=True))
    return Scores(
        miou=float(iou.mean()),
        iou=tuple(by_class.get(index) for index in range(classes)),
        scored_classes=tuple(class_names[index] for index in by_class),
        pixel_accuracy=int(hits.sum()) / pixels,
        pixels=pixels,
    )


def counts_table(images: Iterable[str], confusions: Iterable[NDArray[np.int64]]) -> pl.DataFrame:
    """The table of counts, from the names of images and the (classes, classes) confusion of each.

    Both may be made on the way; the order is kept.
    """
    tables = [SCHEMA.to_frame()]
    for image, matrix in zip(images, confusions, strict=True):
        truth, predicted = np.nonzero(matrix)
        columns = {"a": truth, "b": predicted, "pixels": matrix[truth, predicted]}
        tables.append(
            pl.DataFrame(columns)
            .with_columns(image=pl.lit(image), kind=pl.lit(CONFUSION))
            .select(SCHEMA.names())
            .cast(SCHEMA)
        )
    return pl.concat(tables, rechunk=True)


def confusion_from_table(table: pl.DataFrame, classes: int, images: Collection[str] | None = None) -> NDArray[np.int64]:
    """The summed confusion (classes, classes) of a table of counts.

    Args:
        table: with the columns above; rows of another kind are left alone.
        classes: how many there are.
        images: names of those to sum over; all, if none are given. One without rows adds nothing.

    Raises:
        StoreError: the table counts a class that there is not, or less than nothing.
    """
    rows = table.filter(pl.col("kind") == CONFUSION)
    if images is not None:
        rows = rows.filter(pl.col("image").is_in(list(images)))
    truth, predicted, pixels = (rows[name].cast(pl.Int64).to_numpy() for name in ("a", "b", "pixels"))
    if rows.height and (
        min(truth.min(), predicted.min(), pixels.min()) < 0 or max(truth.max(), predicted.max()) >= classes
    ):
        raise StoreError(
            f"the table of counts does not fit {classes} classes",
            wanted=f"classes 0 to {classes - 1}, and no negative counts",
            fix="evaluate the run again",
        )
    total = np.zeros((classes, classes), np.int64)
    np.add.at(total, (truth, predicted), pixels)
    return total
