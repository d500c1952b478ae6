"""Training batches. A sample depends on (seed, position in the run) alone, whatever the workers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from segrank.data.augment import augment
from segrank.data.dataset import Split
from segrank.errors import DataError

REDRAWS = 100
"""Samples tried in place of one that has nothing to learn from, before the split is given up."""


class TrainingSamples(TorchDataset[tuple[Tensor, Tensor]]):
    """Position -> (image (3 H W), labels (H W)), uint8, augmented and cropped.

    Position p is place p % n of epoch p // n, and each epoch has an order of its own. An image whose label
    file holds a single value, or that gives no crop with a labelled pixel, is replaced by a random other.
    """

    def __init__(self, split: Split, crop: tuple[int, int], seed: int) -> None:
        self.split, self.crop, self.seed = split, crop, seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(position, len(self.split))
        if self._order[0] != epoch:
            order = _generator(self.seed, epoch).permutation(len(self.split))
            self._order = epoch, order
        first = index = int(self._order[1][place])
        for redraw in range(REDRAWS):
            rng = _generator(self.seed, epoch, first, redraw)
            sample = self.split[index]
            if not sample.single_valued:
                image = torch.from_numpy(sample.image).permute(2, 0, 1)
                crop = augment(image, torch.from_numpy(sample.labels), self.crop, rng)
                if crop is not None:
                    return crop
            index = int(rng.integers(len(self.split)))
        raise DataError(
            f"none of {REDRAWS} samples drawn after {self.split.names[first]} has anything to learn from",
            wanted="masks with more than one value, and labelled pixels",
            fix="look at the masks with `segrank data check`",
        )


def _generator(seed: int, *place: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


class _Positions(Sampler[list[int]]):
    """For each step, the positions of one rank's share of the effective batch."""

    def __init__(self, first_step: int, steps: int, batch_size: int, rank: int, ranks: int) -> None:
        self.steps = range(first_step, steps)
        self.batch_size, self.rank, self.ranks = batch_size, rank, ranks

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[list[int]]:
        share = self.batch_size // self.ranks
        for step in self.steps:
            start = step * self.batch_size + self.rank * share
            yield list(range(start, start + share))


def training_batches(
    split: Split,
    *,
    crop: tuple[int, int],
    seed: int,
    batch_size: int,
    steps: int,
    first_step: int = 0,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
    context: str = "forkserver",
) -> DataLoader[tuple[Tensor, Tensor]]:
    """One batch a step, from `first_step` to `steps`: images (b 3 H W) and labels (b H W), uint8.

    Args:
        batch_size: the effective batch; each of `ranks` gets its part of it.
        context: how workers start. Not fork by default: polars and CUDA do not survive one.
    """
    assert batch_size % ranks == 0
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        TrainingSamples(split, crop, seed),
        batch_sampler=_Positions(first_step, steps, batch_size, rank, ranks),
        num_workers=workers,
        multiprocessing_context=context if workers else None,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # its own: the loader would draw from the global one
    )
    return loader
