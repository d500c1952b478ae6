"""One effect on scores or ranks: its size with an interval, its permutation test, and what could have been seen at all.

Encoders are a sample here: the question is whether encoders that were pretrained so differ from others, and not whether
these ones do. So an effect is judged by the spread of encoders, which holds the noise of their scores too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from segrank.ranking.permutation import Permuted, between_groups, sign_flips
from segrank.ranking.ranks import holm
from segrank.ranking.standard_errors import LEVEL

FloatArray = NDArray[np.float64]
Kind = Literal["card", "setting", "interaction"]
Response = Literal["score", "rank"]
Verdict = Literal["shown", "not shown", "cannot be shown"]
POWER = 0.8


@dataclass(frozen=True)
class Contrast:
    """`value` = what stands first in `name` - what stands second."""

    name: str
    value: float
    interval: tuple[float, float] | None
    """None for fewer than three encoders, or where all of a group are equal."""


@dataclass(frozen=True)
class Group:
    """Encoders at one level of a factor."""

    level: str
    encoders: tuple[str, ...]
    mean: float


@dataclass(frozen=True)
class Effect:
    """A difference between groups of encoders, or between settings on the same encoders."""

    name: str
    kind: Kind
    response: Response
    """Of the ranks, 1 is the best: less is better."""
    groups: tuple[Group, ...]
    """Of a difference between settings, one group, whose mean is that difference."""
    contrasts: tuple[Contrast, ...]
    """One of two groups; of more, each against all others, with intervals that hold together (Bonferroni)."""
    test: Permuted
    detectable: float | None
    """The difference that would be found in 80 % of such comparisons, at 5 % without correction. None of more than two
    groups, and where there is no interval."""
    adjusted: float = 1.0
    """p-value after Holm's correction over the effects of this kind on the same response."""
    verdict: Verdict = "not shown"
    """`cannot be shown`: not even the clearest scores would give a p that passes, so few are the encoders."""

    @property
    def encoders(self) -> int:
        return sum(len(group.encoders) for group in self.groups)


def group_effect(
    name: str, kind: Kind, response: Response, values: Mapping[str, float], levels: Mapping[str, str], *, seed: int = 0
) -> Effect:
    """Groups of encoders against each other.

    Args:
        name, kind, response: of the effect.
        values: encoder -> score, rank or difference.
        levels: encoder -> group; of two groups, in the order of their names, the second - the first is taken.
        seed: of a sampled test.
    """
    names = tuple(levels)
    found = np.array([values[encoder] for encoder in names])
    order = sorted(set(levels.values()))
    group = np.array([order.index(levels[encoder]) for encoder in names])
    groups = tuple(
        Group(level, tuple(n for n in names if levels[n] == level), float(found[group == at].mean()))
        for at, level in enumerate(order)
    )
    if len(order) == 2:
        error, df = _pooled(found, group)
        contrasts = [_contrast(f"{order[1]} - {order[0]}", groups[1].mean - groups[0].mean, error, df, 1)]
    else:
        error, df, contrasts = None, 0, []
        for at, level in enumerate(order):
            rest = found[group != at].mean()
            one, of_one = _pooled(found, group, at)
            contrasts.append(_contrast(f"{level} - others", groups[at].mean - float(rest), one, of_one, len(order)))
    return Effect(
        name, kind, response, groups, tuple(contrasts), between_groups(found, group, seed=seed), _detectable(error, df)
    )


def shift_effect(
    name: str, kind: Kind, response: Response, contrast: str, values: Mapping[str, float], *, seed: int = 0
) -> Effect:
    """Differences, one of each encoder, against 0: the paired comparison of two settings."""
    found = np.array(list(values.values()))
    df = len(found) - 1
    spread = float(found.std(ddof=1)) if df else 0.0
    error = spread / np.sqrt(len(found)) if spread > 0 else None
    mean = float(found.mean())
    return Effect(
        name,
        kind,
        response,
        (Group("all", tuple(values), mean),),
        (_contrast(contrast, mean, error, df, 1),),
        sign_flips(found, seed=seed),
        _detectable(error, df),
    )


def corrected(effects: Sequence[Effect], level: float = LEVEL) -> tuple[Effect, ...]:
    """With Holm's p-values over all effects of one kind and response, and what they allow to be said."""
    found = list(effects)
    for family in sorted({(effect.kind, effect.response) for effect in found}):
        at = [index for index, effect in enumerate(found) if (effect.kind, effect.response) == family]
        p = np.array([found[index].test.p_value for index in at])
        adjusted = holm(p)
        for number, index in enumerate(at):
            best = p.copy()
            best[number] = found[index].test.smallest
            verdict: Verdict = "not shown"
            if adjusted[number] <= 1 - level:
                verdict = "shown"
            elif holm(best)[number] > 1 - level:
                verdict = "cannot be shown"
            found[index] = replace(found[index], adjusted=float(adjusted[number]), verdict=verdict)
    return tuple(found)


def _pooled(values: FloatArray, group: NDArray[np.intp], one: int | None = None) -> tuple[float | None, int]:
    """Standard error and degrees of freedom of a difference of means, by the spread within all groups.

    Args:
        values, group: (encoders,)
        one: the group that is compared with all others; by default group 1 with group 0.
    """
    sizes = np.bincount(group)
    df = len(values) - len(sizes)
    within = sum(float(((values[group == at] - values[group == at].mean()) ** 2).sum()) for at in range(len(sizes)))
    if df < 1 or within <= 0:
        return None, df
    if one is None:
        return float(np.sqrt(within / df * (1 / sizes[0] + 1 / sizes[1]))), df
    return float(np.sqrt(within / df * (1 / sizes[one] + 1 / (len(values) - sizes[one])))), df


def _contrast(name: str, value: float, error: float | None, df: int, together: int) -> Contrast:
    if error is None:
        return Contrast(name, value, None)
    half = error * float(stats.t.ppf(1 - (1 - LEVEL) / (2 * together), df))
    return Contrast(name, value, (value - half, value + half))


def _detectable(error: float | None, df: int) -> float | None:
    if error is None:
        return None
    return error * float(stats.t.ppf((1 + LEVEL) / 2, df) + stats.t.ppf(POWER, df))
