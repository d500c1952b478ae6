"""Ranks: order with ties, rank intervals, the probability to be best, and groups that cannot be told apart."""

from __future__ import annotations

import itertools
import string
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.difference import difference_errors
from segrank.ranking.intervals import Estimates
from segrank.ranking.once import once
from segrank.ranking.posterior import true_scores
from segrank.ranking.standard_errors import LEVEL

FloatArray = NDArray[np.float64]
DRAWS = 10_000
MOST_GROUPED = 200
"""Encoders among which groups are looked for: their number may grow without bound where errors differ much."""
_PAIRS = 2**22
"""Values held at once: pairs x images."""


@dataclass(frozen=True)
class Ranking:
    """All tuples but `order` and `groups` are per encoder in the order of the cell; rank 1 is the best."""

    order: tuple[int, ...]
    """Encoders from best to worst; those with equal scores in the order of the cell."""
    rank: tuple[int, ...]
    """1 + the number of encoders with a better score: equal scores share a rank."""
    interval: tuple[tuple[int, int], ...] | None
    """Rank interval of each encoder by itself (marginal)."""
    interval_all: tuple[tuple[int, int], ...] | None
    """Rank intervals that hold for all encoders at once (simultaneous)."""
    best: tuple[float, ...] | None
    """Probability to be the best one; sums to 1."""
    groups: tuple[tuple[int, ...], ...] | None
    """Maximal sets of encoders no two of which can be told apart (pairwise tests, Holm over all pairs). They overlap:
    an encoder may be in several. Best first; one that is told apart from all others is alone in its group. None for
    more than `MOST_GROUPED` encoders, or more groups than there are letters."""
    letters: tuple[str, ...] | None
    """Per encoder the groups it is in, as letters: two encoders share a letter if and only if they cannot be told
    apart. None where there are no groups."""
    note: str = ""
    """Why there are no intervals, or what they leave out."""


def rank(of: Estimates, *, level: float = LEVEL, draws: int = DRAWS, seed: int = 0) -> Ranking:
    """Rank the encoders of a cell.

    Rank intervals and groups come from pairwise tests: an encoder's rank is at least 1 + the number of those found
    better, and at most the number of all - those found worse (Mogstad, Romano, Shaikh and Wilhelm, Review of Economic
    Studies 91, 2024, 476-518). Unlike ranks of resampled scores, they hold where encoders are equal. Holm's method
    keeps the probability of any false order within 1 - level: over an encoder's own pairs for `interval`, over all
    pairs for `interval_all` and `groups`. `best` comes from draws of the true scores, see `posterior`.
    """
    count = len(of.encoders)
    merits = merit(of)
    ranks = stats.rankdata(-merits, method="min").astype(int)
    order = np.argsort(-merits, kind="stable")
    plain = Ranking(tuple(order.tolist()), tuple(ranks.tolist()), None, None, None, None, None, of.note)
    if not of.covers or count == 1:
        return plain
    better = pairwise(of)
    p = two_sided(better)
    a, b = np.triu_indices(count, 1)
    apart = np.zeros((count, count), bool)
    apart[a, b] = apart[b, a] = holm(p[a, b]) <= 1 - level
    others = ~np.eye(count, dtype=bool)
    apart_from_each = np.zeros((count, count), bool)
    apart_from_each[others] = (holm(p[others].reshape(count, count - 1)) <= 1 - level).ravel()
    true = true_scores(of, draws, np.random.default_rng(seed))
    best = np.bincount((true if of.higher_is_better else -true).argmax(axis=1), minlength=count) / draws
    groups = _groups(~apart, ranks) if count <= MOST_GROUPED else None
    return replace(
        plain,
        interval=_rank_intervals(better, apart_from_each),
        interval_all=_rank_intervals(better, apart),
        best=tuple(best.tolist()),
        groups=groups,
        letters=_letters(groups, count) if groups is not None else None,
    )


def merit(of: Estimates) -> FloatArray:
    """(encoders,): the scores, turned so that higher is better."""
    return of.value if of.higher_is_better else -of.value


@once
def pairwise(of: Estimates) -> FloatArray:
    """(encoders, encoders): probability that the row's encoder is truly better than the column's; 1/2 with itself."""
    count = len(of.encoders)
    better = np.full((count, count), 0.5)
    a, b = np.triu_indices(count, 1)
    at_once = _PAIRS if of.image_noise is None else max(1, _PAIRS // of.image_noise.moved.shape[1])
    for start in range(0, len(a), at_once):
        first, second = a[start : start + at_once], b[start : start + at_once]
        above = difference_errors(of, first, second).above_zero(of.value[first] - of.value[second])
        better[first, second] = above if of.higher_is_better else 1 - above
    better[b, a] = 1 - better[a, b]
    return better


def two_sided(better: FloatArray) -> FloatArray:
    """p-values of no difference."""
    return 2 * np.minimum(better, 1 - better)


def holm(p: FloatArray) -> FloatArray:
    """p-values along the last axis, adjusted for looking at all of them (Holm, Scandinavian Journal of Statistics 6,
    1979, 65-70): rejecting those up to alpha rejects a true hypothesis at all with probability alpha at most.
    """
    order = np.argsort(p, axis=-1)
    left = np.arange(p.shape[-1], 0, -1)  # hypotheses not yet rejected
    ordered = np.minimum(np.maximum.accumulate(np.take_along_axis(p, order, -1) * left, axis=-1), 1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, ordered, -1)
    return adjusted


def _rank_intervals(better: FloatArray, apart: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    worse_than = (apart & (better < 0.5)).sum(axis=1)
    better_than = (apart & (better > 0.5)).sum(axis=1)
    return tuple(zip((1 + worse_than).tolist(), (len(better) - better_than).tolist(), strict=True))


def _groups(alike: NDArray[np.bool_], ranks: NDArray[np.int64]) -> tuple[tuple[int, ...], ...] | None:
    """None for more of them than there are letters: their number can double with every two encoders."""
    near = [sum(1 << other for other in np.flatnonzero(row).tolist()) & ~(1 << at) for at, row in enumerate(alike)]
    cliques = list(itertools.islice(_cliques(near, 0, (1 << len(near)) - 1, 0), len(string.ascii_letters) + 1))
    if len(cliques) > len(string.ascii_letters):
        return None
    found = [sorted(_bits(clique), key=lambda at: (ranks[at], at)) for clique in cliques]
    return tuple(tuple(group) for group in sorted(found, key=lambda group: ([ranks[at] for at in group], group)))


def _cliques(near: list[int], clique: int, candidates: int, done: int) -> Iterator[int]:
    """Maximal cliques of a graph, as sets of bits (Bron and Kerbosch, Communications of the ACM 16, 1973, 575-577)."""
    if not candidates:
        if not done:
            yield clique
        return
    pivot = max(_bits(candidates | done), key=lambda at: (candidates & near[at]).bit_count())
    for at in _bits(candidates & ~near[pivot]):
        yield from _cliques(near, clique | 1 << at, candidates & near[at], done & near[at])
        candidates &= ~(1 << at)
        done |= 1 << at


def _bits(number: int) -> list[int]:
    return [at for at in range(number.bit_length()) if number >> at & 1]


def _letters(groups: tuple[tuple[int, ...], ...], count: int) -> tuple[str, ...]:
    named = list(zip(string.ascii_letters, groups, strict=False))
    return tuple("".join(letter for letter, group in named if encoder in group) for encoder in range(count))
