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
from segrank.errors import DataError, SegrankError, TrainingError
from segrank.stop import leave_signals_to_the_run

REDRAWS = 100
"""Samples tried in place of one that has nothing to learn from, before the split is given up."""


class TrainingSamples(TorchDataset[tuple[Tensor, Tensor] | SegrankError]):
    """Position -> (image (3 H W), labels (H W)), uint8, augmented and cropped; or why there is none.

    Position p is place p % n of epoch p // n, and each epoch has an order of its own. An image whose label
    file holds a single value, or that gives no crop with a labelled pixel, is replaced by a random other.
    """

    def __init__(self, split: Split, crop: tuple[int, int], seed: int) -> None:
        self.split, self.crop, self.seed = split, crop, seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, position: int) -> tuple[Tensor, Tensor] | SegrankError:
        try:
            return self._sample(position)
        except SegrankError as error:
            # raised in a worker, it would come out of the loader wrapped in the worker's traceback
            return error

    def _sample(self, position: int) -> tuple[Tensor, Tensor]:
        epoch, place = divmod(position, len(self.split))
        if self._order[0] != epoch:
            order = _generator(self.seed, epoch).permutation(len(self.split))
            self._order = epoch, order
        first = index = int(self._order[1][place])
        for redraw in range(REDRAWS):
            rng = _generator(self.seed, epoch, first, redraw)
            sample = self.split[index]
            if not sample.single_valued:
                crop = augment(sample.image, sample.labels, self.crop, rng)
                if crop is not None:
                    return torch.from_numpy(crop[0]), torch.from_numpy(crop[1])
            index = int(rng.integers(len(self.split)))
        raise DataError(
            f"none of {REDRAWS} samples drawn after {self.split.names[first]} has anything to learn from",
            wanted="masks with more than one value, and labelled pixels",
            fix="look at the masks with `segrank data check`",
        )


def _generator(seed: int, *place: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=place))


class Positions(Sampler[list[int]]):
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
) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch a step, from `first_step` to `steps`: images (b 3 H W) and labels (b H W), uint8.

    Args:
        batch_size: the effective batch; each of `ranks` gets its part of it.
        context: how workers start. Not fork by default: polars and CUDA do not survive one.

    Raises:
        DataError: a sample cannot be read. TrainingError: a worker died.
    """
    assert batch_size % ranks == 0
    loader: DataLoader[tuple[Tensor, Tensor] | SegrankError] = DataLoader(
        TrainingSamples(split, crop, seed),
        batch_sampler=Positions(first_step, steps, batch_size, rank, ranks),
        num_workers=workers,
        multiprocessing_context=context if workers else None,
        pin_memory=pin_memory,
        collate_fn=_collate,
        worker_init_fn=leave_signals_to_the_run,
        generator=torch.Generator(),  # its own: the loader would draw from the global one
    )
    try:
        for batch in loader:
            if isinstance(batch, SegrankError):
                raise batch
            yield batch
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TrainingError(
            f"a process that prepares data died: {error}",
            fix='fewer --workers if memory ran out; in a script, put the call under `if __name__ == "__main__":`',
        ) from error


def _collate(samples: list[tuple[Tensor, Tensor] | SegrankError]) -> tuple[Tensor, Tensor] | SegrankError:
    good = []
    for sample in samples:
        if isinstance(sample, SegrankError):
            return sample
        good.append(sample)
    return torch.stack([image for image, _ in good]), torch.stack([labels for _, labels in good])
