"""Pairs of settings that differ in one thing: how their orders agree, and what the scores lose or gain. No torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy import stats

from segrank.ranking.agreement import Agreement, agreement
from segrank.ranking.finding import Verdict
from segrank.ranking.intervals import only
from segrank.ranking.leaderboard import Options
from segrank.ranking.ranks import holm, merit
from segrank.ranking.settings import Setting

DRAWS = 2_000
MOST_PAIRS = 60
_MOST_SHOWN = 4
Differ = Callable[[Mapping[str, str], Mapping[str, str], set[str]], bool]
"""Whether two settings, by their values and the names of the fields that differ, are a pair; x is the base."""


@dataclass(frozen=True, eq=False)
class SettingPair:
    x: Setting
    y: Setting
    found: Agreement

    @property
    def name(self) -> str:
        return f"{self.y.name} against {self.x.name}"

    @property
    def runs(self) -> tuple[str, ...]:
        """Of the encoders that both have."""
        return tuple(
            run
            for setting in (self.x, self.y)
            for encoder, runs in zip(setting.cell.encoders, setting.cell.runs, strict=True)
            if encoder in self.found.encoders
            for run in runs
        )


def setting_pairs(settings: Sequence[Setting], differ: Differ, options: Options) -> list[SettingPair]:
    """The pairs that differ so and share two encoders at least, `MOST_PAIRS` of them at most."""
    found: list[SettingPair] = []
    for one, other in combinations(settings, 2):
        if len(set(one.of.encoders) & set(other.of.encoders)) < 2 or len(found) >= MOST_PAIRS:
            continue
        differing = {name for name in one.values if one.values[name] != other.values[name]}
        turns = [(x, y) for x, y in ((one, other), (other, one)) if differ(x.values, y.values, differing)]
        for x, y in turns[:1]:
            agreed = agreement(x.of, y.of, families=x.families, level=options.level, draws=DRAWS, seed=options.seed)
            found.append(SettingPair(x, y, agreed))
    return found


class Judged(NamedTuple):
    """What pairs say of their orders."""

    verdict: Verdict
    text: str


def judged(pairs: Sequence[SettingPair], level: float) -> Judged:
    """Whether orders differ by more than noise: in all, by Holm over the pairs, or in a flip that is real.

    Where noise could turn any order into any other, nothing can be told.
    """
    known = [index for index, pair in enumerate(pairs) if pair.found.same_order is not None]
    p = dict(
        zip(known, holm(np.array([pairs[index].found.same_order for index in known], float)).tolist(), strict=True)
    )
    texts: dict[Verdict, list[str]] = {"seen": [], "cannot be told": [], "not seen": []}
    for index, pair in enumerate(pairs):
        found = pair.found
        real = [
            f"{flip.a} over {flip.b}"
            for flip in found.flips
            if flip.p_value is not None and flip.p_value * len(pairs) <= 1 - level
        ]
        text = f"{pair.name}: no tau" if found.tau is None else f"{pair.name}: tau {found.tau:.2f}"
        text += f" over {len(found.encoders)} encoders"
        verdict: Verdict = "seen" if real or p.get(index, 1.0) <= 1 - level else "not seen"
        if found.if_same is None:
            text += " (too few for more)" if len(found.encoders) < 3 else " (its noise is not known)"
            verdict = "seen" if verdict == "seen" else "cannot be told"
        else:
            text += f", where noise would leave {found.if_same.expected:.2f} of one order"
            text += f" ({found.if_same.low:.2f} to {found.if_same.high:.2f}; {_p(p[index])})"
            if verdict != "seen" and found.if_same.low <= 0:
                verdict = "cannot be told"
        if real:
            text += f"; in {pair.x.name}, but not in {pair.y.name}, {', '.join(real[:3])}"
        texts[verdict].append(text)
    verdict = next(each for each in texts if texts[each])
    every = [text for each in texts.values() for text in each]
    more = f"; and {len(every) - _MOST_SHOWN} more pairs" if len(every) > _MOST_SHOWN else ""
    return Judged(verdict, "; ".join(every[:_MOST_SHOWN]) + more)


def _p(value: float) -> str:
    """Never 0: it comes from draws."""
    return f"p {value:.2g}" if value >= 1 / DRAWS else f"p below {1 / DRAWS:.1g}"


class Change(NamedTuple):
    """How much better y's scores are than x's, over the encoders that both have, taken as a sample of encoders.

    Encoders of one family count once, with their mean."""

    mean: float
    interval: tuple[float, float] | None
    """None for two families or fewer, or if all changed alike."""
    least: tuple[str, float]
    most: tuple[str, float]


def change(pair: SettingPair, level: float) -> Change:
    """In merit: more is better."""
    names = pair.found.encoders
    found = merit(only(pair.y.of, names)) - merit(only(pair.x.of, names))
    _, family = np.unique([pair.x.families[name] for name in names], return_inverse=True)
    means = np.bincount(family, found) / np.bincount(family)
    mean, count = float(means.mean()), len(means)
    interval = None
    if count > 2 and np.ptp(means) > 0:
        half = float(stats.t.ppf((1 + level) / 2, count - 1) * means.std(ddof=1) / np.sqrt(count))
        interval = (mean - half, mean + half)
    low, high = int(found.argmin()), int(found.argmax())
    return Change(mean, interval, (names[low], float(found[low])), (names[high], float(found[high])))
