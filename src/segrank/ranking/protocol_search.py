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
    families: NDArray[np.int64]
    """Of these."""
    at_least: FloatArray
    """The tau that other such encoders would exceed with the confidence asked for; NaN for too few families."""

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
    target: FloatArray,
    merits: FloatArray,
    cost: FloatArray,
    *,
    most: int,
    confidence: float | None,
    kept: NDArray[np.bool_],
    family: NDArray[np.intp] | None = None,
) -> Sets:
    """Every set of up to `most` protocols.

    Args:
        target: (encoders,), the higher the better.
        merits: (protocols, encoders), likewise; NaN where a protocol lacks an encoder.
        cost: (protocols,).
        most: protocols in a set.
        confidence: of `at_least`, one-sided; None for none.
        kept: (encoders,); the others are not looked at.
        family: (encoders,) numbers; encoders of one family count as one. By default each is its own.
    """
    family = np.arange(len(target)) if family is None else family
    members = sets_of(len(merits), most, len(target))
    merits = merits[:, kept]
    if np.isfinite(merits).all():
        every = len(members)
        encoders, of_family = [int(kept.sum())] * every, [len(np.unique(family[kept]))] * every
        return _sets(members, cost, _taus(target[kept], merits, members), encoders, of_family, confidence)
    a, b = np.triu_indices(int(kept.sum()), 1)
    of_target, tau, shared, families = order(target[kept], a, b), [], [], []
    for of in members:
        scores = combined(merits[list(of)])
        there = np.isfinite(scores)
        pairs = there[a] & there[b]
        tau.append(_tau_b(of_target[pairs], order(scores, a, b)[pairs]))
        shared.append(int(there.sum()))
        families.append(len(np.unique(family[kept][there])))
    return _sets(members, cost, np.array(tau), shared, families, confidence)


def _sets(
    members: tuple[tuple[int, ...], ...],
    cost: FloatArray,
    tau: FloatArray,
    shared: Sequence[int],
    families: Sequence[int],
    confidence: float | None,
) -> Sets:
    independent = np.array(families, np.int64)
    return Sets(
        members=members,
        cost=np.array([cost[list(of)].sum() for of in members]),
        tau=tau,
        encoders=np.array(shared, np.int64),
        families=independent,
        at_least=np.full(len(tau), np.nan) if confidence is None else _at_least(tau, independent, confidence),
    )


def _taus(target: FloatArray, merits: FloatArray, members: Sequence[tuple[int, ...]]) -> FloatArray:
    """(sets,): of all sets at once, where every protocol has every encoder."""
    a, b = np.triu_indices(len(target), 1)
    of_target = order(target, a, b)
    apart = np.stack([combined(merits[[one, one]]) for one in range(len(merits))])  # standardised
    scores = np.stack([merits[of[0]] if len(of) == 1 else apart[list(of)].mean(axis=0) for of in members])
    orders = np.sign(scores[:, a] - scores[:, b])
    size = np.sqrt((orders**2).sum(axis=1) * float((of_target**2).sum()))
    found: FloatArray = np.where(size > 0, orders @ of_target / np.where(size > 0, size, 1), np.nan)
    return found


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


def tau_for(at_least: float, encoders: int, confidence: float) -> float | None:
    """The least tau over so many encoders that says as much of others; None if even 1 does not."""
    taus = np.linspace(-1, 1, 401)
    enough = _at_least(taus, np.full(len(taus), encoders), confidence) >= at_least - 1e-9
    return float(taus[enough][0]) if enough.any() else None


def order(scores: FloatArray, a: NDArray[np.intp], b: NDArray[np.intp]) -> FloatArray:
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
