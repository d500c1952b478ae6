"""Permutation tests of few encoders: all permutations where they can be counted through, else a sample of them.

With few encoders no p-value can be small: of 1 against 9 there are 10 permutations. So a test says the smallest p that
it could have given.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product

import numpy as np
from numpy.typing import NDArray
from scipy import stats

MOST_EXACT = 20_000
"""Permutations that are all looked at."""
SAMPLED = 20_000
_AT_ONCE = 2**21
"""Values held: permutations x encoders."""
_TIE = 1e-9
"""Relative: sums in another order differ by rounding."""
FloatArray = NDArray[np.float64]
Groups = NDArray[np.intp]


@dataclass(frozen=True)
class Permuted:
    """Two-sided."""

    p_value: float
    smallest: float
    """That this test could have given, whatever the scores, if none are equal."""
    permutations: int
    """How many there are; of more than 2^62, so many."""
    exact: bool
    """Whether all were looked at, and not a sample."""


def between_groups(values: FloatArray, groups: Groups, *, seed: int = 0) -> Permuted:
    """Whether groups of encoders differ in their mean, by the sum of squares between groups.

    Of two groups that orders permutations as the absolute difference of their means does.

    Args:
        values: (encoders,)
        groups: (encoders,) from 0; two groups at least.
        seed: of the sample, where there are too many permutations.
    """
    sizes = np.bincount(groups)
    assert len(sizes) > 1, "two groups are needed"
    assert (sizes > 0).all(), "a group is empty"
    centred = values - values.mean()
    count = math.factorial(len(values)) // math.prod(math.factorial(size) for size in sizes.tolist())
    # to rename groups of one size changes nothing
    alike = math.prod(math.factorial(times) for times in Counter(sizes.tolist()).values())

    def between(labels: Groups) -> FloatArray:
        """(permutations,) of labels (permutations, encoders)."""
        found: FloatArray = np.sum(
            [((labels == group) @ centred) ** 2 / size for group, size in enumerate(sizes.tolist())], axis=0
        )
        return found

    def some(random: np.random.Generator, number: int) -> Groups:
        return random.permuted(np.broadcast_to(groups, (number, len(groups))).copy(), axis=1)

    return _test(between, groups, count, alike, lambda: _labellings(sizes.tolist()), some, seed)


def sign_flips(values: FloatArray, *, seed: int = 0) -> Permuted:
    """Whether differences, one of each encoder, are symmetric around 0, by the absolute value of their mean."""

    def size(signs: Groups) -> FloatArray:
        return np.abs(signs @ values)

    def some(random: np.random.Generator, number: int) -> Groups:
        return random.integers(0, 2, (number, len(values))) * 2 - 1

    def every() -> Iterator[Sequence[int]]:
        return product((1, -1), repeat=len(values))

    return _test(size, np.ones(len(values), np.intp), 2 ** len(values), 2, every, some, seed)


def of_ranks(x: FloatArray, y: FloatArray, *, seed: int = 0) -> Permuted:
    """Whether x and y are associated, by the absolute value of Spearman's correlation; neither may be constant."""
    first, second = (stats.rankdata(of) - (len(of) + 1) / 2 for of in (x, y))

    def size(order: Groups) -> FloatArray:
        found: FloatArray = np.abs(second[order] @ first)
        return found

    def some(random: np.random.Generator, number: int) -> Groups:
        return random.permuted(np.broadcast_to(np.arange(len(x)), (number, len(x))).copy(), axis=1)

    def every() -> Iterator[Sequence[int]]:
        return permutations(range(len(x)))

    return _test(size, np.arange(len(x)), math.factorial(len(x)), 2, every, some, seed)


def _test(
    statistic: Callable[[Groups], FloatArray],
    seen: Groups,
    count: int,
    alike: int,
    every: Callable[[], Iterator[Sequence[int]]],
    some: Callable[[np.random.Generator, int], Groups],
    seed: int,
) -> Permuted:
    observed = float(statistic(seen[None])[0]) * (1 - _TIE)
    if count <= MOST_EXACT:
        p = float((statistic(np.array(list(every()), np.intp)) >= observed).mean())
        return Permuted(p, alike / count, count, True)
    random, hits, left = np.random.default_rng(seed), 0, SAMPLED
    while left:
        number = min(left, max(1, _AT_ONCE // len(seen)))
        hits += int((statistic(some(random, number)) >= observed).sum())
        left -= number
    # the permutation seen is one of those that may be drawn (Phipson and Smyth 2010)
    return Permuted((1 + hits) / (1 + SAMPLED), max(alike / count, 1 / (1 + SAMPLED)), min(count, 2**62), False)


def _labellings(sizes: Sequence[int]) -> Iterator[Sequence[int]]:
    """All ways to give group 0 to sizes[0] encoders, group 1 to sizes[1], ..."""
    total = sum(sizes)

    def fill(labels: list[int], free: tuple[int, ...], group: int) -> Iterator[Sequence[int]]:
        if group == len(sizes) - 1:
            for at in free:
                labels[at] = group
            yield tuple(labels)
            return
        for chosen in combinations(free, sizes[group]):
            for at in chosen:
                labels[at] = group
            yield from fill(labels, tuple(at for at in free if at not in chosen), group + 1)

    yield from fill([0] * total, tuple(range(total)), 0)
