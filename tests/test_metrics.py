"""Further figures against torchmetrics and counts by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
import torch

from segrank import _torchvision  # noqa: F401
from segrank.counts import CONFUSION, confusion, confusion_from_table, counts_table
from segrank.errors import StoreError
from segrank.metrics import boundary_iou, frequency_weighted_iou, further, image_miou, mean_accuracy
from segrank.record import Evaluation, Scores
from segrank.robustness import robustness

# isort: split
# Torchmetrics imports torchvision, which comes after `_torchvision`.
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex
from torchmetrics.functional.segmentation import mean_iou

CLASSES = 6


def images(n: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Truth, partly ignored and with classes that lack in some images, and a prediction that is often right."""
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(n):
        labels = rng.integers(0, 2 + index % 4, (30, 40), dtype=np.uint8)
        prediction = np.where(rng.random(labels.shape) < 0.6, labels, rng.integers(0, 5, labels.shape, np.uint8))
        labels[rng.random(labels.shape) < 0.1] = 255
        pairs.append((labels, prediction))
    return pairs


def table(pairs: list[tuple[np.ndarray, np.ndarray]]) -> pl.DataFrame:
    names = [f"image {index}" for index in range(len(pairs))]
    return counts_table(names, ({CONFUSION: confusion(*pair, CLASSES)} for pair in pairs))


def test_mean_accuracy_and_weighted_iou_equal_torchmetrics() -> None:
    pairs = images(7)
    accuracy = MulticlassAccuracy(5, average="macro", ignore_index=255)
    weighted = MulticlassJaccardIndex(5, average="weighted", ignore_index=255)
    for labels, prediction in pairs:
        for metric in (accuracy, weighted):
            metric.update(torch.from_numpy(prediction).long(), torch.from_numpy(labels).long())
    total = confusion_from_table(table(pairs), CLASSES)
    assert total[4].any()  # the first five classes occur, the sixth does not
    assert not total[5].any()
    assert mean_accuracy(total) == pytest.approx(float(accuracy.compute()), abs=1e-6)
    assert frequency_weighted_iou(total) == pytest.approx(float(weighted.compute()), abs=1e-6)


def test_a_class_that_is_only_predicted_is_not_scored() -> None:
    total = np.array([[6, 0, 2], [1, 3, 0], [0, 0, 0]])
    assert mean_accuracy(total) == pytest.approx((6 / 8 + 3 / 4) / 2)
    assert frequency_weighted_iou(total) == pytest.approx(8 / 12 * 6 / 9 + 4 / 12 * 3 / 4)


def test_per_image_miou_is_over_the_classes_that_an_image_has() -> None:
    pairs = images(7)
    pairs.insert(3, (np.full((30, 40), 255, np.uint8), np.zeros((30, 40), np.uint8)))  # has none
    wanted = []
    for labels, prediction in pairs:
        shown = np.where(labels == 255, np.uint8(5), prediction), np.where(labels == 255, np.uint8(5), labels)
        predicted, truth = (torch.from_numpy(values).long()[None] for values in shown)
        ious = mean_iou(predicted, truth, CLASSES, per_class=True, input_format="index")[0]
        if there := [c for c in range(5) if (labels == c).any()]:
            wanted.append(float(ious[there].mean()))
    assert len(wanted) == 7
    assert image_miou(table(pairs), CLASSES) == pytest.approx(np.mean(wanted), abs=1e-6)


def test_what_was_not_counted_is_missing() -> None:
    found = further(table(images(2)), [str(c) for c in range(CLASSES)])
    assert found.boundary_iou is None
    assert found.calibration_error is None
    assert 0 < found.image_miou < found.mean_accuracy < 1


def test_boundary_counts_of_other_classes_are_refused() -> None:
    counts = counts_table(["a"], [{"boundary": np.ones((4, 3), np.int64)}])
    with pytest.raises(StoreError, match="boundary rows of the table of counts do not fit 3 x 3"):
        boundary_iou(counts, 3)


def scored(miou: float, corruption: str = "", severity: int = 0, split: str = "val") -> Evaluation:
    scores = Scores(miou=miou, iou=(miou,), scored_classes=("sky",), pixel_accuracy=miou, pixels=7)
    return Evaluation(
        key="e" * 16, run="0" * 16, dataset="scenes", dataset_digest=f"sha256:{split}", split=split, precision="fp32",
        step=2, final=True, classes=("sky",), images=1, scores=scores, seconds=1.0, corruption=corruption,
        severity=severity,
    )  # fmt: skip


def test_robustness_is_averaged_over_whole_grids_only() -> None:
    cells = [scored(0.4, "jpeg", 1), scored(0.3, "jpeg", 3), scored(0.2, "blur", 1)]
    (partial,) = robustness([scored(0.5), *cells])
    assert partial.missing == (("blur", 3),)
    assert partial.kind_mean("jpeg") == pytest.approx(0.35)
    assert partial.kind_mean("blur") is partial.mean is partial.relative_drop is None

    (whole,) = robustness([*cells, scored(0.1, "blur", 3), scored(0.5), scored(0.9, split="dusk")])
    assert whole.mean == pytest.approx(0.25)
    assert whole.relative_drop == pytest.approx(0.5)
    assert robustness([scored(0.5)]) == []
    assert robustness(cells[:1])[0].relative_drop is None
