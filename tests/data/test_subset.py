"""Parts of a split: nested, drawn by a seed, with as many images of each class as there are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_dataset import save_pair, save_tiny

from segrank.data.dataset import Sample
from segrank.data.file_dataset import FileDataset
from segrank.data.presence import classes_present
from segrank.data.subset import Subset, draw_fraction, draw_per_class
from segrank.errors import DataError
from segrank.stop import Stopped


def presence(images: int = 300, classes: int = 12, seed: int = 5) -> NDArray[np.bool_]:
    """Classes from frequent to rare, the last one in a single image."""
    shares = np.geomspace(0.8, 0.02, classes - 1)
    present = np.random.default_rng(seed).random((images, classes)) < np.append(shares, 0)
    present[7, -1] = True
    return present


def test_fractions_are_nested_and_rounded() -> None:
    draws = [draw_fraction(1464, fraction, 3) for fraction in (0.0001, 0.01, 0.05, 0.1, 0.25, 1.0)]
    assert [len(draw) for draw in draws] == [1, 15, 73, 146, 366, 1464]
    for smaller, larger in itertools.pairwise(draws):
        assert set(smaller) < set(larger)
        assert list(smaller) == sorted(smaller)
    assert draw_fraction(1464, 0.1, 4) != draw_fraction(1464, 0.1, 3) == draws[3]
    often = np.bincount(np.concatenate([draw_fraction(20, 0.25, seed) for seed in range(400)]), minlength=20)
    assert often.min() > 70  # 100 each, give or take 9
    assert often.max() < 130


def test_each_class_has_its_images_as_far_as_there_are_any_and_draws_are_nested() -> None:
    present = presence()
    there = present.sum(axis=0)
    before: set[int] = set()
    for per_class in (1, 2, 5, 40, 10**8):
        draw = draw_per_class(present, per_class, 3)
        drawn = present[list(draw)].sum(axis=0)
        assert (drawn >= np.minimum(per_class, there)).all()
        assert before < set(draw)
        before = set(draw)
    assert len(draw_per_class(present, 1, 3)) <= 12
    assert len(before) == (present.any(axis=1)).sum()  # an image without classes teaches none
    assert draw_per_class(present, 1, 4) != draw_per_class(present, 1, 3)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(DataError, match="no class occurs"):
        draw_per_class(np.zeros((4, 3), np.bool_), 1, 0)


def test_a_subset_is_a_split() -> None:
    split = Masks([[[0, 1]], [[1, 2]], [[2, 0]]])
    part = Subset(split, (0, 2))
    assert (part.names, len(part), part[1].name) == (["0", "2"], 2, "2")
    assert len({split.digest(), part.digest(), Subset(split, (0, 1)).digest()}) == 3


class Masks:
    """A split that counts how often it is read; of one value means so before any mapping."""

    def __init__(self, masks: Sequence[object], name: str = "") -> None:
        self.masks = [np.array(mask, np.uint8) for mask in masks]
        self.names = [str(index) for index in range(len(masks))]
        self.name, self.reads = name, 0

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Sample:
        self.reads += 1
        labels = self.masks[index]
        image = np.zeros((*labels.shape, 3), np.uint8)
        return Sample(image, labels, self.names[index], single_valued=len(np.unique(labels)) == 1)

    def digest(self) -> str:
        return f"sha256:{self.name}"


def learn(split: Masks | object, classes: int = 3, stop_after: int = 10**9) -> list[list[bool]]:
    read: list[int] = []
    found = classes_present(
        split,  # type: ignore[arg-type]
        classes,
        on_image=lambda done, _: read.append(done),
        stop=lambda: len(read) >= stop_after,
    )
    return [list(map(bool, row)) for row in found]


def test_labels_are_read_once_and_images_of_one_value_teach_no_class(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGRANK_CACHE", str(tmp_path))
    split = Masks([[[0, 1]], [[1, 255]], [[2, 2]]], "a")
    expected = [[True, True, False], [False, True, False], [False, False, False]]
    with pytest.raises(Stopped):
        learn(split, stop_after=2)
    assert learn(split) == learn(split) == expected
    assert split.reads == 2 + 3
    assert learn(Masks([[[0, 2]], [[1, 0]], [[2, 1]]], "b")) != expected
    [kept] = [path for path in (tmp_path / "presence").iterdir() if learn_from(path) == 3]
    kept.write_bytes(kept.read_bytes()[:-1])
    assert learn(split) == expected
    assert split.reads == 2 + 3 + 3


def learn_from(path: Path) -> int:
    """How many bits are set in what is kept."""
    return int.from_bytes(path.read_bytes()[8:]).bit_count()


def test_masks_are_read_without_their_images(tmp_path: Path) -> None:
    save_pair(tmp_path, "train/z", [[2, 2], [0, 255]])
    split = FileDataset.open(save_tiny(tmp_path)).split("train")
    for image in (tmp_path / "images").rglob("*.jpg"):
        image.write_bytes(b"x" * image.stat().st_size)
    assert learn(split) == [[True, True, True], [True, True, False], [True, False, True]]
