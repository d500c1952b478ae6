"""Which sets of cheap protocols keep an expensive one's order: every set, with and without some encoders. No torch.

A set scores an encoder by the mean, over its protocols, of (score - mean of the encoders) / standard deviation of the
encoders, as in `overall`. tau of a set is Kendall's tau-b between these scores and the target's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from segrank.ranking.agreement import FEWEST_SAMPLED, over_encoders

FloatArray = NDArray[np.float64]
MOST_SETS = 2_500
MOST_ENCODERS = 100
"""For which the search is repeated: of more, chance and single encoders decide little."""
_MOST_LEFT_OUT = 400
"""Pairs of encoders that are left out; of more, so many by chance."""
_WORK = 5 * 10**7
"""Pairs of encoders x sets that a search looks at: about a second."""


@dataclass(frozen=True, eq=False)
class Sets:
    """Sets of protocols and what they come to; all arrays are (sets,)."""

    members: tuple[tuple[int, ...], ...]
    cost: FloatArray
    """NaN if unknown."""
    tau: FloatArray
    """NaN if there is none."""
    encoders: NDArray[np.int64]
    """That the target and all members have."""
    at_least: FloatArray
    """The tau that other such encoders would exceed with the confidence asked for; NaN for too few encoders."""

    def choose(self, wanted: float, *, shown: bool, below: float) -> int | None:
        """The cheapest with a tau of at least `wanted`; of several, or without costs, that with the highest tau.

        Args:
            wanted: tau.
            shown: it is `at_least` that has to reach it.
            below: of a cost; sets that cost as much are none.
        """
        reached = np.nan_to_num(self.at_least if shown else self.tau, nan=-np.inf) >= wanted - 1e-9
        at = np.flatnonzero(reached & ~(self.cost >= below))
        if not at.size:
            return None
        size = np.array([len(self.members[index]) for index in at])
        order = np.lexsort((size, -np.round(self.tau[at], 9), np.nan_to_num(self.cost[at], nan=0.0)))
        return int(at[order[0]])

    def pareto(self) -> NDArray[np.bool_]:
        """Whether no other set has a higher tau for as little, or as high a one for less."""
        known = np.isfinite(self.cost) & np.isfinite(self.tau)
        found = np.zeros(len(self.tau), bool)
        best = -np.inf
        for at in np.lexsort((-self.tau, self.cost)):
            if known[at] and self.tau[at] > best + 1e-9:
                found[at], best = True, self.tau[at]
        return found


def search(
    target: FloatArray, merits: FloatArray, cost: FloatArray, *, most: int, confidence: float, kept: NDArray[np.bool_]
) -> Sets:
    """Every set of up to `most` protocols.

    Args:
        target: (encoders,), the higher the better.
        merits: (protocols, encoders), likewise; NaN where a protocol lacks an encoder.
        cost: (protocols,).
        most: protocols in a set.
        confidence: one-sided.
        kept: (encoders,); the others are not looked at.
    """
    members = sets_of(len(merits), most, len(target))
    a, b = np.triu_indices(int(kept.sum()), 1)
    of_target, tau, shared = _order(target[kept], a, b), [], []
    for of in members:
        scores = combined(merits[list(of)][:, kept])
        there = np.isfinite(scores)
        pairs = there[a] & there[b]
        tau.append(_tau_b(of_target[pairs], _order(scores, a, b)[pairs]))
        shared.append(int(there.sum()))
    found, encoders = np.array(tau), np.array(shared, np.int64)
    return Sets(
        members=members,
        cost=np.array([cost[list(of)].sum() for of in members]),
        tau=found,
        encoders=encoders,
        at_least=_at_least(found, encoders, confidence),
    )


def sets_of(protocols: int, most: int, encoders: int) -> tuple[tuple[int, ...], ...]:
    """Smaller sets first; no larger ones than keep their number, and the work that they make, within bounds."""
    limit = min(MOST_SETS, _WORK // max(1, comb(encoders, 2)))
    found: list[tuple[int, ...]] = []
    for size in range(1, most + 1):
        if size == 1 or len(found) + comb(protocols, size) <= limit:
            found += combinations(range(protocols), size)
    return tuple(found)


def combined(merits: FloatArray, by: FloatArray | None = None) -> FloatArray:
    """(encoders,): mean of the standardised scores; NaN for an encoder that a protocol lacks.

    Args:
        merits: (protocols, encoders).
        by: (protocols, encoders) whose mean and standard deviation are used, by default those of `merits`.
    """
    by = merits if by is None else by
    by = by[:, np.isfinite(by).all(axis=0)]
    if len(merits) == 1 or by.shape[1] < 2:
        return np.asarray(merits.mean(axis=0))
    unit = by.std(axis=1, ddof=1, keepdims=True)
    unit[np.ptp(by, axis=1) == 0] = np.inf  # a protocol under which all are equal decides nothing
    return np.asarray(((merits - by.mean(axis=1, keepdims=True)) / unit).mean(axis=0))


_SHUFFLES = 400


def by_chance(
    target: FloatArray, merits: FloatArray, members: Sequence[tuple[int, ...]], *, level: float, seed: int = 0
) -> float | None:
    """The tau that the best of these sets stays below, in `level` of the cases, if none knows anything of the target.

    By shuffling the target's scores among the encoders, all sets together; none where there are no taus, and for more
    than 100 encoders.
    """
    if len(target) > MOST_ENCODERS:
        return None
    a, b = np.triu_indices(len(target), 1)
    orders = np.nan_to_num(np.stack([_order(combined(merits[list(of)]), a, b) for of in members]))
    there = np.stack([np.isfinite(merits[list(of)]).all(axis=0) for of in members])
    pairs = (there[:, a] & there[:, b]).astype(np.float64)
    random = np.random.default_rng(seed)
    shuffled = np.stack([_order(random.permutation(target), a, b) for _ in range(_SHUFFLES)])
    size = np.sqrt((orders**2).sum(axis=1, keepdims=True) * (pairs @ (shuffled**2).T))
    known = size.min(axis=1) > 0
    if not known.any():
        return None
    best = (orders[known] @ shuffled.T / size[known]).max(axis=0)
    return float(np.quantile(best, level, method="higher"))


@dataclass(frozen=True)
class LeftOut:
    """What comes of the search without some encoders."""

    one: float
    """Share of the searches without one encoder that choose the same set."""
    two: float
    """Likewise without two."""
    low: float
    high: float
    """tau of the set without two of the encoders: least and most."""
    unseen_tau: float | None
    """Over pairs of encoders, each ordered by the set that was chosen without them: right - wrong, as a share."""
    right: int
    wrong: int
    none: int
    """Pairs without which nothing was chosen, or which the set chosen cannot order."""


def leave_out(
    target: FloatArray,
    merits: FloatArray,
    cost: FloatArray,
    chosen: tuple[int, ...],
    *,
    most: int,
    confidence: float,
    wanted: float,
    below: float,
    seed: int = 0,
) -> LeftOut | None:
    """Choose again without each encoder and without each two; None for fewer than 5 or more than 100 encoders.

    Args:
        target, merits, cost, most, confidence: see `search`.
        chosen: the set that was chosen with all encoders.
        wanted: tau of the scores. What was chosen by its `at_least` is chosen again by the tau that took, see
            `tau_for`: fewer encoders would show less of the same tau.
        below: see `Sets.choose`.
        seed: of the pairs, where there are too many to leave out each.
    """
    count = len(target)
    if not FEWEST_SAMPLED <= count <= MOST_ENCODERS:
        return None
    pairs: Sequence[tuple[int, ...]] = list(combinations(range(count), 2))
    searches = 100_000 // len(sets_of(len(merits), most, count))  # they take a few seconds
    allowed = max(20, min(_MOST_LEFT_OUT, searches))
    if len(pairs) > allowed:
        picked = np.random.default_rng(seed).choice(len(pairs), allowed, replace=False)
        pairs = [pairs[at] for at in sorted(picked.tolist())]
    same = {1: [0, 0], 2: [0, 0]}
    taus, right, wrong, none = [], 0, 0, 0
    for dropped in [*((at,) for at in range(count)), *pairs]:
        kept = np.ones(count, bool)
        kept[list(dropped)] = False
        sets = search(target, merits, cost, most=most, confidence=confidence, kept=kept)
        at = sets.choose(wanted, shown=False, below=below)
        of = None if at is None else sets.members[at]
        same[len(dropped)][0] += of == chosen
        same[len(dropped)][1] += 1
        if len(dropped) == 1:
            continue
        taus.append(sets.tau[sets.members.index(chosen)])
        order = 0.0
        if of is not None:
            by = merits[list(of)]
            scores = combined(by[:, list(dropped)], by[:, kept])
            order = float(np.nan_to_num(np.sign(scores[0] - scores[1])))
        order *= float(np.sign(target[dropped[0]] - target[dropped[1]]))
        right, wrong, none = right + (order > 0), wrong + (order < 0), none + (order == 0)
    return LeftOut(
        one=same[1][0] / same[1][1],
        two=same[2][0] / same[2][1],
        low=float(np.nanmin(taus)),
        high=float(np.nanmax(taus)),
        unseen_tau=(right - wrong) / (right + wrong) if right + wrong else None,
        right=right,
        wrong=wrong,
        none=none,
    )


def tau_for(at_least: float, encoders: int, confidence: float) -> float | None:
    """The least tau over so many encoders that says as much of others; None if even 1 does not."""
    taus = np.linspace(-1, 1, 401)
    enough = _at_least(taus, np.full(len(taus), encoders), confidence) >= at_least - 1e-9
    return float(taus[enough][0]) if enough.any() else None


def _order(scores: FloatArray, a: NDArray[np.intp], b: NDArray[np.intp]) -> FloatArray:
    found: FloatArray = np.sign(scores[a] - scores[b])
    return found


def _tau_b(x: FloatArray, y: FloatArray) -> float:
    """Kendall's tau-b of orders of pairs, each -1, 0 or 1; NaN where one side is all ties."""
    size = np.sqrt(float((x * x).sum()) * float((y * y).sum()))
    return float((x * y).sum() / size) if size else float("nan")


def _at_least(tau: FloatArray, encoders: NDArray[np.int64], confidence: float) -> FloatArray:
    found = np.full(len(tau), np.nan)
    seen: dict[tuple[float, int], float] = {}
    for at in np.flatnonzero(np.isfinite(tau) & (encoders >= FEWEST_SAMPLED)).tolist():
        key = (round(float(tau[at]), 6), int(encoders[at]))
        if key not in seen:
            interval = over_encoders(float(tau[at]), int(encoders[at]), 2 * confidence - 1)
            seen[key] = interval.low if interval else float("nan")
        found[at] = seen[key]
    return found
