"""Pixel counts: what an evaluation stores, and what every score is computed from. No torch here.

Counts add up: over images, over slices of a split, over resamples. They are kept per image as a table with the
columns image (name of the sample), kind, a, b and pixels, one row for each a and b with pixels:

    kind         a      b                                          pixels
    confusion    truth  prediction                                 how many; always there
    boundary     class  0 in both maps, 1 in the truth only,       how many lie near a contour of the class;
                        2 in the prediction only                   see `segrank.evaluate.boundary`
    calibration  bin    1 for a right prediction, 0 for a wrong    how many are as confident as the bin says;
                                                                   see `segrank.evaluate.calibration`
    confidence   bin    0                                          the sum of their confidences times 2^24

Ignored pixels are in none of them. An image without labelled pixels has no rows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from segrank.errors import DataError, StoreError
from segrank.record import Scores

IGNORE = 255
"""As in `segrank.data.dataset`, of which this module must not know."""
CONFUSION, BOUNDARY, CALIBRATION, CONFIDENCE = "confusion", "boundary", "calibration", "confidence"
BINS = 15
"""Of equal width, (0, 1/15] to (14/15, 1]: as many as Guo et al., ICML 2017 (arXiv 1706.04599), have."""
CONFIDENCE_ONE = 2**24
"""What a confidence of 1 counts as. Sums of integers do not depend on their order; float32 is no finer next to 1."""
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


def counts_table(images: Iterable[str], counts: Iterable[Mapping[str, NDArray[np.int64]]]) -> pl.DataFrame:
    """The table of counts, from the names of images and, of each, the pixels by a and b of every kind counted.

    Both may be made on the way; the order of images is kept.
    """
    tables = [SCHEMA.to_frame()]
    for image, kinds in zip(images, counts, strict=True):
        for kind, matrix in sorted(kinds.items()):
            a, b = np.nonzero(matrix)
            tables.append(
                pl.DataFrame({"a": a, "b": b, "pixels": matrix[a, b]})
                .with_columns(image=pl.lit(image), kind=pl.lit(kind))
                .select(SCHEMA.names())
                .cast(SCHEMA)
            )
    return pl.concat(tables, rechunk=True)


def summed(
    table: pl.DataFrame, kind: str, shape: tuple[int, int], images: Collection[str] | None = None
) -> NDArray[np.int64]:
    """The counts of one kind, by a and b, summed over images.

    Args:
        table: with the columns above; rows of another kind are left alone.
        kind: which rows.
        shape: how many values a and b have.
        images: names of those to sum over; all, if none are given. One without rows adds nothing.

    Raises:
        StoreError: the table has another a or b, or counts less than nothing.
    """
    rows = table.filter(pl.col("kind") == kind)
    if images is not None:
        rows = rows.filter(pl.col("image").is_in(list(images)))
    a, b, pixels = (rows[name].cast(pl.Int64).to_numpy() for name in ("a", "b", "pixels"))
    if rows.height and (min(a.min(), b.min(), pixels.min()) < 0 or a.max() >= shape[0] or b.max() >= shape[1]):
        raise StoreError(
            f"the {kind} rows of the table of counts do not fit {shape[0]} x {shape[1]}",
            wanted=f"a below {shape[0]}, b below {shape[1]}, and no negative counts",
            fix="evaluate the run again",
        )
    total = np.zeros(shape, np.int64)
    np.add.at(total, (a, b), pixels)
    return total


def confusion_from_table(table: pl.DataFrame, classes: int, images: Collection[str] | None = None) -> NDArray[np.int64]:
    """The summed confusion (classes, classes) of a table of counts: see `summed`."""
    return summed(table, CONFUSION, (classes, classes), images)
