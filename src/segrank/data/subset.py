"""Training on a part of a split: a share of its images, or a few of each class. A smaller part lies in a larger one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segrank.data.dataset import Sample, Split
from segrank.data.presence import Presence
from segrank.errors import DataError
from segrank.files import canonical_json, digest


@dataclass(frozen=True)
class Subset:
    """Some samples of a split, in its order."""

    split: Split
    indices: tuple[int, ...]

    @property
    def names(self) -> Sequence[str]:
        names = self.split.names
        return [names[index] for index in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Sample:
        return self.split[self.indices[index]]

    def digest(self) -> str:
        return f"sha256:{digest(canonical_json([self.split.digest(), self.indices]))}"


def draw_fraction(count: int, fraction: float, seed: int) -> tuple[int, ...]:
    """So large a share of `count` images, rounded, one at least: which, in order.

    Equal seeds give nested draws: each is the beginning of one random order.
    """
    return _sorted(_order(count, seed)[: max(1, round(fraction * count))])


def draw_per_class(present: Presence, per_class: int, seed: int) -> tuple[int, ...]:
    """Images such that each class occurs in at least `per_class` of them, or in all that have it: which, in order.

    Equal seeds give nested draws: what is drawn for n is what is drawn for n - 1, and then for each class that occurs
    in fewer than n, rarest first, the next that have it in one random order.

    Raises:
        DataError: no class occurs anywhere.
    """
    if not present.any():
        raise DataError(
            "no class occurs in any image of the training split", fix="look at the masks with `segrank data check`"
        )
    order = _order(len(present), seed)
    images = [order[present[order, c]].tolist() for c in range(present.shape[1])]
    rarest_first = sorted((c for c in range(len(images)) if images[c]), key=lambda c: len(images[c]))
    there = np.zeros(len(images), np.int64)  # in how many of those taken a class occurs
    taken: set[int] = set()
    waiting = [iter(those) for those in images]
    for level in range(1, min(per_class, len(images[rarest_first[-1]])) + 1):
        for c in rarest_first:
            while there[c] < min(level, len(images[c])):
                if (image := next(waiting[c])) not in taken:
                    taken.add(image)
                    there += present[image]
    return _sorted(taken)


def _order(count: int, seed: int) -> NDArray[np.int64]:
    # not the stream that the order of training comes from
    return np.random.default_rng([seed, *b"subset"]).permutation(count)


def _sorted(indices: Sequence[int] | NDArray[np.int64] | set[int]) -> tuple[int, ...]:
    return tuple(sorted(int(index) for index in indices))
