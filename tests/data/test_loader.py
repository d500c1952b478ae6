"""Training batches: the same samples however they are made, and none without anything to learn."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from segrank.data import Sample, open_dataset
from segrank.data.loader import TrainingSamples, training_batches
from segrank.errors import DataError, SegrankError

CROP = (16, 24)
SCENES = open_dataset("scenes?size=20x24&train=7&val=1").split("train")
Batches = list[tuple[Tensor, Tensor]]


def batches(
    *, seed: int = 5, steps: int = 4, first_step: int = 0, rank: int = 0, ranks: int = 1, workers: int = 0,
    context: str = "fork",
) -> Batches:  # fmt: skip
    loader = training_batches(
        SCENES, crop=CROP, seed=seed, batch_size=4, steps=steps, first_step=first_step, rank=rank, ranks=ranks,
        workers=workers, context=context,
    )  # fmt: skip
    return [(images, labels) for images, labels in loader]


def labels_of(samples: TrainingSamples, position: int) -> Tensor:
    sample = samples[position]
    assert not isinstance(sample, SegrankError), sample
    return sample[1]


def assert_equal(some: Batches, others: Batches) -> None:
    assert len(some) == len(others)
    for one, other in zip(some, others, strict=True):
        assert torch.equal(one[0], other[0])
        assert torch.equal(one[1], other[1])


@pytest.fixture(scope="module")
def whole() -> Batches:
    """Four steps of four images: two epochs of seven, and the beginning of a third."""
    return batches()


class MaskSplit:
    """Masks as given; each image is grey. Remembers which samples were read."""

    def __init__(self, masks: Sequence[object], raw_values: Sequence[int]) -> None:
        self.masks: list[NDArray[np.uint8]] = [np.array(mask, np.uint8) for mask in masks]
        self.raw_values = raw_values
        self.read: list[int] = []

    @property
    def names(self) -> Sequence[str]:
        return [f"mask-{index}" for index in range(len(self))]

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: int) -> Sample:
        self.read.append(index)
        labels = self.masks[index]
        image = np.full((*labels.shape, 3), 90, np.uint8)
        return Sample(image, labels, self.names[index], single_valued=self.raw_values[index] == 1)

    def digest(self) -> str:
        return "sha256:0"


GOOD = np.tile(np.array([[1, 2], [3, 4]], np.uint8), (8, 8))
SINGLE = np.full((16, 16), 9, np.uint8)  # its file holds one value
IGNORED = np.full((16, 16), 255, np.uint8)  # its file holds two, and the dataset ignores both


def test_batches_are_uint8_crops_with_labels(whole: Batches) -> None:
    for images, labels in whole:
        assert (images.shape, images.dtype) == ((4, 3, *CROP), torch.uint8)
        assert (labels.shape, labels.dtype) == ((4, *CROP), torch.uint8)
        assert ((labels != 255).flatten(1).sum(1) > 0).all()


@pytest.mark.parametrize(
    ("workers", "context"), [(1, "fork"), (2, "fork"), (2, "forkserver"), (1, "spawn")]
)  # fmt: skip
def test_samples_are_the_same_whatever_the_workers(whole: Batches, workers: int, context: str) -> None:
    assert_equal(batches(workers=workers, context=context), whole)


@pytest.mark.parametrize("first_step", [1, 3])
def test_a_resumed_run_gets_the_rest(whole: Batches, first_step: int) -> None:
    assert_equal(batches(first_step=first_step), whole[first_step:])
    assert batches(first_step=4) == []


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_out_each_effective_batch(whole: Batches, ranks: int) -> None:
    parts = [batches(rank=rank, ranks=ranks) for rank in range(ranks)]
    together = [
        (torch.cat([part[step][0] for part in parts]), torch.cat([part[step][1] for part in parts]))
        for step in range(4)
    ]
    assert_equal(together, whole)


def test_seeds_and_epochs_differ(whole: Batches) -> None:
    assert not torch.equal(batches(seed=6, steps=1)[0][0], whole[0][0])
    split = MaskSplit([GOOD] * 2, [4] * 2)
    samples = TrainingSamples(split, CROP, 0)
    drawn = [labels_of(samples, position) for position in range(6)]
    of_first = [label for label, index in zip(drawn, split.read, strict=True) if index == 0]
    assert len(of_first) == 3
    assert not torch.equal(of_first[0], of_first[1])
    assert not torch.equal(of_first[1], of_first[2])


def test_each_epoch_is_a_permutation_of_its_own() -> None:
    split = MaskSplit([GOOD] * 12, [4] * 12)
    samples = TrainingSamples(split, CROP, 0)
    for position in range(36):
        samples[position]
    epochs = [split.read[start : start + 12] for start in (0, 12, 24)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # and any position can be asked for by itself
    split.read.clear()
    samples[30], samples[3]
    assert split.read == [epochs[2][6], epochs[0][3]]


def test_masks_with_nothing_to_learn_are_replaced_by_others() -> None:
    split = MaskSplit([SINGLE, GOOD, IGNORED, GOOD], [1, 4, 2, 4])
    samples = TrainingSamples(split, CROP, 0)
    labels = torch.stack([labels_of(samples, position) for position in range(16)])
    assert set(labels.flatten().tolist()) <= {1, 2, 3, 4, 255}
    assert ((labels != 255).flatten(1).sum(1) > 0).all()
    assert {0, 2} < set(split.read)
    assert len(split.read) > 16
    again = TrainingSamples(split, CROP, 0)
    assert all(torch.equal(labels_of(again, position), labels[position]) for position in reversed(range(16)))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_split_with_nothing_to_learn_is_an_error_that_names_the_sample(workers: int) -> None:
    split = MaskSplit([SINGLE, IGNORED], [1, 2])
    loader = training_batches(
        split, crop=CROP, seed=0, batch_size=1, steps=1, workers=workers, context="fork"
    )  # fmt: skip
    with pytest.raises(DataError, match=r"none of 100 samples drawn after mask-[01] ") as caught:
        list(loader)
    assert "segrank data check" in caught.value.fix
    assert "Traceback" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_nobodys_random_state_is_touched(workers: int) -> None:
    before = torch.get_rng_state(), np.random.get_state(legacy=False), random.getstate()
    batches(steps=1, workers=workers)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_equal(np.random.get_state(legacy=False), before[1])
    assert random.getstate() == before[2]
    # nor does it have a say
    torch.manual_seed(99)
    np.random.seed(99)
    random.seed(99)
    assert_equal(batches(steps=1, workers=workers), batches(steps=1))
