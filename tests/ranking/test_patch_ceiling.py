"""The ceiling of a patch grid, beside maps drawn out and scored pixel by pixel, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from segrank.ranking.patch_ceiling import patch_ceiling


def test_a_map_that_follows_the_grid_is_drawn_without_error() -> None:
    labels = np.kron(np.random.default_rng(0).integers(0, 3, (4, 5)), np.ones((8, 8))).astype(np.uint8)
    assert patch_ceiling([labels], "abc", (32, 40), 8).miou == 1
    assert patch_ceiling([labels], "abc", (64, 80), 16).miou == 1  # the image is resized, and its patches with it
    assert patch_ceiling([labels], "abc", (32, 40), 16).miou < 1


def test_by_hand() -> None:
    labels = np.zeros((4, 4), np.uint8)
    labels[:, 3] = 1  # one column of two in the right patches
    labels[0, 0] = 255
    labels[:2, 2] = 1  # the upper right patch is all of class 1
    # lower right: a tie of two and two, drawn as 0; so of class 1, 4 pixels of 6 are right and none is wrongly so
    found = patch_ceiling([labels], "ab", (4, 4), 2)
    assert found.miou == pytest.approx((9 / 11 + 4 / 6) / 2)
    assert found.images == 1


def test_as_drawn_out_by_nearest_and_scored_by_pixel() -> None:
    random = np.random.default_rng(4)
    maps = [random.integers(0, 4, (48, 64)).astype(np.uint8) for _ in range(3)]
    drawn = []
    for labels in maps:
        cells = labels.reshape(6, 8, 8, 8).swapaxes(1, 2).reshape(48, 64)
        best = np.array([np.bincount(cell, minlength=4).argmax() for cell in cells]).reshape(6, 8)
        drawn.append(np.kron(best, np.ones((8, 8), np.int64)))
    truth, predicted = np.stack(maps), np.stack(drawn)
    iou = [((truth == c) & (predicted == c)).sum() / ((truth == c) | (predicted == c)).sum() for c in range(4)]
    assert patch_ceiling(maps, "abcd", (48, 64), 8).miou == pytest.approx(np.mean(iou))
