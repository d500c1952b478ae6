"""What an objective sees of an image: views, drawn from a seed and a position in the run alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from segrank.data.dataset import Sample, Split
from segrank.data.loader import Positions
from segrank.errors import SegrankError
from segrank.stop import leave_signals_to_the_run

Views = list[Tensor]
"""Of an image, or, stacked, of a batch."""
T = TypeVar("T")


class ViewSamples(TorchDataset[Views | SegrankError]):
    """Position -> views of the image that has this place in its epoch's order, or why there are none."""

    def __init__(self, split: Split, views: Callable[[Sample], Views], seed: int) -> None:
        self.split, self.views, self.seed = split, views, seed
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, position: int) -> Views | SegrankError:
        try:
            epoch, place = divmod(position, len(self.split))
            if self._order[0] != epoch:
                random_order = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,)))
                self._order = epoch, random_order.permutation(len(self.split))
            sample = self.split[int(self._order[1][place])]
            seeds = np.random.SeedSequence(self.seed, spawn_key=(epoch, place)).generate_state(2)
            return seeded(int(seeds[0]), lambda: self.views(sample))
        except SegrankError as error:
            return error


def seeded(seed: int, call: Callable[[], T]) -> T:
    """`call()` with all three global generators (torch, numpy, random) seeded, and left as they were.

    Views are drawn by libraries that each take another one of them.
    """
    legacy, python = np.random.get_state(), random.getstate()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            return call()
    finally:
        np.random.set_state(legacy)
        random.setstate(python)


def batches_of_views(
    split: Split,
    views: Callable[[Sample], Views],
    *,
    seed: int,
    batch_size: int,
    steps: int,
    first_step: int = 0,
    rank: int = 0,
    ranks: int = 1,
    workers: int = 0,
    context: str = "forkserver",
) -> Iterator[Views]:
    """One batch a step: for each view (b ...).

    Raises:
        DataError: an image cannot be read.
    """
    loader: DataLoader[Views | SegrankError] = DataLoader(
        ViewSamples(split, views, seed),
        batch_sampler=Positions(first_step, steps, batch_size, rank, ranks),
        num_workers=workers,
        multiprocessing_context=context if workers else None,
        collate_fn=_collate,
        worker_init_fn=leave_signals_to_the_run,
        generator=torch.Generator(),
    )
    for batch in loader:
        if isinstance(batch, SegrankError):
            raise batch
        yield batch


def _collate(samples: list[Views | SegrankError]) -> Views | SegrankError:
    good = []
    for sample in samples:
        if isinstance(sample, SegrankError):
            return sample
        good.append(sample)
    return [torch.stack(views) for views in zip(*good, strict=True)]
