import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from segrank import _torchvision  # noqa: F401
from segrank import counts as module
from segrank.counts import CONFUSION, SCHEMA, confusion, confusion_from_table, counts_table, scores
from segrank.data import dataset
from segrank.errors import DataError, StoreError

# isort: split
# Torchmetrics imports torchvision, which comes after `_torchvision`.
from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex


def test_scores_equal_torchmetrics_where_all_classes_occur() -> None:
    rng = np.random.default_rng(0)
    classes = 7
    miou = MulticlassJaccardIndex(classes, average="macro", ignore_index=255)
    iou = MulticlassJaccardIndex(classes, average="none", ignore_index=255)
    accuracy = MulticlassAccuracy(classes, average="micro", ignore_index=255)
    total = np.zeros((classes, classes), np.int64)
    for _ in range(5):
        labels = rng.integers(0, classes, (40, 50), dtype=np.uint8)
        random = rng.integers(0, classes, (40, 50), dtype=np.uint8)
        prediction = np.where(rng.random((40, 50)) < 0.6, labels, random)
        labels[rng.random((40, 50)) < 0.1] = 255
        total += confusion(labels, prediction, classes)
        for metric in (miou, iou, accuracy):
            metric.update(torch.from_numpy(prediction).long(), torch.from_numpy(labels).long())
    found = scores(total, [f"class {k}" for k in range(classes)])
    assert found.miou == pytest.approx(float(miou.compute()), abs=1e-6)
    assert found.iou == pytest.approx(iou.compute().tolist(), abs=1e-6)
    assert found.pixel_accuracy == pytest.approx(float(accuracy.compute()), abs=1e-6)


