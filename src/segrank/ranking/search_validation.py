"""What a search for a cheap protocol is worth: what chance alone would find, and what holds without some encoders.

No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.agreement import FEWEST_SAMPLED
from segrank.ranking.protocol_search import FloatArray, combined, order, search, sets_of

MOST_ENCODERS = 100
"""For which the search is repeated: of more, chance and single encoders decide little."""
_MOST_LEFT_OUT = 400
"""Pairs of encoders that are left out; of more, so many by chance."""
_SHUFFLES = 400


def by_chance(
    target: FloatArray,
    merits: FloatArray,
    members: Sequence[tuple[int, ...]],
    *,
    level: float,
    family: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> float | None:
    """The tau that the best of these sets stays below, in `level` of the cases, if none knows anything of the target.

    By shuffling the target's scores among the families, all sets together; none where there are no taus, and for more
    than 100 encoders.
    """
    family = np.arange(len(target)) if family is None else family
    if len(target) > MOST_ENCODERS:
        return None
    a, b = np.triu_indices(len(target), 1)
    orders = np.nan_to_num(np.stack([order(combined(merits[list(of)]), a, b) for of in members]))
    there = np.stack([np.isfinite(merits[list(of)]).all(axis=0) for of in members])
    pairs = (there[:, a] & there[:, b]).astype(np.float64)
    random = np.random.default_rng(seed)
    shuffled = np.stack([order(target[_shuffled(family, random)], a, b) for _ in range(_SHUFFLES)])
    size = np.sqrt((orders**2).sum(axis=1, keepdims=True) * (pairs @ (shuffled**2).T))
    known = size.min(axis=1) > 0
    if not known.any():
        return None
    best = (orders[known] @ shuffled.T / size[known]).max(axis=0)
    return float(np.quantile(best, level, method="higher"))


def confidence_for_all(chance: float | None, sets: int, families: int, confidence: float) -> float:
    """With which confidence a set has to be looked at by itself, so that what is said of all holds with `confidence`.

    By chance one tau stays below z standard deviations (Kendall 1938), the highest of all sets below `chance`: so many
    more of them, which minds that sets are alike. Without `chance`, as if they were not (Bonferroni).
    """
    if chance is None:
        return 1 - (1 - confidence) / max(sets, 1)
    deviation = np.sqrt(2 * (2 * families + 5) / (9 * families * (families - 1)))
    return max(confidence, float(stats.norm.cdf(chance / deviation)))


def _shuffled(family: NDArray[np.intp], random: np.random.Generator) -> NDArray[np.intp]:
    """(encoders,): whose place each takes. Families are exchanged whole: what one lacks of another's members comes in
    turn."""
    members = [random.permutation(np.flatnonzero(family == number)) for number in np.unique(family)]
    found = np.empty(len(family), np.intp)
    for into, at in zip(members, random.permutation(len(members)).tolist(), strict=True):
        found[into] = np.resize(members[at], len(into))
    return found


@dataclass(frozen=True)
class LeftOut:
    """What comes of the search without some encoders, and all others of their families."""

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
    wanted: float,
    below: float,
    family: NDArray[np.intp] | None = None,
    seed: int = 0,
) -> LeftOut | None:
    """Choose again without each encoder and without each two, and the others of their families.

    None for fewer than 5 families or more than 100 encoders.

    Args:
        target, merits, cost, most: see `search`.
        chosen: the set that was chosen with all encoders.
        wanted: tau of the scores. What was chosen by its `at_least` is chosen again by the tau that took, see
            `tau_for`: fewer encoders would show less of the same tau.
        below: see `Sets.choose`.
        family: see `search`.
        seed: of the pairs, where there are too many to leave out each.
    """
    count = len(target)
    family = np.arange(count) if family is None else family
    if len(np.unique(family)) < FEWEST_SAMPLED or count > MOST_ENCODERS:
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
        kept = ~np.isin(family, family[list(dropped)])
        sets = search(target, merits, cost, most=most, confidence=None, kept=kept, family=family)
        at = sets.choose(wanted, shown=False, below=below)
        of = None if at is None else sets.members[at]
        same[len(dropped)][0] += of == chosen
        same[len(dropped)][1] += 1
        if len(dropped) == 1:
            continue
        taus.append(sets.tau[sets.members.index(chosen)])
        found = 0.0
        if of is not None:
            by = merits[list(of)]
            scores = combined(by[:, list(dropped)], by[:, kept])
            found = float(np.nan_to_num(np.sign(scores[0] - scores[1])))
        found *= float(np.sign(target[dropped[0]] - target[dropped[1]]))
        right, wrong, none = right + (found > 0), wrong + (found < 0), none + (found == 0)
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