def test_a_count_by_hand_with_absent_classes_and_ignored_pixels() -> None:
    labels = np.array([[0, 0, 0, 1], [1, 1, 255, 255]], np.uint8)
    prediction = np.array([[0, 0, 2, 1], [1, 0, 2, 1]], np.uint8)
    total = confusion(labels, prediction, 4)
    assert total.tolist() == [[2, 0, 1, 0], [1, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    found = scores(total, ["sky", "sea", "sand", "snow"])
    # sky: 2 of 3 + 1; sea: 2 of 3. Sand is predicted once but occurs nowhere, snow is neither.
    assert found.iou == (2 / 4, 2 / 3, None, None)
    assert found.miou == pytest.approx((2 / 4 + 2 / 3) / 2)
    assert found.scored_classes == ("sky", "sea")
    assert found.pixels == 6
    assert found.pixel_accuracy == 4 / 6


def test_a_class_that_is_never_found_scores_nothing_and_counts() -> None:
    found = scores(np.array([[5, 0], [3, 0]], np.int64), ["a", "b"])
    assert found.iou == (5 / 8, 0.0)
    assert found.miou == 5 / 16


def test_a_perfect_prediction_scores_one() -> None:
    labels = np.random.default_rng(1).integers(0, 150, (200, 200), dtype=np.uint8)
    total = confusion(labels, labels, 150)
    assert scores(total, [str(k) for k in range(150)]).miou == 1


def test_nothing_labelled_is_an_error() -> None:
    labels = np.full((3, 3), 255, np.uint8)
    total = confusion(labels, np.zeros((3, 3), np.uint8), 2)
    assert total.sum() == 0
    with pytest.raises(DataError, match="no labelled pixel"):
        scores(total, ["a", "b"])


def test_a_label_that_is_no_class_is_an_error() -> None:
    labels = np.array([[0, 2, 7, 255]], np.uint8)
    with pytest.raises(DataError, match=r"labels \[2, 7\]"):
        confusion(labels, np.zeros((1, 4), np.uint8), 2)


@pytest.mark.parametrize("classes", [1, 2, 19, 150, 255])
def test_every_pixel_of_a_large_image_is_counted_once(classes: int) -> None:
    rng = np.random.default_rng(3)
    labels, prediction = rng.integers(0, classes, (2, 900, 1100), dtype=np.uint8)
    labels[rng.random(labels.shape) < 0.2] = 255
    # what lies in memory column by column, or with gaps, is counted likewise
    labels, prediction = labels[::-1, ::2].copy(order="F"), prediction[::-1, ::2]
    wanted = np.zeros((classes, classes), np.int64)
    scored = labels != 255
    np.add.at(wanted, (labels[scored], prediction[scored]), 1)
    counts = confusion(labels, prediction, classes)
    assert counts.dtype == np.int64
    assert (counts == wanted).all()


@pytest.mark.parametrize("wrong", [2, 255])
def test_a_prediction_must_be_a_class(wrong: int) -> None:
    prediction = np.array([[0, wrong]], np.uint8)
    with pytest.raises(AssertionError):
        confusion(np.zeros((1, 2), np.uint8), prediction, 2)
    # what is predicted where nothing is labelled does not matter
    assert confusion(np.array([[0, 255]], np.uint8), prediction, 2).tolist() == [[1, 0], [0, 0]]


def test_predictions_are_bytes() -> None:
    with pytest.raises(AssertionError, match="int64 predicted"):
        confusion(np.zeros((1, 2), np.uint8), np.zeros((1, 2), np.int64), 2)


def test_a_prediction_must_be_as_large_as_the_labels() -> None:
    with pytest.raises(AssertionError):
        confusion(np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8), 2)


def test_the_table_gives_the_confusions_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    images = ["b", "a", "empty"]
    matrices = [rng.integers(0, 3, (150, 150)) * 10**6 for _ in images]
    matrices[2][:] = 0
    table = counts_table(images, ({CONFUSION: matrix} for matrix in matrices))
    assert table.schema == SCHEMA
    assert (table["pixels"] > 0).all()
    assert table["image"].unique(maintain_order=True).to_list() == ["b", "a"]

    table.write_parquet(tmp_path / "counts.parquet")
    table = pl.read_parquet(tmp_path / "counts.parquet")
    assert table.schema == SCHEMA
    assert (confusion_from_table(table, 150) == matrices[0] + matrices[1]).all()
    assert (confusion_from_table(table, 150, ["a"]) == matrices[1]).all()
    assert confusion_from_table(table, 150, ["empty"]).sum() == 0
    assert confusion_from_table(table, 150, []).sum() == 0

    other = pl.DataFrame({"image": ["a"], "kind": ["boundary"], "a": [0], "b": [900], "pixels": [4]}, SCHEMA)
    assert (confusion_from_table(pl.concat([table, other]), 150, {"a"}) == matrices[1]).all()


def test_names_and_confusions_must_be_as_many() -> None:
    with pytest.raises(ValueError):
        counts_table(["a", "b"], [{CONFUSION: np.eye(2, dtype=np.int64)}])


def test_an_empty_table_has_its_columns() -> None:
    table = counts_table([], [])
    assert table.schema == SCHEMA
    assert confusion_from_table(table, 3).tolist() == [[0] * 3] * 3


@pytest.mark.parametrize(("a", "b", "pixels"), [(3, 0, 1), (0, 3, 1), (-1, 0, 1), (0, 0, -5)])
def test_a_table_that_does_not_fit_is_an_error(a: int, b: int, pixels: int) -> None:
    table = pl.DataFrame({"image": ["x"], "kind": ["confusion"], "a": [a], "b": [b], "pixels": [pixels]}, SCHEMA)
    with pytest.raises(StoreError, match="do not fit 3 x 3"):
        confusion_from_table(table, 3)


def test_both_halves_ignore_the_same_label() -> None:
    assert module.IGNORE == dataset.IGNORE


def test_counting_needs_no_torch() -> None:
    code = "import sys, segrank.counts; assert not {'torch', 'segrank.data', 'segrank.ranking'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
